"""NDR-Restore's weights as a start of the local U-Net."""

from collections.abc import Mapping

from torch import Tensor

from airtool.methods.defusion.config import DefusionConfig
from airtool.methods.up_restorer.warm_start import from_ndr as for_diffusion

CONSTANT = "encoder_level1.0.time.bias"
"""Where Up-Restorer, whose first convolution has no bias, keeps what the change of range adds."""


def from_ndr(tensors: Mapping[str, Tensor], config: DefusionConfig) -> dict[str, Tensor]:
    """NDR-Restore's tensors under the names of `DefusionNet`; whoever copies them takes what fits.

    As for Up-Restorer, but what it adds to a picture is what the degradation took away, and counted with the gain.
    """
    found = {key.removeprefix("backbone."): tensor for key, tensor in for_diffusion(tensors).items()}
    renamed: dict[str, Tensor] = {}
    for key, tensor in found.items():
        if key.startswith("output."):
            renamed[key] = -config.gain * tensor
        elif key == "patch_embed.proj.weight":
            renamed["patch_embed.weight"] = tensor
        elif key == CONSTANT:
            renamed["patch_embed.bias"] = tensor
        else:
            renamed[key] = tensor
    if config.space == "image" or config.prediction != "x0":
        # The last convolution predicts something else there.
        renamed = {key: tensor for key, tensor in renamed.items() if not key.startswith("output.")}
    return {f"unet.{key}": tensor for key, tensor in renamed.items()}
