"""What a batch consists of, planned before anything heavy is loaded."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from airtool.errors import UsageError
from airtool.images.names import listing, shown
from airtool.images.plan import Job


@dataclass(frozen=True)
class Task:
    """One picture to restore."""

    job: Job
    comparison: Path | None = None
    """File of the before/after picture; None: not wanted."""

    @property
    def name(self) -> str:
        """The input as the user knows it."""
        return "standard input" if self.job.source.path is None else shown(self.job.source.path)

    @property
    def output(self) -> str:
        """The output as the user knows it."""
        return "standard output" if self.job.target is None else shown(self.job.target)


def plan_comparisons(jobs: Sequence[Job], folder: str, out: str, *, replace: bool) -> list[Task]:
    """Tasks with a before/after picture each: the input's tree below `folder`, the input's whole name and ``.jpg``.

    Names stay as distinct as the inputs' own ("a.png" and "a.tif" become "a.png.jpg" and "a.tif.jpg").
    replace: allow files that are there already. Raises UsageError for those otherwise, for a folder in which a
    comparison could be taken for an input or an output, and for inputs of one name from several folders.
    """
    real = Path(os.path.realpath(folder))
    if real.exists() and not real.is_dir():
        raise UsageError(f"--compare {shown(folder)} is a file: name a folder")
    if real == Path(os.path.realpath(out)):
        raise UsageError(f"--compare {shown(folder)} is also the output folder: name another one")
    for job in jobs:
        root = job.source.root
        if root is not None and real.is_relative_to(os.path.realpath(root)):
            raise UsageError(f"--compare {shown(folder)} lies inside the input folder {shown(root)}: name another one")
    inputs = {os.path.realpath(job.source.path) for job in jobs if job.source.path is not None}
    outputs = {os.path.realpath(job.target) for job in jobs if job.target is not None}
    targets: dict[Path, Job] = {}
    for job in jobs:
        target = Path(folder) / f"{job.source.relative}.jpg"
        if target in targets:
            raise UsageError(f"two inputs are called {shown(job.source.relative)}: compare them in two runs")
        if os.path.realpath(target) in inputs | outputs:
            raise UsageError(f"the comparison {shown(target)} is also an input or output: compare in another folder")
        targets[target] = job
    taken = [target for target in targets if os.path.lexists(target)]
    if taken and not replace:
        raise UsageError(f"already there: {listing(taken)}; pass --overwrite to replace, or name another folder")
    return [Task(job, target) for target, job in targets.items()]
