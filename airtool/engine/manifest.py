"""What was written into an output folder: a line for each finished picture, by which `--resume` knows it again.

Below the folder lies `.airtool/`, in it a file for each run that wrote anything, so that runs and shards which share
the folder never write into the same file. A file begins with what its run made pictures with (`Identity`), then come
the pictures, one JSON object a line, each flushed to the disk before the picture takes its name: an output of ours is
never unlisted, while a line whose output never came, or a line that a crash cut off, does no harm. Neither times nor
the order of lines mean anything: a line counts only for an output that holds exactly the bytes that it names. In a
store, which appends nothing to files, a run has several: `airtool.engine.pages`.
"""

import contextlib
import errno
import hashlib
import json
import os
import stat
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from airtool.engine.identity import Identity
from airtool.engine.pages import Pages, read_pages, run_name
from airtool.errors import PictureError, UsageError
from airtool.images.files import REASONS, sync_folder
from airtool.images.names import shown
from airtool.images.remote import Place, Remote
from airtool.images.stores import read

FOLDER = ".airtool"
"""Hidden, so that nothing in it is ever taken for an input."""

LONGEST_LINE = 1 << 20
"""Bytes. Prompts are in the first line; longer lines are none of ours."""


@dataclass(frozen=True)
class Entry:
    """One finished picture."""

    key: str
    """`Identity.key` of the run that made it."""
    source: str
    """sha256 of the bytes of the input."""
    digest: str
    """sha256 of the bytes of the output."""
    size: int
    """Of the output, in bytes."""


@dataclass
class Recorded:
    """What the manifest of a folder says."""

    entries: dict[str, set[Entry]] = field(default_factory=dict)
    """By the output's path below the folder, with slashes."""
    facts: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """`Identity.facts` by key."""


class Journal:
    """Writes this run's file; safe to be used by several threads. Use as a context manager.

    The file is made with the first picture, so a run that finishes none leaves nothing behind. In a store it is made at
    once: whether a run may write there is to be found out before its work. Then entering raises PictureError.
    """

    def __init__(self, folder: Place, identity: Identity) -> None:
        self._folder, self._identity, self._key = folder, identity, identity.key
        self._pages: Pages | None = None
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._torn = False

    def __enter__(self) -> Self:
        if isinstance(self._folder, Remote):
            self._pages = Pages(self._folder / FOLDER, json.dumps(self._head()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def add(self, target: Place, digest: str, size: int, source: str) -> None:
        """List a picture that is about to be written to `target`; on return the line is on the disk.

        digest, size: sha256 and length of the output; source: sha256 of the input. Raises PictureError, one line with
        the remedy, when the manifest cannot be written.
        """
        line = {"output": name_of(target, self._folder), "sha256": digest, "size": size}
        line |= {"input": source, "key": self._key}
        if isinstance(self._folder, Remote):
            assert self._pages is not None, "entered as a context"
            self._pages.add(json.dumps(line))
            return
        try:
            with self._lock:
                if self._descriptor is None:
                    self._descriptor = _create(self._folder)
                    self._write(self._head())
                self._write(line)
        except OSError as error:
            place = self._folder / FOLDER
            if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EEXIST):
                raise PictureError(f"cannot write to {shown(place)}: {NO_FOLDER}") from error
            reason = REASONS.get(error.errno or 0, f"{error.strerror or error}: choose another output folder")
            raise PictureError(f"cannot write to {shown(place)}: {reason}") from error

    def _head(self) -> dict[str, Any]:
        return {"settings": dict(self._identity.facts), "key": self._key}

    def _write(self, line: Mapping[str, Any]) -> None:
        assert self._descriptor is not None
        # What an earlier error cut off must not swallow this line.
        rest = b"\n" * self._torn + json.dumps(line).encode() + b"\n"
        self._torn = True
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        os.fsync(self._descriptor)
        self._torn = False


NO_FOLDER = "it is a link or a file where a folder belongs: remove it, or choose another output folder"


def check_place(folder: Place) -> None:
    """Raises UsageError when the manifest of an output folder could not lie in it."""
    place = folder / FOLDER
    if isinstance(place, Path) and os.path.lexists(place) and (place.is_symlink() or not place.is_dir()):
        raise UsageError(f"{shown(place)}: {NO_FOLDER}")


def name_of(target: Place, folder: Place) -> str:
    """What the manifest calls an output."""
    return target.relative_to(folder).as_posix()  # type: ignore[arg-type]  # both are here, or both in one store


def read_manifest(folder: Place, names: Collection[str]) -> Recorded:
    """What all runs so far wrote down about the outputs of these names. Whatever makes no sense is left out.

    Raises AirtoolError for a store that cannot be reached.
    """
    found = Recorded()
    for file in _files(folder):
        with file, contextlib.suppress(OSError):
            for line in _lines(file):
                _note(line, names, found)
    return found


def _create(folder: Path) -> int:
    """A new file of one's own in the manifest, never through a link. Raises OSError."""
    place = folder / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    sync_folder(folder)
    name = f"{run_name()}.jsonl"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
    with _opened_folder(place) as inside:
        if inside is None:
            return os.open(place / name, flags)
        descriptor = os.open(name, flags | os.O_NOFOLLOW, 0o666, dir_fd=inside)
        with contextlib.suppress(OSError):
            os.fsync(inside)
        return descriptor


@contextlib.contextmanager
def _opened_folder(place: Path) -> Iterator[int | None]:
    """The manifest's folder itself, so that nobody can put a link in its place; None where systems lack that."""
    if os.open not in os.supports_dir_fd:
        if place.is_symlink():
            raise NotADirectoryError(errno.ENOTDIR, "is a link")
        yield None
        return
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _files(folder: Place) -> Iterator[BinaryIO]:
    """The files of the manifest, opened."""
    if isinstance(folder, Remote):
        yield from read_pages(folder / FOLDER)
        return
    place = folder / FOLDER
    try:
        with _opened_folder(place) as inside:
            for name in sorted(os.listdir(place if inside is None else inside)):
                if not name.endswith(".jsonl"):
                    continue
                with contextlib.suppress(OSError):
                    yield _regular(place / name if inside is None else name, inside)
    except OSError:
        return


def _regular(name: str | Path, inside: int | None) -> BinaryIO:
    """A file of the manifest's folder; raises OSError for links and for what would block."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(name, flags | getattr(os, "O_BINARY", 0), dir_fd=inside)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return open(descriptor, "rb")
    os.close(descriptor)
    raise OSError(errno.EINVAL, "no regular file")


def _lines(file: BinaryIO) -> Iterator[Mapping[str, Any]]:
    """The objects in a file, one a line."""
    while line := file.readline(LONGEST_LINE):
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            yield found


def _note(line: Mapping[str, Any], names: Collection[str], found: Recorded) -> None:
    key, name = line.get("key"), line.get("output")
    if not isinstance(key, str):
        return
    if isinstance(settings := line.get("settings"), dict):
        found.facts[key] = settings
    elif isinstance(name, str) and name in names:
        source, digest, size = line.get("input"), line.get("sha256"), line.get("size")
        if isinstance(source, str) and isinstance(digest, str) and isinstance(size, int):
            found.entries.setdefault(name, set()).add(Entry(key, source, digest, size))


def digest_of(path: Place) -> str | None:
    """sha256 of the bytes of a regular file; None when it cannot be read or is none."""
    if isinstance(path, Remote):
        try:
            return hashlib.sha256(read(path) or b"").hexdigest()
        except PictureError:
            return None
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb") as file:
            regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
            return hashlib.file_digest(file, "sha256").hexdigest() if regular else None
    except OSError:
        return None
