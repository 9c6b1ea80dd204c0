"""The deterministic sampler DDIM, eta = 0 (Song et al., ICLR 2021, arXiv 2010.02502, Eq. 12)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from airtool.diffusion.schedule import Schedule

Prediction = Literal["eps", "x0", "v"]
"""What a network predicts: the noise in x_t, the clean picture, or the velocity sqrt(alpha_bar) * noise -
sqrt(1 - alpha_bar) * clean (Salimans and Ho, ICLR 2022, arXiv 2202.00512)."""

Network = Callable[[Tensor, int], Tensor]
"""(x_t, t) -> the prediction, of the shape of x_t."""

Limit = Callable[[Tensor], Tensor]
"""A predicted clean picture -> the nearest one that can be."""


@dataclass(frozen=True)
class Evaluation:
    """What one evaluation of the network led to."""

    t: int
    """Time step at which the network was evaluated."""
    x0: Tensor
    """The clean picture as predicted there."""
    x: Tensor
    """The picture at the next time step; after the last evaluation the result, equal to `x0`."""


def strided(sampling_timesteps: int, steps: int) -> tuple[int, ...]:
    """Time steps from the last to 0 with the stride steps // sampling_timesteps, counted from 0.

    One evaluation more than asked for where the division leaves a rest: 3 of 1000 gives 999, 666, 333, 0.
    """
    return tuple(range(0, steps, steps // sampling_timesteps))[::-1]


def trailing(count: int, steps: int) -> tuple[int, ...]:
    """`count` evenly spaced time steps from the very last down (Lin et al., WACV 2024, arXiv 2305.08891, Table 2).

    4 of 1000 gives 999, 749, 499, 249. Raises ValueError unless 1 <= count <= steps.
    """
    if not 1 <= count <= steps:
        raise ValueError(f"{count} time steps cannot be taken of {steps}")
    return tuple(round(steps * (count - index) / count) - 1 for index in range(count))


def clean_from_noise(x: Tensor, noise: Tensor, signal: float | Tensor) -> Tensor:
    """The clean picture that x_t and the noise in it imply; `signal` is alpha_bar."""
    return (x - (1.0 - signal) ** 0.5 * noise) / signal**0.5


def noise_from_clean(x: Tensor, clean: Tensor, signal: float | Tensor) -> Tensor:
    """The noise that x_t and the clean picture in it imply; `signal` is alpha_bar, below 1."""
    return (x - signal**0.5 * clean) / (1.0 - signal) ** 0.5


def clean_from_velocity(x: Tensor, velocity: Tensor, signal: float | Tensor) -> Tensor:
    """The clean picture that x_t and the velocity imply; `signal` is alpha_bar."""
    return signal**0.5 * x - (1.0 - signal) ** 0.5 * velocity


def sample(
    network: Network,
    x: Tensor,
    schedule: Schedule,
    times: tuple[int, ...],
    prediction: Prediction = "eps",
    limit: Limit | None = None,
) -> Iterator[Evaluation]:
    """Evaluate `network` at `times`, which fall, from the noise x (N, C, H, W) at the first of them.

    limit: applied to the clean picture after each evaluation, before the noise is worked out again from it; without
    one, nothing is clamped. Yields after each evaluation; the last one's `x` is the result.
    """
    for t, following in zip(times, [*times[1:], -1], strict=True):
        signal, next_signal = schedule.signal(t), schedule.signal(following)
        predicted = network(x, t)
        if prediction == "eps":
            clean = clean_from_noise(x, predicted, signal)
        else:
            clean = predicted if prediction == "x0" else clean_from_velocity(x, predicted, signal)
        if limit is not None:
            clean = limit(clean)
        known = prediction == "eps" and limit is None
        noise = predicted if known else noise_from_clean(x, clean, signal)
        x = next_signal**0.5 * clean
        if next_signal < 1.0:
            x = x + (1.0 - next_signal) ** 0.5 * noise
        yield Evaluation(t, clean, x)


def result(evaluations: Iterator[Evaluation]) -> Tensor:
    """What a trajectory leads to; nothing on the way is kept."""
    for evaluation in evaluations:
        x = evaluation.x
    return x
