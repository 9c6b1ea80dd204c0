"""Visual instructions: a clean canvas beside the same canvas with the damage that is to be removed."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import cv2
import numpy as np

from airtool.degradations.compose import Step, compose, picture_rng
from airtool.errors import UsageError
from airtool.images.names import shown
from airtool.images.reader import Reader
from airtool.methods.defusion.grounds import Kind, ground
from airtool.methods.defusion.grounds.canvas import half, quartered
from airtool.metrics.protocols import Pixels

SMALLEST_PAIR = 32
"""Pixels of the shorter side that a user's own pair needs."""

LEAST_DIFFERENCE = 0.5 / 255
"""Half a step of 8 bits. A pair that nowhere differs by as much shows nothing."""

CLOSEST_WINDOWS = 16
"""Pixels. Windows of a pair are no closer to each other than this, and than half their side."""

OVERLAP_PENALTY = 10.0
"""What a window that was chosen already costs; contents in [0, 1] are never as far apart."""


@dataclass(frozen=True, eq=False)
class Instruction:
    """What a damage looks like, for one canvas."""

    clean: Pixels
    """(side, side, 3), sRGB-encoded RGB in [0, 1]."""
    degraded: Pixels
    """The same canvas with the damage; equal to `clean` in an instruction to do nothing."""


def instruction(steps: Sequence[Step], seed: int, side: int, kind: Kind = "te42") -> Instruction:
    """The ground of a seed, and that ground after the steps, by the same physics as pictures for training.

    steps: in the order in which they are applied; none gives `null_instruction`. Everything that they draw comes from
    the seed and the ground. Raises UsageError for a step that is unknown or out of range, and as `ground` does.
    """
    clean = ground(seed, side, kind)
    degraded, _ = compose(clean, tuple(steps), picture_rng(seed, clean))
    return Instruction(clean, degraded)


def null_instruction(seed: int, side: int, kind: Kind = "te42") -> Instruction:
    """The instruction to do nothing: the ground of a seed twice. Raises UsageError as `ground` does."""
    clean = ground(seed, side, kind)
    return Instruction(clean, clean)


def read_pair(clean: Path, degraded: Path, reader: Reader | None = None) -> tuple[Pixels, Pixels]:
    """A user's own before/after pair as `from_pair` takes it, each float32 (H, W, 3) in [0, 1].

    reader: what opens them, within its limits. Raises UsageError when one of the files is missing, and naming both for
    whatever `from_pair` refuses; PictureError when one cannot be read.
    """
    for path in (clean, degraded):
        if not path.is_file():
            raise UsageError(f"{shown(path)} is not a file: name the clean and the degraded picture of one scene")
    reader = reader or Reader()
    pair = reader.read(clean).rgb, reader.read(degraded).rgb
    _check(*pair, (shown(clean), shown(degraded)))
    return pair


def from_pair(clean: Pixels, degraded: Pixels, side: int) -> Instruction:
    """The instruction that a user's own pair gives: float32 (H, W, 3) in [0, 1] of one scene, pixel on pixel.

    A damage is as large as its pixels, so nothing is scaled: a canvas shows four windows of the pair (`_four_windows`),
    a quarter each. A pair of exactly side x side pixels is the canvas as it is. One that is smaller than a window is
    continued by mirroring. Raises UsageError for pictures of different sizes, for pictures less than `SMALLEST_PAIR`
    pixels wide or high, and for an empty pair, which shows no difference.
    """
    _check(clean, degraded, ("the clean picture", "the degraded one"))
    if clean.shape[:2] == (side, side):
        return Instruction(clean.copy(), degraded.copy())
    size = half(side)
    clean, degraded = _at_least(clean, size), _at_least(degraded, size)
    places = _four_windows(clean, degraded, size)
    return Instruction(
        *(
            quartered([picture[top : top + size, left : left + size] for top, left in places], side)
            for picture in (clean, degraded)
        )
    )


def _check(clean: Pixels, degraded: Pixels, names: tuple[str, str]) -> None:
    (height, width), (other_height, other_width) = clean.shape[:2], degraded.shape[:2]
    if (height, width) != (other_height, other_width):
        raise UsageError(
            f"an instruction needs two pictures of one size: {names[0]} has {width}x{height} pixels, {names[1]} "
            f"{other_width}x{other_height}"
        )
    if min(height, width) < SMALLEST_PAIR:
        raise UsageError(
            f"{names[0]} and {names[1]} have only {width}x{height} pixels: an instruction needs at least "
            f"{SMALLEST_PAIR}x{SMALLEST_PAIR}"
        )
    if cv2.norm(clean, degraded, cv2.NORM_INF) < LEAST_DIFFERENCE:
        raise UsageError(
            f"an empty pair: {names[0]} and {names[1]} do not differ, so they show nothing that could be removed"
        )


def _at_least(picture: Pixels, size: int) -> Pixels:
    """The picture, mirrored beyond its right and lower edge where it has fewer than `size` pixels."""
    missing = [max(0, size - extent) for extent in picture.shape[:2]]
    return np.pad(picture, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="reflect") if any(missing) else picture


def _four_windows(clean: Pixels, degraded: Pixels, size: int) -> list[tuple[int, int]]:
    """Top left corners of four windows of `size` pixels in which the pair's difference is typical.

    Windows cover the pair and are put in order of their mean difference. That order is cut into four parts that hold
    a quarter of all difference each, and each part gives one window: an even damage is so shown where it is weak,
    middling and strong, a damage of few places where it is, and nowhere does a window stand for what it does not show.
    Within its part a window is chosen to overlap as little as possible with the others and then to have other content
    (mean and deviation of the colours): the same damage looks different on a sky and on leaves.
    """
    height, width = clean.shape[:2]
    places = list(product(_starts(height, size), _starts(width, size)))
    differences = np.empty(len(places))
    contents = np.empty((len(places), 6))
    for index, (top, left) in enumerate(places):
        window = clean[top : top + size, left : left + size]
        differences[index] = cv2.norm(window, degraded[top : top + size, left : left + size], cv2.NORM_L1)
        contents[index] = np.concatenate(cv2.meanStdDev(window)).ravel()

    order = np.argsort(differences, kind="stable")
    upto = np.cumsum(differences[order]) / differences.sum()
    before = np.concatenate([[0.0], upto[:-1]])
    chosen: list[int] = []
    for part in range(4):
        members = order[(upto > part / 4) & (before < (part + 1) / 4)]
        if not chosen:
            chosen.append(int(members[len(members) // 2]))
            continue
        corners, taken = np.array(places)[members], np.array(places)[chosen]
        common = np.clip(size - np.abs(corners[:, None] - taken[None]), 0, None).prod(axis=2) / size**2
        apart = np.linalg.norm(contents[members][:, None] - contents[chosen][None], axis=2)
        merit = apart.min(axis=1) - OVERLAP_PENALTY * common.max(axis=1)
        chosen.append(int(members[np.argmax(merit)]))
    return [places[index] for index in chosen]


def _starts(extent: int, size: int) -> list[int]:
    """Where windows of `size` pixels begin that cover `extent` pixels, evenly and with overlap."""
    stride = max(size // 2, min(size, CLOSEST_WINDOWS))
    count = -(-(extent - size) // stride) + 1
    return np.linspace(0, extent - size, count).round().astype(int).tolist()
