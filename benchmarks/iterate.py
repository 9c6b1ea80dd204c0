"""Measure the loop and write its figures into docs/iterate.md: python benchmarks/iterate.py --data DIR [--method NAME]

Needs Kodak24 (bench/Kodak24/gt below DIR). Every order of two and of three degradations at once is put on photographs,
by the engine of `airtool degrade` at its default amounts; each result is measured as it is, after one pass of the
method that is told nothing, and after the loop. Figures are kept in docs/iterate-measured.json, by method, and the page
is written from them.
"""

import argparse
import json
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np

from airtool.degradations.compose import compose, parse_steps, picture_rng
from airtool.engine.detect import Detector, open_detector
from airtool.engine.iterate import REASONS, Rules, iterate
from airtool.engine.session import Session, open_with
from airtool.engine.settings import Settings
from airtool.engine.trace import run_facts
from airtool.errors import AirtoolError
from airtool.images.decode import read
from airtool.images.discover import Source, discover
from airtool.images.picture import Picture
from airtool.metrics.protocols import RGB
from airtool.reports.record import versions
from airtool.reports.writers import plain

SEED = 0
"""Of everything that is synthesised and of every step."""

SET = "Kodak24/gt"
"""Folder below bench/."""

MIXED = ("rain", "noise", "haze", "low-light", "jpeg")
"""What is mixed: every order of every two and every three of these, 20 and 60 mixtures."""

UNTOUCHED_DB = 40.0
"""A clean picture whose result is nearer to it than this counts as left alone."""

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
"""Lines of the page between which the figures stand."""


@dataclass(frozen=True)
class Looped:
    """One picture that went through the loop."""

    before: float
    """PSNR in dB of the input, RGB."""
    blind: float | None
    """The same after one pass that was told nothing; None where that was not asked for."""
    after: float
    """The same of what the loop kept."""
    steps: int
    """How many were kept."""
    reason: str
    first: str
    """What was removed first, or why nothing was."""
    seconds: float
    """All of the loop."""


@dataclass(frozen=True)
class Bench:
    """What is measured with."""

    session: Session
    detector: Detector
    rules: Rules

    def loop(self, degraded: Picture, clean: Picture, blind: bool) -> Looped:
        start = time.perf_counter()
        found = iterate(degraded, self.detector, self.session, self.rules)
        seconds = time.perf_counter() - start
        first = found.steps[0].decision if found.steps else found.seen
        return Looped(
            before=RGB.psnr(degraded.rgb, clean.rgb),
            blind=RGB.psnr(self.session.restore_picture(degraded).rgb, clean.rgb) if blind else None,
            after=RGB.psnr(found.picture.rgb, clean.rgb),
            steps=found.kept,
            reason=found.reason,
            first=first.choice or found.reason,
            seconds=seconds,
        )


def mixtures() -> list[tuple[str, ...]]:
    """Names in the order in which they are applied: two at once, then three."""
    return [order for count in (2, 3) for order in permutations(MIXED, count)]


def stored(rgb: np.ndarray) -> np.ndarray:
    """As an 8-bit file holds it."""
    return (np.rint(rgb * 255) / 255).astype(np.float32)


def chosen(sources: Sequence[Source], pictures: int, number: int) -> Iterator[Source]:
    """The photographs of one mixture: each goes on where the one before stopped, so that all are used alike."""
    for index in range(min(pictures, len(sources))):
        yield sources[(number * pictures + index) % len(sources)]


def measure(bench: Bench, sources: Sequence[Source], pictures: int, every: int) -> dict[str, Any]:
    """The mixtures, or each `every`-th of them, and as many of the clean photographs."""
    found: dict[str, list[Looped]] = {}
    for number, names in enumerate(mixtures()[::every]):
        here = found[",".join(names)] = []
        for source in chosen(sources, pictures, number):
            clean = opened(source)
            degraded, _ = compose(clean.rgb, parse_steps(",".join(names)), picture_rng(SEED, clean.rgb))
            here.append(bench.loop(clean.with_rgb(stored(degraded)), clean, blind=True))
        print(f"{','.join(names)} | {row_of(summary(here))}", file=sys.stderr, flush=True)
    left = [bench.loop(clean, clean, blind=True) for clean in map(opened, sources[::every])]
    return {
        "facts": run_facts(bench.session, bench.detector, bench.rules, measured=True),
        "date": time.strftime("%Y-%m-%d"),
        "versions": versions(),
        "seed": SEED,
        "pictures_per_mixture": pictures,
        "every": every,
        "mixtures": {name: summary(rows) for name, rows in found.items()},
        "two": summary([row for name, rows in found.items() if name.count(",") == 1 for row in rows]),
        "three": summary([row for name, rows in found.items() if name.count(",") == 2 for row in rows]),
        "clean": summary(left),
    }


def opened(source: Source) -> Picture:
    assert source.path is not None
    return read(source.path)


def summary(rows: Sequence[Looped]) -> dict[str, Any]:
    """Means over pictures; of PSNR over the finite values, None where there is none."""
    blind = [row.blind for row in rows if row.blind is not None]
    return {
        "pictures": len(rows),
        "input": mean([row.before for row in rows]),
        "blind": mean(blind),
        "loop": mean([row.after for row in rows]),
        "better_than_input": sum(row.after > row.before for row in rows),
        "better_than_blind": sum(row.blind is not None and row.after > row.blind for row in rows),
        "worse_than_input": sum(row.after < row.before for row in rows),
        "identical": sum(math.isinf(row.after) for row in rows),
        "untouched": sum(row.after >= UNTOUCHED_DB for row in rows),
        "worst": min(row.after for row in rows),
        "steps": float(np.mean([row.steps for row in rows])),
        "seconds": float(np.mean([row.seconds for row in rows])),
        "reasons": dict(Counter(row.reason for row in rows)),
        "first": dict(Counter(row.first for row in rows).most_common()),
    }


