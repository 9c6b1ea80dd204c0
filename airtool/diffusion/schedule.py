"""How much noise each time step of a diffusion carries (Ho et al., NeurIPS 2020, arXiv 2006.11239)."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Schedule(ABC):
    """Variances of the noise that each time step adds.

    Computed in float64 for the betas and in float32 from there, as the authors of C2F-DFT do, so that weights trained
    elsewhere see the same numbers.
    """

    steps: int = 1000
    """Number of time steps; t runs from 0, nearly clean, to steps - 1, nearly pure noise."""
    betas: Tensor = field(init=False, repr=False, compare=False)
    """Variance that each step adds, (steps,) float32 on the CPU."""
    alpha_bar: Tensor = field(init=False, repr=False, compare=False)
    """Share of the picture in the variance at each step, (steps,) float32 on the CPU."""

    def __post_init__(self) -> None:
        betas = self._variances().float()
        # A frozen dataclass has no other way to derive a field.
        object.__setattr__(self, "betas", betas)
        object.__setattr__(self, "alpha_bar", torch.cumprod(1.0 - betas, 0))

    @abstractmethod
    def _variances(self) -> Tensor:
        """The betas, (steps,) float64 on the CPU."""

    def signal(self, t: int) -> float:
        """alpha_bar at one time step; 1, no noise at all, for t = -1."""
        return float(self.alpha_bar[t]) if t >= 0 else 1.0

    def diffuse(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """x_t = sqrt(alpha_bar) * clean + sqrt(1 - alpha_bar) * noise for (N, C, H, W) and whole t (N,)."""
        signal = self.alpha_bar.to(clean.device)[t].view(-1, 1, 1, 1)
        return signal.sqrt() * clean + (1.0 - signal).sqrt() * noise

    def _line(self, first: float, last: float) -> Tensor:
        return torch.linspace(first, last, self.steps, dtype=torch.float64, device="cpu")


@dataclass(frozen=True)
class LinearSchedule(Schedule):
    """Variances that grow linearly with the time step."""

    first: float = 1e-4
    """beta at t = 0."""
    last: float = 0.02
    """beta at the last time step."""

    def _variances(self) -> Tensor:
        return self._line(self.first, self.last)


@dataclass(frozen=True)
class ScaledLinearSchedule(Schedule):
    """Variances whose roots grow linearly: latent diffusion (Rombach et al., CVPR 2022, arXiv 2112.10752)."""

    first: float = 0.00085
    """beta at t = 0."""
    last: float = 0.012
    """beta at the last time step."""

    def _variances(self) -> Tensor:
        return self._line(self.first**0.5, self.last**0.5).square()


@dataclass(frozen=True)
class CosineSchedule(Schedule):
    """alpha_bar as a squared cosine (Nichol and Dhariwal, ICML 2021, arXiv 2102.09672, Eq. 17), betas at most 0.999."""

    offset: float = 0.008
    """Keeps the first betas from vanishing."""

    def _variances(self) -> Tensor:
        t = torch.arange(self.steps + 1, dtype=torch.float64, device="cpu") / self.steps
        shares = ((t + self.offset) / (1 + self.offset) * (math.pi / 2)).cos().square()
        return (1 - shares[1:] / shares[:-1]).clamp_max(0.999)


def antithetic_times(count: int, steps: int, generator: torch.Generator) -> Tensor:
    """Random time steps (count,) of which every one has its mirror image steps - 1 - t, but one of an odd number."""
    half = torch.randint(0, steps, ((count + 1) // 2,), generator=generator)
    return torch.cat([half, steps - 1 - half])[:count]
