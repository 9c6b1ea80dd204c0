"""`airtool train`: learn weights by a recipe."""

import os
from pathlib import Path
from typing import Annotated

import typer

from airtool.cli import completion
from airtool.cli.options import MaxPixels
from airtool.errors import UsageError


def train(
    recipe: Annotated[
        str, typer.Option(autocompletion=completion.recipes, help="Name of a shipped recipe, or a TOML file.")
    ] = "ndr-small",
    data: Annotated[
        Path | None, typer.Option(help="Folder that the recipe's folders are relative to.", envvar="AIRTOOL_DATA")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for checkpoint, weights and logs; resumes what is there (default: runs/RECIPE)."),
    ] = None,
    start_from: Annotated[
        list[Path] | None,
        typer.Option(help="Weights file to begin from, of this or of a like network; of several the later ones win."),
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps in all, in place of the recipe's.")] = None,
    max_minutes: Annotated[float | None, typer.Option(min=0, help="Stop with a checkpoint after this time.")] = None,
    device: Annotated[str, typer.Option(help="auto or cpu.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Processes that make samples.")] = 1,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of the network.")] = None,
    shard_state: Annotated[
        bool, typer.Option("--shard-state", help="Share weights, moments and average out over the processes.")
    ] = False,
    max_pixels: MaxPixels = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Train a method's weights; stops and resumes at any time."""
    from dataclasses import replace

    from airtool.cli.console import say
    from airtool.images.limits import parse_max_pixels
    from airtool.training.recipe import load_recipe

    pixels = parse_max_pixels(max_pixels)
    chosen = load_recipe(recipe)
    if steps is not None:
        chosen = replace(chosen, steps=steps)
    if data is None:
        raise UsageError("name the folder of the training pictures with --data or the variable AIRTOOL_DATA")
    if not data.is_dir():
        raise UsageError(f"data folder {data} does not exist")
    for name, value, allowed in (
        ("device", device, ("auto", "cpu")),
        ("precision", precision, ("auto", "fp32", "bf16")),
    ):
        if value not in allowed:
            raise UsageError(f"--{name} {value}: choose from {', '.join(allowed)}")
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)

    import torch

    from airtool.training.loop import Options
    from airtool.training.loop import train as run

    if threads is not None:
        torch.set_num_threads(threads)
    start = tuple(start_from or ())
    options = Options(
        data, out or Path("runs") / chosen.name, max_minutes, device, precision, workers, start, shard_state, pixels
    )
    outcome = run(chosen, options, (lambda line: None) if quiet else say)
    if not quiet:
        ending = "finished" if outcome.finished else "stopped; the same command goes on"
        say(f"{ending} at step {outcome.step}; weights in {outcome.weights}")
