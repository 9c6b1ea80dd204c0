"""The AutoDIR checkpoint of its authors: Stable Diffusion's layout, CLIP of transformers, and NAFNet, in one file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from airtool.errors import AirtoolError, UsageError
from airtool.methods.autodir.clip import clip_sizes, count
from airtool.methods.autodir.clip_tokens import FILE, read_merges
from airtool.methods.autodir.packages import package
from airtool.methods.autodir.published import PublishedConfig, PublishedSystem
from airtool.methods.official import fit

UNET, VAE, CLIP, CORRECTOR = "model.diffusion_model.", "first_stage_model.", "model_assessment.clipmodel.", "NAFNet."
"""How keys of the four networks begin."""

SCHEDULE = frozenset(
    (
        *("betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod", "sqrt_one_minus_alphas_cumprod"),
        *("log_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod"),
        *("posterior_variance", "posterior_log_variance_clipped", "posterior_mean_coef1", "posterior_mean_coef2"),
    )
)
"""Tables that follow from the noise schedule."""

COUNTERS = tuple(f"{side}_model.embeddings.position_ids" for side in ("text", "vision"))
"""0, 1, 2, ... for each side of CLIP, which older versions of transformers stored."""

FROM_FILE = "tokenizer="
"""The variant that brings CLIP's vocabulary."""


def convert(tensors: Mapping[str, Tensor], variant: str | None = None) -> tuple[PublishedConfig, dict[str, Tensor]]:
    """Config and `PublishedSystem` state from a checkpoint of the authors.

    variant: "tokenizer=FILE" for CLIP's vocabulary (see `clip_tokens.read_merges`), without which no free sentences
    are understood. Raises UsageError for another one, AirtoolError when names or shapes do not fit or packages are
    missing.
    """
    merges = merges_of(variant)
    tensors = without_tables(tensors)
    config = config_from_state(tensors, merges)
    with torch.device("meta"):
        system = PublishedSystem(config)
    expected = system.state_dict()
    sources = {ours: theirs for ours, theirs in key_map(system, tensors).items() if ours in expected}
    # Under the authors' names wherever there is one, so that a misfit is named as the file has it.
    wanted = {
        sources.get(key, key): shaped_as(value, tensors.get(sources.get(key, key))) for key, value in expected.items()
    }
    fitted = fit(tensors, wanted, "AutoDIR")
    return config, {key: fitted[sources[key]].reshape(value.shape) for key, value in expected.items()}


def merges_of(variant: str | None) -> str:
    """CLIP's vocabulary where the variant names its file, else "". Raises UsageError for an unknown variant."""
    if variant is None:
        return ""
    if not variant.startswith(FROM_FILE):
        raise UsageError(f"unknown variant {variant!r} of autodir: it has none but {FROM_FILE}FILE, {FILE}")
    return read_merges(Path(variant.removeprefix(FROM_FILE)))


def without_tables(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What was trained: not the noise schedule, nor CLIP's counters."""
    left_out = SCHEDULE.union(f"{CLIP}{name}" for name in COUNTERS)
    return {key: tensor for key, tensor in tensors.items() if key not in left_out}


def key_map(system: PublishedSystem, keys: Mapping[str, object]) -> dict[str, str]:
    """The authors' key for each of `PublishedSystem`'s that has one, from the authors' keys in a checkpoint.

    Two of the four maps are diffusers' own. They are told by converting numbers in the place of tensors.
    """
    converters = package("diffusers.loaders.single_file_utils")
    theirs = list(keys)
    found = {}
    for name, prefix, convert_ldm in (
        ("unet", UNET, converters.convert_ldm_unet_checkpoint),
        ("vae", VAE, converters.convert_ldm_vae_checkpoint),
    ):
        config = dict(getattr(system, name).config)
        found.update({f"{name}.{key}": theirs[at] for key, at in _told(convert_ldm, prefix, theirs, config).items()})
    for name, prefix in (("clip", CLIP), ("corrector", CORRECTOR)):
        found.update({f"{name}.{key.removeprefix(prefix)}": key for key in theirs if key.startswith(prefix)})
    return found


def _told(convert_ldm: Callable[..., Any], prefix: str, keys: list[str], config: dict[str, Any]) -> dict[str, int]:
    # Four dimensions: the converter makes linear layers of 1 x 1 convolutions.
    numbers = {
        key: torch.full((1, 1, 1, 1), float(at), dtype=torch.float64)
        for at, key in enumerate(keys)
        if key.startswith(prefix)
    }
    try:
        told = convert_ldm(numbers, config=config)
    except KeyError as error:
        raise AirtoolError(f"the checkpoint does not fit AutoDIR: {prefix}{error.args[0]} is missing") from None
    return {key: int(number) for key, number in told.items() if number is not None}


def shaped_as(expected: Tensor, found: Tensor | None) -> Tensor:
    """`expected`, as a 1 x 1 convolution where the file has one in the place of a linear layer."""
    if found is not None and expected.ndim == 2 and found.ndim == 4:
        return expected[:, :, None, None]
    return expected


def config_from_state(state: Mapping[str, Tensor], merges: str = "") -> PublishedConfig:
    """Read the sizes off an authors' state dict.

    What shapes do not show is as published: heads, groups, the latents' scale. Raises AirtoolError when a tensor that
    tells a size is not there, or tells an impossible one.
    """
    try:
        return PublishedConfig(
            merges=merges,
            **clip_sizes({key.removeprefix(CLIP): tensor for key, tensor in state.items() if key.startswith(CLIP)}),
            **_unet_sizes(state),
            **_vae_sizes(state),
            corrector_width=state[f"{CORRECTOR}intro.weight"].shape[0],
            corrector_encoder=_blocks(state, f"{CORRECTOR}encoders."),
            corrector_middle=count(state, f"{CORRECTOR}middle_blks."),
            corrector_decoder=_blocks(state, f"{CORRECTOR}decoders."),
        )
    except (KeyError, IndexError) as error:
        raise AirtoolError(f"the checkpoint is not one of AutoDIR: {error} is missing") from None
    except ValueError as error:
        raise AirtoolError(f"the checkpoint is not one of AutoDIR: {error}") from None


def _unet_sizes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    blocks = count(state, f"{UNET}input_blocks.")
    steps_down = [at for at in range(blocks) if f"{UNET}input_blocks.{at}.0.op.weight" in state]
    # The first one is a convolution; every level ends with a step down, but for the last.
    layers = (steps_down[0] if steps_down else blocks) - 1
    first_of_levels = [1 + level * (layers + 1) for level in range(len(steps_down) + 1)]
    return {
        "unet_widths": tuple(
            state[f"{UNET}input_blocks.{at}.0.out_layers.3.weight"].shape[0] for at in first_of_levels
        ),
        "unet_layers": layers,
    }


def _vae_sizes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    levels = range(count(state, f"{VAE}encoder.down."))
    return {
        "vae_widths": tuple(state[f"{VAE}encoder.down.{level}.block.0.conv2.weight"].shape[0] for level in levels),
        "vae_layers": count(state, f"{VAE}encoder.down.0.block."),
        "latent_channels": state[f"{VAE}post_quant_conv.weight"].shape[1],
    }


def _blocks(state: Mapping[str, Tensor], prefix: str) -> tuple[int, ...]:
    return tuple(count(state, f"{prefix}{level}.") for level in range(count(state, prefix)))
