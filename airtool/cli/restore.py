"""`airtool restore`: the main job."""

import os
import time
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from airtool.cli import completion
from airtool.cli.console import say, warn
from airtool.cli.options import (
    FILES,
    HOW,
    USELESS_PRESET,
    DetectorWeights,
    Device,
    Ensemble,
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
from airtool.cli.restore_report import check_report, conclude, print_plan
from airtool.cli.urls import check_local, check_visible
from airtool.errors import UsageError
from airtool.methods import DEFAULT

if TYPE_CHECKING:
    from airtool.engine.pipeline import Pipeline
    from airtool.engine.ray_engine import RayPipeline
    from airtool.engine.records import Outcome
    from airtool.engine.session import Session
    from airtool.engine.settings import Settings
    from airtool.images.plan import Plan
    from airtool.images.reader import Reader

CLUSTER, REPORT = "Several machines", "What to tell"

ENGINES = ("local", "ray")

WORKERS = 2
"""Threads that read, and as many that write: enough to keep a network busy, few enough to leave it the processor."""


def restore(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="IN", help="Pictures, folders, quoted patterns, URLs, or - for standard input.", show_default=False
        ),
    ],
    output: Annotated[
        str,
        typer.Argument(
            metavar="OUT", help="A folder, a file for one picture, a URL, or - for standard output.", show_default=False
        ),
    ],
    method: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=completion.methods,
            help=f"Method that restores (default: that of --weights, or {DEFAULT}).",
            rich_help_panel=HOW,
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Weights file (default: the embedded weights).", rich_help_panel=HOW),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Which embedded weights (default: small).", rich_help_panel=HOW),
    ] = None,
    detector_weights: DetectorWeights = None,
    degradation: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[:AMOUNT]",
            autocompletion=completion.degradations,
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
    work_size: Annotated[
        str | None,
        typer.Option(
            metavar="MP[,MP]",
            help="Restore a copy of so many megapixels and carry the change over: for weather in large photographs.",
            rich_help_panel=HOW,
        ),
    ] = None,
    self_ensemble: Ensemble = 1,
    tile: Tile = "auto",
    device: Device = "auto",
    devices: Annotated[
        str | None,
        typer.Option(
            metavar="0,1,...",
            help="Share the pictures out over several GPUs, or over parts of the processor: cpu,cpu.",
            rich_help_panel=HOW,
        ),
    ] = None,
    precision: Precision = "auto",
    seed: Seed = 0,
    overwrite: Overwrite = False,
    resume: Resume = False,
    shard: Shard = None,
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
            metavar="N",
            min=1,
            max=64,
            help="Threads that read, and as many that write, a device.",
            rich_help_panel=FILES,
        ),
    ] = WORKERS,
    max_pixels: MaxPixels = None,
    isolate: Isolate = False,
    engine: Annotated[
        str,
        typer.Option(metavar="local|ray", help="Where to compute: here, or on a Ray cluster.", rich_help_panel=CLUSTER),
    ] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Of a running cluster (default: one on this machine, for this run).",
            rich_help_panel=CLUSTER,
        ),
    ] = None,
    ray_workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Processes that restore (default: one a GPU, or one a processor).",
            rich_help_panel=CLUSTER,
        ),
    ] = None,
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
    from airtool.engine.asked import check_asked, check_detector
    from airtool.engine.identity import identify
    from airtool.engine.manifest import Journal
    from airtool.engine.records import Outcome, payload
    from airtool.engine.settings import (
        Settings,
        parse_degradation,
        parse_devices,
        parse_precision,
        parse_tile,
        parse_work_size,
    )
    from airtool.engine.tasks import plan_tasks
    from airtool.images.limits import parse_max_pixels
    from airtool.images.plan import check_apart
    from airtool.methods.registry import check_method, which_method
    from airtool.reports.writers import write_json

    if dry_run and report is not None:
        raise UsageError("--dry-run restores nothing: leave --report out")
    if devices is not None and device != "auto":
        raise UsageError("--device and --devices exclude each other: choose one")
    names = (device,) if devices is None else parse_devices(devices)
    settings = Settings(
        device=names[0],
        precision=parse_precision(precision),
        tile=parse_tile(tile),
        seed=seed,
        degradation=parse_degradation(degradation),
        prompt=prompt.strip(),
        instruction=instruction,
        structure_weight=structure_weight,
        work_size=parse_work_size(work_size),
        self_ensemble=self_ensemble,
        detector_weights=detector_weights,
    )
    pixels = parse_max_pixels(max_pixels)
    files = [("--weights", weights), ("--detector-weights", detector_weights)]
    for option, value in (*files, *(("--instruction", each) for each in instruction or ())):
        check_local(option, value)
    if weights is not None and preset is not None:
        raise UsageError(USELESS_PRESET)
    if weights is not None and not Path(weights).is_file():
        raise UsageError(f"weights file {weights} does not exist: check the spelling")
    method = which_method(method, weights)
    facts = check_method(method)
    check_asked(facts, settings)
    check_detector([facts], settings)
    maps = facts.explains
    if explain is not None and not maps:
        raise UsageError(f"{method} has nothing to show with --explain: leave it out")
    planned = plan_outputs(inputs, output, format, overwrite, resume, shard, quiet=quiet)
    check_quality(planned, quality)
    check_report(planned, report, output)
    if engine == "ray":
        check_visible([*inputs, output, compare, explain])
    _check_engine(engine, ray_address, ray_workers, devices, planned)
    from airtool.images.reader import open_reader

    preset = preset or "small"
    reader, identity = open_reader(pixels, isolate=isolate), None
    if planned.folder is not None and (planned.skipped or not dry_run):
        identity = identify(settings, method, weights, preset, quality, reader=reader)
    settled = settle_outputs(planned, identity, overwrite, quiet)
    if settled.finished and (compare or explain):
        say(f"--compare and --explain: nothing for those {len(settled.finished)}, which are not made again", quiet)
    tasks = plan_tasks(settled.jobs, output, compare=compare, explain=explain, maps=maps, replace=overwrite or resume)
    check_apart("--report", report, (file for task in tasks for file in task.files))

    if dry_run:
        print_plan(tasks)
        return
    from airtool.engine.devices import DevicesPipeline, describe_shared
    from airtool.engine.pipeline import Pipeline
    from airtool.engine.ray_engine import Order, RayPipeline

    sweep_outputs(planned, report, tasks=tasks)
    with reader:
        sessions = _open(method, weights, preset, settings, names, reader, quiet) if tasks else []
        if not sessions:
            outcome = Outcome((), 0.0, interrupted=False)
        elif engine == "ray" and planned.folder is not None and identity is not None:
            order = Order(
                settings,
                method,
                weights,
                preset,
                planned.folder,
                identity,
                os.getcwd(),
                quality=quality,
                overwrite=overwrite,
                workers=workers,
                max_pixels=pixels,
                isolate=isolate,
            )
            outcome = _run(RayPipeline(order, tasks, address=ray_address, actors=ray_workers), len(tasks), quiet)
        else:
            folder = planned.folder
            kept = Journal(folder, identity) if folder is not None and identity is not None else nullcontext()
            with kept as journal:
                make = partial(DevicesPipeline, sessions) if len(sessions) > 1 else partial(Pipeline, sessions[0])
                local = make(
                    tasks, quality=quality, overwrite=overwrite, workers=workers, journal=journal, reader=reader
                )
                outcome = _run(local, len(tasks), quiet)
    if report is not None:
        described = describe_shared(sessions) if sessions else None
        write_json(report, payload(outcome, settled.kept, described, shard, planned.passed_over))
    conclude(outcome, len(tasks), quiet, overwrite=overwrite)


