"""Defusion behind the contract of a method."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from airtool.degradations import lies_in_details
from airtool.diffusion.field import noise_window
from airtool.errors import UsageError
from airtool.methods.base import Request
from airtool.methods.defusion import FACTS
from airtool.methods.defusion.config import NAMES, DefusionConfig, read_config
from airtool.methods.defusion.instruction import Instruction, from_pair
from airtool.methods.defusion.local_unet import LocalUNetConfig
from airtool.methods.defusion.network import DefusionNet, Wanted
from airtool.methods.defusion.objective import DegradationObjective, DegradationSettings
from airtool.methods.defusion.official import convert
from airtool.methods.defusion.requests import wanted_steps
from airtool.methods.defusion.tokenizer_objective import TokenizerObjective, TokenizerSettings
from airtool.methods.objective import Objective, objective_from
from airtool.networks.vqgan import VQGANConfig

SMALL_SINGLE = DefusionConfig(
    unet=LocalUNetConfig(blocks=(1, 3, 4, 6)),
    tokenizer=VQGANConfig(
        width=16,
        multipliers=(1, 2, 4, 4),
        blocks=1,
        attention_levels=(),
        features=64,
        codes=512,
        code_dim=64,
        groups=8,
    ),
    canvas=96,
    view=96,
    prediction="x0",
    schedule="cosine",
    gain=3.0,
)

ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "blank": {"ground": "blank"},
    "simple": {"ground": "simple"},
    "label": {"condition": "label"},
    "none": {"condition": "none"},
    "image": {"space": "image", "gain": 1.0},
}
"""What the paper's Table 5 varies, at the size of `SMALL_SINGLE`, for recipes to name: "small-blank" and so on."""

PRESETS = {
    "small": replace(SMALL_SINGLE, fine_names=tuple(name for name in NAMES if lies_in_details(name))),
    "small-single": SMALL_SINGLE,  # before the stage that adds the second U-Net
    "paper": DefusionConfig(),
    **{f"small-{name}": replace(SMALL_SINGLE, **change) for name, change in ABLATIONS.items()},
}

STAGES: Mapping[str, tuple[Any, Any]] = {
    "tokenizer": (TokenizerObjective, TokenizerSettings),
    "degradation": (DegradationObjective, DegradationSettings),
}
"""Objective and settings of a recipe's stage."""


class DefusionMethod:
    """Defusion, told what to remove by names or by an example."""

    facts = FACTS
    presets: Mapping[str, DefusionConfig] = PRESETS

    def __init__(self, config: DefusionConfig) -> None:
        self.config = config
        self.network: nn.Module = DefusionNet(config).eval().requires_grad_(False)

    @property
    def _net(self) -> DefusionNet:
        return cast("DefusionNet", self.network)

    def check(self, degradation: tuple[str, ...]) -> None:
        """Raise UsageError, which names what these weights know, unless they can remove all of this."""
        wanted_steps(degradation, self.config.names)

    def candidates(self) -> tuple[str, ...]:
        return self.config.names

    def instruction(self, request: Request, index: int = 0) -> Instruction:
        """What picture number `index` of a batch is instructed with. Raises UsageError as `check` does, for an example
        that is no pair, and for weights that listen to no instructions."""
        if self.config.condition != "instruction":
            raise UsageError("these weights were trained without visual instructions: name the degradation instead")
        if request.instruction is not None:
            return from_pair(*request.instruction, self.config.canvas)
        return self._net.instruction(self._wanted(request), _seeds(request, index + 1)[index])

    def restore(self, pictures: Tensor, request: Request) -> Tensor:
        """Raises UsageError as `instruction` does. Asked for nothing, gives the pictures back."""
        rows = zip(pictures.split(1), _seeds(request, len(pictures)), strict=True)
        # One by one: a picture must not change by a rounding with the company it keeps.
        return torch.cat([self._restored(picture, seed, request) for picture, seed in rows])

    def explain(self, pictures: Tensor, request: Request) -> dict[str, Tensor]:
        """ "instruction": what each picture is instructed with, clean beside degraded, (N, 3, canvas, 2 canvas).

        Raises UsageError as `instruction` does.
        """
        shown = []
        for index in range(len(pictures)):
            made = self.instruction(request, index)
            shown.append(torch.from_numpy(np.concatenate([made.clean, made.degraded], axis=1)).permute(2, 0, 1))
        return {"instruction": torch.stack(shown)}

    def _restored(self, picture: Tensor, seed: int, request: Request) -> Tensor:
        if request.instruction is not None:
            tokens = self._net.instructed([self.instruction(request)])
            fine_share = self._net.share_of(tokens)
        else:
            wanted = self._wanted(request)
            tokens = self._net.tokens([wanted], [seed])
            fine_share = self._net.share_for(wanted)
        start = noise_window(seed, *request.place, *picture.shape[-2:])[None]
        start = start.to(picture.device, memory_format=torch.channels_last)
        return self._net.restore(picture, start, tokens, fine_share)

    def _wanted(self, request: Request) -> Wanted:
        return wanted_steps(request.degradation, self.config.names)

    def bytes_per_pixel(self, strips: bool) -> int:
        # Peaks measured on a CPU, in float32 tensors of 2 * dim channels, the decoder's at full resolution: 14.4 with
        # local blocks, in strips 4.5, and 7.7 with the published ones, which have none. Plus a reserve,
        # for the C library's heap too.
        unet = self.config.unet
        local = isinstance(unet, LocalUNetConfig)
        return 4 * 2 * unet.dim * ((8 if strips else 16) if local else 9)

    @classmethod
    def config_from(cls, values: Mapping[str, Any]) -> DefusionConfig:
        return read_config(values)

    @classmethod
    def objective(cls, config: DefusionConfig, settings: Mapping[str, Any]) -> Objective:
        """Raises UsageError for settings that are unknown or make no sense."""
        rest = dict(settings)
        stage = rest.pop("stage", "degradation")
        if stage not in STAGES:
            raise UsageError(f"[objective] of the recipe: stage must be one of {', '.join(STAGES)}, not {stage!r}")
        make, kind = STAGES[stage]
        return cast(Objective, objective_from(make, config, kind, rest))

    from_official = staticmethod(convert)


def _seeds(request: Request, count: int) -> tuple[int, ...]:
    return request.seeds or (0,) * count
