"""How much noise each time step of a diffusion carries (Ho et al., NeurIPS 2020, arXiv 2006.11239)."""

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class LinearSchedule:
    """Variances that grow linearly with the time step.

    Computed as the authors of C2F-DFT do, in float64 for the betas and in float32 from there, so that weights trained
    elsewhere see the same numbers.
    """

    steps: int = 1000
    """Number of time steps; t runs from 0, nearly clean, to steps - 1, nearly pure noise."""
    first: float = 1e-4
    """beta at t = 0."""
    last: float = 0.02
    """beta at the last time step."""
    betas: Tensor = field(init=False, repr=False, compare=False)
    """Variance that each step adds, (steps,) float32 on the CPU."""
    alpha_bar: Tensor = field(init=False, repr=False, compare=False)
    """Share of the picture in the variance at each step, (steps,) float32 on the CPU."""

    def __post_init__(self) -> None:
        betas = torch.linspace(self.first, self.last, self.steps, dtype=torch.float64, device="cpu").float()
        # A frozen dataclass has no other way to derive a field.
        object.__setattr__(self, "betas", betas)
        object.__setattr__(self, "alpha_bar", torch.cumprod(1.0 - betas, 0))

    def signal(self, t: int) -> float:
        """alpha_bar at one time step; 1, no noise at all, for t = -1."""
        return float(self.alpha_bar[t]) if t >= 0 else 1.0

    def diffuse(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """x_t = sqrt(alpha_bar) * clean + sqrt(1 - alpha_bar) * noise for (N, C, H, W) and whole t (N,)."""
        signal = self.alpha_bar.to(clean.device)[t].view(-1, 1, 1, 1)
        return signal.sqrt() * clean + (1.0 - signal).sqrt() * noise
