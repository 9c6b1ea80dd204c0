"""Files in stores that fsspec reaches by a URL: listed, read and written, with the local disk as the other case.

All that knows fsspec is here, and it is imported with the first URL, never for local paths. Calls that fail for a
reason that may pass (the network, a busy server) are tried again after each of `PAUSES`, beside what the store's own
package does.
"""

import inspect
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, Literal, TypeVar

from airtool.errors import AirtoolError, PictureError, UsageError, missing_extra
from airtool.images.remote import Place, Remote

T = TypeVar("T")

OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "obs", "cos", "oci", "tos"})
"""Protocols that store an object whole or not at all, and know no folders; others rename."""

UNNAMED = frozenset({"az", "abfs", "abfss"})
"""Protocols whose package creates objects only if there is none, but does not name that among its parameters."""

FEW = 20
"""So many files are asked for one by one."""

PAUSES = (0.5, 1.0, 2.0)
"""Seconds before the second, the third and the last attempt."""

FINAL = (
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
    NotImplementedError,
    ImportError,
    MemoryError,
    TypeError,
    ValueError,
)
"""What another attempt would not mend."""

AGAIN = (408, 429)
"""HTTP answers below 500 that may be others next time."""

EXISTS = ("PreconditionFailed", "pre-conditions")
"""How stores say that an object was to be new and is not, where their package has no FileExistsError for it."""

NO_BUCKET = "there is no such bucket or folder: check the spelling, or create it first"


def identity(of: Place) -> tuple[Any, PurePath]:
    """The file system and the path in it, links resolved: equal for two names of one place.

    Raises AirtoolError for a store that cannot be reached: some connect as soon as they are named.
    """
    if isinstance(of, Path):
        return None, Path(os.path.realpath(of))
    store, path = _insist(lambda: _reach(of), f"cannot reach {of}", AirtoolError)
    return store, PurePosixPath(path)


def lies_in(inner: Place, folder: Place) -> bool:
    """Whether a place is the folder, or lies below it, by whatever name.

    A folder may have further names beside links: in other letters where case does not count, or mounted twice.
    """
    if isinstance(inner, Path) != isinstance(folder, Path):
        return False
    (store, path), (other, base) = identity(inner), identity(folder)
    if store != other or path.is_relative_to(base):
        return store == other
    return isinstance(folder, Path) and any(_same(each, base) for each in (path, *path.parents))


def _same(path: PurePath, other: PurePath) -> bool:
    """Whether two local paths lead to one file or folder; False where one of them leads nowhere."""
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False


def kind(of: Remote) -> Literal["file", "folder"] | None:
    """What is there; None for nothing. Raises AirtoolError when the store does not tell."""
    found = _look(of)
    return None if found is None else "folder" if found["type"] == "directory" else "file"


def size_of(file: Place) -> int | None:
    """Bytes of a file; None when there is none. Raises AirtoolError when the store does not tell."""
    if isinstance(file, Remote):
        return (_look(file) or {}).get("size") if file.size is None else file.size
    try:
        return os.stat(file).st_size
    except OSError:
        return None


def _look(of: Remote) -> dict[str, Any] | None:
    def ask() -> dict[str, Any]:
        store, path = _reach(of)
        store.invalidate_cache()
        return dict(store.info(path))

    try:
        return _insist(ask, f"cannot look at {of}", AirtoolError)
    except FileNotFoundError:
        return None


