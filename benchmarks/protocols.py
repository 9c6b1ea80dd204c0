"""Measure by how much each convention moves a figure, and write it into docs/protocols.md.

Needs the benchmark pictures (bench/ below AIRTOOL_DATA); takes about three minutes on one CPU core. Every convention is
changed alone, from the same start: all three channels, float values clipped to [0, 1], the whole picture, 11x11
Gaussian SSIM window, mean of the pictures' values. It is measured on the inputs of Rain100L and of CBSD68 with noise of
sigma 25, and on what `ndr` makes of the first pictures of both.
"""

import argparse
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from airtool.benches.noise import NOISE_PROTOCOLS
from airtool.benches.pairs import Pair, pair_paths
from airtool.degradations.compose import compose, parse_steps, picture_rng
from airtool.engine.session import Session, open_session
from airtool.images.decode import read
from airtool.metrics.protocols import NDR, PROMPTIR, RGB, Pixels, Protocol, Y
from airtool.metrics.windows import GAUSSIAN_11, UNIFORM_7
from airtool.reports.record import versions

SIGMA = 25
SEEDS = (0, 1, 2, 3)
"""Of the noise; the first one everywhere."""

BORDER = 4
"""Pixels cut off all around, as in super-resolution."""

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"

Figure = Callable[[Pixels, Pixels], float]
Values = dict[str, list[tuple[float, float]]]
"""PSNR in dB and SSIM of every picture, by convention; NaN for what the convention leaves as it is."""

START = "start"


@dataclass(frozen=True)
class Way:
    """One convention that differs from the start."""

    title: str
    psnr: Figure | None
    """None: as the start has it."""
    ssim: Figure | None


def _of(title: str, protocol: Protocol) -> Way:
    return Way(title, protocol.psnr, protocol.ssim)


def _seen(title: str, change: Callable[[Pixels], Pixels]) -> Way:
    """Both pictures are changed before they are compared."""
    return Way(title, lambda a, b: NDR.psnr(change(a), change(b)), lambda a, b: NDR.ssim(change(a), change(b)))


def grey(picture: Pixels) -> Pixels:
    """Full-range luma of BT.601, in all three channels, so that joint figures are those of luma alone."""
    luma = picture @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.repeat(luma[..., None], 3, axis=2)


def by_channel(picture: Pixels, truth: Pixels) -> float:
    """Mean of the three channels' own PSNR."""
    return float(np.mean([NDR.psnr(*(p[..., [c] * 3] for p in (picture, truth))) for c in range(3)]))


def cut_off(picture: Pixels) -> Pixels:
    """8 bits without rounding, as a cast to bytes makes them."""
    return np.floor(np.clip(picture, 0, 1) * np.float32(255)) / np.float32(255)


def shaved(picture: Pixels) -> Pixels:
    return picture[BORDER:-BORDER, BORDER:-BORDER]


def zeros_around(picture: Pixels) -> Pixels:
    """With a black rim, over which windows at the border reach."""
    margin = GAUSSIAN_11.size // 2
    return np.pad(np.clip(picture, 0, 1), ((margin, margin), (margin, margin), (0, 0)))


def windowed(window: object) -> Figure:
    return replace(NDR, window=window).ssim


WAYS = (
    _of("Y instead of RGB: studio range, rounded (`y`)", Y),
    _of("Y: the same, not rounded", replace(Y, quantise=False)),
    _seen("Y: full range (0.299 R + 0.587 G + 0.114 B)", grey),
    Way("RGB: mean of the channels' PSNR instead of PSNR of their mean error", by_channel, None),
    _of("result rounded to 8 bits (`rgb`)", RGB),
    Way(
        "result cut off to 8 bits, not rounded",
        lambda a, b: NDR.psnr(cut_off(a), b),
        lambda a, b: NDR.ssim(cut_off(a), b),
    ),
    _of("centre crop to multiples of 16, measured only", replace(NDR, crop_multiple=16)),
    _seen(f"border of {BORDER} pixels left out", shaved),
    Way("SSIM: 7x7 uniform window, sample covariance", None, windowed(UNIFORM_7)),
    Way("SSIM: 7x7 uniform window, population covariance", None, windowed(replace(UNIFORM_7, sample_covariance=False))),
    Way("SSIM: 11x11 Gaussian window, sample covariance", None, windowed(replace(GAUSSIAN_11, sample_covariance=True))),
    Way(
        "SSIM: windows reach over the border, zeros there",
        None,
        lambda a, b: NDR.ssim(zeros_around(a), zeros_around(b)),
    ),
    _of("all of `promptir`: crop to 16, 7x7 window", PROMPTIR),
)
POOLED = "PSNR of the mean squared error of the set instead of the mean PSNR"
CROPPED_FIRST = "cropped to multiples of 16 before restoring instead of padded"
ROUNDED, CUT, UNCLIPPED = (
    "noisy input rounded to 8 bits",
    "noisy input cut off to 8 bits (`--noise-protocol promptir`)",
    "noisy input float and not clipped",
)


