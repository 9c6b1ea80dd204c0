"""Files of others that Defusion can begin with: the ImageNet VQGAN that its tokenizer is."""

from collections.abc import Mapping

import torch
from torch import Tensor

from airtool.errors import AirtoolError, UsageError
from airtool.methods.defusion.config import DefusionConfig
from airtool.methods.defusion.network import DefusionNet
from airtool.methods.official import fit

TOKENIZER = "tokenizer."
TRAINING_ONLY = "loss."
"""Prefix of tensors that the VQGAN's own training needs: its discriminator and perceptual network."""


def convert(tensors: Mapping[str, Tensor], variant: str | None = None) -> tuple[DefusionConfig, dict[str, Tensor]]:
    """Config and `DefusionNet` state of the ``paper`` preset with the tokenizer of an ImageNet VQGAN checkpoint.

    Its U-Net is untrained, always the same: a start for training, not a network that restores. The authors of Defusion
    have published no weights. Raises UsageError for a variant, of which there are none, and AirtoolError for any other
    file.
    """
    if variant is not None:
        raise UsageError(f"defusion has no variant {variant!r}: leave it out")
    found = {key: tensor for key, tensor in tensors.items() if not key.startswith(TRAINING_ONLY)}
    if "quantize.embedding.weight" not in found:
        raise AirtoolError(
            "this is no checkpoint for defusion: its authors have published no weights; what can be imported is the "
            "ImageNet VQGAN (f16, 1024 codes), as the tokenizer to train with"
        )
    config = DefusionConfig()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = DefusionNet(config)
    assert network.tokenizer is not None
    fitted = fit(found, network.tokenizer.state_dict(), "the tokenizer of Defusion")
    return config, network.state_dict() | {TOKENIZER + key: tensor for key, tensor in fitted.items()}
