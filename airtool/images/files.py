"""Writing files so that nothing is ever half-written or overwritten unasked."""

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from airtool.errors import PictureError
from airtool.images.names import shown
from airtool.images.remote import Place, Remote
from airtool.images.stores import write

try:
    import fcntl
except ImportError:  # Windows, which has no such locks and renames no open file
    fcntl = None  # type: ignore[assignment]

TEMPORARY = re.compile(r"\.airtool-[0-9a-f]{16}\.tmp")
"""Names of files that are being written."""

NO_LINKS = frozenset(
    {errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL}
)
"""What file systems without hard links (FAT, some network shares) answer to a request for one."""

REASONS = {
    errno.ENOSPC: "the disk is full: free some space, or choose another output folder",
    errno.EDQUOT: "your disk quota is used up: free some space, or choose another output folder",
    errno.EFBIG: "the file is too large for this file system: choose another output folder",
    errno.EACCES: "permission denied: choose a folder that you may write to",
    errno.EPERM: "permission denied: choose a folder that you may write to",
    errno.EROFS: "the file system is read-only: choose another output folder",
    errno.ENAMETOOLONG: "the file name is too long for this file system: shorten it",
    errno.ENOTDIR: "a part of its path is a file, not a folder: choose another output folder",
    errno.EISDIR: "a folder of that name is in the way: choose another name",
    errno.EEXIST: "a file of that name is in the way: choose another name",
}
"""What to tell and advise for the errors that a user can do something about."""


NO_FILE = "it is no file but a device, a pipe or a socket: name a file, or - for standard output"


class TakenError(PictureError):
    """A file may not be written because there is one of that name already."""


class NoRoomError(PictureError):
    """A file cannot be written because the disk is full or a quota used up, as it will be for the next one."""


def write_atomic(path: Place, data: bytes, overwrite: bool) -> None:
    """Write `data` to `path` completely or not at all, creating missing folders.

    The bytes go to a hidden temporary file in the same folder, are flushed to the disk, and take their name in one
    step; the temporary file is removed whatever happens, Ctrl-C included (after a power cut or SIGKILL: by `sweep`).
    With `overwrite` an existing file is replaced. Without, a file that is already there, even one that appeared a
    moment ago, stays untouched. Where `path` is a link, the link counts as the file: nothing is written through it.
    What of this a store can promise: `airtool.images.stores.write`.
    Raises TakenError when the file exists and `overwrite` is False, NoRoomError when the disk is full, and PictureError
    when the operating system refuses otherwise (permission, name too long...): one line with the path and the remedy.
    """
    if isinstance(path, Remote):
        if not write(path, data, overwrite):
            raise _taken(path)
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():  # os.replace would say so in a different way on every system
            raise IsADirectoryError(errno.EISDIR, "is a directory")
        if is_no_file(path):
            raise PictureError(f"cannot write {shown(path)}: {NO_FILE}")
        while not _write(path, data, overwrite):
            pass
        sync_folder(path.parent)
    except OSError as error:
        reason = REASONS.get(error.errno or 0, f"{error.strerror or error}: choose another output folder")
        kind = NoRoomError if error.errno in (errno.ENOSPC, errno.EDQUOT) else PictureError
        raise kind(f"cannot write {shown(path)}: {reason}") from error


def is_no_file(path: Path) -> bool:
    """Whether a path leads to what must not be replaced by a file, such as /dev/null or a pipe; False for folders."""
    if os.path.realpath(path.parent) == "/dev":
        return True  # /dev/stdout may lead to a file, but it is a link that others need
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _write(path: Path, data: bytes, overwrite: bool) -> bool:
    """One attempt of `write_atomic`; False when `sweep` was faster than the lock on the temporary file."""
    temporary = path.parent / f".airtool-{secrets.token_hex(8)}.tmp"
    try:
        # "x" refuses a file that is already there; the mode stays 0o666 less the umask.
        with open(temporary, "xb") as file:
            if not _lock(file):
                return False
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            if fcntl is None:
                file.close()
            # Closing ends the lock, so the name is given before that.
            if overwrite:
                os.replace(temporary, path)
            else:
                _rename_without_clobber(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return True


def _lock(file: BinaryIO) -> bool:
    """Lock a new file against `sweep`; False when it is too late for that."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks, where `sweep` cannot lock it either
        return True
    return os.fstat(file.fileno()).st_nlink > 0


def sweep(folders: Iterable[Path]) -> None:
    """Remove temporary files of `write_atomic` whose writer is gone, from these folders, not from those below them.

    A writer holds a lock on its file, which ends with it however it ends; so neither clocks nor process numbers have to
    be believed, and what another run is writing at the moment stays. Where there are no locks, or no permission,
    nothing is removed. Never raises.
    """
    if fcntl is None:
        return
    for folder in dict.fromkeys(folders):
        try:
            names = [name for name in os.listdir(folder) if TEMPORARY.fullmatch(name)]
        except OSError:
            continue
        for name in names:
            with contextlib.suppress(OSError):
                _remove_abandoned(folder / name)


def _remove_abandoned(path: Path) -> None:
    """Remove a temporary file unless somebody holds it. Raises OSError where that cannot be done."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    finally:
        os.close(descriptor)


def _rename_without_clobber(temporary: Path, path: Path) -> None:
    """Give a finished temporary file its name unless that name is taken. The caller removes the temporary name."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise _taken(path) from None
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        # Without hard links the name is taken with an empty file first, which fails if somebody else has it.
        try:
            open(path, "xb").close()
        except FileExistsError:
            raise _taken(path) from None
        try:
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                path.unlink()
            raise


def _taken(path: Place) -> TakenError:
    return TakenError(f"{shown(path)} already exists: pass --overwrite or --resume")


def sync_folder(folder: Path) -> None:
    """Make the new name survive a power cut, where the system can do that for folders."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
