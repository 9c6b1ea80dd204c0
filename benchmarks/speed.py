"""Measure how fast airtool is and write docs/speed.md: make bench

Each network against a plain PyTorch implementation of it (benchmarks/plain/) and, where that is installed, OpenVINO;
the whole command against the network inside it; the first picture; and time over pixels. Figures are kept in
docs/speed-measured.json, new ones in the place of those of the same name, and the page is written from all of them. Use
an idle machine: with other processes beside it nothing that this prints is worth keeping.

    python benchmarks/speed.py                                  # about ten minutes on two cores
    python benchmarks/speed.py --quick                          # a minute: does it run? One method, to build/bench
    python benchmarks/speed.py --only networks --preset paper --methods ndr --size 256x256 --rounds 3
    python benchmarks/speed.py --only scaling --large           # up to 100 megapixels
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from measuring.command import first_picture, restore_folder
from measuring.contenders import EXAMPLES, Case, weights_of
from measuring.growth import growth
from measuring.machine import SIDES, facts, load_average
from measuring.page import DRAWING, page
from measuring.pairs import OtherOutputs, compare
from measuring.scaling import LARGEST, MEGAPIXELS, PANORAMA, scaling

from airtool.engine.device import pick_device
from airtool.errors import AirtoolError, UsageError
from airtool.methods.registry import METHODS, check_method
from airtool.methods.weights import sha256_of

SECTIONS = ("networks", "command", "first", "scaling")
KODAK = "bench/Kodak24/gt"
"""Real pictures for the command, below AIRTOOL_DATA."""


@dataclass(frozen=True)
class Plan:
    """What to measure, and how thoroughly."""

    sections: tuple[str, ...]
    methods: tuple[str, ...]
    preset: str
    size: tuple[int, int]
    """(height, width) of the pictures of the comparison. 448 x 448 is taken whole by every embedded network, so that
    contenders compute exactly the same."""
    device: str
    threads: int
    tile: int | None
    rounds: int
    folder: Path
    limit: int
    """Pictures of the folder at most."""
    repeats: int
    """Of the first picture."""
    scaled: tuple[str, ...]
    """Methods whose command and scaling are measured."""
    megapixels: tuple[float, ...]
    shapes: tuple[tuple[int, int], ...]
    """(height, width) of what scaling measures besides."""


class Book:
    """Figures by section and name, written to the page after every new one, so that none is lost."""

    def __init__(self, folder: Path) -> None:
        self.kept, self.page = folder / "speed-measured.json", folder / "speed.md"
        folder.mkdir(parents=True, exist_ok=True)
        self.found: dict[str, dict[str, Any]] = json.loads(self.kept.read_text("utf-8")) if self.kept.exists() else {}

    def add(self, section: str, name: str, figures: dict[str, Any]) -> None:
        self.found.setdefault(section, {})[name] = figures
        self.write()
        print(f"{section}: {name}", flush=True)

    def write(self) -> None:
        self.kept.write_text(json.dumps(self.found, indent=1) + "\n", "utf-8")
        self.page.write_text(page(self.found), "utf-8")
        if scaled := self.found.get("scaling"):
            self.page.with_name(DRAWING).write_text(growth(list(scaled.values())), "utf-8")


def measure(plan: Plan, book: Book, load: float | None) -> None:
    """Everything that is planned. Raises OtherOutputs where a contender does not compute the same."""
    device = pick_device(plan.device)
    torch.set_num_threads(plan.threads)
    with tempfile.TemporaryDirectory() as scratch:
        for method in plan.methods:
            weights = weights_of(method, plan.preset, Path(scratch))
            case = Case(method, plan.preset, str(weights), *plan.size, plan.device, plan.tile)
            told = {"facts": {**facts(device, load), "sha256": sha256_of(weights)}}
            on = f"{plan.device} {plan.threads}" if device.type == "cpu" else plan.device
            name = f"{method} {plan.preset} {on}"
            if "networks" in plan.sections:
                figures = compare(case, plan.rounds, plan.threads)
                book.add("networks", f"{name} {plan.size[1]}x{plan.size[0]}", {**figures, **told})
            if "first" in plan.sections:
                book.add("first", name, {**first_picture(case, plan.repeats, plan.threads), **told})
            if "command" in plan.sections and method in plan.scaled:
                book.add("command", name, {**restore_folder(case, plan.folder, plan.limit, plan.threads), **told})
            if "scaling" in plan.sections and method in plan.scaled:
                book.add("scaling", name, {**scaling(case, plan.megapixels, plan.shapes, plan.threads), **told})


def planned(arguments: argparse.Namespace) -> Plan:
    """Raises UsageError for what cannot be measured."""
    quick = arguments.quick
    methods = tuple(arguments.methods.split(",")) if arguments.methods else tuple(METHODS)[: 1 if quick else None]
    scaled = tuple(arguments.scaled.split(",")) if arguments.scaled else methods[:1]
    sections = tuple(arguments.only.split(",")) if arguments.only else SECTIONS
    for method in methods:
        check_method(method)
    if unknown := set(scaled) - set(methods):
        raise UsageError(f"--scaled {min(unknown)}: it is not among the methods")
    device = pick_device(arguments.device)
    if device.type not in SIDES:
        raise UsageError(f"--device {arguments.device}: there are figures for cpu and cuda only")
    if unknown := set(sections) - set(SECTIONS):
        raise UsageError(f"--only {min(unknown)}: choose from {', '.join(SECTIONS)}")
    if min(arguments.rounds, arguments.limit, arguments.threads) < 1:
        raise UsageError("--rounds, --limit and --threads have to be at least 1")
    folder = arguments.pictures or Path(arguments.data or "") / KODAK
    if arguments.pictures is None and (quick or not folder.is_dir()):
        folder = EXAMPLES
    large = (LARGEST,) if arguments.large else ()
    return Plan(
        sections=sections,
        methods=methods,
        preset=arguments.preset,
        size=_size(arguments.size or ("128x128" if quick else "448x448")),
        device=str(device),
        threads=arguments.threads,
        tile=None if arguments.tile == "auto" else 0,
        rounds=min(arguments.rounds, 2) if quick else arguments.rounds,
        folder=folder,
        limit=min(arguments.limit, 2) if quick else arguments.limit,
        repeats=1 if quick else 5,
        scaled=scaled,
        megapixels=(0.02, 0.05) if quick else (*MEGAPIXELS, *large),
        shapes=((40, 2_000),) if quick else (PANORAMA,),
    )


def _size(text: str) -> tuple[int, int]:
    """(height, width) of "WIDTHxHEIGHT"."""
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise UsageError(f"--size {text}: write it as 448x448")
    return int(height), int(width)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help=f"comma-separated, of {', '.join(SECTIONS)}; default: all")
    parser.add_argument("--methods", help="comma-separated; default: all, with --quick the first one")
    parser.add_argument("--preset", default="small", help="small, or paper with random weights")
    parser.add_argument("--size", help="WIDTHxHEIGHT of the pictures of the comparison; default: 448x448")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="default: PyTorch's choice")
    parser.add_argument("--tile", choices=("auto", "off"), default="auto", help="of ours in the comparison")
    parser.add_argument("--rounds", type=int, default=5, help="of the comparison; default: 5")
    parser.add_argument("--data", default=os.environ.get("AIRTOOL_DATA"), help=f"holds {KODAK}")
    parser.add_argument("--pictures", type=Path, help="folder for the command; default: Kodak24, else examples/")
    parser.add_argument("--limit", type=int, default=6, help="only the first so many pictures of it; default: 6")
    parser.add_argument("--scaled", help="methods whose command and scaling are measured; default: the first one")
    parser.add_argument("--large", action="store_true", help=f"scaling up to {LARGEST:g} megapixels")
    parser.add_argument("--quick", action="store_true", help="a minute on tiny pictures: does it run?")
    parser.add_argument("--write-only", action="store_true", help="measure nothing, write the page from kept figures")
    parser.add_argument("--out", type=Path, help="folder of the figures and the page; default: docs")
    arguments = parser.parse_args(words)
    book = Book(arguments.out or Path("build/bench" if arguments.quick else "docs"))
    if arguments.write_only:
        book.write()
        return 0
    try:
        measure(planned(arguments), book, load_average())
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    except (AirtoolError, OtherOutputs, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
