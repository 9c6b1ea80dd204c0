"""The codebook of a vector-quantised autoencoder (van den Oord et al., NeurIPS 2017, arXiv 1711.00937)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Quantised:
    """Features replaced by their nearest codes."""

    codes: Tensor
    """Exactly the nearest codes, (N, C, h, w). Gradients pass straight through to the features, none to the book."""
    indices: Tensor
    """Which codes, (N, h, w) int64."""
    codebook_loss: Tensor
    """Mean squared distance, which pulls the codes towards the features (these without gradient); a scalar."""
    commitment_loss: Tensor
    """The same number, which pulls the features towards the codes (these without gradient); a scalar."""


class Codebook(nn.Module):
    """Vectors that stand for features."""

    def __init__(self, codes: int, dim: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(codes, dim)
        nn.init.uniform_(self.embedding.weight, -1 / codes, 1 / codes)

    def forward(self, features: Tensor) -> Quantised:
        """Features (N, dim, h, w), any floating dtype."""
        indices = self.nearest(features)
        codes = self.lookup(indices).to(features.dtype)
        return Quantised(
            # Adding an exact zero keeps the codes bit for bit, so that equal codes have no difference.
            codes=codes.detach() + (features - features.detach()),
            indices=indices,
            codebook_loss=F.mse_loss(codes, features.detach()),
            commitment_loss=F.mse_loss(features, codes.detach()),
        )

    def nearest(self, features: Tensor) -> Tensor:
        """Which codes lie nearest in Euclidean distance: (N, dim, h, w) -> (N, h, w) int64."""
        # In float32 whatever the precision of the rest: neighbouring codes may be very near.
        with torch.no_grad(), torch.autocast(features.device.type, enabled=False):
            rows, book = features.permute(0, 2, 3, 1).float(), self.embedding.weight.float()
            # The square of the feature is the same for all codes.
            return (book.square().sum(1) - 2 * rows @ book.T).argmin(-1)

    def lookup(self, indices: Tensor) -> Tensor:
        """The codes of indices, with gradients to the book: (N, h, w) -> (N, dim, h, w)."""
        return self.embedding(indices).permute(0, 3, 1, 2)
