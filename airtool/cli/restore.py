"""`airtool restore`: the main job."""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from airtool.cli.console import say, warn
from airtool.cli.options import FILES, HOW, Device, Format, Overwrite, Precision, Quality, Resume, Seed, Tile
from airtool.cli.outputs import check_quality, plan_outputs
from airtool.cli.progress import clock, track
from airtool.errors import AirtoolError, UsageError

if TYPE_CHECKING:
    from airtool.engine.records import Outcome
    from airtool.engine.session import Session
    from airtool.engine.settings import Settings
    from airtool.engine.tasks import Task
    from airtool.images.plan import Plan

REPORT = "What to tell"

WORKERS = 2
"""Threads that read, and as many that write: enough to keep a network busy, few enough to leave it the processor."""


def restore(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="IN", help="Pictures, folders, quoted patterns, or - for standard input.", show_default=False
        ),
    ],
    output: Annotated[
        str,
        typer.Argument(
            metavar="OUT", help="A folder, a file for one picture, or - for standard output.", show_default=False
        ),
    ],
    method: Annotated[str, typer.Option(metavar="NAME", help="Method that restores.", rich_help_panel=HOW)] = "ndr",
    weights: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Weights file (default: the embedded weights).", rich_help_panel=HOW),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Which embedded weights (default: small).", rich_help_panel=HOW),
    ] = None,
    degradation: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[:AMOUNT]",
            help="What to remove, for methods that have to be told (default: they work it out).",
            rich_help_panel=HOW,
        ),
    ] = None,
    prompt: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help='What to remove in your own words, such as "make it brighter"; methods that can: autodir.',
            rich_help_panel=HOW,
            show_default=False,
        ),
    ] = "",
    instruction: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="CLEAN DEGRADED",
            help="A scene without and with the damage to remove, in place of a name; methods that can: defusion.",
            rich_help_panel=HOW,
        ),
    ] = None,
    structure_weight: Annotated[
        float | None,
        typer.Option(
            metavar="W",
            help="How much autodir's structural correction counts, 0 to 1 (default: the weights' own, mostly 1).",
            rich_help_panel=HOW,
        ),
    ] = None,
    tile: Tile = "auto",
    device: Device = "auto",
    precision: Precision = "auto",
    seed: Seed = 0,
    overwrite: Overwrite = False,
    resume: Resume = False,
    format: Format = None,
    quality: Quality = None,
    compare: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Also write before | after pictures there, as JPEG, one an input, named NAME.jpg.",
            rich_help_panel=FILES,
        ),
    ] = None,
    explain: Annotated[
        str | None,
        typer.Option(
            "--explain",
            "--show-instruction",
            metavar="DIR",
            help="Also write what the method saw there, as PNG, named NAME.MAP.png; not ndr and dfpir.",
            rich_help_panel=FILES,
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, max=64, help="Threads that read, and as many that write.", rich_help_panel=FILES
        ),
    ] = WORKERS,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print what would become what, and restore nothing.", rich_help_panel=REPORT),
    ] = False,
    report: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Write what became of each picture as JSON (-: standard output).",
            rich_help_panel=REPORT,
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Only errors on standard error.", rich_help_panel=REPORT)
    ] = False,
) -> None:
    """Restore pictures.

    Every output keeps its input's name, place in the folders, format, bit depth, transparency and metadata.

    Nothing is overwritten unless asked for. A picture that fails does not stop the others.
    """
    from airtool.engine.settings import Settings, parse_degradation, parse_precision, parse_tile
    from airtool.engine.tasks import plan_tasks
    from airtool.methods.registry import check_method

    settings = Settings(
        device=device,
        precision=parse_precision(precision),
        tile=parse_tile(tile),
        seed=seed,
        degradation=parse_degradation(degradation),
        prompt=prompt.strip(),
        instruction=instruction,
        structure_weight=structure_weight,
    )
    maps = check_method(method).explains
    if explain is not None and not maps:
        raise UsageError(f"{method} has nothing to show with --explain: leave it out")
    if weights is not None and preset is not None:
        raise UsageError("--preset has no effect with --weights, whose file says what it is: leave it out")
    if weights is not None and not Path(weights).is_file():
        raise AirtoolError(f"weights file {weights} does not exist: check the spelling")
    planned = plan_outputs(inputs, output, format, overwrite, resume)
    check_quality(planned, quality)
    _check_report(planned, report, output)
    tasks = plan_tasks(planned.jobs, output, compare=compare, explain=explain, maps=maps, replace=overwrite or resume)

    if planned.skipped:
        say(f"{len(planned.skipped)} already there, kept", quiet)
    if dry_run:
        for task in tasks:
            companions = [*([task.comparison] if task.comparison else []), *task.explanations.values()]
            for target in [task.output, *companions]:
                print(f"{task.name} -> {target}")
        return
    session = _open(method, weights, preset or "small", settings, quiet) if tasks else None
    outcome = _run(session, tasks, quality, overwrite, workers, quiet)
    if report is not None:
        _report(report, session, planned, outcome)
    _finish(outcome, len(tasks), quiet)


