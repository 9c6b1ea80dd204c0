"""The command line: every command by its name, and what its errors mean to the shell."""

import os
import sys
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Annotated

import typer

from airtool import __version__
from airtool.cli import models
from airtool.cli.console import fail
from airtool.cli.degrade import degrade
from airtool.cli.detect import detect
from airtool.cli.evaluate import evaluate
from airtool.cli.grounds import grounds
from airtool.cli.iterate import iterate
from airtool.cli.restore import restore
from airtool.cli.signals import INTERRUPTED, endable
from airtool.cli.streams import discard, open_streams
from airtool.cli.train import train
from airtool.cli.urls import check_commands
from airtool.errors import AirtoolError, UsageError
from airtool.images.names import shown

# The parser's own errors. Typer exports this one subclass; its base covers unknown options and missing arguments.
ParserError: type[typer.BadParameter] = typer.BadParameter.__bases__[0]

app = typer.Typer(
    name="airtool",
    help="Restore folders of degraded photographs with published all-in-one methods.",
    epilog="Exit codes: 0 all done, 1 something failed, 2 the command cannot be carried out as typed, 130 interrupted, "
    "143 terminated.",
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (restore, detect, iterate, evaluate, degrade, grounds, train):
    app.command()(command)
app.add_typer(models.app, name="models")

TEXTS = ("--prompt", "--degradation", "--degrade", "--with")
"""Options that are no names, and say themselves what an empty text means to them."""


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"airtool {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main(args: list[str] | None = None) -> int:
    """Run one command line (default: the process's own) and return its exit code.

    0: all done; 1: something failed (AirtoolError, or a command that raised typer.Exit(1)); 2: usage; 130: Ctrl-C;
    143: SIGTERM, which ends a command as Ctrl-C does. Every error that a user can cause is one line on standard error.
    """
    open_streams()
    args = sys.argv[1:] if args is None else args
    with endable() as asked:
        code = _attempt(partial(_command, args), asked, args)
        # Whatever became of it: Python would do this at exit, and complain in its own words.
        flushed = _attempt(sys.stdout.flush, asked, args)
    code = code or flushed
    return asked[0] if asked and code else code


def _check_empty(args: list[str]) -> None:
    """Refuse what an unset variable leaves behind: as a path it would be the folder that the command runs in.

    Raises UsageError.
    """
    for before, arg in pairwise(["airtool", *args]):
        option, equals, value = arg.partition("=")
        if equals and option.startswith("--"):
            before, arg = option, value
        if not arg and before not in TEXTS:
            raise UsageError(f"an empty text stands after {before}: is a variable unset?")


def _command(args: list[str]) -> object:
    _check_empty(args)
    check_commands(args)
    try:
        return app(args or ["--help"], prog_name="airtool", standalone_mode=False)
    except ParserError as error:
        # What a shell makes of "*" where names begin with a dash.
        dashed = next((arg for arg in args if arg.startswith("-") and arg != "-" and os.path.lexists(arg)), None)
        if dashed is None:
            raise
        name = shown(dashed)
        raise UsageError(f"{name} is a file here, but its name begins as an option does: write ./{name}") from error


def _attempt(part: Callable[[], object], asked: list[int], args: list[str]) -> int:
    """The exit code of a part of the command line `args`; says what went wrong. asked: as `endable` gives it."""
    try:
        code = part()
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        # Once asked to end, whatever a library has made of that is no error to tell.
        return INTERRUPTED if asked else _told(error, args)
    return code if isinstance(code, int) else 0


def _needed(error: Exception) -> str | None:
    """What to say where one argument was given for several, which the parser takes for the last of them."""
    parameter, context = getattr(error, "param", None), getattr(error, "ctx", None)
    if parameter is None or context is None or parameter.nargs != -1:
        return None
    names = [each.metavar for each in context.command.params if each.param_type_name == "argument"]
    return f"{' and '.join(names)} are both needed" if len(names) > 1 else None


def _words(args: list[str]) -> str:
    """The command that a command line begins with: "airtool models import"."""
    words, inside = ["airtool"], vars(typer.main.get_command(app)).get("commands", {})
    for arg in args:
        if arg not in inside:
            break
        words.append(arg)
        inside = vars(inside[arg]).get("commands", {})
    return " ".join(words)


def _told(error: Exception, args: list[str]) -> int:
    """Say what is wrong, and give the exit code. Raises errors that no user can cause."""
    if isinstance(error, ParserError):
        fail(f"{_needed(error) or error.format_message()} (see: {_words(args)} --help)")
        return 2
    if isinstance(error, AirtoolError):
        fail(error)
        return 2 if isinstance(error, UsageError) else 1
    if isinstance(error, BrokenPipeError):
        discard(sys.stdout)  # its reader has left
        return 1
    raise error
