"""From what the user typed to the pictures that are meant."""

import fnmatch
import glob
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from urllib.parse import unquote

from airtool.errors import UsageError
from airtool.images.formats import SUFFIXES, by_other_suffix, by_suffix
from airtool.images.names import shown
from airtool.images.remote import READ_ONLY, Place, Remote, is_url, place
from airtool.images.stores import find, identity, kind

STDIN = "-"
"""The input that stands for standard input."""


@dataclass(frozen=True)
class Source:
    """One input picture."""

    path: Place | None
    """None: standard input."""
    relative: Path
    """Where it lies below the folder that was asked for; decides where its output lies below the output folder."""
    root: Place | None = None
    """The folder that was searched with its subfolders, None for single files; no output may lie in it."""


@dataclass(frozen=True)
class Found:
    """What inputs mean."""

    sources: list[Source]
    others: Mapping[object, str]
    """Files of `airtool.images.formats.OTHERS` that folders and patterns hold as well: suffixes by identity."""

    @property
    def passed_over(self) -> Mapping[str, int]:
        """How many `others` there are by suffix."""
        return by_suffixes(self.others)


def by_suffixes(others: Mapping[object, str]) -> Mapping[str, int]:
    """How many files there are of each suffix, in its order. others: as `Found.others`."""
    return dict(sorted(Counter(others.values()).items()))


def discover(inputs: Sequence[str]) -> list[Source]:
    """The pictures that `search` finds."""
    return search(inputs).sources


def search(inputs: Sequence[str]) -> Found:
    """All pictures that `inputs` mean, each once, in the order of `inputs`, folders in natural order ("2" before "10").

    An input is a file (whatever its suffix), a folder (its whole tree: files with a known picture suffix, no hidden
    files or folders, links followed, each folder entered once), a pattern with ``*``, ``?``, ``[...]`` or ``**``
    (files with a known suffix; relative to the part before the first wildcard), or ``-`` for standard input. All but
    the last may be URLs: folders end with a slash where the store cannot tell them from files (http).
    A picture that several inputs mean, such as a folder and another one inside it, keeps the longest of its relative
    names, that of the outermost folder, whatever their order.
    Raises UsageError for an input that does not exist, a folder without pictures or that cannot be listed, a pattern
    that matches none, and no input at all. Raises AirtoolError for a store that cannot be reached.
    """
    if not inputs:
        raise UsageError("no input: name a picture, a folder, a quoted pattern or - for standard input")
    found: dict[object, Source] = {}
    entry_of: dict[tuple[object, Path], object] = {}
    passed: dict[object, str] = {}
    for text in inputs:
        pictures, others = _expand(text)
        for source in pictures:
            key = None if source.path is None else identity(source.path)
            entry = entry_of.setdefault((key, source.relative), None if source.path is None else _entry(source.path))
            found[entry] = _merged(found.get(entry, source), source)
        passed |= {identity(other.path): other.relative.suffix.lower() for other in others if other.path is not None}
    return Found(list(found.values()), passed)


def _entry(path: Place) -> object:
    """Equal for two names of one entry of a folder: links to folders are resolved.

    A link to a picture, beside it perhaps, has a name of its own and so an output of its own.
    """
    return Path(os.path.realpath(path.parent), path.name) if isinstance(path, Path) else identity(path)