def measured(pictures: Iterable[tuple[Pixels, Pixels]], ways: Sequence[Way] = WAYS) -> Values:
    """Every picture against its ground truth, by the start and by every convention."""
    values: Values = {name: [] for name in (START, *(way.title for way in ways))}
    for picture, truth in pictures:
        values[START].append((NDR.psnr(picture, truth), NDR.ssim(picture, truth)))
        for way in ways:
            values[way.title].append(tuple(math.nan if f is None else f(picture, truth) for f in (way.psnr, way.ssim)))
    return values


def mean(values: Sequence[tuple[float, float]]) -> tuple[float, float]:
    psnr, ssim = np.mean(values, axis=0)
    return float(psnr), float(ssim)


def pooled(values: Sequence[tuple[float, float]]) -> float:
    """PSNR of the mean squared error over the pictures."""
    return -10 * math.log10(np.mean([10 ** (-psnr / 10) for psnr, _ in values]))


def unclipped_psnr(picture: Pixels, truth: Pixels) -> float:
    return -10 * math.log10(np.mean((picture.astype(np.float64) - truth) ** 2))


def noisy(truth: Pixels, seed: int) -> Pixels:
    return compose(truth, parse_steps(f"noise:{SIGMA}"), picture_rng(seed, truth))[0]


def noisy_unclipped(truth: Pixels, seed: int) -> Pixels:
    """The same noise as `noisy` adds, whatever range it leads to."""
    drawn = picture_rng(seed, truth).standard_normal(truth.shape, dtype=np.float32)
    return truth + drawn * np.float32(SIGMA / 255)


def stored(title: str, truth: Pixels) -> Pixels:
    """A noisy picture as one of the conventions hands it to the method."""
    if title == UNCLIPPED:
        return noisy_unclipped(truth, SEEDS[0])
    clipped = noisy(truth, SEEDS[0])
    if title == CUT:
        return NOISE_PROTOCOLS["promptir"].stored(clipped)
    return (np.rint(clipped * 255) / 255).astype(np.float32)


def crop16(picture: Pixels) -> Pixels:
    height, width = (side - side % 16 for side in picture.shape[:2])
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return np.ascontiguousarray(picture[top : top + height, left : left + width])


def _pixels(pair: Pair) -> tuple[Pixels, Pixels]:
    assert pair.degraded.path is not None
    assert pair.ground_truth.path is not None
    return read(pair.degraded.path).rgb, read(pair.ground_truth.path).rgb


@dataclass
class Column:
    """One subject of the table: its start, and what each convention adds to it."""

    title: str
    start: tuple[float, float]
    changes: dict[str, tuple[float, float]]
    """PSNR in dB and SSIM, convention minus start; NaN for what does not change, absent for what does not apply."""


def column(title: str, pictures: Iterable[tuple[Pixels, Pixels]]) -> Column:
    values = measured(pictures)
    start = mean(values[START])
    changes = {way.title: _minus(mean(values[way.title]), start) for way in WAYS}
    return Column(title, start, changes | {POOLED: (pooled(values[START]) - start[0], math.nan)})


def _minus(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    return first[0] - second[0], first[1] - second[1]


def rain_columns(pairs: Sequence[Pair], session: Session, count: int) -> Iterator[Column]:
    yield column(f"Rain100L, inputs ({len(pairs)})", map(_pixels, pairs))
    few = [_pixels(pair) for pair in pairs[:count]]
    restored = column(f"Rain100L, `ndr` ({len(few)})", [(session.restore_array(lq), gt) for lq, gt in few])
    whole = _cropped_whole(session, few)
    yield replace(restored, changes=restored.changes | {CROPPED_FIRST: whole})


def _cropped_whole(session: Session, few: Sequence[tuple[Pixels, Pixels]]) -> tuple[float, float]:
    """Restored after cropping minus restored whole, both measured on the crop."""
    by_crop = measured([(session.restore_array(crop16(lq)), crop16(gt)) for lq, gt in few], ())
    by_whole = measured([(crop16(session.restore_array(lq)), crop16(gt)) for lq, gt in few], ())
    return _minus(mean(by_crop[START]), mean(by_whole[START]))


def noise_columns(truths: Sequence[Pixels], session: Session, count: int) -> Iterator[tuple[Column, list[float]]]:
    """Both columns of CBSD68, each with the mean PSNR by every seed."""
    inputs = column(f"CBSD68 sigma {SIGMA}, inputs ({len(truths)})", ((noisy(gt, SEEDS[0]), gt) for gt in truths))
    for title in (ROUNDED, CUT):
        inputs.changes[title] = _minus(
            mean(measured(((stored(title, gt), gt) for gt in truths), ())[START]), inputs.start
        )
    free = np.mean([unclipped_psnr(stored(UNCLIPPED, gt), gt) for gt in truths])
    inputs.changes[UNCLIPPED] = (float(free) - inputs.start[0], math.nan)
    yield inputs, [float(np.mean([NDR.psnr(noisy(gt, seed), gt) for gt in truths])) for seed in SEEDS]

    few = truths[:count]

    def restored(lq: Callable[[Pixels], Pixels]) -> list[tuple[Pixels, Pixels]]:
        return [(session.restore_array(lq(gt)), gt) for gt in few]

    result = column(f"CBSD68 sigma {SIGMA}, `ndr` ({len(few)})", restored(lambda gt: noisy(gt, SEEDS[0])))
    for title in (ROUNDED, CUT, UNCLIPPED):
        by_title = measured(restored(lambda gt, title=title: stored(title, gt)), ())  # type: ignore[misc]
        result.changes[title] = _minus(mean(by_title[START]), result.start)
    result.changes[CROPPED_FIRST] = _cropped_whole(session, [(noisy(gt, SEEDS[0]), gt) for gt in few])
    others = [mean(measured(restored(lambda gt, seed=seed: noisy(gt, seed)), ())[START])[0] for seed in SEEDS[1:3]]  # type: ignore[misc]
    yield result, [result.start[0], *others]


def table(columns: Sequence[Column]) -> str:
    """One row a convention: dB and SSIM that it adds."""
    lines = [f"| | {' | '.join(each.title for each in columns)} |", "|---" * (len(columns) + 1) + "|"]
    lines.append(
        f"| **start** (dB / SSIM) | {' | '.join(f'{p:.2f} / {s:.4f}' for p, s in (c.start for c in columns))} |"
    )
    rows = (*(way.title for way in WAYS), CROPPED_FIRST, ROUNDED, CUT, UNCLIPPED, POOLED)
    lines += [f"| {title} | {' | '.join(cell(each.changes.get(title)) for each in columns)} |" for title in rows]
    return "\n".join(lines)


def cell(change: tuple[float, float] | None) -> str:
    """What a convention adds; `=` where it leaves a figure alone, empty where it does not apply."""
    if change is None:
        return ""
    return " / ".join(
        "=" if math.isnan(value) else f"{value:+.{digits}f}" for value, digits in zip(change, (3, 4), strict=True)
    )


def page(columns: Sequence[Column], seeds: Sequence[tuple[str, list[float]]], session: Session) -> str:
    facts = session.describe()
    numbers = ", ".join(f"{what} {number}" for what, number in versions().items())
    spread = "\n".join(
        f"- {title}: {', '.join(f'{value:.3f}' for value in values)} dB with the seeds "
        f"{', '.join(map(str, SEEDS[: len(values)]))}"
        for title, values in seeds
    )
    return f"""Written by `python benchmarks/protocols.py` on {time.strftime("%Y-%m-%d")}: `{facts["weights"]}`, sha256
`{facts["sha256"]}`; {facts["device"]}, {facts["precision"]}; noise seed {SEEDS[0]};
{numbers}. Each row is one convention changed alone: PSNR in
dB / SSIM that it adds. `=`: leaves it as it is; empty: does not apply. In brackets: how many pictures.

{table(columns)}

Another draw of the noise, all else equal (mean PSNR of the set):

{spread}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("AIRTOOL_DATA"))
    parser.add_argument("--restored", type=int, default=10, help="pictures of each set that are restored (default: 10)")
    parser.add_argument("--limit", type=int, help="only the first so many inputs of each set")
    parser.add_argument("--page", type=Path, default=Path("docs/protocols.md"))
    arguments = parser.parse_args()
    if arguments.data is None or not (Path(arguments.data) / "bench").is_dir():
        print("name the folder that holds bench/ with --data or AIRTOOL_DATA", file=sys.stderr)
        return 2
    bench = Path(arguments.data) / "bench"
    text = arguments.page.read_text("utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        print(f"{arguments.page} has no place for figures: put {BEGIN} and {END} into it", file=sys.stderr)
        return 2
    session = open_session("ndr")
    pairs = pair_paths(str(bench / "Rain100L/lq"), str(bench / "Rain100L/gt")).pairs[: arguments.limit]
    clean = pair_paths(str(bench / "CBSD68/gt"), str(bench / "CBSD68/gt")).pairs[: arguments.limit]
    columns = list(rain_columns(pairs, session, arguments.restored))
    seeds = []
    for each, by_seed in noise_columns([_pixels(pair)[1] for pair in clean], session, arguments.restored):
        columns.append(each)
        seeds.append((each.title, by_seed))
    figures = page(columns, seeds, session)
    before, rest = text.split(BEGIN)
    arguments.page.write_text(f"{before}{BEGIN}\n\n{figures}\n{END}{rest.split(END)[1]}", "utf-8")
    print(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
