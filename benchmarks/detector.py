"""Measure the detector and write its figures into docs/detect.md: python benchmarks/detector.py --data DIR

Needs the benchmark pictures (bench/ below DIR). Each picture gets the verdict that `airtool detect` gives. With
--beside NAME=FILE ..., other weights stand beside the embedded ones in the first table.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from airtool.degradations import DEGRADATIONS
from airtool.degradations.compose import Step, compose, picture_rng, sample_step, shown_steps
from airtool.engine.detect import CLEAN, THRESHOLD, UNSURE, Detector, detect_files, judge, open_detector
from airtool.errors import UsageError
from airtool.images.decode import read
from airtool.images.discover import Source, discover
from airtool.images.encode import encode
from airtool.images.picture import Metadata, Picture
from airtool.methods.autodir.vocabulary import NOTHING, UNDEGRADED, shares
from airtool.reports.record import versions

SEED = 0
"""Of everything that is synthesised."""

SYNTHETIC = ("CBSD68/gt", "Kodak24/gt")
"""Folders below bench/ whose pictures are degraded."""

REAL = (
    ("RealRain/lq_nogt", "rain"),
    ("Rain100L/lq", "rain"),
    ("RealHaze/lq_nogt", "haze"),
    ("SOTS-outdoor/lq", "haze"),
    ("Nam/lq", "noise"),
    ("SIDD-val/lq_nogt", "noise"),
    ("LOL-eval15/lq_nogt", "low light"),
    ("DICM/lq_nogt", "low light"),
    ("HIDE/lq_nogt", "blur"),
    ("RainDrop/lq", "raindrop"),
    ("RainDrop/lq_nogt", "raindrop"),
    ("Nam/gt", CLEAN),
    ("Rain100L/gt", CLEAN),
    ("SOTS-outdoor/gt", CLEAN),
    ("RainDrop/gt", CLEAN),
)
"""Folders below bench/ and what should be said of each picture there. Rain100L and SOTS are synthetic, by others."""

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
"""Lines of the page between which the figures stand."""

MEGAPIXEL = (1224, 816)
"""Width and height of the pictures for the speed."""

Verdicts = dict[str, Counter[str]]
"""How often what was said, by what should have been said or by what was done."""


@dataclass(frozen=True)
class Measured:
    """All figures of one weights file."""

    default: Verdicts
    """By degradation, at the default amounts."""
    ranges: Verdicts
    """The same with amounts drawn from the training ranges, without those too weak to be seen."""
    real: Verdicts
    """By folder."""


def wanted(name: str) -> str:
    """The right verdict for a degradation."""
    return CLEAN if name == UNDEGRADED else DEGRADATIONS[name].label


def synthetic(sources: Sequence[Source], ranges: bool = False) -> Iterator[tuple[str, np.ndarray]]:
    """Every picture after each degradation, and clean, as 8-bit files hold it, with what was done to it.

    ranges: amounts from the training ranges, without those too weak to be seen; else the default ones.
    """
    for source in sources:
        assert source.path is not None
        clean = read(source.path).rgb
        for name, degradation in DEGRADATIONS.items():
            rng = picture_rng(SEED, clean)
            step = sample_step(name, rng) if ranges else Step(name, degradation.default)
            if NOTHING not in shares(shown_steps([step])):
                yield name, (np.rint(compose(clean, [step], rng)[0] * 255) / 255).astype(np.float32)
        yield UNDEGRADED, clean


def look_at_synthetic(detectors: Sequence[Detector], sources: Sequence[Source], ranges: bool) -> list[Verdicts]:
    """What each of the detectors says; they look at the same pictures."""
    found: list[Verdicts] = [{name: Counter() for name in (*DEGRADATIONS, UNDEGRADED)} for _ in detectors]
    for name, rgb in synthetic(sources, ranges):
        for detector, verdicts in zip(detectors, found, strict=True):
            verdicts[name][judge(detector.probabilities(rgb)).verdict] += 1
    return found


def look_at_real(detector: Detector, bench: Path, limit: int | None) -> Verdicts:
    found: Verdicts = {}
    for folder, _ in REAL:
        if (bench / folder).is_dir():
            findings = list(detect_files(detector, pictures(bench / folder, limit)))
            for finding in findings:
                if finding.problem is not None:
                    print(finding.problem, file=sys.stderr)
            found[folder] = Counter(judge(each.probabilities).verdict for each in findings if not each.problem)
    return found


def pictures(folder: Path, limit: int | None) -> list[Source]:
    return discover([str(folder)])[:limit]


def measure(detectors: Sequence[Detector], bench: Path, limit: int | None) -> list[Measured]:
    sources = [source for folder in SYNTHETIC for source in pictures(bench / folder, limit)]
    default, drawn = (look_at_synthetic(detectors, sources, ranges) for ranges in (False, True))
    real = [look_at_real(detector, bench, limit) for detector in detectors]
    return [Measured(*each) for each in zip(default, drawn, real, strict=True)]


def accuracy(found: Verdicts) -> float:
    """Per cent of the synthetic pictures, clean ones included, whose verdict is right; unsure is wrong."""
    right = sum(verdicts[wanted(name)] for name, verdicts in found.items())
    return 100 * right / sum(verdicts.total() for verdicts in found.values())


def false_alarms(found: Verdicts) -> float:
    """Per cent of the clean pictures that are called degraded."""
    verdicts = found[UNDEGRADED]
    return 100 * (verdicts.total() - verdicts[CLEAN] - verdicts[UNSURE]) / verdicts.total()


def named_right(found: Verdicts, clean: bool) -> tuple[int, int]:
    """How many real pictures there were and how many were named right: the clean ones or the degraded ones."""
    rows = [(found[folder], truth) for folder, truth in REAL if folder in found and (truth == CLEAN) == clean]
    return sum(verdicts.total() for verdicts, _ in rows), sum(verdicts[truth] for verdicts, truth in rows)


def confusion(found: Verdicts) -> str:
    columns = [*dict.fromkeys(wanted(name) for name in found), UNSURE]
    lines = [f"| done | {' | '.join(columns)} | right |", "|---" * (len(columns) + 2) + "|"]
    for name, verdicts in found.items():
        cells = [str(verdicts[column] or "") for column in columns]
        lines.append(f"| {name} | {' | '.join(cells)} | {100 * verdicts[wanted(name)] / verdicts.total():.1f} % |")
    return "\n".join(lines)


def real_table(found: Verdicts) -> str:
    lines = ["| set | pictures | should be | right | else |", "|---|---|---|---|---|"]
    for folder, truth in REAL:
        if folder in found:
            verdicts = found[folder]
            others = ", ".join(f"{name} {count}" for name, count in verdicts.most_common() if name != truth)
            lines.append(f"| {folder} | {verdicts.total()} | {truth} | {verdicts[truth]} | {others} |")
    return "\n".join(lines)


def summary(columns: dict[str, Measured]) -> str:
    lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]

    def row(title: str, cells: Iterator[str]) -> None:
        lines.append(f"| {title} | {' | '.join(cells)} |")

    each = columns.values
    row("named right, default amounts", (f"{accuracy(one.default):.2f} %" for one in each()))
    row("named right, training ranges", (f"{accuracy(one.ranges):.2f} %" for one in each()))
    row("clean pictures called degraded", (f"{false_alarms(one.default):.2f} %" for one in each()))
    for clean, title in ((False, "real and others' degraded pictures"), (True, "their clean partners")):
        counts = [named_right(one.real, clean) for one in each()]
        row(f"named right, {title}", (f"{right} of {count}" for count, right in counts))
    return "\n".join(lines)


def pictures_a_second(detector: Detector, bench: Path, count: int) -> float:
    """Speed over JPEG files of one megapixel, reading included, start-up not."""
    with tempfile.TemporaryDirectory() as name:
        for index, source in enumerate(pictures(bench / SYNTHETIC[-1], count)):
            assert source.path is not None
            large = cv2.resize(read(source.path).rgb, MEGAPIXEL, interpolation=cv2.INTER_CUBIC)
            rgb = np.clip(large, 0, 1).astype(np.float32)
            data = encode(Picture(rgb, None, 8, False, "jpeg", Metadata()))
            (Path(name) / f"{index}.jpg").write_bytes(data)
        sources = discover([name])
        list(detect_files(detector, sources[:2]))
        start = time.perf_counter()
        done = len(list(detect_files(detector, sources)))
        return done / (time.perf_counter() - start)


def page(columns: dict[str, Measured], detector: Detector, rate: float, limit: int | None) -> str:
    facts, first = detector.describe(), next(iter(columns.values()))
    numbers = ", ".join(f"{what} {number}" for what, number in versions().items())
    sample = f" A sample: the first {limit} pictures of each set only." if limit else ""
    return f"""Written by `python benchmarks/detector.py` on {time.strftime("%Y-%m-%d")}: `{facts["weights"]}`, sha256
