"""Which input becomes which output, decided before any work starts."""

import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Literal

from airtool.errors import AirtoolError, UsageError
from airtool.images.discover import Source
from airtool.images.formats import (
    FORMATS,
    by_other_suffix,
    by_suffix,
    missing_encoder,
    mistyped,
    parse_format,
    writable,
    written_as,
)
from airtool.images.names import in_utf8, listing, shown
from airtool.images.remote import Place, Remote, check_writable, place
from airtool.images.shard import Shard
from airtool.images.stores import identity, kind, lies_in, taken

STDOUT = "-"
"""The output that stands for standard output."""


@dataclass(frozen=True)
class Job:
    """One picture to make."""

    source: Source
    target: Place | None
    """None: standard output."""
    format: str | None
    """Format of the output; None: that of the input, as `formats.written_as` has it (only when it cannot be told from
    the name: standard output)."""
    replaces: str | None = None
    """sha256 of the file at `target` that may be replaced by the new one, and by that alone; None: none may be."""
    notes: tuple[str, ...] = ()
    """What the user should know about the choice of the format, in words."""


@dataclass(frozen=True)
class Plan:
    """What a run will do."""

    jobs: tuple[Job, ...]
    skipped: tuple[Job, ...]
    """With existing="resume": jobs whose target is already there."""
    folder: Place | None = None
    """The folder into which the outputs go; None for standard output and for a single file that was named."""
    passed_over: Mapping[str, int] = field(default_factory=dict)
    """What `airtool.images.discover.search` has passed over."""
    formats: frozenset[str | None] = frozenset()
    """The formats of all outputs, those of other shards too; None: only the content of standard input will tell."""


def plan(
    sources: Sequence[Source],
    out: str | Place,
    *,
    format: str | None = None,
    existing: Literal["error", "overwrite", "resume"] = "error",
    shard: Shard | None = None,
) -> Plan:
    """Give every source its output, and find whatever stands in the way before work starts.

    out: ``-`` for standard output (one source only); with one source a name with a picture suffix, unless it is a
    folder or ends in a slash, is the output file itself, and one with a suffix that could have been meant as such is
    refused; everything else is a folder, created when needed, that mirrors
    the inputs' tree. Both may be URLs.
    format: a format to write; None keeps each input's, unless that cannot be written: see `formats.written_as`.
    Suffixes change only where the format does.
    existing: what to do about outputs that are already there. shard: plan this part only; everything but existing
    outputs is checked for all parts. It needs a folder.
    Raises UsageError, one line with the remedy: two sources with one output (upper and lower case count as equal),
    an output that is one of the inputs or lies inside a searched folder, existing outputs (with "error"), folders in
    the way, a format that cannot be written or told. Raises AirtoolError when the output folder may not be written to,
    and when a store cannot be reached.
    """
    name = None if format is None else parse_format(format)
    if str(out) == STDOUT:
        if len(sources) != 1:
            raise UsageError(f"standard output takes one picture, not {len(sources)}: name an output folder")
        _check_formats([Job(sources[0], None, name)])
        _check_shard(shard, None)
        return Plan((Job(sources[0], None, name),), (), formats=frozenset({name}))
    marked = isinstance(out, str) and marks_folder(out)
    out = place(out)
    check_writable(out)
    folder = out if marked or not _is_file_name(sources, out) else None
    jobs = [_as_file(sources[0], out, name)] if folder is None else _as_folder(sources, out, name)
    _check_shard(shard, folder)
    _check_formats(jobs)
    _check_place(sources, jobs, out)
    _check_collisions(jobs)
    _check_inputs(sources, jobs)
    formats = frozenset(job.format for job in jobs)
    jobs = [job for job in jobs if shard is None or shard.holds(_named(job.source))]
    there = taken(job.target for job in jobs if job.target is not None)
    present = [replace(job, target=there[job.target]) for job in jobs if job.target in there]
    if folders := [job.target for job in present if isinstance(job.target, Path) and job.target.is_dir()]:
        raise UsageError(f"a folder is in the way of an output: {listing(folders)}; choose another output folder")
    if existing == "error" and present:
        names = listing([job.target for job in present if job.target is not None])
        raise UsageError(f"already there: {names}; pass --overwrite to replace or --resume to keep and skip them")
    skipped = tuple(present) if existing == "resume" else ()
    kept = {job.target for job in skipped}
    return Plan(tuple(job for job in jobs if job.target not in kept), skipped, folder, formats=formats)


