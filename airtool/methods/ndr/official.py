"""The authors' NDR-Restore checkpoints (class ``NDRN``, written by their ``save_network``)."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from airtool.errors import AirtoolError, UsageError
from airtool.methods.ndr.network import NDRConfig, RestorationNet
from airtool.methods.official import fit
from airtool.methods.restormer_sizes import restormer_sizes

SHARED_DICTIONARY = "degradation_representations"
PREFIX = "restoration_net."

UNUSED = re.compile(r"\.(fg_dwconv|low_rank_transform2)\.")
"""Parameters in the residual version's files that no forward pass of the authors reads."""

VARIANTS = ("published", "residual")
"""Their two forward passes for the same keys: of the file published with the checkpoint, and the earlier one."""


def convert(tensors: Mapping[str, Tensor], variant: str | None = None) -> tuple[NDRConfig, dict[str, Tensor]]:
    """Config and `RestorationNet` state from a checkpoint of the authors, turned from BGR to RGB.

    variant: one of `VARIANTS`; None takes "residual" when the file carries the parameters that only the residual
    version's class had. The keys cannot prove which pass a file was trained with: a wrong choice shows at once, as
    the restored picture is grossly off. Raises UsageError for an unknown variant, AirtoolError when names or shapes
    do not fit.
    """
    if variant is not None and variant not in VARIANTS:
        raise UsageError(f"unknown variant {variant!r} of ndr: choose from {', '.join(VARIANTS)}")
    if variant is None:
        variant = "residual" if any(UNUSED.search(key) for key in tensors) else "published"
    state = {
        key.removeprefix(PREFIX): tensor
        for key, tensor in tensors.items()
        if not key.startswith("degradation_net.") and key != SHARED_DICTIONARY and not UNUSED.search(key)
    }
    shared = tensors.get(SHARED_DICTIONARY)
    if shared is not None:
        if "dr" in state and not torch.equal(state["dr"], shared):
            raise AirtoolError(
                f"the checkpoint is damaged: its two copies of the dictionary ({SHARED_DICTIONARY}) differ"
            )
        state["dr"] = shared
    config = config_from_state(state, residual=variant == "residual")
    network = RestorationNet(config, nn.Parameter(torch.empty(1, config.atoms, config.atom_dim)))
    state = fit(state, network.state_dict(), "NDR-Restore")
    state["extractor.weight"] = state["extractor.weight"].flip(1)
    state["reconstruction.weight"] = state["reconstruction.weight"].flip(0)
    state["reconstruction.bias"] = state["reconstruction.bias"].flip(0)
    return config, state


def config_from_state(state: Mapping[str, Tensor], residual: bool) -> NDRConfig:
    """Read the sizes of a network with Restormer blocks off its state dict.

    Raises AirtoolError when a tensor that tells a size is not there.
    """
    try:
        sizes = restormer_sizes(state, "extractor.weight", LEVELS, NDRConfig.expansion)
        return NDRConfig(
            **sizes,
            atoms=state["dr"].shape[1],
            atom_dim=state["dr"].shape[2],
            feature_dim=state["res_connect1.mapping.weight"].shape[0],
            rank=state["res_connect1.inject_degradation.low_rank_transform3.conv_H.1.weight"].shape[0],
            residual=residual,
        )
    except (KeyError, IndexError) as error:
        raise AirtoolError(f"the checkpoint is not one of NDR-Restore: {error} is missing") from None


LEVELS = ("block1", "block2", "block3", "bottom")
