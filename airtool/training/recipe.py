"""Recipes: everything that decides what a training run learns, as one TOML file."""

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from importlib import resources
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

from airtool.errors import UsageError
from airtool.images.names import shown

CLEAN = "clean"
"""The name in a mix for undegraded input."""

SHARES = ("tone", "soft", "saved")
"""Fields of a recipe from 0 to 1."""


@dataclass(frozen=True)
class Pairs:
    """Two folders of degraded pictures and their ground truths."""

    degraded: str
    """Folder below the data folder."""
    ground_truth: str
    """Folder below the data folder; the same file stems."""
    use: Literal["pairs", "layers"] = "pairs"
    """pairs: as they are. layers: the difference (degraded - ground truth) is added to other clean pictures, which
    makes a few real rain pictures go a long way; right only for degradations that add light."""
    label: str = ""
    """What the pictures suffer from, for methods that have to be told: a degradation's name, or "" for unknown."""
    validation_degraded: str = ""
    """Folder of held-out pairs, which are validated under the name of these; "": none are."""
    validation_ground_truth: str = ""
    """Folder of their ground truths."""


@dataclass(frozen=True)
class Recipe:
    """One training run. Folders are relative to the data folder."""

    name: str
    """Names the files that the run writes."""
    method: str
    """A key of `airtool.methods.registry.METHODS`."""
    preset: str
    """A preset of that method: the size of the network."""
    clean: tuple[str, ...]
    """Folders of clean pictures, degraded on the fly; may be empty where the mix has nothing but pairs."""
    validation: str
    """Folder of clean pictures held out from training; "" where there are none, and pairs alone are validated."""
    mix: Mapping[str, float]
    """Relative share of each kind of sample: degradations, several joined by "+" in the order in which they happen,
    "clean", or names from `pairs`."""
    pairs: Mapping[str, Pairs] = field(default_factory=dict)
    """Sources of pairs by the name that `mix` uses."""
    objective: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the method's objective."""
    seed: int = 0
    """Decides the initial weights and every sample."""
    steps: int = 100_000
    """Optimiser steps."""
    batch: int = 8
    """Pictures a step, over all processes together."""
    accumulate: int = 1
    """Parts that a process's share of the batch is cut into, whose gradients are added up before the step: what a
    network too large for the whole share trains with, at the same learning curve and 1 / `accumulate` of the memory."""
    patch: int = 96
    """Side of a training crop in pixels."""
    scene: float = 1.0
    """Haze, rain, snow and drops are laid over a part of the picture so many times as wide as the crop, where there is
    so much of it, and the crop is cut out afterwards. At 1, over the crop and its margin alone, a picture's whole depth
    lies in every crop, and the network never sees an evenly hazy wall. A blind one cannot tell that from a pale one."""
    tone: float = 0.0
    """Share of the clean pictures that are darkened or made pale first, before they are degraded and as ground truth:
    a dim or misty scene that is to stay so. Not where haze or low light is to be undone."""
    soft: float = 0.0
    """Share of the clean pictures that are blurred first, before they are degraded and as ground truth: what lies out
    of focus, and is to stay so. Not where blur is to be undone, nor where `tone` does not apply."""
    saved: float = 0.0
    """Share of the degraded samples that are saved as JPEG of good quality at last, as most photographs have been. What
    is to come out stays the same: what is asked for is removed from under the blocks, and they go along with it."""
    tied: bool = False
    """Whether every kind of sample has clean pictures of its own, as where each degradation comes from a data set of
    its own; else every picture suffers from everything."""
    optimiser: Literal["adamw", "muon"] = "adamw"
    """adamw: for all weights, as published. muon: Muon for the convolutions, AdamW for the rest."""
    muon_rate: float = 0.02
    """Peak of Muon's schedule, which has the shape of the other."""
    learning_rate: float = 1e-3
    """Peak of the schedule."""
    final_learning_rate: float = 1e-6
    """End of the cosine."""
    warmup: int = 200
    """Steps of linear warm-up."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Of AdamW."""
    weight_decay: float = 0.0
    """Of AdamW."""
    clip_norm: float = 1.0
    """Largest norm of the gradient."""
    ema: float = 0.999
    """Decay of the exponential moving average of the weights; the average is what gets validated and exported."""
    validate_every: int = 1000
    """Steps between validations and checkpoints."""
    validation_pictures: int = 12
    """How many held-out pictures are used."""
    validation_crop: int = 192
    """Side of the centre crop that is validated."""


def shipped() -> list[str]:
    """Names of the recipes inside the package."""
    folder = resources.files("airtool.training") / "recipes"
    return sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".toml"))


def about(name: str) -> str:
    """What a shipped recipe is for: the first sentence of its comment."""
    lines = takewhile(lambda line: line.startswith("#"), _shipped_text(name).splitlines())
    text = " ".join(line.removeprefix("#").strip() for line in lines)
    return re.split(r"(?<!Sec)\.(?: |$)", text, maxsplit=1)[0]


def load_recipe(name: str) -> Recipe:
    """Read a recipe by the name of a shipped one or by the path of a TOML file.

    ``extends = "NAME"`` in a file takes over everything that the file does not say itself from a shipped recipe, which
    may do so in turn. Raises UsageError for an unknown name, a file that is not TOML, an unknown or missing key, or a
    value of the wrong kind.
    """
    table = _table(name)
    seen = [name]
    while (base := table.pop("extends", None)) is not None:
        if base not in shipped():
            raise UsageError(f"recipe {name} extends {base!r}, which `airtool models recipes` does not list")
        if base in seen:
            raise UsageError(f"recipe {name} extends itself: {' -> '.join([*seen, base])}")
        seen.append(base)
        table = _table(base) | table
    return recipe_from(table, name)


