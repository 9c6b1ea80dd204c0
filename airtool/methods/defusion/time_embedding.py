"""The time step of a diffusion as a learned vector."""

import math

import torch
from torch import Tensor, nn


class TimeEmbedding(nn.Module):
    """Time steps (N,), any number type, to (N, width): sines and cosines behind a small perceptron.

    As Ho et al. (NeurIPS 2020, arXiv 2006.11239).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.waves = max(1, width // 2)
        self.net = nn.Sequential(nn.Linear(2 * self.waves, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Tensor) -> Tensor:
        steps = torch.arange(self.waves, dtype=torch.float32, device=t.device)
        angles = t.float()[:, None] * torch.exp(steps * (-math.log(10000.0) / self.waves))
        return self.net(torch.cat([angles.cos(), angles.sin()], 1))
