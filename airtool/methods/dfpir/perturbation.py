"""DFPIR's own block (DGPB): a channel perturbation (DGCPM) and an attention perturbation (CAAPM).

Between encoder and decoder the prompt decides in which order the channels meet the next convolution, and an attention
over channels drops the least similar tenth. Key names are those of the authors' checkpoints.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airtool.errors import AirtoolError
from airtool.networks.mixing import hand_out, mix_channels
from airtool.networks.restormer import GatedFeedForward, LayerNorm
from airtool.networks.strips import attend_in_strips, in_strips

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

    def attend(
        self, feature: Tensor, perturb: Callable[[Tensor], Tensor], norm: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """What `hand_out` takes: attention (N, heads, C / heads, C / heads) and values (N, C, H, W).

        perturb, norm: layers that each pixel of the feature (N, C, H, W) passes on the way to the queries, and on the
        way to keys and values.
        """

        def project(part: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            k, v = self.kv_dwconv(self.kv(norm(part))).chunk(2, dim=1)
            return self.q_dwconv(self.q(perturb(part))), k, v

        cosines, values = attend_in_strips(project, feature, self.heads)
        return self.mask(cosines * self.temperature).softmax(dim=-1) * self.attn4, values

    def hand_out(self, attention: Tensor, values: Tensor) -> Tensor:
        """The result for values (N, C, H, W) of any H: each pixel's depends on its own values only."""
        return hand_out(attention, values, self.project_out)

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
        self.select_attn: SelectiveAttention | None = None
        if gamma is not None:
            self.norm1 = LayerNorm(channels)
            self.norm2 = LayerNorm(channels)
            self.select_attn = SelectiveAttention(channels, heads, gamma)
        self.norm3 = LayerNorm(channels)
        self.ffn = GatedFeedForward(channels)

    def forward(self, feature: Tensor, prompts: Tensor) -> Tensor:
        """prompts: (N,) int64, the number of each picture's label."""
        perturb, choose = self.perturbing(prompts), self.select_attn
        if choose is None:
            return in_strips(lambda part: self._fed(perturb(part)), feature)
        attention, values = choose.attend(feature, lambda part: self.norm1(perturb(part)), self.norm2)
        return in_strips(lambda part: self._fed(choose.hand_out(attention, part)), values)

    def _fed(self, y: Tensor) -> Tensor:
        return y + self.ffn(self.norm3(y))

    def perturb(self, feature: Tensor, prompts: Tensor) -> Tensor:
        """DGCPM, Q in the paper: expand to 2C channels, reorder them, reduce to C again."""
        return self.perturbing(prompts)(feature)

    def perturbing(self, prompts: Tensor) -> Callable[[Tensor], Tensor]:
        """`perturb` for given prompts.

        For one picture that is one linear map of its channels, so the two convolutions and the order are multiplied
        out first: same numbers up to rounding, a quarter of the work, and labels can mix in a batch.
        """
        with torch.autocast(prompts.device.type, enabled=False):
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
        return lambda feature: mix_channels(feature, product, shift)


def _check_order(block: nn.Module, _keys: Any) -> None:
    """Refuse loaded orders that are no permutations: as indices they would fail later, or repeat channels."""
    order = block.get_buffer("order")
    indices = torch.arange(order.shape[-1], device=order.device)
    if not torch.equal(order.sort(dim=-1).values, indices.expand_as(order)):
        raise AirtoolError("weights of dfpir are damaged: an order of channels is no permutation; get the file again")
