"""What the small networks hear of the classes to remove: their sentences as tokens, mixed by shares (paper, Eq. 3)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from airtool.methods.autodir.text import PADDING, tokenise
from airtool.methods.autodir.vocabulary import prompt


class SentenceEncoder(nn.Module):
    """Sentences of the classes as sequences of vectors, one a word.

    In the place of CLIP's text tower, which the authors mix before pooling, as we do.
    """

    tokens: Tensor

    def __init__(self, classes: Sequence[str], buckets: int, width: int) -> None:
        super().__init__()
        tokens = tokenise([prompt(name) for name in classes], buckets)
        self.register_buffer("tokens", tokens, persistent=False)
        self.pieces = nn.Embedding(1 + buckets, width, padding_idx=PADDING)
        self.norm = nn.LayerNorm(width)
        self.positions = nn.Parameter(torch.zeros(tokens.shape[1], width))
        self.project = nn.Linear(width, width)

    def forward(self, shares: Tensor) -> Tensor:
        """shares: (N, classes), which add up to 1. Returns (N, words, width)."""
        present = self.tokens != PADDING
        counts = present.sum(2, keepdim=True)
        words = self.norm(self.pieces(self.tokens).sum(2) / counts.clamp(min=1)) + self.positions
        words = self.project(words) * (counts > 0)
        return torch.einsum("nk,kwc->nwc", shares.to(words.dtype), words)


class Modulation(nn.Module):
    """Scale and shift of each channel from a vector; zero at first, so that nothing changes until it is learned."""

    def __init__(self, condition: int, channels: int) -> None:
        super().__init__()
        self.project = nn.Linear(condition, 2 * channels)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x: (N, channels, H, W). condition: (N, condition)."""
        scale, shift = self.project(condition)[:, :, None, None].chunk(2, dim=1)
        return x * (1 + scale) + shift
