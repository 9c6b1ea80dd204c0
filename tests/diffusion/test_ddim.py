"""The sampler and its schedule against numbers that can be worked out otherwise."""

import math

import pytest
import torch
from torch import Tensor

from airtool.diffusion.ddim import (
    Prediction,
    clean_from_noise,
    clean_from_velocity,
    noise_from_clean,
    sample,
    strided,
    trailing,
)
from airtool.diffusion.schedule import CosineSchedule, LinearSchedule, ScaledLinearSchedule, Schedule

SCHEDULE = LinearSchedule()
TIMES = (999, 666, 333, 0)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_the_schedule_has_the_published_values() -> None:
    known = {0: 0.9999, 333: 0.31862, 666: 0.010984, 999: 4.036e-5, -1: 1.0}
    for t, value in known.items():
        assert SCHEDULE.signal(t) == pytest.approx(value, rel=1e-4)
    assert SCHEDULE.betas[[0, -1]].tolist() == pytest.approx([1e-4, 0.02])


def test_strides_are_those_of_the_authors() -> None:
    assert strided(3, 1000) == TIMES
    assert strided(10, 1000) == (900, 800, 700, 600, 500, 400, 300, 200, 100, 0)
    assert len(strided(1000, 1000)) == 1000


def test_trailing_steps_start_at_the_last_one() -> None:
    assert trailing(4, 1000) == (999, 749, 499, 249)
    assert trailing(3, 1000) == (999, 666, 332)
    assert trailing(7, 7) == (6, 5, 4, 3, 2, 1, 0)
    for count in (0, 8):
        with pytest.raises(ValueError, match="cannot be taken"):
            trailing(count, 7)


@pytest.mark.parametrize(
    ("schedule", "first", "last", "halfway"),
    [
        (ScaledLinearSchedule(), 0.00085, 0.012, 0.27767),
        (
            CosineSchedule(),
            4.13e-5,
            0.999,
            (math.cos(0.508 / 1.008 * math.pi / 2) / math.cos(0.004 / 1.008 * math.pi)) ** 2,
        ),
        (LinearSchedule(100, 0.1, 0.3), 0.1, 0.3, None),
    ],
)
def test_other_schedules(schedule: Schedule, first: float, last: float, halfway: float | None) -> None:
    assert schedule.betas[[0, -1]].tolist() == pytest.approx([first, last], rel=1e-3)
    assert len(schedule.alpha_bar) == schedule.steps
    assert (schedule.alpha_bar.diff() < 0).all()
    if halfway is not None:
        assert schedule.signal(499) == pytest.approx(halfway, rel=1e-4)


def test_a_linear_network_has_a_closed_form() -> None:
    """eps = c x makes each evaluation a multiplication."""
    start, c = random(2, 3, 4, 4), 0.9
    factor = 1.0
    evaluations = list(sample(lambda x, _t: c * x, start, SCHEDULE, TIMES))
    for evaluation, following in zip(evaluations, (666, 333, 0, -1), strict=True):
        signal, after = SCHEDULE.signal(evaluation.t), SCHEDULE.signal(following)
        clean = factor * (1 - c * (1 - signal) ** 0.5) / signal**0.5
        torch.testing.assert_close(evaluation.x0, clean * start, rtol=1e-5, atol=1e-5)
        factor = after**0.5 * clean + (1 - after) ** 0.5 * c * factor
        torch.testing.assert_close(evaluation.x, factor * start, rtol=1e-5, atol=1e-5)
    assert [each.t for each in evaluations] == list(TIMES)
    assert torch.equal(evaluations[-1].x, evaluations[-1].x0)


def test_who_knows_the_picture_walks_straight_to_it() -> None:
    clean, noise = random(1, 3, 8, 8, seed=1), random(1, 3, 8, 8, seed=2)
    start = SCHEDULE.diffuse(clean, noise, torch.tensor([999]))
    for evaluation in sample(lambda _x, _t: clean, start, SCHEDULE, TIMES, "x0"):
        following = {999: 666, 666: 333, 333: 0}.get(evaluation.t)
        wanted = clean if following is None else SCHEDULE.diffuse(clean, noise, torch.tensor([following]))
        torch.testing.assert_close(evaluation.x, wanted, rtol=1e-4, atol=1e-4)


def test_predicting_the_picture_or_the_noise_is_the_same_sampler() -> None:
    start = random(1, 3, 8, 8, seed=3)

    def picture(x: Tensor, t: int) -> Tensor:
        return torch.tanh(x + t / 1000)

    def noise(x: Tensor, t: int) -> Tensor:
        # In float64: one step of this conversion multiplies rounding by 157.
        return noise_from_clean(x, picture(x, t), SCHEDULE.signal(t))

    def velocity(x: Tensor, t: int) -> Tensor:
        signal = SCHEDULE.signal(t)
        return signal**0.5 * noise(x, t) - (1 - signal) ** 0.5 * picture(x, t)

    *_, by_picture = sample(picture, start.double(), SCHEDULE, TIMES, "x0")
    *_, by_noise = sample(noise, start.double(), SCHEDULE, TIMES, "eps")
    *_, by_velocity = sample(velocity, start.double(), SCHEDULE, TIMES, "v")
    torch.testing.assert_close(by_picture.x, by_noise.x, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(by_picture.x, by_velocity.x, rtol=1e-9, atol=1e-9)
    clean, mixed = start**2, 0.5**0.5 * (start**2 + start)
    torch.testing.assert_close(clean_from_velocity(mixed, 0.5**0.5 * (start - clean), 0.5), clean)
    signal = SCHEDULE.signal(500)
    torch.testing.assert_close(clean_from_noise(start, noise_from_clean(start, start**2, signal), signal), start**2)


@pytest.mark.parametrize("prediction", ["eps", "x0", "v"])
def test_a_limit_holds_at_every_evaluation_and_the_noise_follows_it(prediction: Prediction) -> None:
    start = random(1, 3, 8, 8, seed=4)
    evaluations = list(
        sample(lambda x, t: 2 * x.sin(), start, SCHEDULE, TIMES, prediction, lambda clean: clean.clamp(-0.25, 0.5))
    )
    x = start
    for evaluation, following in zip(evaluations, (666, 333, 0, -1), strict=True):
        assert -0.25 <= evaluation.x0.min() < evaluation.x0.max() <= 0.5
        noise = noise_from_clean(x, evaluation.x0, SCHEDULE.signal(evaluation.t))
        signal = SCHEDULE.signal(following)
        x = evaluation.x
        torch.testing.assert_close(x, signal**0.5 * evaluation.x0 + (1 - signal) ** 0.5 * noise)
    free = list(sample(lambda x, t: 2 * x.sin(), start, SCHEDULE, TIMES, prediction))
    wide = list(sample(lambda x, t: 2 * x.sin(), start, SCHEDULE, TIMES, prediction, lambda clean: clean))
    torch.testing.assert_close(wide[-1].x, free[-1].x, rtol=1e-3, atol=1e-3)
