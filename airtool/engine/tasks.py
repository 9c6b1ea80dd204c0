"""What a batch consists of, planned before anything heavy is loaded."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from airtool.errors import UsageError
from airtool.images.names import listing, shown
from airtool.images.places import check_links
from airtool.images.plan import Job


@dataclass(frozen=True)
class Task:
    """One picture to restore."""

    job: Job
    comparison: Path | None = None
    """File of the before/after picture; None: not wanted."""
    explanations: Mapping[str, Path] = field(default_factory=dict)
    """Files of what the method saw, by the names of the maps."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that may be written."""
        own = (self.job.target, self.comparison, *self.explanations.values())
        return tuple(file for file in own if file is not None)

    @property
    def name(self) -> str:
        """The input as the user knows it."""
        return "standard input" if self.job.source.path is None else shown(self.job.source.path)

    @property
    def output(self) -> str:
        """The output as the user knows it."""
        return "standard output" if self.job.target is None else shown(self.job.target)


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
    for inputs of one name from several folders.
    """
    check_links(Path(out), (job.target for job in jobs))
    comparisons: list[Path | None] = [None] * len(jobs)
    explanations: list[Mapping[str, Path]] = [{}] * len(jobs)
    if compare is not None:
        comparisons = [each["jpg"] for each in beside(jobs, "--compare", compare, out, ("jpg",), replace)]
    if explain is not None:
        files = beside(jobs, "--explain", explain, out, [f"{name}.png" for name in maps], replace)
        explanations = [{name: each[f"{name}.png"] for name in maps} for each in files]
    return [Task(*each) for each in zip(jobs, comparisons, explanations, strict=True)]


def beside(
    jobs: Sequence[Job], option: str, folder: str, out: str, endings: Sequence[str], replace: bool
) -> list[dict[str, Path]]:
    """For each job its further pictures in `folder`, NAME.ENDING, by ending.

    option: what asks for them, for messages. Raises UsageError as `plan_tasks` does.
    """
    real = Path(os.path.realpath(folder))
    if real.exists() and not real.is_dir():
        raise UsageError(f"{option} {shown(folder)} is a file: name a folder")
    if real == Path(os.path.realpath(out)):
        raise UsageError(f"{option} {shown(folder)} is also the output folder: name another one")
    for job in jobs:
        root = job.source.root
        if root is not None and real.is_relative_to(os.path.realpath(root)):
            raise UsageError(f"{option} {shown(folder)} lies inside the input folder {shown(root)}: name another one")
    inputs = {os.path.realpath(job.source.path) for job in jobs if job.source.path is not None}
    outputs = {os.path.realpath(job.target) for job in jobs if job.target is not None}
    planned: list[dict[str, Path]] = []
    targets: set[Path] = set()
    for job in jobs:
        files = {ending: Path(folder) / f"{job.source.relative}.{ending}" for ending in endings}
        for target in files.values():
            if target in targets:
                raise UsageError(f"two inputs are called {shown(job.source.relative)}: use {option} in two runs")
            if os.path.realpath(target) in inputs | outputs:
                raise UsageError(f"{option}: {shown(target)} is also an input or output: name another folder")
            targets.add(target)
        planned.append(files)
    check_links(Path(folder), targets)
    taken = [target for files in planned for target in files.values() if os.path.lexists(target)]
    if taken and not replace:
        raise UsageError(f"already there: {listing(taken)}; pass --overwrite to replace, or name another folder")
    return planned
