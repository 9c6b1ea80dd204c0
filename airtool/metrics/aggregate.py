"""Means over pictures, differences between two runs, and how far the choice of pictures lets one trust them.

The pictures of a set are taken as a sample of those that might have been in it. How much a mean would vary with
another such sample is estimated by the bootstrap: B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap,
Chapman & Hall, 1993; percentile intervals are section 13.3. Two methods are compared picture by picture, as both saw
the same ones: the difference varies far less from picture to picture than either method's own values.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95
"""How often the interval should hold the mean of the whole population."""

RESAMPLES = 10_000
"""How many samples are drawn, with replacement, from the values."""

FEWEST = 5
"""Fewer values than this get no interval.

A bootstrap of few values is too narrow. Over normally distributed values the interval called 95 % holds the true mean
in about 83 % of all samples of 5, 90 % of 10, 93 % of 20 and 94 % of 50.
"""

BLOCK = 1 << 20
"""Values drawn at a time: bounds the memory, to 16 MiB, for sets of any size."""


@dataclass(frozen=True)
class Interval:
    """Where the mean would lie for most other samples of pictures: `CONFIDENCE` of them."""

    low: float
    high: float


@dataclass(frozen=True)
class Aggregate:
    """One mean over pictures, and what it leaves out."""

    mean: float
    """Over the finite values; infinite when all that are defined are infinite, NaN of nothing."""
    interval: Interval | None
    """Of that mean; None for fewer than `FEWEST` finite values."""
    finite: int
    infinite: int
    undefined: int
    """How many values were NaN."""


@dataclass(frozen=True)
class Paired:
    """How much larger the first of two values is, picture by picture."""

    mean: float
    """Mean of first minus second; NaN when no picture has both as finite values."""
    interval: Interval | None
    """Of that mean; None for fewer than `FEWEST` pictures."""
    pictures: int
    """How many have both values, and both finite."""
    higher: int
    """Of those, how many where the first is larger."""
    lower: int
    """Of those, how many where the first is smaller."""


def aggregate(values: Iterable[float]) -> Aggregate:
    """Mean of per-picture values, leaving out what is infinite (equal pictures) or NaN (not defined)."""
    values = list(values)
    finite = [value for value in values if math.isfinite(value)]
    infinite = sum(math.isinf(value) for value in values)
    mean = _mean(finite) if finite or not infinite else math.inf
    return Aggregate(mean, bootstrap_interval(finite), len(finite), infinite, len(values) - len(finite) - infinite)


def paired(first: Mapping[str, float], second: Mapping[str, float]) -> Paired:
    """Compare two measurements of the same pictures, by the pictures' names.

    Pictures that only one of them has, and those where either value is infinite or NaN, are left out: nothing can be
    gained on an infinite PSNR.
    """
    differences = [
        first[name] - second[name]
        for name in first
        if name in second and math.isfinite(first[name]) and math.isfinite(second[name])
    ]
    return Paired(
        _mean(differences),
        bootstrap_interval(differences),
        len(differences),
        higher=sum(difference > 0 for difference in differences),
        lower=sum(difference < 0 for difference in differences),
    )


def bootstrap_interval(values: Iterable[float], seed: int = 0, resamples: int = RESAMPLES) -> Interval | None:
    """Percentile bootstrap interval of the mean of finite values; None for fewer than `FEWEST`.

    Depends on the values, the seed and the number of resamples, not on the order of the values.
    """
    pool = np.sort(np.fromiter(values, np.float64))
    if len(pool) < FEWEST:
        return None
    rng = np.random.default_rng(seed)
    means: npt.NDArray[np.float64] = np.empty(resamples)
    rows = max(1, BLOCK // len(pool))
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        drawn = rng.integers(len(pool), size=(count, len(pool)))
        means[start : start + count] = pool[drawn].mean(axis=1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(low), float(high))


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan
