"""`airtool iterate`: find out what is wrong, remove it, look again."""

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from airtool.cli import completion
from airtool.cli.console import say, warn
from airtool.cli.iterate_report import check_trace, conclude, print_plan
from airtool.cli.options import (
    FILES,
    Device,
    Format,
    Isolate,
    MaxPixels,
    Overwrite,
    Precision,
    Quality,
    Resume,
    Seed,
    Shard,
    Tile,
)
from airtool.cli.outputs import check_quality, plan_outputs, settle_outputs, sweep_outputs
from airtool.cli.progress import track
from airtool.errors import UsageError

if TYPE_CHECKING:
    from airtool.images.discover import Source

LOOP, REPORT = "The loop", "What to tell"


def iterate(
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
    max_steps: Annotated[
        int, typer.Option(metavar="N", min=1, max=18, help="Most steps for a picture.", rich_help_panel=LOOP)
    ] = 5,
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            min=0.0,
            max=1.0,
            help="Probability from which on a degradation is named; a picture without any is left (default: 0.3).",
            rich_help_panel=LOOP,
        ),
    ] = None,
    method_for_step: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=completion.methods,
            help="Method that makes the steps (default: the one that --weights are for, else autodir).",
            rich_help_panel=LOOP,
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Its weights file (default: the embedded weights).", rich_help_panel=LOOP),
    ] = None,
    detector_weights: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="The detector's weights file (default: the embedded weights).", rich_help_panel=LOOP
        ),
    ] = None,
    tile: Tile = "auto",
    device: Device = "auto",
    precision: Precision = "auto",
    seed: Seed = 0,
    overwrite: Overwrite = False,
    resume: Resume = False,
    shard: Shard = None,
    format: Format = None,
    quality: Quality = None,
    keep_steps: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Also write every step's result there, named NAME.step-N.png.", rich_help_panel=FILES
        ),
    ] = None,
    sheet: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Also write a contact sheet, a row a picture and a column a step; after 40 rows FILE-2 and so on.",
            rich_help_panel=FILES,
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, max=64, help="Threads that read, and as many that write.", rich_help_panel=FILES
        ),
    ] = 2,
    max_pixels: MaxPixels = None,
    isolate: Isolate = False,
    plan_only: Annotated[
        bool,
        typer.Option(
            "--plan-only",
            help="Print what would be done first about each picture; write nothing.",
            rich_help_panel=REPORT,
        ),
    ] = False,
    json: Annotated[
        bool,
        typer.Option("--json", help="With --plan-only: a line of JSON a picture, no table.", rich_help_panel=REPORT),
    ] = False,
    trace: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Write every picture's steps, with what was seen, chosen and kept, as JSON (-: standard output).",
            rich_help_panel=REPORT,
        ),
    ] = None,
    gt: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Ground truths of the same names: PSNR and SSIM of every step in the trace and on the sheet.",
            rich_help_panel=REPORT,
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Only errors on standard error.", rich_help_panel=REPORT)
    ] = False,
) -> None:
    """Find out what is wrong with pictures, remove the dominant degradation, look again, until they are clean.

    A step that is no improvement is undone and ends the loop; a picture that is clean is left as it is.

    Nothing is overwritten unless asked for. A picture that fails does not stop the others.
    """
    from airtool.engine.settings import Settings, parse_precision, parse_tile
    from airtool.images.limits import parse_max_pixels
    from airtool.methods.registry import check_method, which_method

    settings = Settings(
        device=device,
        precision=parse_precision(precision),
        tile=parse_tile(tile),
        seed=seed,
        detector_weights=detector_weights,
    )
    pixels = parse_max_pixels(max_pixels)
    for option, path in (("--weights", weights), ("--detector-weights", detector_weights)):
        if path is not None and not Path(path).is_file():
            raise UsageError(f"{option}: file {path} does not exist: check the spelling")
    method = which_method(method_for_step, weights)
    check_method(method)
    if json and not plan_only:
        raise UsageError("--json goes with --plan-only; what the loop did is told by --trace FILE")
    unused = {"--trace": trace, "--gt": gt, "--sheet": sheet, "--keep-steps": keep_steps}
    if plan_only and (named := [option for option, value in unused.items() if value is not None]):
        raise UsageError(f"--plan-only takes no step: leave {', '.join(named)} out")
    if gt is not None and trace is None and sheet is None:
        raise UsageError("--gt has nowhere to put its figures: add --trace FILE or --sheet FILE")
    planned = plan_outputs(inputs, output, format, overwrite, resume, shard, quiet=quiet)
    check_quality(planned, quality)
    check_trace(planned, trace, output)
    truths = {} if gt is None else _truths([job.source for job in (*planned.jobs, *planned.skipped)], gt)

    from airtool.engine.detect import THRESHOLD, open_detector
    from airtool.engine.identity import identify
    from airtool.engine.iterate import Rules
    from airtool.engine.iterate_files import Iterations, plan_steps
    from airtool.engine.manifest import Journal
    from airtool.engine.records import Outcome
    from airtool.engine.session import open_with
    from airtool.engine.sheet import Sheets, plan_sheets
    from airtool.engine.trace import read_trace, run_facts
    from airtool.engine.trace import trace as traced
    from airtool.images.plan import check_apart
    from airtool.images.reader import open_reader
    from airtool.images.remote import local
    from airtool.reports.writers import STDOUT, write_json

    rules = Rules(max_steps, THRESHOLD if threshold is None else threshold)
    replace = overwrite or resume
    identity = None
    if planned.folder is not None:
        loop_rules = {"max steps": rules.max_steps, "threshold": rules.threshold}
        identity = identify(settings, method, weights, quality=quality, loop=loop_rules)
    settled = settle_outputs(planned, identity, overwrite, quiet)
    if settled.finished and (keep_steps or sheet):
        say(f"--keep-steps and --sheet: nothing for those {len(settled.finished)}, which are not made again", quiet)
    truth_of = {job: truths[job.source] for job in settled.jobs if job.source in truths}
    tasks = plan_steps(settled.jobs, output, keep_steps, max_steps, truth_of, replace)
    check_apart("--trace", trace, (step for task in tasks for step in task.steps))
    taken = [local(path) for task in tasks for path in (task.job.target, *task.steps) if path is not None]
    taken += [Path(trace)] if trace is not None else []
    sheets = None if sheet is None else Sheets(plan_sheets(sheet, settled.jobs, taken, replace))
    if not tasks:
        say("nothing to do", quiet)
        # One that is there tells more: how its pictures were made.
        if trace is not None and (trace == STDOUT or not Path(trace).exists()):
            write_json(trace, traced({}, Outcome((), 0.0, interrupted=False), {}, settled.kept))
        return
    detector = open_detector(detector_weights, device)
    session = open_with(settings, method, weights, detector=detector)
    facts = run_facts(session, detector, rules, measured=bool(truths))
    say(
        f"{method}, weights {facts['restoration']['weights']}; detector, weights "
        f"{facts['detector']['weights']}; on {session.device}",
        quiet,
    )
    if plan_only:
        with open_reader(pixels, isolate=isolate) as reader:
            print_plan(tasks, detector, session.method, rules.threshold, workers, reader, as_json=json, quiet=quiet)
        return
    sweep_outputs(planned, trace, sheet, tasks=tasks)
    start, interrupted = time.perf_counter(), False
    kept = Journal(planned.folder, identity) if planned.folder is not None and identity is not None else nullcontext()
    with kept as journal, open_reader(pixels, isolate=isolate) as reader:
        loop = Iterations(
            session,
            detector,
            rules,
            tasks,
            sheets=sheets,
            quality=quality,
            overwrite=overwrite,
            workers=workers,
            journal=journal,
            reader=reader,
        )
        try:
            with loop:
                for record in track(loop, len(tasks), "iterated", quiet):
                    if record.message is not None:
                        warn(record.message)
        except KeyboardInterrupt:
            interrupted = True
    outcome = Outcome(tuple(loop.records), time.perf_counter() - start, interrupted)
    if sheets is not None:
        sheets.finish()
    if trace is not None:
        write_json(trace, traced(facts, outcome, loop.told, settled.kept, read_trace(trace) if resume else None))
    conclude(outcome, loop.told, len(tasks), sheets, quiet, overwrite=overwrite)


def _truths(sources: "Sequence[Source]", gt: str) -> "Mapping[Source, Path]":
    """The ground truth of each picture, paired as `airtool evaluate` does. Raises UsageError for one without."""
    from dataclasses import replace

    from airtool.benches.pairs import pair_sources
    from airtool.images.discover import discover
    from airtool.images.remote import local

    found = discover([gt])
    if not sources:  # a shard without pictures
        return {}
    if len(sources) == 1 and Path(gt).is_file():
        pairs = {sources[0]: found[0]}
    else:
        # More ground truths than pictures are no mistake: others may be another shard's.
        pairing = pair_sources(sources, found, complete=False)
        if pairing.degraded_left:
            left = replace(pairing, ground_truth_left=()).remainder()
            raise UsageError(f"pairing by {pairing.rule.statement} leaves {left}: complete {gt}")
        pairs = {pair.degraded: pair.ground_truth for pair in pairing.pairs}
    truths = {source: pairs[source].path for source in sources}
    return {source: local(path) for source, path in truths.items() if path is not None}