def _check_report(planned: "Plan", report: str | None, output: str) -> None:
    """Find out whether the report can be written where it is wanted."""
    from airtool.reports.writers import STDOUT, check_target

    if report is None:
        return
    targets = [job.target for job in planned.jobs]
    if report == STDOUT and None in targets:
        raise UsageError("the picture and the report cannot both go to standard output: give --report a file")
    if Path(report) in targets:
        raise UsageError(f"--report {report} is also the name of an output: name another file")
    if Path(report).parent.resolve() != Path(output).resolve():  # the output folder is made on the way
        check_target(report, "--report")


def _open(method: str, weights: str | None, preset: str, settings: "Settings", quiet: bool) -> "Session":
    from airtool.engine.session import open_with

    session = open_with(settings, method, weights, preset)
    facts = session.describe()
    cores = f", {facts['threads']} threads" if facts["threads"] else ""
    say(f"{method}, weights {facts['weights']}, on {facts['device']} in {facts['precision']}{cores}", quiet)
    if session.asked is not None and session.asked.prompt and session.asked.shares:
        say(f"understood: {', '.join(name for name, _ in session.asked.shares)}", quiet)
    return session


def _run(
    session: "Session | None", tasks: "Sequence[Task]", quality: int | None, overwrite: bool, workers: int, quiet: bool
) -> "Outcome":
    """Restore all pictures and say what fails on the way. Ctrl-C ends it early without an exception."""
    from airtool.engine.records import Outcome

    if session is None:
        return Outcome((), 0.0, interrupted=False)
    from airtool.engine.pipeline import Pipeline

    start, interrupted = time.perf_counter(), False
    pipeline = Pipeline(session, tasks, quality=quality, overwrite=overwrite, workers=workers)
    try:
        with pipeline:
            for record in track(pipeline, len(tasks), "restoring", quiet):
                if record.message is not None:
                    warn(record.message)
    except KeyboardInterrupt:
        interrupted = True
    return Outcome(tuple(pipeline.records), time.perf_counter() - start, interrupted)


def _report(target: str, session: "Session | None", planned: "Plan", outcome: "Outcome") -> None:
    from airtool.engine.records import payload
    from airtool.reports.writers import write_json

    write_json(target, payload(outcome, planned.skipped, session.describe() if session else None))


def _finish(outcome: "Outcome", planned: int, quiet: bool) -> None:
    """Sum up, and leave with the exit code that fits."""
    from airtool.engine.records import count, megapixels

    counts = count(outcome.records)
    done, failed = counts["restored"], counts["failed"]
    for note, times in Counter(note for record in outcome.records for note in record.notes).items():
        say(f"{times} of {planned}: {note}", quiet)
    if done:
        speed = megapixels(outcome.records) / outcome.seconds
        say(f"{done} of {planned} restored in {clock(outcome.seconds)} ({speed:.2f} MP/s)", quiet)
    if failed:
        warn(f"{failed} of {planned} failed")
    if outcome.interrupted:
        warn(f"interrupted after {done} of {planned}; go on with --resume")
        raise typer.Exit(130)
    if failed:
        raise typer.Exit(1)
