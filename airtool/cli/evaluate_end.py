"""How `airtool evaluate` ends: what an interrupted run says, and the exit code."""

import typer

from airtool.cli.console import warn
from airtool.cli.signals import INTERRUPTED


def conclude(complete: bool, interrupted: bool, measured: int, planned: int, *, restores: bool, keep: bool) -> None:
    """Raises typer.Exit with the code that fits, unless all is well.

    measured, planned: pictures. restores: whether a method is measured. keep: whether its pictures are kept.
    """
    if interrupted:
        goes_on = "the same command goes on" if keep else "with --keep the same command goes on"
        warn(f"interrupted after {measured} of {planned}{f'; {goes_on}' if restores else ''}")
        raise typer.Exit(INTERRUPTED)
    if not complete:
        raise typer.Exit(1)
