"""Small copies of the few pictures that a report shows, collected while a run streams past."""

import bisect
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from airtool.images.encode import encode
from airtool.images.opencv import cv2
from airtool.images.picture import Metadata, Picture
from airtool.reports.ranking import WORST, Yardstick
from airtool.reports.record import PictureResult, Stage

Pixels = npt.NDArray[np.float32]

SIDE = 640
"""Longest side of a preview in pixels."""

QUALITIES = (90, 80, 65, 50, 35, 20, 10)
"""JPEG qualities to try, without chroma subsampling, until a preview is small enough."""

MAX_BYTES = 240_000
"""Size of a preview. Photographs stay below it at the first of `QUALITIES`, strong noise at the third or fourth."""

BEST = 3
"""How many of the best pictures are kept, for contrast."""


@dataclass(frozen=True)
class Exhibit:
    """One picture of a run with its previews."""

    result: PictureResult
    width: int
    """Of the previews, in pixels."""
    height: int
    views: Mapping[str, bytes]
    """JPEG files by what they show: ``input``, ``restored``, ``ground truth``."""


@dataclass
class Gallery:
    """The previews of the worst and the best pictures seen so far: at most `worst_count` + `best_count` of them.

    The order is that of `airtool.reports.ranking.worst`; which pictures are kept does not depend on the order in which
    they come.
    """

    stage: Stage
    by: Yardstick
    worst_count: int = WORST
    """At least 1."""
    best_count: int = BEST
    """At least 1."""
    _worst: list[Exhibit] = field(default_factory=list, init=False)
    _best: list[Exhibit] = field(default_factory=list, init=False)

    def offer(self, result: PictureResult, views: Mapping[str, Pixels]) -> None:
        """Keep a picture if it belongs to the worst or the best.

        views: by what they show, (H, W, 3) float32 R G B in [0, 1] (values outside are clipped), all of one size. A
        picture without that figure is no candidate.
        """
        rank = self._rank(result)
        if math.isnan(rank[0]):
            return
        among_worst = len(self._worst) < self.worst_count or rank < self._rank(self._worst[-1].result)
        among_best = len(self._best) < self.best_count or rank > self._rank(self._best[0].result)
        if among_worst or among_best:
            exhibit = _exhibit(result, views)
            if among_worst:
                bisect.insort(self._worst, exhibit, key=lambda kept: self._rank(kept.result))
                del self._worst[self.worst_count :]
            if among_best:
                bisect.insort(self._best, exhibit, key=lambda kept: self._rank(kept.result))
                del self._best[: -self.best_count]

    @property
    def worst(self) -> tuple[Exhibit, ...]:
        """The worst first."""
        return tuple(self._worst)

    @property
    def best(self) -> tuple[Exhibit, ...]:
        """The best first, without those that are among the worst of a small run."""
        shown = {exhibit.result.picture for exhibit in self._worst}
        return tuple(exhibit for exhibit in reversed(self._best) if exhibit.result.picture not in shown)

    def _rank(self, result: PictureResult) -> tuple[float, str]:
        return self.by.badness(result, self.stage)


def _exhibit(result: PictureResult, views: Mapping[str, Pixels]) -> Exhibit:
    scale = min(1.0, SIDE / max(result.width, result.height))
    width, height = max(1, round(result.width * scale)), max(1, round(result.height * scale))
    return Exhibit(result, width, height, {name: _preview(rgb, width, height) for name, rgb in views.items()})


def _preview(rgb: Pixels, width: int, height: int) -> bytes:
    if rgb.shape[:2] != (height, width):
        smaller = cv2.resize(np.clip(rgb, 0.0, 1.0), (width, height), interpolation=cv2.INTER_AREA)
        rgb = smaller.astype(np.float32, copy=False)
    picture = Picture(rgb, alpha=None, depth=8, grey=False, format="jpeg", metadata=Metadata())
    for quality in QUALITIES:
        data = encode(picture, quality=quality)
        if len(data) <= MAX_BYTES:
            break
    return data
