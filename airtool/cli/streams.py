"""The standard streams as commands need them: open, with a way to show every name, and with errors that say whose."""

import io
import os
import sys
from typing import Any, TextIO

from airtool.errors import OutputError

UNKNOWN = "backslashreplace"
"""What becomes of letters that a stream's encoding lacks: they are escaped, as `airtool.images.names.shown` does it."""


def open_streams() -> None:
    """Make standard output raise OutputError, and put nothing in the place of streams that are closed.

    Streams that the caller has closed ("<&-", ">&-", "2>&-") are None in Python, `print` would send messages to
    standard output instead, and files that are opened later would get their numbers, and with them what libraries
    print.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # by their numbers, the lowest is given first
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, errors=UNKNOWN))  # noqa: SIM115 - for as long as the process runs
    out = sys.stdout
    if not isinstance(out, io.TextIOWrapper):
        return
    raw = getattr(out.buffer, "raw", out.buffer)  # without a buffer: python -u
    if out is sys.__stdout__ and type(raw) is io.FileIO:  # neither a test's, nor a console of Windows
        lines = out.line_buffering or out.write_through
        buffer = io.BufferedWriter(_Output(out.fileno(), "w", closefd=False))
        sys.stdout = io.TextIOWrapper(buffer, out.encoding, UNKNOWN, line_buffering=lines)
    else:
        out.reconfigure(errors=UNKNOWN)


def discard(stream: io.IOBase | TextIO) -> None:
    """Send nowhere what is still written to a stream, also by Python at exit, which would complain again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _Output(io.FileIO):
    """Standard output. An OSError alone would not tell which of a command's files it is about."""

    def write(self, data: Any, /) -> int:
        """Raises OutputError, once: what comes after that is lost. Raises BrokenPipeError where nobody reads on."""
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            discard(self)
            why = (error.strerror or str(error)).lower()
            raise OutputError(f"cannot write to standard output: {why}; send it elsewhere, or make room") from error