def _named(source: Source) -> Path:
    """The name by which a picture falls to a shard."""
    # A store's names do not go through the locale.
    return source.relative if isinstance(source.path, Remote) else in_utf8(source.relative)


def marks_folder(text: str) -> bool:
    """Whether what somebody typed as an output can only be a folder, by the slash at its end."""
    return text.endswith(("/", os.sep))


def _is_file_name(sources: Sequence[Source], out: Place) -> bool:
    """Whether the output is meant as a file rather than as a folder."""
    own, one = by_suffix(out.name), len(sources) == 1
    if own is None and not (one and (by_other_suffix(out.name) or mistyped(out.name))):
        return False
    if kind(out) == "folder" if isinstance(out, Remote) else out.is_dir():
        return False
    if one and (own is None or not FORMATS[own].writable):
        suffixes = " ".join(FORMATS[name].suffixes[0] for name in writable())
        raise UsageError(
            f"{shown(out)}: {PurePath(out.name).suffix[1:].upper()} is not a format that airtool writes: choose one of "
            f"{suffixes}, or end the name with a slash if a folder is meant"
        )
    if one:
        return True
    raise UsageError(f"{len(sources)} pictures cannot become the one file {shown(out)}: name an output folder")


def _as_file(source: Source, out: Place, format: str | None) -> Job:
    """The job when the output file is named."""
    own = by_suffix(out.name)
    if format is not None and format != own:
        raise UsageError(f"{shown(out)} and --format {format} disagree: drop the one that is not meant")
    return Job(source, out, own)


def _as_folder(sources: Sequence[Source], out: Place, format: str | None) -> list[Job]:
    """The jobs when the output is a folder."""
    jobs = []
    if format is None:
        _check_names(sources)
    for source in sources:
        own = by_suffix(source.relative) if source.path is not None else None
        relative = source.relative
        chosen, notes = (format, ()) if format is not None or own is None else written_as(own)
        if chosen is not None and chosen != own:
            # A suffix that marks no picture is part of the name: "scan.2024" becomes "scan.2024.png".
            stem = relative.name if own is None else relative.stem
            relative = relative.with_name(stem + FORMATS[chosen].suffixes[0])
        jobs.append(Job(source, out / relative, chosen, notes=notes))
    return jobs


def _check_names(sources: Sequence[Source]) -> None:
    """Refuse inputs whose names do not tell the formats of their outputs."""
    if any(source.path is None for source in sources):
        raise UsageError("cannot tell from its name which format standard input has: add --format png")
    named = [source.path for source in sources if source.path is not None and by_suffix(source.relative) is None]
    if len(sources) > 1 and named:
        # A pattern that the shell has expanded, mostly.
        raise UsageError(
            f"cannot tell from their names which format these have: {listing(named)}; leave them out, by naming the "
            "folder or a pattern in quotes, or add --format png if they are pictures"
        )
    if named and (suffix := by_other_suffix(named[0].name)):
        raise UsageError(
            f"{shown(named[0])}: airtool does not read {suffix[1:].upper()} files: convert it to PNG or TIFF first"
        )
    if named:
        raise UsageError(f"cannot tell from its name which format {shown(named[0])} has: add --format png")


def _check_shard(shard: Shard | None, folder: Place | None) -> None:
    """Refuse to share out what is no folder."""
    if shard is not None and folder is None:
        raise UsageError("--shard shares the pictures of a folder between runs: name an output folder, or leave it out")


def _check_formats(jobs: Sequence[Job]) -> None:
    """Refuse formats that cannot be written."""
    for format in sorted({job.format for job in jobs if job.format is not None}):
        if reason := missing_encoder(format):
            names = [job.target for job in jobs if job.format == format and job.target is not None]
            raise UsageError(f"{reason} ({listing(names) or 'standard output'}): add --format png")


