"""What tells whether the damage lies in the details alone: the choice between a method's two networks."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEANING = 1.0
"""How far the choice between the two networks leans towards the second one, as a logit: noise that is left to the first
makes it change pale and dark pictures a lot, while haze that the second is given merely stays."""


class FineShare(nn.Module):
    """How far what a picture suffers from lies in its details alone: shares (N, 1, 1, 1) in [0, 1].

    From means and mean squares of features: an encoder's of the picture, or the tokens of an example. The ends are
    reached exactly, so that mostly one of the two networks is all that has to run.
    """

    def __init__(self, channels: int, hidden: int = 32) -> None:
        """channels: of all features together."""
        super().__init__()
        features = 2 * channels
        self.norm = nn.LayerNorm(features)
        self.hidden = nn.Linear(features, hidden)
        self.last = nn.Linear(hidden, 1)

    def logits(self, levels: Sequence[Tensor], *, together: bool = False) -> Tensor:
        """(N,) float32, above 0 for details. levels: features (N, C, H, W), each of its own C, H and W.

        together: the batch is one picture, of which the means are taken, and N is 1.
        """
        with torch.autocast(levels[0].device.type, enabled=False):
            floats = [each.float() for each in levels]
            over = (0, 2, 3) if together else (2, 3)
            means = [each.mean(over) for each in floats] + [each.square().mean(over) for each in floats]
            found = torch.cat(means, -1).reshape(-1, self.hidden.in_features)
            found = self.norm(found.to(self.norm.weight.dtype))
            return self.last(F.gelu(self.hidden(found)))[:, 0].float()

    def forward(self, levels: Sequence[Tensor], *, together: bool = False) -> Tensor:
        sure = ((self.logits(levels, together=together) + LEANING).sigmoid() - 0.1) / 0.8
        return sure.clamp(0, 1)[:, None, None, None]