`{facts["sha256"]}`; {facts["device"]}, {facts["threads"]} threads; {numbers}; threshold {THRESHOLD},
seed {SEED}.{sample}

{summary(columns)}

{rate:.1f} pictures of one megapixel (JPEG) a second, reading included.

### CBSD68 and Kodak24, default amounts

{confusion(first.default)}

### CBSD68 and Kodak24, amounts of the training ranges

{confusion(first.ranges)}

### Pictures that were degraded by nature, or by others

{real_table(first.real)}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("AIRTOOL_DATA"))
    parser.add_argument("--weights", help="weights file; default: the embedded ones")
    parser.add_argument("--beside", nargs="+", default=[], metavar="NAME=FILE", help="other weights, to compare with")
    parser.add_argument("--limit", type=int, help="only the first so many pictures of each set: a sample, said so")
    parser.add_argument("--page", type=Path, default=Path("docs/detect.md"))
    arguments = parser.parse_args()
    if arguments.data is None or not (Path(arguments.data) / "bench").is_dir():
        print("name the folder that holds bench/ with --data or AIRTOOL_DATA", file=sys.stderr)
        return 2
    bench = Path(arguments.data) / "bench"
    text = arguments.page.read_text("utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        print(f"{arguments.page} has no place for figures: put {BEGIN} and {END} into it", file=sys.stderr)
        return 2
    try:
        detector = open_detector(arguments.weights)
        named = dict(each.split("=", 1) for each in arguments.beside)
        detectors = [detector, *map(open_detector, named.values())]
        columns = dict(zip(("embedded", *named), measure(detectors, bench, arguments.limit), strict=True))
        rate = pictures_a_second(detector, bench, arguments.limit or 24)
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    figures = page(columns, detector, rate, arguments.limit)
    before, rest = text.split(BEGIN)
    arguments.page.write_text(f"{before}{BEGIN}\n\n{figures}\n{END}{rest.split(END)[1]}", "utf-8")
    print(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
