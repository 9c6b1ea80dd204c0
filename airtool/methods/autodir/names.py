"""AutoDIR's small structural correction in the names of Restormer, for warm starts of other methods' networks."""

from collections.abc import Mapping

import torch
from torch import Tensor

PREFIX = "corrector."


def for_restormer(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The correction's layers as those of a network that adds its result to the degraded picture in [0, 1].

    The correction sees two pictures in [-1, 1], the degraded one and the diffusion's; here both are the degraded one.
    What it hears has no counterpart and is left out.
    """
    found = {
        key.removeprefix(PREFIX): tensor
        for key, tensor in tensors.items()
        if key.startswith(PREFIX) and not key.startswith(f"{PREFIX}tell.")
    }
    if not {"entry.weight", "entry.bias", "output.weight", "output.bias"} <= found.keys():
        return found
    weight, bias = torch.stack(found.pop("entry.weight").chunk(2, dim=1)).sum(0), found.pop("entry.bias")
    # W (2x - 1) + b = 2 W x + b - (sum of W); a correction in [0, 1] is half of that in [-1, 1].
    found["patch_embed.proj.weight"] = 2 * weight
    found["patch_embed.proj.bias"] = bias - weight.sum((1, 2, 3))
    return found | {key: tensor / 2 for key, tensor in found.items() if key.startswith("output.")}
