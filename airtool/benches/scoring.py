"""Further metrics over one run: picture by picture or several at once, and all pictures together."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from airtool.benches.scorers import Scorer
from airtool.errors import reason
from airtool.metrics.aggregate import Aggregate
from airtool.metrics.frechet import Features, InceptionFeatures, frechet_distance
from airtool.metrics.perceptual import PerceptualMetric
from airtool.metrics.protocols import Pixels
from airtool.reports.record import PictureResult, Stage

Value = TypeVar("Value")


@dataclass
class Measured:
    """One picture whose further metrics may still be missing."""

    result: PictureResult
    name: str
    """Its file, as messages name it."""
    views: Mapping[Stage, Pixels]
    """Its pixels by stage, all of one size."""
    truth: Pixels | None
    """Its ground truth; None where there is none."""
    problems: list[str] = field(default_factory=list)
    """What went wrong, in one line each."""


class Scoring:
    """Computes every further metric for every stage of the pictures that stream past, for one run.

    batch: how many pictures of one size a metric may be given at once. More than one is quicker on a GPU, and lets a
    value depend on its neighbours by rounding errors. So many pictures are held in memory, at most.
    """

    def __init__(self, scorers: Sequence[Scorer], batch: int = 1) -> None:
        self._scorers = scorers
        self._batch = batch
        self._waiting: list[Measured] = []
        self._done: list[Measured] = []
        """With their values, and not given back yet."""
        self._features: dict[tuple[str, Stage | None], list[Features]] = {}
        """Of pictures for metrics of whole sets, by metric and stage, None for ground truths: 8 KiB a picture."""

    def add(self, measured: Measured) -> Iterator[Measured]:
        """Take a picture, and give back those, itself perhaps among them, whose values are there; in order."""
        if self._waiting and _size(self._waiting[0]) != _size(measured):
            self._score()
        self._waiting.append(measured)
        if len(self._waiting) >= self._batch:
            self._score()
        return self._given_back()

    def rest(self) -> Iterator[Measured]:
        """Those that still wait, with their values."""
        self._score()
        return self._given_back()

    def abandoned(self) -> Iterator[Measured]:
        """Those that an interrupted run has not got back, with NaN for the values that would have to be computed."""
        names = [scorer.metric.name for scorer in self._scorers if not scorer.metric.of_set]
        for each in self._waiting:
            each.result = replace(each.result, metrics={stage: dict.fromkeys(names, math.nan) for stage in each.views})
        self._done, self._waiting = self._done + self._waiting, []
        return self._given_back()

    def _given_back(self) -> Iterator[Measured]:
        while self._done:
            yield self._done.pop(0)

    def _score(self) -> None:
        """Compute the values of those that wait; an interruption leaves them waiting."""
        done, self._waiting = self._waiting, []
        if not done:
            return
        try:
            self._compute(done)
        except KeyboardInterrupt:
            self._waiting = done
            raise
        self._done += done

    def _compute(self, done: Sequence[Measured]) -> None:
        features: dict[tuple[str, Stage | None], list[Features]] = {}
        values: list[dict[Stage, dict[str, float]]] = [{stage: {} for stage in each.views} for each in done]
        for scorer in self._scorers:
            for stage in done[0].views:
                if scorer.metric.of_set:
                    features[scorer.metric.name, stage] = _features(scorer, stage, done)
                    continue
                for found, score in zip(values, _scores(scorer, stage, done), strict=True):
                    found[stage][scorer.metric.name] = math.nan if score is None else score
            if scorer.metric.of_set:
                features[scorer.metric.name, None] = _features(scorer, None, done)
        for each, found in zip(done, values, strict=True):
            each.result = replace(each.result, metrics=found)
        for key, rows in features.items():  # last, as an interruption is not to leave those of some stages alone
            self._features.setdefault(key, []).extend(rows)

    def of_sets(self) -> dict[str, dict[Stage, Aggregate]]:
        """The values that all pictures together have, by metric and stage; NaN for fewer than two pictures."""
        found: dict[str, dict[Stage, Aggregate]] = {}
        for (metric, stage), rows in self._features.items():
            truths = self._features.get((metric, None))
            if stage is not None and rows and truths:
                value = frechet_distance(np.stack(rows), np.stack(truths))
                found.setdefault(metric, {})[stage] = Aggregate(value, None, len(rows), infinite=0, undefined=0)
        return found


def _features(scorer: Scorer, stage: Stage | None, done: Sequence[Measured]) -> list[Features]:
    """What a metric of whole sets needs of some pictures of one size; nothing of those that have none."""
    compute = scorer.compute
    if not isinstance(compute, InceptionFeatures):
        return []
    rows = _each(done, stage, lambda some: list(compute.of(_pixels(some, stage))))
    return [row for row in rows if row is not None]


def _scores(scorer: Scorer, stage: Stage, done: Sequence[Measured]) -> list[float | None]:
    """A metric's values of some pictures of one size; None for those that have none."""
    compute = scorer.compute
    if not isinstance(compute, PerceptualMetric):
        return [None] * len(done)
    return _each(
        done, stage, lambda some: compute.scores(_pixels(some, stage), _pixels(some, None) if _truths(some) else None)
    )


def _each(
    done: Sequence[Measured], stage: Stage | None, compute: Callable[[Sequence[Measured]], list[Value]]
) -> list[Value | None]:
    """What is computed of several pictures at once; of each by itself where that fails, None for those that fail."""
    if len(done) > 1:
        try:
            return list(compute(done))
        except Exception:
            pass  # one of them is at fault, or the metric takes one at a time
    found: list[Value | None] = []
    for each in done:
        name = each.name if stage == "given" else f"{each.name}, {stage or 'ground truth'}"
        try:
            found += compute([each])
        except Exception as error:
            each.problems.append(reason(error, name))
            found.append(None)
    return found


def _pixels(some: Sequence[Measured], stage: Stage | None) -> list[Pixels]:
    """Of every picture one stage, or the ground truth for None."""
    found = [each.truth if stage is None else each.views[stage] for each in some]
    return [pixels for pixels in found if pixels is not None]


def _truths(some: Sequence[Measured]) -> bool:
    return all(each.truth is not None for each in some)


def _size(measured: Measured) -> tuple[int, int]:
    return measured.result.width, measured.result.height
