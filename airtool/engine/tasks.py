"""What a batch consists of, planned before anything heavy is loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from airtool.errors import UsageError
from airtool.images.names import listing, shown
from airtool.images.places import check_links
from airtool.images.plan import Job, check_folder, folded_identity
from airtool.images.remote import Place, Remote, check_writable, place
from airtool.images.stores import kind, lies_in, taken


@dataclass(frozen=True)
class Task:
    """One picture to restore."""

    job: Job
    comparison: Place | None = None
    """File of the before/after picture; None: not wanted."""
    explanations: Mapping[str, Place] = field(default_factory=dict)
    """Files of what the method saw, by the names of the maps."""

    @property
    def files(self) -> tuple[Place, ...]:
        """Every file that may be written."""
        own = (self.job.target, self.comparison, *self.explanations.values())
        return tuple(file for file in own if file is not None)

    @property
    def name(self) -> str:
        """The input as the user knows it: its path or URL as it is, to be `shown` where it is printed."""
        return "standard input" if self.job.source.path is None else str(self.job.source.path)

    @property
    def output(self) -> str:
        """The output as the user knows it, likewise."""
        return "standard output" if self.job.target is None else str(self.job.target)


def plan_tasks(
    jobs: Sequence[Job],
    out: str,
    *,
    compare: str | None = None,
    explain: str | None = None,
    maps: Sequence[str] = (),
    replace: bool,
) -> list[Task]:
    """One task a job, with the pictures that are wanted beside the restored one.

    compare: folder of the before/after pictures, NAME.jpg. explain: folder of what the method saw, NAME.MAP.png for
    each of `maps`. NAME is the input's whole name, in the input's tree, so names stay as distinct as the inputs' own
    ("a.png" and "a.tif" become "a.png.jpg" and "a.tif.jpg"). replace: allow files that are there already. Raises
    UsageError for those otherwise, for a folder in which such a picture could be taken for an input or an output, and
    for inputs of one name from several folders, AirtoolError for a folder that may not be written to.
    """
    check_links(place(out), (job.target for job in jobs))
    comparisons: list[Place | None] = [None] * len(jobs)
    explanations: list[Mapping[str, Place]] = [{}] * len(jobs)
    if compare is not None:
        comparisons = [each["jpg"] for each in beside(jobs, "--compare", compare, out, ("jpg",), replace)]
    if explain is not None:
        files = beside(jobs, "--explain", explain, out, [f"{name}.png" for name in maps], replace)
        explanations = [{name: each[f"{name}.png"] for name in maps} for each in files]
    return [Task(*each) for each in zip(jobs, comparisons, explanations, strict=True)]


def beside(
    jobs: Sequence[Job], option: str, folder: str, out: str, endings: Sequence[str], replace: bool
) -> list[dict[str, Place]]:
    """For each job its further pictures in `folder`, NAME.ENDING, by ending.

    option: what asks for them, for messages. Raises UsageError and AirtoolError as `plan_tasks` does.
    """
    base = place(folder)
    check_writable(base, option)
    if kind(base) == "file" if isinstance(base, Remote) else base.exists() and not base.is_dir():
        raise UsageError(f"{option} {shown(base)} is a file: name a folder")
    if isinstance(base, Path) and jobs:
        check_folder(base, f"folder for {option}")
    if folded_identity(base) == folded_identity(place(out)):
        raise UsageError(f"{option} {shown(base)} is also the output folder: name another one")
    for root in dict.fromkeys(job.source.root for job in jobs):
        if root is not None and lies_in(base, root):
            raise UsageError(f"{option} {shown(base)} lies inside the input folder {shown(root)}: name another one")
    others = {folded_identity(job.source.path) for job in jobs if job.source.path is not None}
    others |= {folded_identity(job.target) for job in jobs if job.target is not None}
    planned: list[dict[str, Place]] = []
    targets: set[Place] = set()
    for job in jobs:
        files = {ending: base / f"{job.source.relative}.{ending}" for ending in endings}
        for target in files.values():
            if target in targets:
                raise UsageError(f"two inputs are called {shown(job.source.relative)}: use {option} in two runs")
            if folded_identity(target) in others:
                raise UsageError(f"{option}: {shown(target)} is also an input or output: name another folder")
            targets.add(target)
        planned.append(files)
    check_links(base, targets)
    if not replace and (there := taken(target for files in planned for target in files.values())):
        raise UsageError(f"already there: {listing(list(there))}; pass --overwrite to replace, or name another folder")
    return planned
