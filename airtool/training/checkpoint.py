"""The state of a training run on disk, whole or absent, loadable without executing code."""

import io
import os
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

import torch

from airtool.errors import AirtoolError, UsageError
from airtool.images.files import write_atomic
from airtool.methods.official import UNREADABLE, first_line
from airtool.methods.weights import read_weights
from airtool.training.recipe import Recipe

FREE = {"steps", "validate_every"}
"""Fields of a recipe that may change when a run is resumed. The schedule is laid out anew for other steps."""


WEIGHTS = "weights.safetensors"
"""The average at the end of a run, in its folder."""

BEST = "best.safetensors"
"""The average that validated best."""


def check_unused(out: Path, recipe: Recipe) -> None:
    """Raise UsageError where a run that begins would replace weights in its folder that are not its own.

    A run that was killed before its first checkpoint may have left its best weights so far, and nothing else.
    """
    for name in (WEIGHTS, BEST):
        path = out / name
        if os.path.lexists(path) and not (name == BEST and _recipe_of(path) == recipe.name):
            raise UsageError(f"{path} is there, but no checkpoint to go on from: move it away, or give another --out")


def _recipe_of(path: Path) -> str | None:
    """Name of the recipe that weights come from; None where they come from elsewhere, or cannot be read."""
    try:
        origin = read_weights(path).header.get("origin")
    except AirtoolError:
        return None
    return origin.get("recipe") if isinstance(origin, dict) else None


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers, strings and containers of them atomically."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomic(path, buffer.getvalue(), overwrite=True)


def load_checkpoint(path: Path, recipe: Recipe) -> dict[str, Any]:
    """Read a checkpoint of this recipe.

    Raises AirtoolError for a damaged file or a foreign one, and UsageError when it belongs to a recipe that differs in
    what is learned.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise AirtoolError(
            f"{path} is not a readable checkpoint ({first_line(error)}): to start anew, give another output folder"
        ) from None
    if not isinstance(state, dict) or not isinstance(state.get("recipe"), dict):
        raise AirtoolError(f"{path} was not written by airtool train: move it away, or give a new output folder")
    now = plain_recipe(recipe)
    # Settings that came into being after the checkpoint had no effect then, which is what their defaults stand for.
    before = {each.name: each.default for each in fields(Recipe) if each.default is not MISSING} | state["recipe"]
    changed = [key for key in now if key not in FREE and before.get(key) != now[key]]
    if changed:
        raise UsageError(
            f"{path} was written with another {changed[0]}: give a new output folder, or the recipe it began with"
        )
    return state


def plain_recipe(recipe: Recipe) -> dict[str, Any]:
    """A recipe in terms that a checkpoint can hold."""
    return asdict(recipe)
