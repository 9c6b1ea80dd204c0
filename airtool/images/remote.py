"""Names of places: on the local disk, or in whatever fsspec reaches by a URL, such as an object store.

Nothing is asked here, and fsspec is not imported: that is `airtool.images.stores`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath

from airtool.errors import UsageError

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(::[A-Za-z0-9+.-]+)*://")
"""How a URL begins. One letter alone is a drive."""

LOCAL = ("file", "local")
"""What fsspec calls the local disk, which needs no fsspec."""

READ_ONLY = frozenset({"http", "https"})

PROCESS_ONLY = frozenset({"memory"})
"""Protocols that no other process sees."""


@dataclass(frozen=True)
class Remote:
    """A file or a folder in a store, as far as its name goes; it is printed without passwords and signatures."""

    root: str
    """URL of the file or folder that somebody named, without a slash at its end."""
    key: str = ""
    """Where it is below that, spelt as in the store; empty for the root itself."""
    size: int | None = field(default=None, compare=False)
    """Bytes, where a listing has told them."""

    def __str__(self) -> str:
        root = re.sub(r"(?<=://)[^/@]*:[^/@]*@", "***@", self.root)
        if self.protocol in READ_ONLY:
            root = root.partition("?")[0]
        return f"{root}/{self.key}" if self.key else root

    def __truediv__(self, below: str | PurePath) -> "Remote":
        parts = [self.key] if self.key else []
        return Remote(self.root, "/".join([*parts, PurePath(below).as_posix()]))

    @property
    def protocol(self) -> str:
        """The part before the first colon."""
        return self.root.partition(":")[0].lower()

    @property
    def name(self) -> str:
        """The last part of its name."""
        return str(self).rpartition("/")[2]

    def as_posix(self) -> str:
        """As it is printed."""
        return str(self)

    def relative_to(self, folder: "Remote") -> PurePosixPath:
        """Its name below a folder. Raises ValueError when it does not lie there."""
        if folder.root != self.root:
            raise ValueError(f"{self} is not in {folder}")
        return PurePosixPath(self.key).relative_to(folder.key)


Place = Path | Remote
"""A file or a folder, here or elsewhere."""


def is_url(text: str) -> bool:
    """Whether what somebody typed is a URL rather than a local path."""
    return URL.match(text) is not None


def place(text: str | Place) -> Place:
    """What a path or a URL stands for; ``file://`` is the local disk, and what follows it is taken as it stands,
    but for the slash before a drive.

    Nothing is asked yet. Raises UsageError for URLs of several joined by ``::``.
    """
    if not isinstance(text, str):
        return text
    found = URL.match(text)
    if found is None:
        return Path(text)
    if "::" in text:
        raise UsageError(f"{text}: URLs joined by '::' are not understood: name the store itself")
    if found[0].lower().removesuffix("://") in LOCAL:
        return Path(without_root(text[found.end() :]))
    return Remote(text.rstrip("/") if len(text.rstrip("/")) > found.end() else found[0])


def without_root(path: str, system: Callable[[str], PurePath] = Path) -> str:
    """What follows ``file://``, without the slash that stands before a drive (``/C:/pictures``) in URLs only.

    system: the kind of paths; only those of Windows have drives.
    """
    return path[1:] if path.startswith("/") and system(path[1:]).drive else path


def local(of: Place) -> Path:
    """A place on the local disk. Raises UsageError for one elsewhere, for work that only knows local files."""
    if isinstance(of, Remote):
        raise UsageError(f"{of} is not on this machine: copy it here first, or mount the store")
    return of


def check_writable(out: Place, option: str = "output") -> None:
    """Raises UsageError for a URL to which nothing can be written, whatever the server."""
    if isinstance(out, Remote) and out.protocol in READ_ONLY:
        raise UsageError(f"{option} {out}: {out.protocol}:// is only read: name a local folder, or a bucket")
