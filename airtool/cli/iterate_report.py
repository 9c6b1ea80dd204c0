"""What `airtool iterate` says: its plan as a table or as lines of JSON, and its last lines."""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from airtool.cli.console import say, warn
from airtool.cli.outputs import how_to_go_on
from airtool.cli.progress import clock, track
from airtool.errors import UsageError

if TYPE_CHECKING:
    from airtool.engine.detect import Detector
    from airtool.engine.iterate_files import StepTask, Told
    from airtool.engine.records import Outcome
    from airtool.engine.sheet import Sheets
    from airtool.images.plan import Plan
    from airtool.images.reader import Reader
    from airtool.methods.base import Method


def check_trace(planned: "Plan", trace: str | None, output: str) -> None:
    """Find out whether the trace can be written where it is wanted. Raises UsageError."""
    from airtool.images.plan import check_apart
    from airtool.reports.writers import STDOUT, check_target

    if trace is None:
        return
    targets = [job.target for job in (*planned.jobs, *planned.skipped)]
    if trace == STDOUT and None in targets:
        raise UsageError("the picture and the trace cannot both go to standard output: give --trace a file")
    check_apart("--trace", trace, targets)
    where, folder = Path(trace).resolve(), Path(output).resolve()
    if planned.folder is not None and where == folder:
        raise UsageError(f"--trace {trace} is also the output folder: name a file, such as {trace}/trace.json")
    if planned.folder is None or folder.exists() or where.parent != folder:  # else the folder is made on the way
        check_target(trace, "--trace")


def print_plan(
    tasks: "Sequence[StepTask]",
    detector: "Detector",
    method: "Method",
    threshold: float,
    workers: int,
    reader: "Reader",
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """What would be done first about each picture. Leaves with exit code 1 when one cannot be read."""
    from airtool.engine.detect import detect_files
    from airtool.engine.iterate import decide
    from airtool.engine.trace import as_planned
    from airtool.reports.writers import STDOUT, plain, write_text

    failed = 0
    rows: list[dict[str, Any]] = []
    findings = detect_files(detector, [task.job.source for task in tasks], workers, reader)
    for task, finding in zip(tasks, track(findings, len(tasks), "looked at", quiet), strict=True):
        decision = None
        if finding.problem is None:
            decision = decide(method, finding.probabilities, threshold)
        else:
            warn(finding.problem)
            failed += 1
        row = as_planned(finding.picture, task.output, decision, finding.problem)
        if as_json:
            write_text(STDOUT, json.dumps(plain(row), ensure_ascii=False, allow_nan=False) + "\n")
        rows.append(row)
    if not as_json:
        _print_table(rows)
    if failed:
        warn(f"{failed} of {len(tasks)} failed")
        raise typer.Exit(1)


def _print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from airtool.images.names import shown

    table = Table(box=box.SIMPLE)
    table.add_column("picture", overflow="fold")
    table.add_column("seen")
    table.add_column("first step", no_wrap=True)
    table.add_column("passed over")
    for row in rows:
        if "verdict" in row:
            first = f"remove {row['choice']}" if row["choice"] else f"none: {row['reason']}"
            passed = "; ".join(f"{name}: {why}" for name, why in row["passed_over"].items())
            table.add_row(shown(row["picture"]), ", ".join(_seen(row)), first, passed)
    if table.row_count:
        # In a pipe nothing is cut off or wrapped.
        width = None if sys.stdout.isatty() else 1000
        Console(width=width, highlight=False, markup=False, emoji=False).print(table)


def _seen(row: Mapping[str, Any]) -> Iterator[str]:
    """The most probable class and the further ones that are named, with probabilities."""
    from airtool.engine.detect import CLEAN
    from airtool.methods.autodir.vocabulary import NOTHING

    for name in (row["likeliest"], *row["further"]):
        share = row["probabilities"][NOTHING if name == CLEAN else name]
        yield f"{name} {share:.2f}"


def conclude(
    outcome: "Outcome",
    told: "Mapping[str, Told]",
    planned: int,
    sheets: "Sheets | None",
    quiet: bool,
    *,
    overwrite: bool,
) -> None:
    """Sum up, and leave with the exit code that fits. overwrite: whether older outputs were being replaced."""
    from airtool.engine.records import count
    from airtool.engine.trace import means

    counts = count(outcome.records)
    done, failed = counts["restored"], counts["failed"]
    for note, times in Counter(note for record in outcome.records for note in record.notes).items():
        say(f"{times} of {planned}: {note}", quiet)
    if done:
        finished = [told[record.target].iteration for record in outcome.records if record.status == "restored"]
        reasons = Counter(each.reason for each in finished)
        ends = ", ".join(f"{times} {reason}" for reason, times in reasons.most_common())
        steps = sum(each.kept for each in finished)
        say(f"{done} of {planned} done in {clock(outcome.seconds)}, {steps} steps kept; ended at: {ends}", quiet)
    measured = means(outcome, told)
    if measured is not None:
        psnr, ssim = ([measured[stage][name] for stage in ("input", "kept")] for name in ("psnr", "ssim"))
        say(f"mean PSNR {psnr[0]:.2f} -> {psnr[1]:.2f} dB, SSIM {ssim[0]:.4f} -> {ssim[1]:.4f}", quiet)
    problems = [] if sheets is None else sheets.problems
    for problem in problems:
        warn(problem)
    if failed:
        warn(f"{failed} of {planned} failed")
    if outcome.interrupted:
        warn(f"interrupted after {done} of {planned}; {how_to_go_on(overwrite)}")
        raise typer.Exit(130)
    if failed or problems:
        raise typer.Exit(1)