def _shipped_text(name: str) -> str:
    return (resources.files("airtool.training") / "recipes" / f"{name}.toml").read_text("utf-8")


def _table(name: str) -> dict[str, Any]:
    if name in shipped():
        text = _shipped_text(name)
    else:
        try:
            text = Path(name).read_text("utf-8")
        except FileNotFoundError:
            close = get_close_matches(name, shipped())
            hint = f"; did you mean {' or '.join(close)}?" if close else ""
            where = "give a TOML file or one that `airtool models recipes` lists"
            raise UsageError(f"no recipe {shown(name)}: {where}{hint}") from None
        except UnicodeDecodeError:
            raise UsageError(f"recipe {name} is not valid TOML: it is not UTF-8") from None
        except (OSError, ValueError) as error:  # ValueError: a name that no file can have
            detail = getattr(error, "strerror", None) or error
            raise UsageError(f"recipe {shown(name)} cannot be read ({detail}): give a TOML file") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"recipe {name} is not valid TOML: {error}") from None


def recipe_from(table: Mapping[str, Any], where: str) -> Recipe:
    """Check a parsed recipe; `where` names it in errors. Raises UsageError as `load_recipe` does."""
    known = {each.name for each in fields(Recipe)}
    unknown = sorted(set(table) - known)
    if unknown:
        raise UsageError(f"recipe {where}: unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
    _check_kinds(table, where)
    try:
        values = dict(table)
        values["clean"] = tuple(values["clean"])
        values["pairs"] = {key: Pairs(**pair) for key, pair in values.get("pairs", {}).items()}
        values["betas"] = tuple(values.get("betas", Recipe.betas))
        recipe = Recipe(**values)
    except (TypeError, KeyError) as error:
        raise UsageError(f"recipe {where}: missing or misplaced key ({error})") from None
    _check(recipe, where)
    return recipe


def _check_kinds(table: Mapping[str, Any], where: str) -> None:
    """Raises UsageError for values that are no text, list or table where one belongs. `_check` looks at numbers."""
    texts = {each.name: "a text" for each in fields(Recipe) if each.type is str}
    tables = dict.fromkeys(("mix", "pairs", "objective"), "a table")
    for name, kind in {**texts, **tables, "clean": "a list of folders", "betas": "two numbers"}.items():
        value = table.get(name)
        if name == "clean":
            fits = isinstance(value, list | tuple) and all(isinstance(folder, str) for folder in value)
        elif name == "betas":
            fits = isinstance(value, list | tuple) and [isinstance(beta, int | float) for beta in value] == [True, True]
        else:
            fits = isinstance(value, str if name in texts else Mapping)
        if name in table and not fits:
            raise UsageError(f"recipe {where}: {name} must be {kind}, not {value!r}")


def _check(recipe: Recipe, where: str) -> None:
    for each in fields(Recipe):
        value = getattr(recipe, each.name)
        if each.type in (int, float):
            allowed = (int,) if each.type is int else (int, float)
            # NaN compares as false.
            if isinstance(value, bool) or not isinstance(value, allowed) or not 0 <= value < math.inf:
                kind = "a whole number" if each.type is int else "a number"
                raise UsageError(f"recipe {where}: {each.name} must be {kind}, not {value!r}")
    counts = ("steps", "batch", "accumulate", "patch", "validate_every", "validation_pictures")
    if min(getattr(recipe, name) for name in counts) < 1:
        raise UsageError(f"recipe {where}: {', '.join(counts)} must be at least 1")
    for name in ("learning_rate", "clip_norm"):
        if getattr(recipe, name) == 0:
            raise UsageError(f"recipe {where}: {name} must be above 0")
    for name in SHARES:
        if getattr(recipe, name) > 1:
            raise UsageError(f"recipe {where}: {name} must be from 0 to 1, not {getattr(recipe, name)!r}")
    for name, decay in (("ema", recipe.ema), *(("betas", beta) for beta in recipe.betas)):
        if not 0 <= decay < 1:
            raise UsageError(f"recipe {where}: {name} must be at least 0 and below 1, not {decay!r}")
    if not recipe.name.isprintable() or recipe.name in ("", ".", "..") or set(recipe.name) & set("/\\"):
        raise UsageError(f"recipe {where}: name must do for a folder below runs/, not {recipe.name!r}")
    if recipe.optimiser not in ("adamw", "muon"):
        raise UsageError(f"recipe {where}: optimiser must be 'adamw' or 'muon', not {recipe.optimiser!r}")
    if not recipe.mix or not all(
        isinstance(share, int | float) and 0 < share < math.inf for share in recipe.mix.values()
    ):
        raise UsageError(f"recipe {where}: [mix] must give each kind of sample a share above 0")
    for name, pair in recipe.pairs.items():
        if not all(isinstance(getattr(pair, each.name), str) for each in fields(Pairs)):
            raise UsageError(f"recipe {where}: what [pairs.{name}] says must be text")
        if pair.use not in ("pairs", "layers"):
            raise UsageError(f"recipe {where}: use = {pair.use!r} must be 'pairs' or 'layers'")
        if bool(pair.validation_degraded) != bool(pair.validation_ground_truth):
            raise UsageError(f"recipe {where}: [pairs.{name}] needs both of the validation folders, or neither")