def find(folder: Remote, depth: int | None = None) -> list[Remote]:
    """All files below a folder, in no order, by listing and without a call for each; none where there is no folder.

    depth: how many levels at most; None: all. Raises AirtoolError when the store does not tell, and where the whole
    bucket is missing.
    """

    def ask() -> list[Remote]:
        store, base = _reach(folder)
        store.invalidate_cache()
        prefix = f"{base.rstrip('/')}/"
        below = f"{folder.key}/" if folder.key else ""
        return [
            Remote(folder.root, below + name[len(prefix) :], info.get("size"))
            for name, info in store.find(base, maxdepth=depth, detail=True).items()
            # Object stores keep empty objects "in/" in place of folders.
            if name.startswith(prefix) and not name.endswith("/") and info.get("type", "file") == "file"
        ]

    try:
        return _insist(ask, f"cannot list {folder}", AirtoolError)
    except FileNotFoundError as error:
        if folder.protocol not in OBJECT_STORES:
            return []
        raise AirtoolError(f"{folder}: {NO_BUCKET}") from error


def taken(places: Iterable[Place]) -> dict[Place, Place]:
    """Those of the places at which something is already, each with itself, with its size where that was told.

    More than `FEW` in a store are looked for in a listing of the folder that was named. Raises AirtoolError as `find`.
    """
    there: dict[Place, Place] = {}
    remote: dict[str, list[Remote]] = {}
    for each in places:
        if isinstance(each, Remote):
            remote.setdefault(each.root, []).append(each)
        elif os.path.lexists(each):
            there[each] = each
    for root, wanted in remote.items():
        if len(wanted) > FEW:
            listed = {each: each for each in find(Remote(root))}
            there |= {each: listed[each] for each in wanted if each in listed}
            continue
        for each in wanted:
            if (found := _look(each)) is not None:
                there[each] = replace(each, size=found.get("size"))
    return there


def read(file: Remote, most: int | None = None) -> bytes | None:
    """The bytes of a file; None when there are more than `most`. Raises PictureError, one line that names it."""
    if most is not None and file.size is not None and file.size > most:
        return None

    def ask() -> bytes:
        store, path = _reach(file)
        if file.size is None and most is not None:
            with store.open(path, "rb") as opened:
                return bytes(opened.read(most + 1))
        if file.size:
            # A range needs no further look at the size; a byte more shows that it has changed since.
            data = bytes(store.cat_file(path, start=0, end=file.size + 1))
            if len(data) == file.size:
                return data
        return bytes(store.cat_file(path))

    try:
        data = _insist(ask, f"cannot read {file}", PictureError)
    except FileNotFoundError as error:
        raise PictureError(f"cannot read {file}: it is not there") from error
    return None if most is not None and len(data) > most else data


def write(file: Remote, data: bytes, overwrite: bool) -> bool:
    """Store a file completely or not at all; False when there is one already that must not be replaced.

    In an object store the object appears whole, and is created only if there is none, if the store can tell. Elsewhere
    the bytes go to a hidden file in the same folder, which is then renamed, as safely as the store does that, after a
    look whether the name is free. Raises PictureError, one line that names the file.
    """
    attempts = 0

    def ask() -> None:
        nonlocal attempts
        attempts += 1
        store, path = _reach(file)
        if file.protocol in OBJECT_STORES:
            _put(store, file.protocol, path, data, overwrite)
        else:
            _move_into_place(store, path, data, overwrite)

    try:
        _insist(ask, f"cannot write {file}", PictureError)
    except FileNotFoundError as error:
        raise PictureError(f"cannot write {file}: {NO_BUCKET}") from error
    except FileExistsError:
        # The first attempt may have gone through and only its answer been lost.
        return attempts > 1 and read(file) == data
    return True


def _put(store: Any, protocol: str, path: str, data: bytes, overwrite: bool) -> None:
    if overwrite:
        store.pipe_file(path, data)
    elif protocol in UNNAMED or "mode" in inspect.signature(getattr(store, "_pipe_file", store.pipe_file)).parameters:
        store.pipe_file(path, data, mode="create")
    else:
        _check_free(store, path)
        store.pipe_file(path, data)


