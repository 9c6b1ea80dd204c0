"""DDIM without noise on the way, and the schedules, plain."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

STEPS = 1000


def signals(schedule: str) -> Tensor:
    """alpha_bar at every time step, (1000,) float32, for "linear", "scaled-linear" or "cosine" variances."""
    if schedule == "linear":
        betas = torch.linspace(1e-4, 0.02, STEPS, dtype=torch.float64)
    elif schedule == "scaled-linear":
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, STEPS, dtype=torch.float64) ** 2
    else:
        times = torch.arange(STEPS + 1, dtype=torch.float64) / STEPS
        shares = torch.cos((times + 0.008) / 1.008 * math.pi / 2) ** 2
        betas = torch.clamp(1 - shares[1:] / shares[:-1], max=0.999)
    return torch.cumprod(1.0 - betas.float(), dim=0)


def trailing(count: int) -> list[int]:
    """Evenly spaced time steps from the last one down."""
    return [round(STEPS * (count - index) / count) - 1 for index in range(count)]


def strided(count: int) -> list[int]:
    """Time steps from the last to 0, 1000 // count apart."""
    return list(range(0, STEPS, STEPS // count))[::-1]


def ddim(
    network: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    alpha_bar: Tensor,
    times: list[int],
    prediction: str,
    limit: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """From noise x to the clean tensor. prediction: "eps" or "x0". limit: applied to every predicted clean tensor."""
    for t, following in zip(times, [*times[1:], -1], strict=True):
        signal = alpha_bar[t].item()
        after = alpha_bar[following].item() if following >= 0 else 1.0
        out = network(x, torch.full((x.shape[0],), float(t), device=x.device))
        x0 = (x - math.sqrt(1 - signal) * out) / math.sqrt(signal) if prediction == "eps" else out
        if limit is not None:
            x0 = limit(x0)
        noise = (x - math.sqrt(signal) * x0) / math.sqrt(1 - signal)
        x = math.sqrt(after) * x0 + math.sqrt(1 - after) * noise
    return x
