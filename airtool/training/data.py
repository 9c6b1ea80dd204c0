"""Training samples: a crop of a clean picture, degraded on the fly, or a crop of a real pair.

Sample number i of a run depends on the run's seed and on i alone, so a run that is resumed, or spread over other
numbers of processes and workers, sees the same samples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from airtool.benches.pairs import pair_paths
from airtool.degradations import DEGRADATIONS
from airtool.degradations.compose import Step, compose, sample_step, shown_steps
from airtool.degradations.jpeg import jpeg
from airtool.degradations.srgb import to_linear, to_srgb
from airtool.errors import UsageError
from airtool.images.decode import read
from airtool.images.discover import Source, discover
from airtool.images.limits import MAX_PIXELS
from airtool.images.opencv import cv2
from airtool.training.recipe import CLEAN, Recipe

Pixels = npt.NDArray[np.float32]
Stored = npt.NDArray[np.uint8]
MARGIN = 16
"""Pixels around a crop that are degraded with it and cut off, so that blur at the rim comes from real surroundings."""

SHRINK_SHARE, LARGEST_SHRINK = 0.4, 2.0
"""Share of the crops that are taken from a shrunken picture, and by how much at most: widens the range of detail and
removes the compression artefacts of the clean photographs."""

WIDE = {"haze", "rain", "snow", "raindrop"}
"""Degradations that change over a whole scene (`Recipe.scene`)."""

UNALIGNED = 1 / 3
"""Share of the JPEG samples whose blocks begin anywhere: pictures are cut after they have been saved, too."""

SAVED_QUALITY = (65.0, 95.0)
"""JPEG quality of samples that are saved at last (`Recipe.saved`)."""

JPEG_UNIT = 16
"""Side in pixels of what JPEG repeats itself by when it halves the colours."""

LAYER_GAIN = (0.6, 1.3)
"""Range of the strength at which a real layer is added to another picture."""

DARKEST, PALEST = 2.0, 0.25
"""A toned picture keeps at least 2^-DARKEST of its linear light, or all but PALEST of its contrast."""

SOFTEST = (0.7, 12.0)
"""Range of the standard deviation in pixels by which a soft picture is blurred."""

UNTONED = {"haze", "low-light"}
"""Degradations whose ground truth is never toned: to tell them from a scene's own tone is what training is for."""

UNSOFTENED = UNTONED | {"motion-blur", "defocus"}
"""The same for softness."""


def load_folder(folder: Path, max_pixels: int = MAX_PIXELS) -> list[Stored]:
    """All pictures of a folder as 8-bit RGB (H, W, 3).

    Raises UsageError when it is missing or empty, PictureError for a picture that cannot be read, or has more pixels
    than `max_pixels`.
    """
    return [_stored(source, max_pixels) for source in discover([str(folder)])]


def _stored(source: Source, max_pixels: int) -> Stored:
    assert source.path is not None  # only "-" has none
    return np.rint(read(source.path, max_pixels).rgb * 255.0).astype(np.uint8)


@dataclass(frozen=True)
class PairedPictures:
    """Real pairs, or the layers of light that real pairs show."""

    degraded: list[Stored]
    ground_truth: list[Stored]
    use: str
    label: str


def load_pairs(
    degraded: Path, ground_truth: Path, use: str, label: str = "", max_pixels: int = MAX_PIXELS
) -> PairedPictures:
    """Read and pair two folders. Raises UsageError when pictures do not pair up or differ in size; as `load_folder`."""
    pairing = pair_paths(str(degraded), str(ground_truth))
    first: list[Stored] = []
    second: list[Stored] = []
    for pair in pairing.pairs:
        first.append(_stored(pair.degraded, max_pixels))
        second.append(_stored(pair.ground_truth, max_pixels))
        if first[-1].shape != second[-1].shape:
            raise UsageError(f"{pair.degraded.path} and its ground truth differ in size: a pair must match")
    return PairedPictures(first, second, use, label)


class SampleMaker:
    """Makes sample number i: a degraded crop and its clean partner."""

    def __init__(self, recipe: Recipe, clean: Sequence[Stored], pairs: Mapping[str, PairedPictures]) -> None:
        """Raises UsageError for a kind in the mix that is neither a degradation, "clean" nor among the pairs."""
        if not clean and any(kind not in pairs or pairs[kind].use == "layers" for kind in recipe.mix):
            raise UsageError(f"recipe {recipe.name} names no clean pictures")
        self.recipe = recipe
        self.pairs = pairs
        self.kinds = list(recipe.mix)
        for kind in self.kinds:
            check_kind(kind, pairs)
        shares = np.array([recipe.mix[kind] for kind in self.kinds], dtype=np.float64)
        self.limits = np.cumsum(shares / shares.sum())
        count = len(self.kinds) if recipe.tied else 1
        if recipe.tied and len(clean) < count:
            raise UsageError(f"recipe {recipe.name} is tied: {count} kinds of samples need as many clean pictures")
        self.scenes = [clean[first::count] for first in range(count)]

    def __call__(self, index: int) -> tuple[Pixels, Pixels, str]:
        """Degraded and clean crop number `index`, each (3, patch, patch) float32 in [0, 1], and what was done.

        The last is "clean", degradations with their amounts such as "rain:0.42,noise:11.3", or the label of the pair.
        """
        rng = np.random.default_rng(np.random.SeedSequence([self.recipe.seed, index]))
        number = min(int(np.searchsorted(self.limits, rng.random(), side="right")), len(self.kinds) - 1)
        kind, scenes = self.kinds[number], self.scenes[number % len(self.scenes)]
        paired = self.pairs.get(kind)
        label = paired.label if paired else kind
        parts = () if paired else tuple(kind.split("+"))
        saved = kind != CLEAN and bool(rng.random() < self.recipe.saved)
        unaligned = (saved or "jpeg" in parts) and bool(rng.random() < UNALIGNED)
        side = self.recipe.patch + 2 * MARGIN + (JPEG_UNIT - 1 if unaligned else 0)
        if paired is None:
            clean = self._clean_crop(scenes, rng, side, parts)
            degraded, label = degrade(clean, kind, rng)
        elif paired.use == "layers":
            clean = self._clean_crop(scenes, rng, side)
            degraded = self._add_layer(clean, paired, rng)
        else:
            degraded, clean = self._pair_crop(paired, rng, side)
        degraded = np.clip(degraded, 0.0, 1.0)
        if saved:
            degraded, _ = jpeg(degraded, rng.uniform(*SAVED_QUALITY), rng)
        # The files that the network will meet hold 8 bits.
        degraded = np.rint(degraded * 255.0).astype(np.float32) / 255.0
        unit = 1 if unaligned else JPEG_UNIT
        patch = self.recipe.patch
        room = (length - patch - 2 * MARGIN for length in clean.shape[:2])
        top, left = (MARGIN + unit * int(rng.integers(length // unit + 1)) for length in room)
        inner = np.s_[top : top + patch, left : left + patch]
        return *turn(degraded[inner], clean[inner], rng), label

    def _clean_crop(
        self, scenes: Sequence[Stored], rng: np.random.Generator, side: int, parts: Sequence[str] = ()
    ) -> Pixels:
        """A square of at least `side` that a crop, with its margin, can be cut from.

        parts: the degradations that it is for.
        """
        picture = scenes[int(rng.integers(len(scenes)))]
        shrink = rng.uniform(1.0, LARGEST_SHRINK) if rng.random() < SHRINK_SHARE else 1.0
        if WIDE.intersection(parts):
            side = max(side, min(int(min(picture.shape[:2]) / shrink), round(self.recipe.scene * self.recipe.patch)))
        crop = random_crop(picture, round(side * shrink), rng)
        if crop.shape[0] != side:
            crop = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
        clean = crop.astype(np.float32) / 255.0
        if not UNTONED.intersection(parts) and self.recipe.tone and rng.random() < self.recipe.tone:
            clean = tone(clean, rng)
        if not UNSOFTENED.intersection(parts) and self.recipe.soft and rng.random() < self.recipe.soft:
            clean = soften(clean, rng)
        return clean

    def _add_layer(self, clean: Pixels, paired: PairedPictures, rng: np.random.Generator) -> Pixels:
        which = int(rng.integers(len(paired.degraded)))
        first, second = paired.degraded[which], paired.ground_truth[which]
        difference = first.astype(np.float32) - second.astype(np.float32)
        layer = random_crop(difference, clean.shape[0], rng) * np.float32(rng.uniform(*LAYER_GAIN) / 255.0)
        return clean + (layer[:, ::-1] if rng.random() < 0.5 else layer)

    def _pair_crop(self, paired: PairedPictures, rng: np.random.Generator, side: int) -> tuple[Pixels, Pixels]:
        which = int(rng.integers(len(paired.degraded)))
        both = np.concatenate([paired.degraded[which], paired.ground_truth[which]], axis=2)
        crop = random_crop(both, side, rng).astype(np.float32) / 255.0
        return crop[..., :3], crop[..., 3:]


def check_kind(kind: str, pairs: Mapping[str, PairedPictures]) -> None:
    """Raise UsageError unless `kind` is "clean", a name in `pairs`, or degradations joined by "+"."""
    for name in kind.split("+"):
        if kind not in pairs and kind != CLEAN and name not in DEGRADATIONS:
            raise UsageError(
                f"unknown kind of sample {kind!r}: use {CLEAN}, a [pairs] name, or {', '.join(DEGRADATIONS)}"
            )


def degrade(clean: Pixels, kind: str, rng: np.random.Generator) -> tuple[Pixels, str]:
    """Degrade (H, W, 3) by degradations joined by "+", amounts drawn from their training ranges, and say how."""
    if kind == CLEAN:
        return clean, CLEAN
    steps: list[Step] = [sample_step(name, rng) for name in kind.split("+")]
    return compose(clean, steps, rng)[0], shown_steps(steps)


def tone(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """Darken in linear light, or mix with a pale grey, by a drawn amount; what a dim or misty scene looks like."""
    if rng.random() < 0.5:
        return to_srgb(to_linear(picture) * np.float32(2.0 ** -rng.uniform(0.0, DARKEST)))
    veil = np.float32(rng.uniform(0.0, PALEST))
    return picture * (1 - veil) + veil * np.float32(rng.uniform(0.6, 0.95))


def soften(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """Blur by a Gaussian whose width is drawn evenly on a logarithmic scale."""
    sigma = float(np.exp(rng.uniform(*np.log(SOFTEST))))
    blurred = cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return blurred.astype(np.float32, copy=False)


def random_crop(picture: npt.NDArray, side: int, rng: np.random.Generator) -> npt.NDArray:
    """A random square; pictures smaller than it are extended by reflection."""
    missing = [max(0, side - length) for length in picture.shape[:2]]
    if any(missing):
        picture = np.pad(picture, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")
    top, left = (int(rng.integers(length - side + 1)) for length in picture.shape[:2])
    return picture[top : top + side, left : left + side]


def turn(first: Pixels, second: Pixels, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """Flip sideways at random and bring to (3, H, W).

    Neither upside down nor transposed: rain falls and skies are above, also in the pictures that users have.
    """
    flip = slice(None, None, -1) if rng.random() < 0.5 else slice(None)
    return tuple(np.ascontiguousarray(each[:, flip].transpose(2, 0, 1)) for each in (first, second))  # type: ignore[return-value]
