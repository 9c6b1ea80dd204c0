"""Means that leave out what is no number, and intervals that an independent computation confirms."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from airtool.metrics.aggregate import FEWEST, Interval, aggregate, bootstrap_interval, paired


def test_what_is_no_number_is_left_out_and_counted() -> None:
    values = [30.0, math.inf, 34.0, math.nan, 35.0, 31.0, 33.0, math.nan, math.nan]
    found = aggregate(values)
    assert found.mean == pytest.approx(32.6)
    assert (found.finite, found.infinite, found.undefined) == (5, 1, 3)
    assert found.interval == aggregate([30.0, 34.0, 35.0, 31.0, 33.0]).interval


def test_nothing_finite() -> None:
    assert aggregate([math.inf, math.inf, math.nan]).mean == math.inf
    for values in ([], [math.nan]):
        assert math.isnan(aggregate(values).mean)
        assert aggregate(values).interval is None


def test_the_interval_is_that_of_all_possible_resamples() -> None:
    """Five values have 3125 resamples; their exact quantiles are what drawn ones must come close to."""
    values = [20.0, 23.5, 24.0, 30.0, 41.0]
    every = [sum(drawn) / 5 for drawn in itertools.product(values, repeat=5)]
    low, high = np.quantile(every, [0.025, 0.975])
    found = bootstrap_interval(values)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.25)
    assert found.low < 27.7 < found.high


def test_the_interval_is_that_of_scipy() -> None:
    values = np.random.default_rng(8).gamma(4.0, 2.0, 60) + 20
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    ours = bootstrap_interval(values)
    assert ours is not None
    width = theirs.high - theirs.low
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.05 * width)


def test_the_interval_holds_the_true_mean_as_often_as_documented() -> None:
    rng = np.random.default_rng(2)
    for size, expected in ((5, 0.83), (20, 0.93)):
        held = 0
        for _ in range(400):
            found = bootstrap_interval(rng.normal(size=size), resamples=600)
            assert found is not None
            held += found.low <= 0.0 <= found.high
        assert held / 400 == pytest.approx(expected, abs=0.04)


def test_the_interval_depends_on_values_and_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    values = list(np.random.default_rng(3).normal(30, 3, 40))
    once = bootstrap_interval(values)
    assert bootstrap_interval(reversed(values)) == once
    assert bootstrap_interval(values, seed=1) != once
    monkeypatch.setattr("airtool.metrics.aggregate.BLOCK", 1000)  # 25 resamples at a time
    assert bootstrap_interval(values) == once


def test_too_few_values_have_no_interval() -> None:
    assert bootstrap_interval([1.0] * (FEWEST - 1)) is None
    assert bootstrap_interval([1.0] * FEWEST) == Interval(1.0, 1.0)


def test_pairs_are_compared_picture_by_picture() -> None:
    rng = np.random.default_rng(4)
    hard = {f"{number}": float(value) for number, value in enumerate(rng.normal(30, 5, 30))}
    better = {name: value + float(rng.normal(0.3, 0.2)) for name, value in hard.items()}
    found = paired(better, hard)
    assert found.mean == pytest.approx(np.mean(list(better.values())) - np.mean(list(hard.values())))
    assert found.interval is not None
    assert 0.0 < found.interval.low < found.mean < found.interval.high < 0.5
    # What varies from picture to picture cancels: apart, the two means cannot be told from one another.
    apart = aggregate(better.values()).interval, aggregate(hard.values()).interval
    assert apart[0] is not None
    assert apart[1] is not None
    assert apart[0].low < apart[1].high
    assert (found.pictures, found.higher + found.lower) == (30, 30)
    assert (paired(hard, better).higher, paired(hard, better).lower) == (found.lower, found.higher)


def test_pairs_without_two_finite_values_are_left_out() -> None:
    first = {"a": 31.0, "b": math.inf, "c": math.nan, "d": 30.0, "only here": 90.0, "same": 25.0}
    second = {"a": 30.0, "b": math.inf, "c": 20.0, "d": math.inf, "only there": 1.0, "same": 25.0}
    found = paired(first, second)
    assert (found.mean, found.pictures, found.higher, found.lower, found.interval) == (0.5, 2, 1, 0, None)
    assert math.isnan(paired({}, second).mean)