def mean(values: Sequence[float]) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    return float(np.mean(finite)) if finite else None


def row_of(figures: Mapping[str, Any]) -> str:
    """Input, one pass, loop, the gains of the loop, steps."""
    cells = [decibels(figures[key]) for key in ("input", "blind", "loop")]
    for key in ("input", "blind"):
        both = figures["loop"] is not None and figures[key] is not None
        cells.append(f"{figures['loop'] - figures[key]:+.2f}" if both else "")
    return " | ".join([*cells, f"{figures['steps']:.1f}"])


def decibels(value: float | str | None) -> str:
    return "identical" if value is None or isinstance(value, str) else f"{value:.2f}"


def section(method: str, figures: Mapping[str, Any]) -> str:
    """What there is to say about one method."""
    facts, clean = figures["facts"], figures["clean"]
    restoration, detector = facts["restoration"], facts["detector"]
    numbers = ", ".join(f"{what} {number}" for what, number in figures["versions"].items())
    head = "| at once | pictures | input | one pass | loop | loop - input | loop - one pass | steps |"
    lines = [head, "|---" * 8 + "|"]
    lines += [f"| {key} | {figures[key]['pictures']} | {row_of(figures[key])} |" for key in ("two", "three")]
    ends = ["| at once | better than the input | worse | better than one pass | " + " | ".join(REASONS) + " |"]
    ends.append("|---" * (4 + len(REASONS)) + "|")
    for key in ("two", "three", "clean"):
        each = figures[key]
        counts = [each["better_than_input"], each["worse_than_input"], each["better_than_blind"]]
        counts += [each["reasons"].get(reason, 0) for reason in REASONS]
        ends.append(f"| {key} | {' | '.join(map(str, counts))} |")
    mixed = ["| mixture | input | one pass | loop | loop - input | loop - one pass | steps | removed first |"]
    mixed.append("|---" * 8 + "|")
    for name, each in figures["mixtures"].items():
        first = ", ".join(f"{what} {times}" for what, times in each["first"].items())
        mixed.append(f"| {name} | {row_of(each)} | {first} |")
    untouched = (
        f"{clean['untouched']} of {clean['pictures']} clean photographs come back at {UNTOUCHED_DB:g} dB or more"
    )
    all_identical = clean["identical"] == clean["pictures"]
    worst = "" if all_identical else f"; the worst has {decibels(clean['worst'])} dB"
    every = figures.get("every", 1)
    sample = f" A sample: each {every}th mixture and photograph only." if every > 1 else ""
    return f"""### `{method}`

{figures["date"]}: `{restoration["weights"]}`, sha256 `{restoration["sha256"]}`; detector `{detector["weights"]}`,
sha256 `{detector["sha256"]}`; {restoration["device"]}, {restoration["precision"]}, {restoration["threads"]} threads;
{numbers}; at most {facts["rules"]["max_steps"]} steps, threshold {facts["rules"]["threshold"]}, seed {figures["seed"]};
{figures["pictures_per_mixture"]} of the photographs a mixture, in turn. Mean PSNR in dB, protocol `rgb`.{sample}

{chr(10).join(lines)}

{untouched}, {clean["identical"]} of them unchanged{worst}. Mean time of the loop:
{figures["two"]["seconds"]:.1f} s a picture with two, {figures["three"]["seconds"]:.1f} s with three degradations.

How often, and by what the loop ended:

{chr(10).join(ends)}

{chr(10).join(mixed)}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("AIRTOOL_DATA"))
    parser.add_argument("--method", default="autodir")
    parser.add_argument("--weights", help="the method's weights file; default: the embedded ones")
    parser.add_argument("--detector-weights", help="default: the embedded ones")
    parser.add_argument("--pictures", type=int, default=3, help="photographs for each mixture (default: 3)")
    parser.add_argument("--every", type=int, default=1, help="N takes each Nth mixture only: a sample, said so")
    parser.add_argument("--max-steps", type=int, default=5)
    parser.add_argument("--write-only", action="store_true", help="measure nothing, write the page from kept figures")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    arguments = parser.parse_args()
    folder = Path(arguments.data or "", "bench", SET)
    if not arguments.write_only and (arguments.data is None or not folder.is_dir()):
        print(f"name the folder that holds bench/{SET} with --data or AIRTOOL_DATA", file=sys.stderr)
        return 2
    page, kept = arguments.out / "iterate.md", arguments.out / "iterate-measured.json"
    text = page.read_text("utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        print(f"{page} has no place for figures: put {BEGIN} and {END} into it", file=sys.stderr)
        return 2
    known = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
    if not arguments.write_only:
        try:
            detector = open_detector(arguments.detector_weights)
            session = open_with(Settings(seed=SEED), arguments.method, arguments.weights, detector=detector)
            bench = Bench(session, detector, Rules(arguments.max_steps))
            figures = measure(bench, discover([str(folder)]), max(1, arguments.pictures), max(1, arguments.every))
        except AirtoolError as error:
            print(error, file=sys.stderr)
            return 2
        known[arguments.method] = plain(figures)
        kept.write_text(json.dumps(known, indent=1) + "\n", "utf-8")
    figures_text = "\n".join(section(method, each) for method, each in known.items()) or "Not measured yet.\n"
    before, rest = text.split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n\n{figures_text}\n{END}{rest.split(END)[1]}", "utf-8")
    print(figures_text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
