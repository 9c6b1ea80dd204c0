"""What every degradation promises: shape, dtype, range, determinism, an untouched input, a JSON record."""

import hashlib
import json

import cv2
import numpy as np
import pytest

from airtool.degradations import DEGRADATIONS

NAMES = list(DEGRADATIONS)
SIZES = [(1, 1), (1, 7), (5, 3), (64, 48)]


def picture(size, seed=1):
    return np.random.default_rng(seed).random((*size, 3), dtype=np.float32)


def digest(name, image, seed, amount=None):
    found = DEGRADATIONS[name]
    result, record = found.apply(image, found.default if amount is None else amount, np.random.default_rng(seed))
    return hashlib.sha256(result.tobytes()).hexdigest(), record


@pytest.mark.parametrize("name", NAMES)
def test_facts_are_consistent(name):
    found = DEGRADATIONS[name]
    assert found.name == name
    assert found.low <= found.training[0] < found.training[1] <= found.high
    assert found.low <= found.default <= found.high


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_shape_type_range_and_untouched_input(name, size):
    found = DEGRADATIONS[name]
    for amount in (found.low, *found.training, found.default, found.high):
        for image in (picture(size), np.zeros((*size, 3), np.float32), np.ones((*size, 3), np.float32)):
            image.setflags(write=False)
            before = image.tobytes()
            result, record = found.apply(image, amount, np.random.default_rng(5))
            assert result.shape == image.shape
            assert result.dtype == np.float32
            assert np.isfinite(result).all()
            assert result.min() >= 0
            assert result.max() <= 1
            assert image.tobytes() == before
            assert not np.shares_memory(result, image)
            assert json.loads(json.dumps(record, allow_nan=False)) == record


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_bytes(name, photo):
    first = digest(name, photo, 3)
    assert digest(name, photo, 3) == first
    other = digest(name, photo, 4)
    if name in ("jpeg", "downsample"):  # nothing to draw
        assert other == first
    else:
        assert other[0] != first[0]


@pytest.mark.parametrize("name", NAMES)
def test_the_number_of_threads_changes_nothing(name, photo):
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        alone = digest(name, photo, 3)
        cv2.setNumThreads(2)
        assert digest(name, photo, 3) == alone
    finally:
        cv2.setNumThreads(threads)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "jpeg"])
def test_the_smallest_amount_changes_nothing(name, photo):
    found = DEGRADATIONS[name]
    result, _ = found.apply(photo, found.low, np.random.default_rng(0))
    np.testing.assert_array_equal(result, photo)


@pytest.mark.parametrize("name", NAMES)
def test_more_is_worse(name, photo):
    found = DEGRADATIONS[name]

    def mean_error(amount):
        runs = [found.apply(photo, amount, np.random.default_rng(seed))[0] for seed in range(6)]
        return float(np.mean([np.mean((run - photo) ** 2) for run in runs]))

    mild, strong = mean_error(found.training[0]), mean_error(found.training[1])
    if name == "jpeg":  # a quality: less is worse
        mild, strong = strong, mild
    assert strong > 2 * mild > 0
