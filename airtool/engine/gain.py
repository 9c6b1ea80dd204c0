"""Whether a step of the loop did any good, judged without ground truth: the stated measure of `airtool iterate`."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from airtool.engine.tiles import Pixels
from airtool.images.opencv import cv2
from airtool.methods.autodir.vocabulary import NOTHING
from airtool.metrics.protocols import RGB

TWICE = 2.0
"""Odds count as lower when they are at most one part in so many of what they were, and as higher from so many times on.

One number for all comparisons of the loop, and a large one: what the detector says varies a little from one version of
a picture to the next without anything being better or worse.
"""

SEEN, CERTAIN = 0.05, 1 - 1e-6
"""Probabilities below the first and above the second are taken for these: differences beyond mean nothing."""

SAME_DB = 60.0
"""A result this near to what it was made from (PSNR over RGB, in dB) differs by less than 8 bits can hold."""

LIKENESS = 0.5
"""Least correlation of the coarse brightness before and after: restoring does not rearrange what is in a picture."""

COARSE = 8
"""Side in pixels of the blocks whose mean is the coarse brightness."""

FLAT = 4 / 255
"""Standard deviation of the coarse brightness from which on there is something whose likeness can be judged."""

DIMMING, COVERING = ("haze", "low light"), ("rain", "raindrop", "snow")
"""Classes that change the brightness of whole regions, and those that do so a little."""

STEADY = 0.05
"""Most that the coarse brightness (0 to 1) may change, root mean square, where nothing of these is the matter."""

PLAUSIBLE = 0.15
"""Probability of "clean" from which on a picture may be clean: what brings that down by much may be doing damage."""

STATEMENT = (
    "score: how far the log-odds of 'clean' have risen since the input, and how far those of every degradation aimed "
    "at lie below their highest when it was aimed at, never less than 0, all added up (natural logarithms, of the "
    "detector's probabilities limited to 0.05..0.999999). A step counts when its score is at least log 2 above that "
    "of the best before it, the odds of 'clean' are not below half of their highest so far if that was a probability "
    "of at least 0.15, the picture has changed (PSNR below 60 dB), and its coarse brightness (means of 8x8 pixels) "
    "still correlates by at least 0.5 with that before and, where haze and low light together are less probable than "
    "0.05 and no rain, raindrops or snow are aimed at, differs from it by at most 0.05 (root mean square)"
)
"""The measure in words, for reports."""


def log_odds(probability: float) -> float:
    """Natural logarithm of p / (1 - p), p limited to `SEEN`..`CERTAIN`."""
    p = min(max(probability, SEEN), CERTAIN)
    return math.log(p / (1 - p))


class Ledger:
    """What the detector has said on the way of one picture, and how good that is.

    probabilities: of every class, for the input, whose score is 0.
    """

    def __init__(self, probabilities: Mapping[str, float]) -> None:
        self.best = 0.0
        """The highest score so far of what counted."""
        self._now = dict(probabilities)
        self._start = self._cleanest = log_odds(probabilities[NOTHING])
        self._aimed: dict[str, float] = {}

    def aim(self, classes: tuple[str, ...]) -> None:
        """Say what the next step is to remove. The score of what there is does not change by it."""
        for name in classes:
            now = log_odds(self._now[name])
            self._aimed[name] = max(now, self._aimed.get(name, now))

    def score(self, probabilities: Mapping[str, float]) -> float:
        """The score of a picture of which the detector says this, see `STATEMENT`."""
        # A class that has risen is no loss: what is left shares the probability of what has gone.
        fallen = sum(max(0.0, before - log_odds(probabilities[name])) for name, before in self._aimed.items())
        return log_odds(probabilities[NOTHING]) - self._start + fallen

    def objection(self, probabilities: Mapping[str, float]) -> str | None:
        """Why a result of which the detector says this is not better than the best so far; None: it is."""
        clean = log_odds(probabilities[NOTHING])
        if self._cleanest >= log_odds(PLAUSIBLE) and clean < self._cleanest - math.log(TWICE):
            return "the odds of clean fell below half of what they were"
        if self.score(probabilities) < self.best + math.log(TWICE):
            return "what was to be removed is as much there as before, or something removed earlier is back"
        return None

    def accept(self, probabilities: Mapping[str, float]) -> None:
        """Take a result for the new best."""
        self.best = self.score(probabilities)
        self._now = dict(probabilities)
        self._cleanest = max(self._cleanest, log_odds(probabilities[NOTHING]))


def change(before: Pixels, after: Pixels) -> float:
    """PSNR in dB between two pictures (H, W, 3) in [0, 1], rounded to 8 bits; infinite where nothing differs."""
    return RGB.psnr(after, before)


def objection_to_pixels(before: Pixels, after: Pixels, changed: float, steady: bool) -> str | None:
    """Why a result (H, W, 3) cannot be better than what it was made from, whatever the detector says; None: it can.

    changed: what `change` says of the two. steady: what `must_be_steady` says of the step.
    """
    if changed >= SAME_DB:
        return "nothing was removed"
    if likeness(before, after) < LIKENESS:
        return "the result does not show what the picture shows"
    if steady and float(np.sqrt(np.square(_coarse(after) - _coarse(before)).mean())) > STEADY:
        return "the brightness changed although neither haze nor low light was seen"
    return None


def must_be_steady(probabilities: Mapping[str, float], aims: Sequence[str]) -> bool:
    """Whether a step with these aims, for a picture of which the detector says this, must keep the coarse brightness.

    Noise, blur, blocks and low resolution have none to give back. Blind methods in particular take away haze that is
    not there any more.
    """
    if sum(probabilities.get(name, 0.0) for name in DIMMING) >= SEEN:
        return False
    return not any(name in (*DIMMING, *COVERING) for name in aims)


def likeness(before: Pixels, after: Pixels) -> float:
    """Correlation of the coarse brightness of two pictures (H, W, 3); 1 where `before` has none to speak of."""
    first, second = (_coarse(rgb) for rgb in (before, after))
    if first.std() < FLAT:
        return 1.0
    spread = float(first.std() * second.std())
    return float(((first - first.mean()) * (second - second.mean())).mean()) / spread if spread else 0.0


def _coarse(rgb: Pixels) -> Pixels:
    height, width = (max(1, side // COARSE) for side in rgb.shape[:2])
    blocks = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
    return blocks.reshape(height, width, 3).astype(np.float64).mean(axis=2)
