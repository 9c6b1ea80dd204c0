"""Other methods' networks as a start: encoder-decoders of the same shape, without the diffusion around it."""

from collections.abc import Mapping

import torch
from torch import Tensor

from airtool.methods.autodir.names import FIRST, for_restormer
from airtool.methods.ndr.names import RESTORMER_NAMES

DECODERS = {
    "block_up3": ("reduce_chan_level3", "decoder_level3"),
    "block_up2": ("reduce_chan_level2", "decoder_level2"),
    "block_up1": ("mix_level1", "decoder_level1"),
}
"""Modules that begin with the 1x1 convolution behind a concatenation: where that goes, and where the blocks go."""


def from_ndr(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """NDR-Restore's tensors under the names of `UpRestorerNet`; whoever copies them takes what fits.

    With prediction "x0", local stages, `mix_level1`, as many refinement blocks and a bias, every evaluation then gives
    what NDR-Restore's residual pass would give if its skip connections recognised nothing. What it recognises there
    has no counterpart and is lost. So is a frame at the border: the pixels beyond it were black and are mid-grey.
    Without local stages the extractor's bias is lost, and without `bias` the reconstruction's.
    """
    found: dict[str, Tensor] = {}
    refinement_at = len({key.split(".")[1] for key in tensors if key.startswith("block_up1.")} - {"0"})
    for key, tensor in tensors.items():
        module, _, rest = key.partition(".")
        if module in RESTORMER_NAMES:
            found[f"{RESTORMER_NAMES[module]}.{rest}"] = tensor
        elif module in DECODERS:
            mix, stage = DECODERS[module]
            index, _, name = rest.partition(".")
            if index == "0":
                found[f"{mix}.{name}"] = _swapped(tensor)
                found[f"{mix}.bias"] = tensor.new_zeros(len(tensor))
            else:
                found[f"{stage}.{int(index) - 1}.{name}"] = tensor
        elif module == "refinement":
            index, _, name = rest.partition(".")
            found[f"decoder_level1.{int(index) + refinement_at}.{name}"] = tensor
        elif module == "reconstruction":
            # A correction in [-1, 1] is twice that in [0, 1].
            found[f"output.{rest}"] = 2 * tensor
    if "extractor.weight" in tensors:
        found.update(embedding(tensors["extractor.weight"], tensors.get("extractor.bias")))
    return {f"backbone.{key}": tensor for key, tensor in found.items()}


def from_correction(tensors: Mapping[str, Tensor], blocks: int, prefix: str = FIRST) -> dict[str, Tensor]:
    """The same for one of AutoDIR's small structural corrections, without what it hears: features to train from.

    blocks: of the decoder at full resolution, before its refinement. Empty where there is no such correction.
    """
    found = for_restormer(tensors, prefix)
    if "patch_embed.proj.weight" not in found:
        return {}
    for key in [key for key in found if key.startswith("refinement.")]:
        _, index, rest = key.split(".", 2)
        found[f"decoder_level1.{int(index) + blocks}.{rest}"] = found.pop(key)
    found |= embedding(found.pop("patch_embed.proj.weight"), found.pop("patch_embed.proj.bias"))
    found["mix_level1.weight"] = found.pop("reduce_chan_level1.weight")
    for name in ("mix_level1", "reduce_chan_level2", "reduce_chan_level3"):
        found[f"{name}.bias"] = torch.zeros(len(found[f"{name}.weight"]))
    for key in ("output.weight", "output.bias"):
        found[key] = 2 * found[key]
    return {f"backbone.{key}": tensor for key, tensor in found.items()}


def _swapped(weight: Tensor) -> Tensor:
    """The 1x1 convolution for (decoder, skip) in place of (skip, decoder).

    NDR-Restore's residual pass adds the skipped feature twice.
    """
    skip, decoder = weight.chunk(2, dim=1)
    return torch.cat([decoder, 2 * skip], 1)


def embedding(weight: Tensor, bias: Tensor | None) -> dict[str, Tensor]:
    """The first convolution for y = 2x - 1 in place of x, blind to x_t.

    W x + b = W y / 2 + (sum of W) / 2 + b. The published first convolution has no bias; the constant goes where the
    first block adds its time.
    """
    half = weight / 2
    constant = half.sum((1, 2, 3)) + (0 if bias is None else bias)
    return {
        "patch_embed.proj.weight": torch.cat([half, torch.zeros_like(half)], 1),
        "encoder_level1.0.time.bias": constant,
    }
