"""Sizes of a network with Restormer blocks, read off a checkpoint of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor


def restormer_sizes(
    state: Mapping[str, Tensor], first: str, levels: Sequence[str], default_expansion: float
) -> dict[str, Any]:
    """Config values `dim`, `blocks`, `refinement_blocks`, `heads`, `expansion`, `bias` and `norm`.

    first: key of the first convolution's weight. levels: prefixes of the encoder's stages and the bottleneck.
    default_expansion: taken where it gives the width that is found. Raises KeyError or IndexError when a tensor that
    tells a size is not there.
    """
    dim, block = state[first].shape[0], f"{levels[0]}.0"
    hidden = state[f"{block}.ffn.project_out.weight"].shape[1]
    return {
        "dim": dim,
        "blocks": tuple(_count(state, name) for name in levels),
        "refinement_blocks": _count(state, "refinement"),
        "heads": tuple(state[f"{name}.0.attn.temperature"].shape[0] for name in levels),
        "expansion": default_expansion if int(dim * default_expansion) == hidden else hidden / dim,
        "bias": f"{block}.attn.qkv.bias" in state,
        "norm": "WithBias" if f"{block}.norm1.body.bias" in state else "BiasFree",
    }


def _count(state: Mapping[str, Tensor], stage: str) -> int:
    """Number of blocks in a stage."""
    return len({key.split(".")[1] for key in state if key.startswith(f"{stage}.")})
