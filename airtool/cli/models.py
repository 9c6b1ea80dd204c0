"""`airtool models`: the weights that are there, whether they are intact, and the authors' own files."""

import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from airtool.cli.console import say, warn
from airtool.errors import AirtoolError, UsageError, reason

if TYPE_CHECKING:
    from rich.table import Table

DETECTOR = "detect"
"""What stands in the place of a method's name for the detector, as in its weights files."""

app = typer.Typer(help="Weights: what is there, whether it is intact, importing the authors' files.")


@app.command("list")
def list_models(
    json: Annotated[bool, typer.Option("--json", help="Everything that is known of them, as JSON.")] = False,
) -> None:
    """List the embedded weights."""
    from airtool.methods.weights import embedded

    records = embedded()
    if json:
        from airtool.reports.writers import STDOUT, write_json

        write_json(STDOUT, records)
        return
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE)
    for title in ("method", "preset", "file"):
        table.add_column(title, no_wrap=True)
    table.add_column("parameters", justify="right", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    for title in ("sha256", "licence"):
        table.add_column(title, no_wrap=True)
    table.add_column("trained on")
    for record in records:
        table.add_row(
            record.method,
            record.preset,
            record.file,
            f"{record.parameters / 1e6:.2f} M",
            f"{record.size / 2**20:.1f} MiB",
            record.sha256[:12],
            record.licence,
            record.trained_on,
        )
    _print(table)


@app.command("recipes")
def list_recipes(
    method: Annotated[
        str | None, typer.Option(metavar="NAME", help="Those of one method; detect: the detector.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON, with everything that each says.")] = False,
) -> None:
    """List the recipes that `airtool train --recipe` knows by name."""
    from airtool.training.recipe import about, load_recipe, shipped

    if method not in (None, DETECTOR):
        from airtool.methods.registry import check_method

        check_method(method)
    found = {name: load_recipe(name) for name in shipped()}
    chosen = {name: recipe for name, recipe in found.items() if method in (None, recipe.method)}
    if json:
        from airtool.reports.writers import STDOUT, write_json

        write_json(STDOUT, [{"about": about(name), **asdict(recipe)} for name, recipe in chosen.items()])
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("recipe", "preset"):
        table.add_column(title, no_wrap=True)
    table.add_column("steps", justify="right", no_wrap=True)
    table.add_column("about")
    for name, recipe in chosen.items():
        table.add_row(name, recipe.preset, f"{recipe.steps:,}", about(name))
    _print(table)


@app.command()
def verify() -> None:
    """Compare the embedded weights with the sha256 that they were published with."""
    from airtool.methods.weights import damage, embedded

    damaged = 0
    for record in embedded():
        problem = damage(record)
        if problem is None:
            print(f"ok {record.file} {record.sha256}")
        else:
            damaged += 1
            warn(problem)
    if damaged:
        raise typer.Exit(1)


@app.command("import")
def import_official(
    official: Annotated[
        Path, typer.Argument(metavar="OFFICIAL", help="The authors' checkpoint (.pth, .ckpt, .safetensors).")
    ],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="The .safetensors file to write.")],
    method: Annotated[
        str, typer.Option(metavar="NAME", help="Method that the file belongs to; detect: AutoDIR's detector.")
    ] = "ndr",
    variant: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Which of the authors' networks, where the file alone does not tell."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it is there already.")] = False,
) -> None:
    """Convert an authors' checkpoint for --weights. Nothing in it is executed; every key and shape must fit."""
    if method != DETECTOR:
        from airtool.methods.registry import check_method

        check_method(method)
    if output.suffix.lower() != ".safetensors":
        raise UsageError(f"{output}: the name must end in .safetensors")
    if os.path.lexists(output) and not overwrite:
        raise UsageError(f"{output} is already there: pass --overwrite to replace it")
    if output.exists() and official.exists() and output.samefile(official):
        raise UsageError(f"{output} is the checkpoint itself: name another file for the converted weights")
    from airtool.methods.bounded import bounded
    from airtool.methods.official import read_checkpoint
    from airtool.methods.weights import sha256_of, write_weights

    if _ours(official):
        raise UsageError(f"{official} is a weights file of airtool already: use it with --weights {official}")
    found = read_checkpoint(official)
    with bounded(found, official):
        try:
            config, tensors = _converter(method)(found, variant)
        except UsageError:
            raise
        except AirtoolError as error:
            raise AirtoolError(reason(error, str(official))) from None
    origin = {"imported": official.name, "sha256": sha256_of(official)}
    write_weights(output, method, config, tensors, origin, half=False)
    parameters = sum(tensor.numel() for tensor in tensors.values())
    say(f"{output}: {method}, {parameters / 1e6:.2f} M parameters; use it with --weights {output}")


def _print(table: "Table") -> None:
    from rich.console import Console

    # In a pipe nothing is cut off or wrapped.
    width = None if sys.stdout.isatty() else 1000
    Console(width=width, highlight=False, markup=False, emoji=False).print(table)


def _ours(path: Path) -> bool:
    """Whether a file has the header of airtool's weights files."""
    from airtool.methods.weights import method_of

    try:
        method_of(path)
    except AirtoolError:
        return False
    return True


def _converter(method: str) -> Callable[..., Any]:
    """What turns a checkpoint and a variant into config and tensors."""
    if method == DETECTOR:
        from airtool.methods.autodir.clip_detector import convert

        return convert
    from airtool.methods.registry import method_class

    return method_class(method).from_official
