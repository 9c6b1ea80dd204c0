"""`airtool grounds`: sample pages of the charts on which Defusion is shown a degradation."""

from typing import Annotated, Literal

import typer

from airtool.cli import completion
from airtool.cli.console import say, warn
from airtool.cli.outputs import sweep_outputs
from airtool.cli.progress import track
from airtool.errors import UsageError

DIGITS = 3
"""Fewest digits of the number in a file name."""

MOST_PIXELS = 4096
"""Largest side that is drawn."""

WHAT, FILES = "What to draw", "Files"


def grounds(
    out: Annotated[str, typer.Argument(metavar="OUT", help="Folder.", show_default=False)],
    count: Annotated[int, typer.Option(metavar="N", min=1, max=100_000, help="How many.", rich_help_panel=WHAT)] = 8,
    side: Annotated[
        int, typer.Option(metavar="PIXELS", min=32, max=MOST_PIXELS, help="Width and height.", rich_help_panel=WHAT)
    ] = 512,
    kind: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="te42 (a chart of four textures), simple (a gradient with shapes) or blank (grey).",
            rich_help_panel=WHAT,
        ),
    ] = "te42",
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, help="Seed of the first; the next has N + 1.", rich_help_panel=WHAT)
    ] = 0,
    degradation: Annotated[
        str | None,
        typer.Option(
            metavar="STEPS",
            autocompletion=completion.degradations,
            help='Write each ground also after these degradations, name[:amount],..., such as "rain:0.4,noise:25".',
            rich_help_panel=WHAT,
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs.", rich_help_panel=FILES)] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep outputs that are there, make the others.", rich_help_panel=FILES)
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress on standard error.", rich_help_panel=FILES)
    ] = False,
) -> None:
    """Draw the charts by which Defusion is told what to remove, clean and, if you like, degraded.

    The same seed, side and degradations give the same files.
    """
    from pathlib import Path

    from airtool.degradations.compose import parse_steps
    from airtool.images.discover import Source
    from airtool.images.encode import encode
    from airtool.images.files import write_atomic
    from airtool.images.formats import by_suffix
    from airtool.images.names import counted, shown
    from airtool.images.picture import Metadata, Picture
    from airtool.images.plan import STDOUT, marks_folder, plan
    from airtool.methods.defusion.grounds import parse_kind
    from airtool.methods.defusion.instruction import instruction

    chosen = parse_kind(kind)
    steps = () if degradation is None else parse_steps(degradation)
    if overwrite and resume:
        raise UsageError("--overwrite and --resume exclude each other: choose one")
    if out == STDOUT or (by_suffix(out) is not None and not marks_folder(out) and not Path(out).is_dir()):
        raise UsageError(f"{shown(out)} is no folder: grounds are written into a folder, name one")
    existing: Literal["error", "overwrite", "resume"] = "overwrite" if overwrite else "resume" if resume else "error"
    digits = max(DIGITS, len(str(count - 1)))
    names = [f"ground-{index:0{digits}d}" for index in range(count)]
    suffixes = ("", ".degraded") if steps else ("",)
    # Nothing is read: what the plan takes for standard input is drawn here.
    sources = [Source(None, Path(name + suffix)) for name in names for suffix in suffixes]
    planned = plan(sources, out, format="png", existing=existing)
    targets = {str(job.source.relative): job.target for job in planned.jobs if job.target is not None}
    wanted = [index for index, name in enumerate(names) if any(name + suffix in targets for suffix in suffixes)]
    sweep_outputs(planned)
    try:
        for index in track(wanted, len(wanted), "drawn", quiet):
            drawn = instruction(steps, seed + index, side, chosen)
            for suffix, pixels in zip(suffixes, (drawn.clean, drawn.degraded), strict=False):
                target = targets.get(names[index] + suffix)
                if target is not None:
                    write_atomic(target, encode(Picture(pixels, None, 8, False, "png", Metadata())), overwrite)
    except KeyboardInterrupt:
        warn("interrupted; go on with --resume")
        raise
    kept = f", {len(planned.skipped)} were there already" if planned.skipped else ""
    say(f"{counted(len(planned.jobs))} written into {out}{kept}", quiet)
