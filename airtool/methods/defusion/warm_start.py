"""Other methods' networks as a start of the local U-Net."""

from collections.abc import Mapping

import torch
from torch import Tensor

from airtool.methods.autodir.names import for_restormer
from airtool.methods.defusion.config import DefusionConfig
from airtool.methods.defusion.local_unet import LocalUNetConfig
from airtool.methods.up_restorer.warm_start import embedding
from airtool.methods.up_restorer.warm_start import from_ndr as for_diffusion

CONSTANT = "encoder_level1.0.time.bias"
"""Where Up-Restorer, whose first convolution has no bias, keeps what the change of range adds."""

STAGES = ("encoder_level1", "encoder_level2", "encoder_level3", "latent", "decoder_level3", "decoder_level2")
"""Stages whose blocks bear the same names in AutoDIR's correction."""


def translated(method: str, tensors: Mapping[str, Tensor], config: DefusionConfig) -> Mapping[str, Tensor]:
    """A method's tensors under the names of `DefusionNet`; whoever copies them takes what fits."""
    if method == "ndr":
        return from_ndr(tensors, config)
    return from_correction(tensors, config) if method == "autodir" else tensors


def from_ndr(tensors: Mapping[str, Tensor], config: DefusionConfig) -> dict[str, Tensor]:
    """NDR-Restore's tensors, from which the blind backbone begins.

    As for Up-Restorer, but what it adds to a picture is what the degradation took away, and counted with the gain.
    """
    return _diffusing({key.removeprefix("backbone."): tensor for key, tensor in for_diffusion(tensors).items()}, config)


def from_correction(tensors: Mapping[str, Tensor], config: DefusionConfig) -> dict[str, Tensor]:
    """The same for AutoDIR's small structural correction, without what it hears: features to train from.

    Blocks that only the local U-Net has begin as ones that change nothing.
    """
    found = for_restormer(tensors)
    if "patch_embed.proj.weight" not in found or not isinstance(config.unet, LocalUNetConfig):
        return {}
    for key in [key for key in found if key.startswith("refinement.")]:
        _, index, rest = key.split(".", 2)
        found[f"decoder_level1.{int(index) + config.unet.blocks[0]}.{rest}"] = found.pop(key)
    found |= embedding(found.pop("patch_embed.proj.weight"), found.pop("patch_embed.proj.bias"))
    found["mix_level1.weight"] = found.pop("reduce_chan_level1.weight")
    for name in ("mix_level1", "reduce_chan_level2", "reduce_chan_level3"):
        found[f"{name}.bias"] = torch.zeros(len(found[f"{name}.weight"]))
    for stage, wanted in zip(STAGES, (*config.unet.blocks, *config.unet.blocks[2:0:-1]), strict=True):
        for place in range(wanted):
            for strength in ("beta", "gamma"):
                found.setdefault(f"{stage}.{place}.{strength}", torch.zeros_like(found[f"{stage}.0.{strength}"]))
    for key in ("output.weight", "output.bias"):
        # A correction in [-1, 1] is twice that in [0, 1].
        found[key] = 2 * found[key]
    return _diffusing(found, config)


def _diffusing(found: Mapping[str, Tensor], config: DefusionConfig) -> dict[str, Tensor]:
    """From what adds to a degraded picture in [-1, 1] to what predicts its degradation."""
    renamed: dict[str, Tensor] = {}
    for key, tensor in found.items():
        if key.startswith("output."):
            # The last convolution predicts something else in other spaces, and as other predictions.
            if config.space == "degradation" and config.prediction == "x0":
                renamed[key] = -config.gain * tensor
        elif key == "patch_embed.proj.weight":
            renamed["patch_embed.weight"] = tensor
        elif key == CONSTANT:
            renamed["patch_embed.bias"] = tensor
        else:
            renamed[key] = tensor
    return {f"unet.{key}": tensor for key, tensor in renamed.items()}
