"""Other methods' networks as a start of the local U-Net."""

from collections.abc import Mapping

import torch
from torch import Tensor

from airtool.methods.autodir.names import FIRST, SECOND
from airtool.methods.defusion.config import DefusionConfig
from airtool.methods.defusion.local_unet import LocalUNetConfig
from airtool.methods.fine import begun, second_of
from airtool.methods.up_restorer import warm_start as diffusion

BACKBONE = "backbone."
"""Where the names of Up-Restorer's layers begin."""

UNET = "unet."
"""Where the names of the first U-Net's layers begin."""

CONSTANT = "encoder_level1.0.time.bias"
"""Where Up-Restorer, whose first convolution has no bias, keeps what the change of range adds."""

STAGES = ("encoder_level1", "encoder_level2", "encoder_level3", "latent", "decoder_level3", "decoder_level2")
"""Stages whose blocks bear the same names in AutoDIR's correction."""


def translated(
    method: str, tensors: Mapping[str, Tensor], config: DefusionConfig, *, fine: bool = False
) -> Mapping[str, Tensor]:
    """A method's tensors under the names of `DefusionNet`; whoever copies them takes what fits.

    fine: for the second U-Net, the first one stays as it is; it begins as the first where weights have no second.
    """
    if method == "ndr":
        found = from_ndr(second_of(tensors) if fine else tensors, config)
    elif method == "autodir":
        found = (fine and from_correction(tensors, config, SECOND)) or from_correction(tensors, config)
    else:
        found = dict(tensors)
    if not fine:
        return found
    unet = {key.removeprefix(UNET): tensor for key, tensor in found.items() if key.startswith(UNET)}
    return begun(unet) | (found if method == "defusion" else {})


def from_ndr(tensors: Mapping[str, Tensor], config: DefusionConfig) -> dict[str, Tensor]:
    """NDR-Restore's tensors, from which the blind backbone begins.

    As for Up-Restorer, but what it adds to a picture is what the degradation took away, and counted with the gain.
    """
    return _diffusing(diffusion.from_ndr(tensors), config)


def from_correction(tensors: Mapping[str, Tensor], config: DefusionConfig, prefix: str = FIRST) -> dict[str, Tensor]:
    """The same for AutoDIR's small structural correction, without what it hears: features to train from.

    Blocks that only the local U-Net has begin as ones that change nothing.
    """
    if not isinstance(config.unet, LocalUNetConfig):
        return {}
    found = diffusion.from_correction(tensors, config.unet.blocks[0], prefix)
    if not found:
        return {}
    for stage, wanted in zip(STAGES, (*config.unet.blocks, *config.unet.blocks[2:0:-1]), strict=True):
        for place in range(wanted):
            for strength in ("beta", "gamma"):
                begun = torch.zeros_like(found[f"{BACKBONE}{stage}.0.{strength}"])
                found.setdefault(f"{BACKBONE}{stage}.{place}.{strength}", begun)
    return _diffusing(found, config)


def _diffusing(found: Mapping[str, Tensor], config: DefusionConfig) -> dict[str, Tensor]:
    """From what adds to a degraded picture in [-1, 1] to what predicts its degradation."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in found.items():
        key = name.removeprefix(BACKBONE)
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
    return {f"{UNET}{key}": tensor for key, tensor in renamed.items()}