def _merged(first: Source, second: Source) -> Source:
    """One source for two of the same picture. No output may lie in a folder that either was found in."""
    kept = second if len(second.relative.parts) > len(first.relative.parts) else first
    return replace(kept, root=kept.root or first.root or second.root)


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key by which numbers inside names count as numbers: "img2" before "img10"."""
    parts = re.split(r"([0-9]+)", text.casefold())
    # The name itself comes last and decides between "a01" and "a1", or "A" and "a".
    return (*((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part), (-1, 0, text))


def _told_apart(found: Iterable[Source]) -> tuple[list[Source], list[Source]]:
    """Pictures that airtool reads, and others."""
    pictures: list[Source] = []
    others: list[Source] = []
    for source in found:
        (pictures if by_suffix(source.relative) else others).append(source)
    return pictures, others


def _read_ones(others: Sequence[Source]) -> str:
    """Which pictures are read, for messages that there are none, and which are there in their place."""
    there = _suffixes(others)
    return f"({' '.join(SUFFIXES)})" + (f", only some that airtool does not read ({there})" if there else "")


def _suffixes(others: Sequence[Source]) -> str:
    return " ".join(sorted({other.relative.suffix.lower() for other in others}))


def _expand(text: str) -> tuple[list[Source], list[Source]]:
    """The pictures that one input means, and those of formats that airtool does not read."""
    if text == STDIN:
        return [Source(None, Path("stdin"))], []
    if is_url(text):
        named = place(text)
        if isinstance(named, Remote):
            return _expand_remote(text, named)
        text = str(named)
    path = Path(text)
    if text and path.is_dir():
        pictures, others = _told_apart(Source(path / relative, relative, path) for relative in _pictures_below(path))
        if not pictures:
            raise UsageError(f"folder {shown(text)} holds no pictures {_read_ones(others)}: choose another")
        return pictures, others
    if text and os.path.lexists(path):
        return [Source(path, Path(path.name))], []
    if glob.has_magic(text):
        return _expand_pattern(text)
    raise UsageError(f"{shown(text) or 'an empty name'} does not exist: check the spelling")


def _expand_pattern(pattern: str) -> tuple[list[Source], list[Source]]:
    """As `_expand` for a pattern."""
    parts = Path(pattern).parts
    first = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    base = Path(*parts[:first])
    recursive = "**" in parts[first:]
    if recursive:
        below = _pictures_below(base) if base.is_dir() else []
        matches = [relative for relative in below if _matches(relative.parts, parts[first:])]
    else:
        names = (Path(name) for name in glob.glob(str(Path(*parts[first:])), root_dir=base))
        matches = [name for name in names if _is_picture(name.name) and (base / name).is_file()]
        matches.sort(key=lambda name: [natural_key(part) for part in name.parts])
    root = base if recursive else None
    pictures, others = _told_apart(Source(base / relative, relative, root) for relative in matches)
    if not pictures:
        if not others and (folders := sorted(path for path in glob.glob(pattern) if Path(path).is_dir())):
            raise UsageError(
                f"{shown(pattern)} matches no picture but folders, such as {shown(folders[0])}: add /** for what lies "
                "in them"
            )
        raise UsageError(_no_match(pattern, others))
    return pictures, others


def _no_match(pattern: object, others: Sequence[Source]) -> str:
    if others:
        there = _suffixes(others)
        return f"{shown(pattern)} matches only pictures that airtool does not read ({there}): convert them first"
    return f"{shown(pattern)} does not exist and, as a pattern, matches no picture: check the spelling"


def _expand_remote(text: str, named: Remote) -> tuple[list[Source], list[Source]]:
    """As `_expand` for a URL."""
    there = "folder" if text.endswith("/") else kind(named)
    if there == "file":
        return [Source(named, Path(named.name))], []
    if there == "folder":
        pictures, others = _told_apart(Source(path, relative, named) for relative, path in _pictures_in(named))
        if not pictures:
            raise UsageError(f"{shown(named)} holds no pictures {_read_ones(others)}, or does not exist: check it")
        return pictures, others
    # A question mark begins a query where there are such.
    wild = re.compile(r"[*[]" if named.protocol in READ_ONLY else r"[*?[]")
    parts = text.split("/")
    first = next((i for i, part in enumerate(parts) if i > 2 and wild.search(part)), None)
    if first is None:
        raise UsageError(f"{shown(named)} does not exist: check the spelling")
    base, patterns = Remote("/".join(parts[:first])), parts[first:]
    recursive = "**" in patterns
    below = _pictures_in(base, None if recursive else len(patterns))
    root = base if recursive else None
    matches = (Source(path, relative, root) for relative, path in below if _matches(relative.parts, patterns))
    pictures, others = _told_apart(matches)
    if not pictures:
        raise UsageError(_no_match(named, others))
    return pictures, others


def _pictures_in(folder: Remote, depth: int | None = None) -> list[tuple[Path, Remote]]:
    """As `_pictures_below` for a folder in a store; hidden names are left out, and so are those that climb ("..")."""
    found = [(relative, path) for path in find(folder, depth) if (relative := _mirrored(path)) is not None]
    return sorted(found, key=lambda each: _walked(each[0]))


def _mirrored(path: Remote) -> Path | None:
    """Where a picture lies below the searched folder; None for what is no picture, or could be no local path."""
    # Web servers list names as they stand in links.
    key = unquote(path.key) if path.protocol in READ_ONLY else path.key
    parts = [part for part in key.split("/") if part]
    if not parts or not _is_picture(parts[-1]):
        return None
    return None if any(part[0] == "." or PurePath(part).parts != (part,) for part in parts) else Path(*parts)


def _walked(relative: Path) -> list[tuple[bool, tuple[tuple[int, int, str], ...]]]:
    """A sort key: natural order, the files of a folder before its subfolders."""
    *folders, name = relative.parts
    return [*((True, natural_key(folder)) for folder in folders), (False, natural_key(name))]


def _matches(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    """Whether a relative path fits a pattern in which ``**`` stands for any number of folders, none included."""
    if not patterns:
        return not parts
    if patterns[0] == "**":
        # As the last part it also stands for the files themselves.
        rest = patterns[1:] or ("*",)
        return any(_matches(parts[i:], rest) for i in range(len(parts)))
    return bool(parts) and fnmatch.fnmatchcase(parts[0], patterns[0]) and _matches(parts[1:], patterns[1:])


def _is_picture(name: str) -> bool:
    """Whether a name announces a picture, of a format that airtool reads or of another one."""
    return by_suffix(name) is not None or by_other_suffix(name) is not None


def _pictures_below(folder: Path) -> list[Path]:
    """Relative paths of all pictures in a folder tree: natural order, the files of a folder before its subfolders."""
    return list(_walk(folder, Path(), set()))


def _walk(folder: Path, relative: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    try:
        status = os.stat(folder)
        # Links to folders are followed, but no folder is entered twice: links may form loops.
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as scan:
            entries = sorted((entry for entry in scan if entry.name[0] != "."), key=lambda e: natural_key(e.name))
    except OSError as error:
        reason = error.strerror or "unreadable"
        raise UsageError(
            f"cannot list folder {shown(folder)}: {reason}; change its permissions or leave it out"
        ) from error
    # Broken links with a picture's name count as pictures: reading them reports what is wrong with each.
    yield from (relative / entry.name for entry in entries if _is_picture(entry.name) and _is_file_or_broken(entry))
    for entry in entries:
        if _leads_to_folder(entry):
            yield from _walk(folder / entry.name, relative / entry.name, seen)


def _is_file_or_broken(entry: os.DirEntry[str]) -> bool:
    """False for folders and for devices, pipes and sockets, which would block."""
    try:
        return entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path))
    except OSError:  # links that lead round in a circle
        return True


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
