"""NDR-Restore's backbone in the names of Restormer, which other methods' networks keep, and back, for warm starts."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

RESTORMER_NAMES = {
    "block1": "encoder_level1",
    "pool1": "down1_2",
    "block2": "encoder_level2",
    "pool2": "down2_3",
    "block3": "encoder_level3",
    "pool3": "down3_4",
    "bottom": "latent",
    "up3": "up4_3",
    "up2": "up3_2",
    "up1": "up2_1",
}
"""Modules that are the same in both; the decoder's blocks are grouped differently there."""

STAGES = RESTORMER_NAMES | {
    "extractor": "patch_embed.proj",
    "refinement": "refinement",
    "reconstruction": "output",
}
"""Parts of NDR-Restore's backbone and the same parts there."""

DECODER = re.compile(r"block_up([123])\.(\d+)\.(.+)")


def for_restormer(tensors: Mapping[str, Tensor], skip: float = 1.0) -> dict[str, Tensor]:
    """NDR-Restore's backbone under the names of Restormer, without its own modules on the skips.

    skip: what the weights of the skipped features are multiplied by. Its residual pass hands each on twice when nothing
    is recognised: 2 for a network whose skips are plain.

    The first convolution of each of its decoder stages stands apart there, and takes the two features in the other
    order: [skip, up] here, [up, skip] there.
    """
    found = {}
    for key, tensor in tensors.items():
        part, _, rest = key.partition(".")
        decoder = DECODER.fullmatch(key)
        if part in STAGES:
            found[f"{STAGES[part]}.{rest}"] = tensor
        elif decoder and decoder[2] == "0":
            if tensor.ndim == 4:  # not its bias
                skipped, up = tensor.chunk(2, dim=1)
                tensor = torch.cat([up, skip * skipped], 1)
            found[f"reduce_chan_level{decoder[1]}.{decoder[3]}"] = tensor
        elif decoder:
            found[f"decoder_level{decoder[1]}.{int(decoder[2]) - 1}.{decoder[3]}"] = tensor
    return found


def from_restormer(tensors: Mapping[str, Tensor], skip: float = 1.0) -> dict[str, Tensor]:
    """The other way: what `for_restormer` made, under the names of NDR-Restore, with the same `skip`."""
    names = {other: own for own, other in STAGES.items()}
    found = {}
    for key, tensor in tensors.items():
        part = next((part for part in names if key.startswith(f"{part}.")), "")
        if part:
            found[f"{names[part]}.{key.removeprefix(f'{part}.')}"] = tensor
            continue
        stage, _, rest = key.partition(".")
        level = stage[-1:]
        if stage == f"reduce_chan_level{level}":
            if tensor.ndim == 4:  # not its bias
                up, skipped = tensor.chunk(2, dim=1)
                tensor = torch.cat([skipped / skip, up], 1)
            found[f"block_up{level}.0.{rest}"] = tensor
        elif stage == f"decoder_level{level}":
            index, _, name = rest.partition(".")
            found[f"block_up{level}.{int(index) + 1}.{name}"] = tensor
    return found
