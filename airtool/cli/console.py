"""Words for the user, on standard error: standard output carries results only."""

import sys
from functools import cache
from typing import TYPE_CHECKING

from airtool.images.names import shown

if TYPE_CHECKING:
    from rich.console import Console


@cache
def stderr_console() -> "Console":
    """The one console on standard error; a progress bar and the lines above it must share it."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)


def stderr_is_terminal() -> bool:
    """Whether somebody is watching standard error."""
    return sys.stderr is not None and sys.stderr.isatty()


def say(message: object, quiet: bool = False) -> None:
    """Print one line of progress or summary on standard error, unless `quiet`."""
    if not quiet:
        _print(shown(str(message)))


def warn(message: object) -> None:
    """Print one line about something that went wrong without stopping the command; `--quiet` does not silence it."""
    _print(f"airtool: {shown(str(message))}")


def fail(message: object) -> None:
    """Print the one line that says why the command stopped."""
    _print(f"airtool: error: {shown(str(message))}")


def _print(line: str) -> None:
    if stderr_is_terminal():
        stderr_console().print(line)
    else:
        # Without a terminal there is no bar to keep clear of, and rich (50 ms to import) is not needed.
        print(line, file=sys.stderr, flush=True)
