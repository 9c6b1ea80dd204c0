"""DFPIR's own block (DGPB): a channel perturbation (DGCPM) and an attention perturbation (CAAPM).

Between encoder and decoder the prompt decides in which order the channels meet the next convolution, and an attention
over channels drops the least similar tenth. Key names are those of the authors' checkpoints.
"""

import math
from fractions import Fraction
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airtool.errors import AirtoolError
from airtool.networks.restormer import GatedFeedForward, LayerNorm

Perturbation = Literal["shuffle", "attention"]

KINSHIP = 0.75
"""Share of variance that the scores behind our random orders have in common: the authors' orders come from embeddings
of sentences that are much alike, so theirs are alike too. Our choice."""


def keys_kept(channels: int, gamma: float) -> int:
    """How many of `channels` keys each query keeps: int(channels * gamma), at least 1.

    gamma counts as the decimal that it is written as (0.9 is 9/10, not the nearest binary number), so the result is
    the authors' int(channels * 9 / 10) for any width.
    """
    return max(1, int(channels * Fraction(str(gamma))))


def random_orders(count: int, length: int) -> Tensor:
    """`count` permutations of `length` channels, (count, length) int64, always the same for the same numbers.

    As published, each is the descending order of scores that training never touches.
    """
    generator = torch.Generator().manual_seed(length)
    # The device is named because networks may be built on another one, even on none ("meta").
    common = torch.randn(length, generator=generator, device="cpu")
    own = torch.randn(count, length, generator=generator, device="cpu")
    return descending_order(math.sqrt(KINSHIP) * common + math.sqrt(1 - KINSHIP) * own)


def descending_order(scores: Tensor) -> Tensor:
    """Indices of the scores (..., length) from the largest down, int64; the lower index first among equals."""
    return scores.sort(dim=-1, descending=True, stable=True).indices


class SelectiveAttention(nn.Module):
    """CAAPM: attention between channels, queries from the perturbed feature, keys and values from the feature itself.

    Each query attends to its `keys_kept` most similar keys; the others are masked with -inf before the softmax (the
    published code; the paper's Eq. 3 would leave them a weight). The choice carries no gradient. Queries and keys are
    normalised and scaled by a learned temperature, the result by a learned number.
    """

    def __init__(self, channels: int, heads: int, gamma: float) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"{channels} channels cannot be split into {heads} heads")
        self.heads = heads
        self.kept = keys_kept(channels // heads, gamma)
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.attn4 = nn.Parameter(torch.full((1,), 0.2))
        self.q = nn.Conv2d(channels, channels, 1, bias=False)
        self.q_dwconv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.kv = nn.Conv2d(channels, 2 * channels, 1, bias=False)
        self.kv_dwconv = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels, bias=False)
        self.project_out = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, perturbed: Tensor, feature: Tensor) -> Tensor:
        """Both (N, C, H, W), and so is the result."""
        n, c, h, w = feature.shape
        q = self.q_dwconv(self.q(perturbed)).reshape(n, self.heads, c // self.heads, h * w)
        k, v = self.kv_dwconv(self.kv(feature)).reshape(n, 2, self.heads, c // self.heads, h * w).unbind(1)
        # At least in float32, also under autocast: with 8 bits many similarities would tie at the mask's edge.
        precise = torch.promote_types(q.dtype, torch.float32)
        with torch.autocast(feature.device.type, enabled=False):
            affinity = F.normalize(q.to(precise), dim=-1) @ F.normalize(k.to(precise), dim=-1).transpose(-2, -1)
            weights = self.mask(affinity * self.temperature).softmax(dim=-1) * self.attn4
        return self.project_out((weights.to(v.dtype) @ v).reshape(n, c, h, w))

    def mask(self, logits: Tensor) -> Tensor:
        """Logits (..., queries, keys) with -inf at all but the `kept` largest of each row."""
        if self.kept == logits.shape[-1]:
            return logits
        chosen = logits.detach().topk(self.kept, dim=-1).indices
        dropped = torch.ones_like(logits, dtype=torch.bool).scatter_(-1, chosen, False)
        return logits.masked_fill(dropped, -math.inf)


class PerturbationBlock(nn.Module):
    """DGPB on (N, C, H, W). There is no way around it: the input reaches the output through the attention only.

    perturbation: "shuffle" as published, or "attention": no reordering, the expanded channels are weighted by a
    learned vector for each label instead. gamma: share of keys that CAAPM keeps; None leaves CAAPM out.
    """

    order: Tensor
    """(labels, 2C) int64: which expanded channel comes where. Fixed; not in a network with "attention"."""

    def __init__(self, channels: int, heads: int, labels: int, perturbation: Perturbation, gamma: float | None) -> None:
        super().__init__()
        self.perturbation = perturbation
        if perturbation == "shuffle":
            self.register_buffer("order", random_orders(labels, 2 * channels))
            self.register_load_state_dict_post_hook(_check_order)
        else:
            self.gate = nn.Parameter(torch.zeros(labels, 2 * channels))
        self.conv1x1 = nn.Conv2d(channels, 2 * channels, 1)
        self.conv_out = nn.Conv2d(2 * channels, channels, 1)
        self.select_attn: nn.Module | None = None
        if gamma is not None:
            self.norm1 = LayerNorm(channels)
            self.norm2 = LayerNorm(channels)
            self.select_attn = SelectiveAttention(channels, heads, gamma)
        self.norm3 = LayerNorm(channels)
        self.ffn = GatedFeedForward(channels)

    def forward(self, feature: Tensor, prompts: Tensor) -> Tensor:
        """prompts: (N,) int64, the number of each picture's label."""
        y = self.perturb(feature, prompts)
        if self.select_attn is not None:
            y = self.select_attn(self.norm1(y), self.norm2(feature))
        return y + self.ffn(self.norm3(y))

    def perturb(self, feature: Tensor, prompts: Tensor) -> Tensor:
        """DGCPM, Q in the paper: expand to 2C channels, reorder them, reduce to C again.

        For one picture that is one linear map of its channels, so the two convolutions and the order are multiplied
        out first: same numbers up to rounding, a quarter of the work, and labels can mix in a batch.
        """
        n, c, h, w = feature.shape
        with torch.autocast(feature.device.type, enabled=False):
            expand, bias = self.conv1x1.weight.flatten(1), self.conv1x1.bias
            reduce, last_bias = self.conv_out.weight.flatten(1), self.conv_out.bias
            assert bias is not None
            if self.perturbation == "shuffle":
                order = self.order[prompts]
                expand, bias = expand[order], bias[order]
            else:
                gate = self.gate[prompts].sigmoid()
                expand, bias = gate[..., None] * expand, gate * bias
            product = (reduce @ expand).transpose(1, 2)  # (N, C in, C out)
            shift = F.linear(bias, reduce, last_bias)
        rows = feature.permute(0, 2, 3, 1).reshape(n, h * w, c)  # a view of channels_last memory
        return torch.baddbmm(shift[:, None], rows, product).view(n, h, w, c).permute(0, 3, 1, 2)


def _check_order(block: nn.Module, _keys: Any) -> None:
    """Refuse loaded orders that are no permutations: as indices they would fail later, or repeat channels."""
    order = block.get_buffer("order")
    indices = torch.arange(order.shape[-1], device=order.device)
    if not torch.equal(order.sort(dim=-1).values, indices.expand_as(order)):
        raise AirtoolError("weights of dfpir are damaged: an order of channels is no permutation; get the file again")
