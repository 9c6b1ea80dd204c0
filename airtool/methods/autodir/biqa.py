"""Losses of SA-BIQA, AutoDIR's blind image quality assessment (paper Eq. 4-6).

All take logits (N, K), from which the probabilities are softmax(logits), and return one value a picture, (N,).
y (N, K) are the true classes' shares, which add up to 1: one-hot in the paper, soft where a picture has several.
"""

import torch
from torch import Tensor

RELEASED_EPSILON = 1e-8
"""What the authors' code adds under every root."""


def fidelity(logits: Tensor, y: Tensor) -> Tensor:
    """Eq. 4: 1 - sum_i sqrt(y_i p_i), from 0 (p = y) to 1 (Tsai et al., SIGIR 2007)."""
    return 1.0 - _overlap(logits, y)


def released_fidelity(logits: Tensor, y: Tensor) -> Tensor:
    """The authors' code: (1 - sum_i sqrt(y_i p_i + 1e-8)) / K. Not 0 at best, and K times smaller."""
    roots = (y * logits.softmax(dim=1) + RELEASED_EPSILON).sqrt()
    return (1.0 - roots.sum(dim=1)) / logits.shape[1]


def semantic_agnostic(clean_logits: Tensor, y: Tensor) -> Tensor:
    """Eq. 5: sum_i sqrt(y_i q_i), q being what is seen in the clean partner of a degraded picture.

    It falls when the scene alone no longer suggests the degradation. Not for pictures that are clean themselves: their
    y is "no", and this would oppose `fidelity`.
    """
    return _overlap(clean_logits, y)


def _overlap(logits: Tensor, y: Tensor) -> Tensor:
    # The root of p from its logarithm: its derivative stays finite where p is 0 in float32.
    return (y.sqrt() * torch.exp(0.5 * logits.log_softmax(dim=1))).sum(dim=1)
