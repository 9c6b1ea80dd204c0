"""Checkpoints of C2F-DFT, the backbone of Up-Restorer, for which no checkpoint of its own is public."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from airtool.errors import AirtoolError, UsageError
from airtool.methods.official import fit
from airtool.methods.up_restorer.network import UpRestorerConfig, UpRestorerNet
from airtool.methods.up_restorer.queries import LearnableQuery
from airtool.networks.c2f_dft import DFTConfig, DiffusionTransformer

FOREIGN = "the checkpoint is not one of C2F-DFT, Up-Restorer's backbone"

LEVELS = ("encoder_level1", "encoder_level2", "encoder_level3", "latent")


def convert(tensors: Mapping[str, Tensor], variant: str | None = None) -> tuple[UpRestorerConfig, dict[str, Tensor]]:
    """Config and `UpRestorerNet` state from a C2F-DFT checkpoint.

    The learnable queries and the prompts are neutral, so that the network computes what C2F-DFT computes. The authors
    feed RGB. variant: there is none. Raises UsageError for one, AirtoolError when names or shapes do not fit.
    """
    if variant is not None:
        raise UsageError(f"unknown variant {variant!r} of up-restorer: it has none, leave --variant out")
    sizes = sizes_from_state(tensors)
    with torch.device("meta"):
        expected = DiffusionTransformer(DFTConfig(**sizes)).state_dict()
    backbone = fit(tensors, expected, "C2F-DFT")
    config = UpRestorerConfig(**sizes)
    state = neutral_state(config)
    state.update({f"backbone.{key}": tensor for key, tensor in backbone.items()})
    return config, state


def neutral_state(config: UpRestorerConfig) -> dict[str, Tensor]:
    """An untrained state in which queries and prompts change nothing; always the same numbers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = UpRestorerNet(config)
    for module in network.modules():
        if isinstance(module, LearnableQuery):
            module.neutralise()
    return dict(network.state_dict())


def sizes_from_state(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Read the sizes of a `DFTConfig` off a state dict.

    Raises AirtoolError when a tensor that tells a size is not there or sizes make no network.
    """
    try:
        dim = state["patch_embed.proj.weight"].shape[0]
        hidden = state["latent.0.ffn.project_in.weight"].shape[0]
        sizes: dict[str, Any] = {
            "dim": dim,
            "blocks": tuple(len({key.split(".")[1] for key in state if key.startswith(f"{n}.")}) for n in LEVELS),
            "heads": tuple(state[f"{name}.0.attn.temperature"].shape[0] for name in LEVELS),
            # Half a channel more where the quotient would be rounded down: int() takes it off again at all levels.
            "expansion": (hidden + (0.5 if hidden % (8 * dim) else 0.0)) / (8 * dim),
            "bias": "output.bias" in state,
            "norm": "WithBias" if "latent.0.norm1.body.bias" in state else "BiasFree",
            "dual_pixel_task": "skip_conv.weight" in state,
        }
        DFTConfig(**sizes)
    except (KeyError, IndexError) as error:
        raise AirtoolError(f"{FOREIGN}: {error} is missing") from None
    except ValueError as error:
        raise AirtoolError(f"{FOREIGN}: {error}") from None
    return sizes
