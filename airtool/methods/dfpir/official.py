"""The authors' DFPIR checkpoints (class ``ChannelShuffle_skip_textguaid``)."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from airtool.errors import AirtoolError
from airtool.methods.dfpir.network import DFPIRConfig, DFPIRNet
from airtool.methods.dfpir.perturbation import descending_order
from airtool.methods.dfpir.texts import Texts, find_texts
from airtool.methods.official import fit
from airtool.methods.restormer_sizes import restormer_sizes

LEVELS = ("encoder_level1", "encoder_level2", "encoder_level3", "latent")

PERTURBATIONS = (*(f"encoder_shuffle_channel{level}" for level in (1, 2, 3)), "latent_shuffle_channel")
"""The four perturbation blocks, from full resolution down."""

TEXT_LAYERS = ("linear_layer1", "linear_layer3")
"""The two layers, with nothing between them, that turn a text vector into scores of the channels."""


def convert(tensors: Mapping[str, Tensor], variant: str | None = None) -> tuple[DFPIRConfig, dict[str, Tensor]]:
    """Config and `DFPIRNet` state from a checkpoint of the authors; the prompts become orders of channels.

    variant: which prompts it was trained with, see `find_texts`. Raises UsageError for an unknown variant, and
    AirtoolError when names or shapes do not fit or the text vectors cannot be had.
    """
    return convert_with(tensors, find_texts(variant))


def convert_with(tensors: Mapping[str, Tensor], texts: Texts) -> tuple[DFPIRConfig, dict[str, Tensor]]:
    """As `convert`, with prompts at hand."""
    config = config_from_state(tensors, texts.labels)
    width = text_width(tensors)
    official = fit(tensors, layout(config, width), "DFPIR")
    vectors = texts.vectors()
    if vectors.shape[1] != width:
        raise AirtoolError(
            f"the checkpoint takes text vectors of {width} numbers, not {vectors.shape[1]} ({texts.origin})"
        )
    state = {key: tensor for key, tensor in official.items() if key.split(".")[1] not in TEXT_LAYERS}
    for block in PERTURBATIONS:
        state[f"{block}.order"] = descending_order(channel_scores(official, block, vectors))
    return config, state


def channel_scores(state: Mapping[str, Tensor], block: str, vectors: Tensor) -> Tensor:
    """Scores (labels, 2C) of a block's expanded channels for text vectors (labels, width), all float32."""
    for layer in TEXT_LAYERS:
        vectors = F.linear(vectors, state[f"{block}.{layer}.weight"], state[f"{block}.{layer}.bias"])
    return vectors


def layout(config: DFPIRConfig, text_width: int) -> dict[str, Tensor]:
    """The tensors of an authors' checkpoint, without content ("meta" device)."""
    with torch.device("meta"):
        expected = dict(DFPIRNet(config).state_dict())
        for block in PERTURBATIONS:
            expanded = expected.pop(f"{block}.order").shape[1]
            for layer, out in zip(TEXT_LAYERS, (text_width, expanded), strict=True):
                expected[f"{block}.{layer}.weight"] = torch.empty(out, text_width)
                expected[f"{block}.{layer}.bias"] = torch.empty(out)
    return expected


def text_width(state: Mapping[str, Tensor]) -> int:
    """Length of the text vectors that a checkpoint takes. Raises AirtoolError when it has no layer for them."""
    key = f"{PERTURBATIONS[0]}.{TEXT_LAYERS[0]}.weight"
    if key not in state or state[key].ndim != 2:
        raise AirtoolError(f"the checkpoint is not one of DFPIR: {key!r} is missing")
    return state[key].shape[1]


def config_from_state(state: Mapping[str, Tensor], labels: tuple[str, ...]) -> DFPIRConfig:
    """Read the sizes of a network with Restormer blocks off its state dict.

    Raises AirtoolError when a tensor that tells a size is not there, or tells an impossible one.
    """
    try:
        sizes = restormer_sizes(state, "patch_embed.proj.weight", LEVELS, DFPIRConfig.expansion)
        return DFPIRConfig(
            **sizes,
            labels=labels,
        )
    except (KeyError, IndexError) as error:
        raise AirtoolError(f"the checkpoint is not one of DFPIR: {error} is missing") from None
    except ValueError as error:
        raise AirtoolError(f"the checkpoint is not one of DFPIR: {error}") from None
