"""Learnable queries inside the attention (paper Eq. 17-18)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airtool.networks.restormer import TransposedAttention

TOKENS = 5
"""Query tokens a block."""


class LearnableQuery(nn.Module):
    """Q_L: one vector of a head's length, the mean of learned tokens behind a small perceptron.

    The paper gives Q~ = Q + Q_L, a random initialisation and 500,352 parameters, no shape. This design is ours: with
    five tokens in each of the 40 published blocks it has exactly so many.
    """

    def __init__(self, length: int) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.randn(TOKENS, length) * 0.02)
        self.norm = nn.LayerNorm(length)
        self.widen = nn.Linear(length, 2 * length)
        self.narrow = nn.Linear(2 * length, length)

    def forward(self) -> Tensor:
        """Q_L, (length, 1): the same for all heads and pixels."""
        refined = self.tokens + self.narrow(F.gelu(self.widen(self.norm(self.tokens))))
        return refined.mean(0)[:, None]

    def neutralise(self) -> None:
        """Make Q_L zero, in a state from which it can still be learned."""
        with torch.no_grad():
            for parameter in (self.tokens, *self.narrow.parameters()):
                parameter.zero_()


class QueriedAttention(TransposedAttention):
    """Transposed attention whose query is Q + Q_L.

    The sum comes before the normalisation over the pixels: a constant there shifts what each channel is compared by.
    """

    def __init__(self, channels: int, heads: int, bias: bool) -> None:
        super().__init__(channels, heads, bias)
        self.query = LearnableQuery(channels // heads)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = super().project(x)
        return q + self.query().to(q.dtype).repeat(self.heads, 1)[..., None], k, v
