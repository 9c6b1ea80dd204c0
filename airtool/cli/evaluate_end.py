"""How `airtool evaluate` ends: what an interrupted run says, and the exit code."""

from collections.abc import Sequence

import typer

from airtool.cli.console import warn
from airtool.cli.signals import INTERRUPTED
from airtool.images.names import shown


def conclude(
    complete: bool,
    interrupted: bool,
    measured: int,
    planned: int,
    *,
    restores: bool,
    keep: bool,
    left: Sequence[str],
) -> None:
    """Raises typer.Exit with the code that fits, unless all is well.

    measured, planned: pictures. restores: whether a method is measured. keep: whether its pictures are kept.
    left: reports that an interrupted run has not replaced.
    """
    if interrupted:
        goes_on = "the same command goes on" if keep else "with --keep the same command goes on"
        said = [f"interrupted after {measured} of {planned}", *(f"{shown(file)} is left as it was" for file in left)]
        warn("; ".join([*said, goes_on] if restores else said))
        raise typer.Exit(INTERRUPTED)
    if not complete:
        raise typer.Exit(1)
