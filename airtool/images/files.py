"""Writing files so that nothing is ever half-written or overwritten unasked."""

import contextlib
import errno
import os
import secrets
from pathlib import Path

from airtool.errors import PictureError
from airtool.images.names import shown

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


def write_atomic(path: Path, data: bytes, overwrite: bool) -> None:
    """Write `data` to `path` completely or not at all, creating missing folders.

    The bytes go to a hidden temporary file in the same folder, are flushed to the disk, and take their name in one
    step; the temporary file is removed whatever happens, Ctrl-C included. With `overwrite` an existing file is
    replaced. Without, a file that is already there, even one that appeared a moment ago, stays untouched.
    Raises PictureError, one line with the path and the remedy, when the file exists and `overwrite` is False, and when
    the operating system refuses (permission, disk full, name too long...).
    """
    temporary = path.parent / f".airtool-{secrets.token_hex(8)}.tmp"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():  # os.replace would say so in a different way on every system
            raise IsADirectoryError(errno.EISDIR, "is a directory")
        try:
            # "x" refuses a file that is already there; the mode stays 0o666 less the umask.
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if overwrite:
                os.replace(temporary, path)
            else:
                _rename_without_clobber(temporary, path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
        _sync_folder(path.parent)
    except _TargetExistsError:
        raise PictureError(f"{shown(path)} already exists: pass --overwrite or --resume") from None
    except OSError as error:
        reason = REASONS.get(error.errno or 0, f"{error.strerror or error}: choose another output folder")
        raise PictureError(f"cannot write {shown(path)}: {reason}") from error


class _TargetExistsError(Exception):
    """The target is there already."""


def _rename_without_clobber(temporary: Path, path: Path) -> None:
    """Give a finished temporary file its name unless that name is taken. The caller removes the temporary name."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise _TargetExistsError from None
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        # Without hard links the name is taken with an empty file first, which fails if somebody else has it.
        try:
            open(path, "xb").close()
        except FileExistsError:
            raise _TargetExistsError from None
        try:
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                path.unlink()
            raise


def _sync_folder(folder: Path) -> None:
    """Make the new name survive a power cut, where the system can do that for folders."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