def _check_engine(engine: str, address: str | None, workers: int | None, devices: str | None, planned: "Plan") -> None:
    if engine not in ENGINES:
        raise UsageError(f"no engine is called '{engine}': choose {' or '.join(ENGINES)}")
    if engine == "local" and (address is not None or workers is not None):
        raise UsageError("--ray-address and --ray-workers have no effect without --engine ray: add it")
    if engine == "ray" and devices is not None:
        raise UsageError("--engine ray shares pictures out itself: leave --devices out, or --engine")
    if engine == "ray" and planned.folder is None:
        raise UsageError("--engine ray restores folders: name an output folder, or leave --engine out")
    if engine == "ray" and any(job.source.path is None for job in (*planned.jobs, *planned.skipped)):
        raise UsageError("--engine ray restores files: standard input reaches no other machine, leave --engine out")


def _open(
    method: str,
    weights: str | None,
    preset: str,
    settings: "Settings",
    names: Sequence[str],
    reader: "Reader",
    quiet: bool,
) -> "list[Session]":
    """One session a device; says what was opened. reader: what opens an example pair."""
    from airtool.engine.devices import describe_shared, open_shared

    sessions = open_shared(settings, names, method, weights, preset, reader)
    facts, asked = describe_shared(sessions), sessions[0].asked
    threads, each = facts["threads"], " each" if len(sessions) > 1 else ""
    cores = f", {threads} thread{'s' if threads > 1 else ''}{each}" if threads else ""
    say(f"{method}, weights {facts['weights']}, on {facts['device']} in {facts['precision']}{cores}", quiet)
    if asked is not None and asked.prompt and asked.shares:
        say(f"understood: {', '.join(name for name, _ in asked.shares)}", quiet)
    return sessions


def _run(pipeline: "Pipeline | RayPipeline", planned: int, quiet: bool) -> "Outcome":
    """Restore all pictures and say what fails on the way. Ctrl-C ends it early without an exception."""
    from airtool.engine.records import Outcome

    start, interrupted = time.perf_counter(), False
    try:
        with pipeline:
            for record in track(pipeline, planned, "restoring", quiet):
                if record.message is not None:
                    warn(record.message)
    except KeyboardInterrupt:
        interrupted = True
    return Outcome(tuple(pipeline.records), time.perf_counter() - start, interrupted)
