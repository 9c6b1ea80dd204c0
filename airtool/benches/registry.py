"""The benchmark sets that airtool knows, read from one TOML file each in `airtool/benches/sets/`.

A set is pictures in folders: what the folders are called in the wild, which picture belongs to which, how many there
are. A bench is what is measured on a set: its own degraded pictures, or such as are synthesised from its clean ones.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from importlib import resources
from typing import Any

from airtool.benches.templates import compile_template
from airtool.degradations.compose import parse_steps
from airtool.errors import UsageError
from airtool.metrics.protocols import PROTOCOLS
from airtool.reports.record import Published


@dataclass(frozen=True)
class Layout:
    """One way in which a copy of a set lies in its folder. At least one of the two patterns is there."""

    name: str
    degraded: re.Pattern[str] | None
    """Matches the path below the set's folder, with `/` and without extension, of a degraded picture."""
    ground_truth: re.Pattern[str] | None
    """The same for a clean picture. A degraded and a clean picture whose named groups are equal are a pair."""
    spare: bool = False
    """Whether the folder of clean pictures holds others too, such as of training: one without partner is no fault."""
    gap: int | None = None
    """Where partners have different numbers: both sides pair up in the order of {n}, their only placeholder, if there
    are as many of each and the numbers of every pair differ by at most this."""


@dataclass(frozen=True)
class Bench:
    """One thing to measure on a set."""

    name: str
    """What is typed after ``--bench``."""
    title: str
    steps: str | None
    """How the degraded pictures are synthesised, e.g. ``"noise:25"``; None: the set has its own."""
    seed: int | None
    """Of the synthesis."""
    published: tuple[Published, ...]
    """Only figures that were checked against their source, so for many benches there are none."""

    @property
    def noise_only(self) -> bool:
        """Whether it adds Gaussian noise and nothing else, so that ``--noise-protocol`` applies."""
        return self.steps is not None and {step.name for step in parse_steps(self.steps)} == {"noise"}


@dataclass(frozen=True)
class BenchSet:
    """One benchmark set. Names, folders and aliases are compared without regard to upper and lower case."""

    name: str
    title: str
    task: str
    """What is restored: "denoising", "deraining", ..."""
    degradation: str
    """What is wrong with the degraded pictures, and whether it is real, synthetic or synthesised here."""
    folders: tuple[str, ...]
    """What its folder is called, as the last one or several parts of a path."""
    protocols: tuple[str, ...]
    """Those its literature uses, the usual one first."""
    paper: str
    where: str
    """The official name of where it comes from."""
    licence: str
    layouts: tuple[Layout, ...]
    benches: tuple[Bench, ...]
    """Empty for pictures without ground truths."""
    pictures: int | None = None
    """Degraded pictures in the official test set; None where that is not recorded."""
    sizes: tuple[tuple[int, int], ...] = ()
    """(width, height) of every official picture; empty where they vary."""
    aliases: tuple[str, ...] = ()
    note: str | None = None
    """What a reader of its figures must know."""
    ground_truths: bool = True
    pictures_of: str | None = None
    """The set whose pictures these are, when it only degrades them in another way."""

    @property
    def synthesised(self) -> bool:
        """Whether its degraded pictures are made from its clean ones."""
        return any(bench.steps is not None for bench in self.benches)


@cache
def registry() -> Mapping[str, BenchSet]:
    """Every set by its name, in alphabetical order."""
    folder = resources.files("airtool.benches") / "sets"
    tables = {}
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".toml"):
            table = tomllib.loads(entry.read_text("utf-8"))
            tables[table["name"]] = table
    return {name: set_from(_with_pictures(table, tables)) for name, table in tables.items()}


def find_benches(text: str) -> tuple[tuple[BenchSet, Bench], ...]:
    """The benches of a comma-separated list such as ``"rain100l,cbsd68-25"``, in that order.

    The name of a set stands for all its benches. Raises UsageError for a name that does not exist or is repeated, and
    for a set without ground truths.
    """
    found: list[tuple[BenchSet, Bench]] = []
    for name in (part.strip().lower() for part in text.split(",") if part.strip()):
        meant = _meant(name)
        if any(pair in found for pair in meant):
            raise UsageError(f"--bench {text} names {name} twice: leave one out")
        found += meant
    if not found:
        raise UsageError("--bench needs a name, such as rain100l; --list shows them all")
    return tuple(found)


def find_set(name: str) -> BenchSet:
    """The set of a name, an alias or the name of one of its benches. Raises UsageError when there is none."""
    for each in registry().values():
        if name.lower() in (each.name, *each.aliases, *_bench_names(each)):
            return each
    raise UsageError(f"unknown benchmark {name!r}; known are {', '.join(registry())}")


