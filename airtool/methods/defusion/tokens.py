"""Instructions as tokens: what a degradation changes in the codes of a ground."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from airtool.methods.defusion.instruction import Instruction
from airtool.metrics.protocols import Pixels
from airtool.networks.vqgan import VQGAN


def residual_tokens(tokenizer: VQGAN, clean: Tensor, degraded: Tensor) -> Tensor:
    """(N, T, code_dim): codes of the degraded grounds minus those of the clean ones, in the same order.

    clean, degraded: (N, 3, S, S) in [0, 1], S a multiple of the tokenizer's stride. Zero wherever the code is the
    same, so all zero for an instruction that shows no degradation. In units of the codebook's standard deviation,
    which is our choice: how large the codes are is an accident of their training. float32 whatever the precision of
    the rest.
    """
    with torch.autocast(clean.device.type, enabled=False):
        # Apart, so that equal grounds take exactly the same way, down to the rounding.
        shown, null = (tokenizer.quantize(tokenizer.encode(2 * each.float() - 1)).codes for each in (degraded, clean))
        return in_units_of(shown - null, tokenizer.quantize.embedding.weight)


def in_units_of(residual: Tensor, book: Tensor) -> Tensor:
    """Differences of codes (N, code_dim, h, w) as tokens (N, h w, code_dim), in units of the book's deviation."""
    # From an untrained or degenerate codebook no infinities.
    scale = (book - book.mean(0)).square().mean().sqrt().clamp_min(1e-6)
    return (residual / scale).flatten(2).transpose(1, 2)


def as_map(tokens: Tensor) -> Tensor:
    """Tokens (N, T, C) as a map (N, C, T, 1)."""
    return tokens.transpose(1, 2)[..., None]


def stacked(
    instructions: Sequence[Instruction], view: int, corners: Sequence[tuple[int, int]]
) -> tuple[Tensor, Tensor]:
    """Clean and degraded grounds as (N, 3, view, view), the same part of both; corners: (top, left) of each part."""

    def part(pixels: Pixels, corner: tuple[int, int]) -> Pixels:
        top, left = corner
        return np.ascontiguousarray(pixels[top : top + view, left : left + view].transpose(2, 0, 1))

    clean = [part(each.clean, corner) for each, corner in zip(instructions, corners, strict=True)]
    degraded = [part(each.degraded, corner) for each, corner in zip(instructions, corners, strict=True)]
    return torch.from_numpy(np.stack(clean)), torch.from_numpy(np.stack(degraded))


def centre(instruction: Instruction, view: int) -> tuple[int, int]:
    """(top, left) of the part in the middle."""
    height, width = instruction.clean.shape[:2]
    return (height - view) // 2, (width - view) // 2
