"""The sampler Euler ancestral (Karras et al., NeurIPS 2022, arXiv 2206.00364, with fresh noise at every step)."""

from collections.abc import Callable

import numpy as np
from torch import Tensor

from airtool.diffusion.schedule import Schedule


def sigmas(schedule: Schedule, count: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Noise levels from the largest to the smallest, and 0 at last (count + 1), and the time steps they belong to.

    sigma = sqrt((1 - alpha_bar) / alpha_bar), at time steps that are evenly spread and need not be whole; between whole
    ones the logarithm is interpolated. Raises ValueError for fewer than two.
    """
    if count < 2:
        raise ValueError("Euler ancestral takes at least two steps")
    signal = schedule.alpha_bar.double().numpy()
    table = np.log(np.sqrt((1 - signal) / signal))
    times = np.linspace(schedule.steps - 1, 0, count)
    levels = np.exp(np.interp(times, np.arange(schedule.steps), table))
    return (*levels.tolist(), 0.0), tuple(times.tolist())


def ancestral(
    denoise: Callable[[Tensor, float], Tensor],
    start: Tensor,
    fresh: Callable[[int], Tensor],
    schedule: Schedule,
    count: int,
) -> Tensor:
    """From standard normal noise `start` (N, C, h, w) to a clean latent, in `count` evaluations.

    denoise: (x / sqrt(sigma^2 + 1), time step) -> the noise in it. fresh: standard normal noise of the shape of `start`
    for step number i.
    """
    levels, times = sigmas(schedule, count)
    x = start * levels[0]
    for index, (t, sigma, following) in enumerate(zip(times, levels, levels[1:], strict=False)):
        noise = denoise(x / (sigma**2 + 1) ** 0.5, t)
        # The step goes down to less than the next level and the rest comes back as fresh noise.
        up = min(following, (following**2 * (sigma**2 - following**2) / sigma**2) ** 0.5)
        down = (following**2 - up**2) ** 0.5
        x = x + noise * (down - sigma)
        if following:
            x = x + fresh(index) * up
    return x
