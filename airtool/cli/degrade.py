"""`airtool degrade`: make clean pictures bad in a known way."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from airtool.cli import completion
from airtool.cli.console import say, warn
from airtool.cli.options import Isolate, MaxPixels
from airtool.cli.outputs import check_quality, plan_outputs, sweep_outputs
from airtool.cli.progress import track
from airtool.errors import UsageError

if TYPE_CHECKING:
    from airtool.degradations.batch import Outcome
    from airtool.images.plan import Plan

STDIO = "-"
HOW, FILES = "What to do to the pictures", "Files"


def _list(wanted: bool) -> None:
    """Print every degradation with its amounts, and leave."""
    if not wanted:
        return
    from airtool.degradations import DEGRADATIONS

    for found in DEGRADATIONS.values():
        print(f"{found.name:13} {found.summary}")
        print(f"{'':13} {found.parameter}; {found.low:g} to {found.high:g}, default {found.default:g}")
    raise typer.Exit


def degrade(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="IN", help="Pictures, folders, quoted patterns, or - for standard input.", show_default=False
        ),
    ],
    out: Annotated[str, typer.Argument(metavar="OUT", help="Folder, file, or - for standard output.")],
    steps: Annotated[
        str,
        typer.Option(
            "--with",
            metavar="STEPS",
            autocompletion=completion.degradations,
            help='Degradations in order, name[:amount],..., such as "rain:0.6,noise:25".',
            rich_help_panel=HOW,
        ),
    ],
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, help="Seed of everything that is drawn.", rich_help_panel=HOW)
    ] = 0,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Format of the outputs (default: what OUT's suffix says, else png, which adds no loss).",
            rich_help_panel=FILES,
        ),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=100, help="Quality of a lossy output format.", rich_help_panel=FILES),
    ] = None,
    record: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="JSON record of what was applied, - for standard output (default: degradations.json in OUT, when OUT "
            "is a folder).",
            rich_help_panel=FILES,
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs.", rich_help_panel=FILES)] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep outputs that are there, make the others.", rich_help_panel=FILES)
    ] = False,
    workers: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            max=64,
            help="Pictures at a time; one of 24 megapixels takes up to 2.2 GB.",
            rich_help_panel=FILES,
        ),
    ] = 2,
    max_pixels: MaxPixels = None,
    isolate: Isolate = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print which file would become which.", rich_help_panel=FILES)
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress on standard error.", rich_help_panel=FILES)
    ] = False,
    listing: Annotated[
        bool,
        typer.Option(
            "--list", is_eager=True, callback=_list, help="Print all degradations and exit.", rich_help_panel=HOW
        ),
    ] = False,
) -> None:
    """Degrade pictures by physical models: noise, rain, haze, blur, low light, snow, raindrops, JPEG.

    The same picture, steps and seed give the same result, whatever else is in the folder.

    In a folder, degradations.json tells what was drawn for every picture; several runs into one folder share it.
    """
    from airtool.degradations.batch import Failed, degrade_files, source_name
    from airtool.degradations.compose import parse_steps
    from airtool.degradations.record import build, check_continues, read_earlier
    from airtool.images.formats import by_suffix
    from airtool.images.limits import parse_max_pixels
    from airtool.images.names import shown
    from airtool.images.places import check_links
    from airtool.images.plan import marks_folder
    from airtool.images.reader import open_reader
    from airtool.reports.writers import write_json

    pixels = parse_max_pixels(max_pixels)
    if overwrite and resume:
        raise UsageError("--overwrite and --resume exclude each other: choose one")
    chosen = parse_steps(steps)
    if format is None and (by_suffix(out) is None or marks_folder(out) or Path(out).is_dir()):
        format = "png"
    plan = plan_outputs(inputs, out, format, overwrite, resume, quiet=quiet)
    check_quality(plan, quality)
    check_links(Path(out), (job.target for job in plan.jobs))
    target = _record_target(record, out, plan, may_exist=overwrite or resume)
    folder = None if target is None or target == STDIO else Path(target).parent
    earlier = {} if target is None or target == STDIO else read_earlier(Path(target))
    unknown = check_continues(earlier, plan.skipped, chosen, seed, folder)
    if unknown and folder is not None:
        say(f"{unknown} of the pictures already there are not in {target}", quiet)
    if dry_run:
        for job in plan.jobs:
            print(f"{shown(job.source.path or STDIO)} -> {shown(job.target or STDIO)}")
        say(f"{len(plan.jobs)} to degrade, {len(plan.skipped)} already there", quiet)
        return

    sweep_outputs(plan, target)
    done: list[Outcome] = []
    failed: list[str] = []
    reader = open_reader(pixels, isolate=isolate)
    outcomes = degrade_files(
        plan.jobs,
        chosen,
        seed,
        quality=quality,
        overwrite=overwrite,
        workers=workers,
        finished=done.append,
        reader=reader,
    )
    try:
        for outcome in track(outcomes, len(plan.jobs), "degraded", quiet):
            if isinstance(outcome, Failed):
                warn(outcome.reason)
                failed.append(source_name(outcome.job))
    except KeyboardInterrupt:
        warn("interrupted; go on with --resume")
        raise
    finally:
        outcomes.close()  # ends the threads before the record is written, on Ctrl-C too
        reader.close()
        if target is not None:
            write_json(target, build(done, earlier, chosen, seed, folder))
    _conclude(done, failed, plan, out, target, quiet)


def _record_target(record: str | None, out: str, plan: "Plan", may_exist: bool) -> str | None:
    """Where the record goes; None: nowhere. Raises UsageError when it cannot or must not be written there."""
    from airtool.degradations.record import FILE_NAME
    from airtool.images.plan import check_apart
    from airtool.reports.writers import check_target

    jobs = (*plan.jobs, *plan.skipped)
    to_folder = any(job.target not in (None, Path(out)) for job in jobs)
    if record is None:
        if not to_folder:
            return None
        record = str(Path(out) / FILE_NAME)
    elif record == STDIO:
        if out == STDIO:
            raise UsageError("--record - and OUT - cannot share standard output: name a file for one of them")
        return record
    check_apart("--record", record, (job.target for job in jobs))
    if Path(record).resolve().parent != Path(out).resolve():  # OUT itself is made on the way
        check_target(record, "--record")
    if Path(record).exists() and not may_exist:
        raise UsageError(
            f"{record} is there already: pass --resume or --overwrite to add to it, or name another with --record"
        )
    return record


def _conclude(
    done: Sequence["Outcome"], failed: Sequence[str], plan: "Plan", out: str, target: str | None, quiet: bool
) -> None:
    """The last lines, and exit code 1 when something failed."""
    from airtool.degradations.batch import Degraded

    losses = sorted({loss for outcome in done if isinstance(outcome, Degraded) for loss in outcome.lost})
    if losses:
        say(f"not carried over by the output format: {', '.join(losses)}", quiet)
    made = len(done) - len(failed)
    kept = f", {len(plan.skipped)} were there already" if plan.skipped else ""
    where = f"; record: {target}" if target not in (None, STDIO) else ""
    say(f"{made} of {len(plan.jobs)} degraded into {out}{kept}{where}", quiet)
    if failed:
        warn(f"{len(failed)} failed: {', '.join(failed)}")
        raise typer.Exit(1)
