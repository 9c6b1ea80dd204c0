"""Measure what Defusion makes of its instructions: python benchmarks/instructions.py --data DIR [--pictures N]

Needs Kodak24 and CBSD68 (bench/ below DIR). Writes three tables into docs/defusion.md: rain, noise and snow at once in
all six orders (the protocol of the paper's Table 3), pictures of which a part of the damage is named, and clean
pictures with an instruction for what they do not have.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import numpy as np

from airtool.degradations.compose import compose, parse_steps, picture_rng
from airtool.engine.session import Session, open_session
from airtool.engine.tiles import Pixels
from airtool.engine.wanted import Wanted
from airtool.errors import AirtoolError
from airtool.images.decode import read
from airtool.images.discover import discover
from airtool.metrics.protocols import RGB
from airtool.reports.record import versions

SEED = 0
"""Of everything that is synthesised and of the diffusion."""

SETS = ("Kodak24/gt", "CBSD68/gt")
"""Folders below bench/."""

MIXED = ("rain", "noise", "snow")
"""The paper's Table 3, at the default amounts."""

PAIRS = (("rain", "noise"), ("haze", "noise"), ("low-light", "noise"), ("snow", "jpeg"))
"""Two at once, in the order in which they happen; each is named alone."""

WRONG = ("noise", "rain", "snow", "raindrop", "haze", "low-light", "motion-blur", "defocus", "jpeg")
"""Instructions for pictures that have nothing."""

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
"""Lines of the page between which the figures stand."""


def degraded(clean: Pixels, names: Sequence[str]) -> Pixels:
    """As an 8-bit file would hold it. Each degradation draws from its own seed, so that it is the same without the
    others."""
    result = clean
    for name in names:
        result = compose(result, parse_steps(name), picture_rng(SEED + WRONG.index(name), clean))[0]
    return np.rint(result * 255).astype(np.float32) / 255


def restored(session: Session, picture: Pixels, names: Sequence[str]) -> Pixels:
    return session.restore_array(picture, Wanted(degradation=tuple(names)))


def mean(values: Sequence[float]) -> str:
    return f"{np.mean(values):.2f}"


def mixed_table(session: Session, sets: dict[str, list[Pixels]]) -> str:
    lines = ["| order | " + " | ".join(f"{name} input | restored | gain" for name in sets) + " |"]
    lines.append("|---" * (3 * len(sets) + 1) + "|")
    for order in permutations(MIXED):
        cells = []
        for pictures in sets.values():
            inputs = [degraded(clean, order) for clean in pictures]
            before = [RGB.psnr(each, clean) for each, clean in zip(inputs, pictures, strict=True)]
            after = [
                RGB.psnr(restored(session, each, order), clean) for each, clean in zip(inputs, pictures, strict=True)
            ]
            gain = float(np.mean(after) - np.mean(before))
            cells.append(f"{mean(before)} | {mean(after)} | {gain:+.2f}")
        lines.append(f"| {', '.join(order)} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def partial_table(session: Session, pictures: Sequence[Pixels]) -> str:
    lines = [
        "| picture has | named | input | restored, against the picture without what was named |",
        "|---|---|---|---|",
    ]
    for pair in PAIRS:
        for named in pair:
            left = [name for name in pair if name != named]
            targets = [degraded(clean, left) for clean in pictures]
            inputs = [degraded(clean, pair) for clean in pictures]
            before = [RGB.psnr(each, target) for each, target in zip(inputs, targets, strict=True)]
            after = [
                RGB.psnr(restored(session, each, [named]), target) for each, target in zip(inputs, targets, strict=True)
            ]
            lines.append(f"| {', '.join(pair)} | {named} | {mean(before)} | {mean(after)} |")
            print(lines[-1], flush=True)
    return "\n".join(lines)


def wrong_table(session: Session, pictures: Sequence[Pixels]) -> str:
    lines = ["| named | change of clean pictures, PSNR | least |", "|---|---|---|"]
    for name in WRONG:
        changes = [min(60.0, RGB.psnr(restored(session, clean, [name]), clean)) for clean in pictures]
        lines.append(f"| {name} | {mean(changes)} | {min(changes):.2f} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def page(session: Session, sets: dict[str, list[Pixels]], count: int | None) -> str:
    facts, first = session.describe(), next(iter(sets.values()))
    numbers = ", ".join(f"{what} {number}" for what, number in versions().items())
    sample = f" A sample: the first {count} pictures of each set only." if count else ""
    date = time.strftime("%Y-%m-%d")
    return f"""Written by `python benchmarks/instructions.py` on {date}: `{facts["weights"]}`, sha256
`{facts["sha256"]}`; {facts["device"]}, {facts["precision"]}; {numbers}; seed {SEED}. PSNR in dB, protocol `rgb`,
default amounts, 8-bit inputs.{sample}

### Rain, noise and snow at once, all named

{mixed_table(session, sets)}

### Only a part is named (Kodak24)

Measured against the picture without what was named, which still has the other degradation: restored should be above
input.

{partial_table(session, first)}

### What is named is not there (Kodak24, clean)

PSNR between picture and result, at most 60 for each.

{wrong_table(session, first)}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("AIRTOOL_DATA"))
    parser.add_argument("--weights", help="weights file; default: the embedded ones")
    parser.add_argument("--pictures", type=int, help="only the first so many of each set: a sample, said so")
    parser.add_argument("--page", type=Path, default=Path("docs/defusion.md"))
    arguments = parser.parse_args()
    if arguments.data is None or not (Path(arguments.data) / "bench").is_dir():
        print("name the folder that holds bench/ with --data or AIRTOOL_DATA", file=sys.stderr)
        return 2
    text = arguments.page.read_text("utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        print(f"{arguments.page} has no place for figures: put {BEGIN} and {END} into it", file=sys.stderr)
        return 2
    sets = {}
    for folder in SETS:
        sources = discover([str(Path(arguments.data) / "bench" / folder)])[: arguments.pictures]
        sets[folder.partition("/")[0]] = [read(each.path).rgb for each in sources if each.path is not None]
    try:
        session = open_session("defusion", arguments.weights, degradation=("noise",), seed=SEED)
    except AirtoolError as error:
        print(error, file=sys.stderr)
        return 2
    before, rest = text.split(BEGIN)
    figures = page(session, sets, arguments.pictures)
    arguments.page.write_text(f"{before}{BEGIN}\n\n{figures}\n{END}{rest.split(END)[1]}", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
