"""What commands that turn pictures into pictures check alike, before they load anything heavy."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from airtool.errors import UsageError

if TYPE_CHECKING:
    from airtool.images.plan import Plan


def plan_outputs(inputs: Sequence[str], output: str, format: str | None, overwrite: bool, resume: bool) -> "Plan":
    """Which picture becomes which. Raises UsageError or AirtoolError for whatever stands in the way."""
    from airtool.images.discover import discover
    from airtool.images.plan import STDOUT, plan

    if overwrite and resume:
        raise UsageError("--overwrite and --resume exclude each other: choose one")
    if output == STDOUT and sys.stdout.isatty():
        raise UsageError("standard output is a terminal: redirect it (> out.png), or name an output file")
    existing: Literal["error", "overwrite", "resume"] = "overwrite" if overwrite else "resume" if resume else "error"
    return plan(discover(inputs), output, format=format, existing=existing)


def check_quality(planned: "Plan", quality: int | None) -> None:
    """Raises UsageError for a ``--quality`` that no output has a use for."""
    from airtool.images.formats import FORMATS

    formats = {job.format for job in (*planned.jobs, *planned.skipped)}
    # None: only the content of standard input will tell.
    if quality is not None and None not in formats and not any(FORMATS[name].lossy for name in formats if name):
        raise UsageError("--quality has no effect on a lossless format: leave it out, or add --format jpeg")
