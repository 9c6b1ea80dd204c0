"""Lists of degradations: reading them, their order, and the chance of every picture."""

import json

import numpy as np
import pytest

from airtool.degradations import DEGRADATIONS
from airtool.degradations.compose import Step, compose, parse_steps, picture_rng, sample_step
from airtool.errors import UsageError


def test_steps_are_read_in_order_with_defaults():
    assert parse_steps(" rain:0.6 ,noise:25,jpeg") == (
        Step("rain", 0.6),
        Step("noise", 25.0),
        Step("jpeg", DEGRADATIONS["jpeg"].default),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "unknown degradation ''"),
        ("rain,", "unknown degradation ''"),
        ("fog", "unknown degradation 'fog'; known are noise"),
        ("noise:loud", "must be a number"),
        ("noise:", "must be a number"),
        ("noise:101", "goes from 0 to 100"),
        ("noise:-1", "out of range"),
        ("noise:nan", "out of range"),
        ("jpeg:inf", "out of range"),
        ("rain:0.5:2", "must be a number"),
    ],
)
def test_what_cannot_be_read_is_named(text, words):
    with pytest.raises(UsageError, match=words) as caught:
        parse_steps(text)
    assert "\n" not in str(caught.value)


def test_compose_is_the_steps_one_after_the_other(photo):
    steps = parse_steps("haze:1,noise:10")
    result, records = compose(photo, steps, np.random.default_rng(3))
    rng = np.random.default_rng(3)
    hazy, drawn = DEGRADATIONS["haze"].apply(photo, 1.0, rng)
    expected, _ = DEGRADATIONS["noise"].apply(hazy, 10.0, rng)
    np.testing.assert_array_equal(result, expected)
    assert records == [{"name": "haze", "amount": 1.0, **drawn}, {"name": "noise", "amount": 10.0}]
    json.dumps(records, allow_nan=False)


def test_order_matters(photo):
    # Noise before the blur is smoothed away, noise after it stays.
    before, _ = compose(photo, parse_steps("noise:30,defocus:4"), np.random.default_rng(0))
    after, _ = compose(photo, parse_steps("defocus:4,noise:30"), np.random.default_rng(0))
    assert np.diff(after, axis=1).std() > 3 * np.diff(before, axis=1).std()


def test_compose_checks_every_step_first_and_copies(photo):
    with pytest.raises(UsageError, match="out of range"):
        compose(photo, [Step("noise", 5.0), Step("rain", 3.0)], np.random.default_rng(0))
    result, records = compose(photo, [], np.random.default_rng(0))
    np.testing.assert_array_equal(result, photo)
    assert not np.shares_memory(result, photo)
    assert records == []


@pytest.mark.parametrize("name", list(DEGRADATIONS))
def test_samples_stay_in_the_training_range(name):
    rng = np.random.default_rng(0)
    low, high = DEGRADATIONS[name].training
    amounts = np.array([sample_step(name, rng).amount for _ in range(400)])
    assert low <= amounts.min() < low + 0.05 * (high - low)
    assert high >= amounts.max() > high - 0.05 * (high - low)


def test_the_chance_of_a_picture_is_its_own(photo):
    pictures = [photo, photo[:, ::-1], photo[:50]]
    forwards = [picture_rng(7, picture).random(4).tolist() for picture in pictures]
    backwards = [picture_rng(7, picture).random(4).tolist() for picture in reversed(pictures)]
    assert forwards == backwards[::-1]
    assert len({tuple(draws) for draws in forwards}) == 3


def test_the_chance_depends_on_seed_values_and_shape(photo):
    def draw(seed, image):
        return picture_rng(seed, image).random()

    changed = photo.copy()
    changed[100, 100, 1] += 1 / 255
    draws = {
        draw(0, photo),
        draw(1, photo),
        draw(0, changed),
        draw(0, photo.reshape(256, 192, 3)),
    }
    assert len(draws) == 4
    assert draw(0, np.asfortranarray(photo)) == draw(0, photo)