def _move_into_place(store: Any, path: str, data: bytes, overwrite: bool) -> None:
    folder = path.rpartition("/")[0]
    if folder:
        store.makedirs(folder, exist_ok=True)
    temporary = f"{folder}/.airtool-{secrets.token_hex(8)}.tmp"
    try:
        store.pipe_file(temporary, data)
        if not overwrite:
            _check_free(store, path)
        # The general `mv` takes brackets in names for patterns; those that stores bring are renames.
        if _moves_itself(store):
            store.mv(temporary, path)
        else:
            store.cp_file(temporary, path)
            store.rm_file(temporary)
    except BaseException:
        _forget(store, temporary)
        raise


def _moves_itself(store: Any) -> bool:
    from fsspec import AbstractFileSystem

    return type(store).mv is not AbstractFileSystem.mv


def _check_free(store: Any, path: str) -> None:
    store.invalidate_cache()
    if store.exists(path):
        raise FileExistsError(path)


def _forget(store: Any, path: str) -> None:
    try:
        store.rm_file(path)
    except Exception:
        return  # it was never there, or the store is out of reach: the error on its way says why


def _reach(of: Remote) -> tuple[Any, str]:
    """fsspec's file system, and the path in it. Raises AirtoolError when a package is missing."""
    store, base = _connect(of.root)
    return store, f"{base.rstrip('/')}/{of.key}" if of.key else base


@lru_cache(maxsize=64)
def _connect(root: str) -> tuple[Any, str]:
    shown = Remote(root)
    try:
        from fsspec.core import url_to_fs
        from fsspec.registry import get_filesystem_class
    except ImportError:
        raise AirtoolError(missing_extra(f"{shown}: URLs need fsspec", "remote")) from None
    try:
        get_filesystem_class(shown.protocol)
    except ImportError as error:
        raise AirtoolError(f"{shown}: {_line(error)}: {shown.protocol}:// needs that package") from None
    except ValueError:
        raise UsageError(f"{shown}: fsspec knows no {shown.protocol}://: check the spelling") from None
    store, base = url_to_fs(root)
    return store, str(base)


def _insist(call: Callable[[], T], doing: str, failed: type[AirtoolError]) -> T:
    """The answer to a call that is repeated after errors that may pass.

    Raises FileNotFoundError, FileExistsError, what airtool itself raises, and else `failed`, which says in one line
    what was being done, why it failed and what to do.
    """
    for attempt, pause in enumerate((*PAUSES, None), 1):
        try:
            return call()
        except (FileNotFoundError, FileExistsError, AirtoolError):
            raise
        except Exception as error:
            if any(sign in str(error) for sign in EXISTS):
                raise FileExistsError from error
            if pause is None or _is_final(error):
                tried = f" (tried {attempt} times)" if attempt > 1 else ""
                raise failed(f"{doing}: {_reason(error)}{tried}") from error
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def _is_final(error: Exception) -> bool:
    status = getattr(error, "status", None)
    if isinstance(status, int) and 400 <= status < 500:
        return status not in AGAIN
    return isinstance(error, FINAL) or "Credential" in type(error).__name__


def _reason(error: Exception) -> str:
    """Why a store refuses, and what to do."""
    if isinstance(error, PermissionError) or getattr(error, "status", None) in (401, 403):
        return "permission denied: check your credentials for this store"
    if "Credential" in type(error).__name__:
        return f"no credentials: {_line(error)}"
    if isinstance(error, NotImplementedError):
        return "this kind of store cannot do that: choose another place"
    if isinstance(error, UnicodeError):
        return "this store cannot hold a name with bytes outside UTF-8: rename the file"
    return _line(error)


def _line(error: Exception) -> str:
    """The first line of what an error says, without the secrets that URLs may carry."""
    lines = str(getattr(error, "strerror", None) or error).strip().splitlines()
    text = re.sub(r"(?<=://)[^/@\s]*:[^/@\s]*@", "***@", lines[0]) if lines else ""
    return re.sub(r"(https?://[^\s?'\"]*)\?[^\s'\"]*", r"\1", text) or type(error).__name__
