"""AutoDIR's small structural correction in the names of Restormer, for warm starts of other methods' networks."""

from collections.abc import Mapping

import torch
from torch import Tensor

FIRST, SECOND = "corrector.", "fine_corrector."
"""Where the names of the two corrections' layers begin."""


def for_restormer(tensors: Mapping[str, Tensor], prefix: str = FIRST) -> dict[str, Tensor]:
    """A correction's layers as those of a network that adds its result to the degraded picture in [0, 1].

    The correction sees two pictures, the degraded one and the diffusion's; here both are the degraded one. What it
    hears has no counterpart and is left out, and most of what it does hangs on that: what is handed on are features to
    train from, and restore nothing yet.
    """
    found = {
        key.removeprefix(prefix): tensor
        for key, tensor in tensors.items()
        if key.startswith(prefix) and not key.startswith(f"{prefix}tell.")
    }
    if "entry.weight" in found:
        found["patch_embed.proj.weight"] = torch.stack(found.pop("entry.weight").chunk(2, dim=1)).sum(0)
        found["patch_embed.proj.bias"] = found.pop("entry.bias")
    return found