def _check_place(sources: Sequence[Source], jobs: Sequence[Job], out: Place) -> None:
    """Refuse outputs inside searched folders, and folders that cannot be made or written to."""
    for root in dict.fromkeys(source.root for source in sources if source.root is not None):
        if lies_in(out, root):
            raise UsageError(
                f"output {shown(out)} lies inside the input folder {shown(root)}, where the next run would take it for "
                "an input: choose a place outside"
            )
    if not isinstance(out, Remote):  # there the first write will tell
        check_folder(out.parent if any(job.target == out for job in jobs) else out, "output folder")


def check_folder(folder: Path, what: str) -> None:
    """Find out before the work whether a folder can be made, if it is not there, and written to.

    what: for the remedy. Raises UsageError where something else is in its way, AirtoolError where permission lacks.
    """
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise UsageError(f"{shown(folder)} is not a folder: choose another {what}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise AirtoolError(f"no permission to write in {shown(folder)}: choose another {what}")


def _check_collisions(jobs: Sequence[Job]) -> None:
    """Refuse two sources with one output, and an output that is needed as a folder by another."""
    first: dict[PurePath, Job] = {}
    pairs = []
    for job in jobs:
        if job.target is None:
            continue
        other = first.setdefault(_key(job.target), job)
        if other is not job:
            pairs.append((other, job))
    if pairs:
        names = listing([one.source.path or STDOUT for one in pairs[0]])
        what = "rename one" if len(pairs) == 1 else f"{len(pairs) - 1} more like these; rename one of each"
        raise UsageError(
            f"{names} would both become {shown(pairs[0][1].target or '')}: {what}, or restore them into two folders"
        )
    for key, job in first.items():
        for parent in key.parents:
            if parent in first and job.target is not None:
                blocker = first[parent].target
                raise UsageError(
                    f"{shown(blocker or '')} would be a file, but {shown(job.target)} needs it as a folder"
                )


def check_apart(option: str, target: str | None, files: Iterable[Place | None]) -> None:
    """Raises UsageError where a report would take the place of another file of the run, however its name is spelt.

    target: what `option` names; None or ``-``: no file. files: what else is written; None is passed over.
    """
    if target is None or target == STDOUT:
        return
    folders: dict[PurePath, Path] = {}

    def key(path: Place) -> PurePath:
        if isinstance(path, Remote):
            return _key(path)
        # A link in a file's place is replaced itself, so only the links before the name count.
        if path.parent not in folders:
            folders[path.parent] = Path(os.path.realpath(path.parent))
        return _key(folders[path.parent] / path.name)

    own = key(place(target))
    # Names alone first: to find out where each of a hundred thousand files lies takes seconds.
    if any(file is not None and _folded(file.name) == own.name and key(file) == own for file in files):
        raise UsageError(f"{option} {shown(target)} is also the name of an output: name another file")


def _key(path: Place) -> PurePath:
    """Equal for paths that a file system blind to case or to Unicode composition takes for one."""
    name = os.path.abspath(path) if isinstance(path, Path) else str(path)
    return PurePath(_folded(name))


def folded_identity(path: Place) -> tuple[object, str]:
    """As `airtool.images.stores.identity`, and equal for what `_key` takes for one."""
    store, resolved = identity(path)
    return store, _folded(str(resolved))


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _check_inputs(sources: Sequence[Source], jobs: Sequence[Job]) -> None:
    """Refuse an output that is one of the inputs, under whatever name."""
    inputs = {file for source in sources if source.path is not None and (file := _file(source.path))}
    for job in jobs:
        if job.target is not None and _file(job.target) in inputs:
            raise UsageError(f"output {shown(job.target)} is one of the inputs: choose another output folder")


def _file(path: Place) -> tuple[object, object] | None:
    """Device and inode of the file that a path leads to, None when there is none; in a store what goes by its name."""
    if isinstance(path, Remote):
        return identity(path)
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
