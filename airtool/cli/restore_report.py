"""What `airtool restore` says: its plan, and its last lines."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from airtool.cli.console import say, warn
from airtool.cli.outputs import how_to_go_on
from airtool.cli.progress import clock
from airtool.errors import UsageError

if TYPE_CHECKING:
    from airtool.engine.records import Outcome
    from airtool.engine.tasks import Task
    from airtool.images.plan import Plan


def check_report(planned: "Plan", report: str | None, output: str) -> None:
    """Find out whether the report can be written where it is wanted. Raises UsageError."""
    from airtool.images.plan import check_apart
    from airtool.images.remote import place
    from airtool.reports.writers import STDOUT, check_target

    if report is None:
        return
    targets = [job.target for job in (*planned.jobs, *planned.skipped)]
    where, folder = place(report), place(output)
    if report == STDOUT and None in targets:
        raise UsageError("the picture and the report cannot both go to standard output: give --report a file")
    check_apart("--report", report, targets)
    if isinstance(where, Path) and isinstance(folder, Path) and planned.folder is not None:
        if where.resolve() == folder.resolve():
            raise UsageError(f"--report {report} is also the output folder: name a file, such as {where}/report.json")
        if not folder.exists() and where.parent.resolve() == folder.resolve():
            return  # the output folder is made on the way
    check_target(report, "--report")


def print_plan(tasks: "Sequence[Task]") -> None:
    """What would become what, a line a file."""
    from airtool.images.names import shown

    for task in tasks:
        companions = [*([task.comparison] if task.comparison else []), *task.explanations.values()]
        for target in [task.output, *companions]:
            print(f"{shown(task.name)} -> {shown(target)}")


def conclude(outcome: "Outcome", planned: int, quiet: bool, *, overwrite: bool) -> None:
    """Sum up, and leave with the exit code that fits. overwrite: whether older outputs were being replaced."""
    from airtool.engine.records import count, left_alone, megapixels

    counts = count(outcome.records)
    done, failed = counts["restored"], counts["failed"]
    for note, times in Counter(note for record in outcome.records for note in record.notes).items():
        say(f"{times} of {planned}: {note}", quiet)
    if done:
        speed = megapixels(outcome.records) / outcome.seconds
        say(f"{done} of {planned} restored in {clock(outcome.seconds)} ({speed:.2f} MP/s)", quiet)
    if alone := left_alone(outcome.records):
        say(f"{alone} of {planned} left alone: nothing was found to remove", quiet)
    if counts["kept"]:
        say(f"{counts['kept']} of {planned} made by another run meanwhile, kept", quiet)
    if failed:
        warn(f"{failed} of {planned} failed")
    if outcome.interrupted:
        warn(f"interrupted after {done} of {planned}; {how_to_go_on(overwrite)}")
        raise typer.Exit(130)
    if failed:
        raise typer.Exit(1)