def _meant(name: str) -> list[tuple[BenchSet, Bench]]:
    each = find_set(name)
    if not each.benches:
        raise UsageError(f"{each.name} has no ground truths, so there is nothing to measure PSNR and SSIM against")
    if name in (each.name, *each.aliases):
        return [(each, bench) for bench in each.benches]
    return [(each, _bench_names(each)[name])]


def _bench_names(each: BenchSet) -> dict[str, Bench]:
    """Every name of a bench, those by the aliases of its set included."""
    names = (each.name, *each.aliases)
    return {name + bench.name.removeprefix(each.name): bench for name in names for bench in each.benches}


def _with_pictures(table: Mapping[str, Any], tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A table with what ``pictures_of`` takes over from another set: the pictures and where they lie."""
    other = tables.get(table.get("pictures_of", ""), {})
    return {key: other[key] for key in ("folders", "layouts", "pictures", "sizes") if key in other} | dict(table)


def set_from(table: Mapping[str, Any]) -> BenchSet:
    """Check a parsed TOML table. Raises ValueError that names the set for whatever is missing, unknown or wrong."""
    try:
        values = dict(table)
        values["layouts"] = tuple(_layout(layout) for layout in table["layouts"])
        values["benches"] = ()
        values["sizes"] = tuple(_size(size) for size in table.get("sizes", ()))
        for key in ("folders", "protocols", "aliases"):
            values[key] = tuple(table.get(key, ()))
        made = BenchSet(**values)
        made = replace(made, benches=tuple(_bench(made, bench) for bench in table.get("benches", ())))
        _check(made)
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise ValueError(f"benchmark set {table.get('name')}: {error}") from error
    return made


def _layout(table: Mapping[str, Any]) -> Layout:
    patterns = {side: compile_template(table[side]) for side in ("degraded", "ground_truth") if side in table}
    if set(table) - {"name", "degraded", "ground_truth", "spare", "gap"} or not patterns:
        raise ValueError(f"layout {table['name']} must have degraded, ground_truth or both, else only spare and gap")
    placeholders = {frozenset(pattern.groupindex) for pattern in patterns.values()}
    if len(placeholders) > 1:
        raise ValueError(f"layout {table['name']}: both sides must have the same placeholders")
    if "gap" in table and placeholders != {frozenset({"n"})}:
        raise ValueError(f"layout {table['name']}: pictures in order must have {{n}} and no other placeholder")
    return Layout(
        table["name"],
        patterns.get("degraded"),
        patterns.get("ground_truth"),
        spare=table.get("spare", False),
        gap=table.get("gap"),
    )


def _size(text: str) -> tuple[int, int]:
    width, height = text.split("x")
    return int(width), int(height)


def _bench(of: BenchSet, table: Mapping[str, Any]) -> Bench:
    variant, steps = table.get("variant", ""), table.get("steps")
    if set(table) - {"variant", "steps", "seed", "published"} or (steps is None) != ("seed" not in table):
        raise ValueError(f"bench {variant!r}: unknown keys, or steps without seed")
    if steps is not None:
        parse_steps(steps)
    return Bench(
        name=f"{of.name}-{variant}" if variant else of.name,
        title=of.title if steps is None else f"{of.title}, {steps.replace(':', ' ').replace(',', ', ')}",
        steps=steps,
        seed=table.get("seed"),
        published=tuple(Published(**figure) for figure in table.get("published", ())),
    )


def _check(made: BenchSet) -> None:
    empty = [each.name for each in fields(made) if each.type is str and not getattr(made, each.name)]
    empty += [name for name in ("folders", "protocols", "layouts") if not getattr(made, name)]
    if empty:
        raise ValueError(f"{', '.join(empty)} must not be empty")
    if unknown := set(made.protocols) - set(PROTOCOLS):
        raise ValueError(f"unknown protocols {', '.join(unknown)}")
    if made.ground_truths != bool(made.benches):
        raise ValueError("ground_truths and benches contradict each other")
    names = [bench.name for bench in made.benches]
    if len(set(names)) < len(names) or len({layout.name for layout in made.layouts}) < len(made.layouts):
        raise ValueError("two benches or two layouts have the same name")
    for layout in made.layouts:
        sides = layout.degraded is not None, layout.ground_truth is not None
        expected = (not made.synthesised, made.ground_truths)
        if sides != expected:
            raise ValueError(f"layout {layout.name} does not suit the benches")
