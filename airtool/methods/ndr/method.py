"""NDR-Restore behind the contract of a method."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from airtool.methods.base import Request
from airtool.methods.configs import config_from
from airtool.methods.ndr import FACTS
from airtool.methods.ndr.network import NDRConfig, RestorationNet
from airtool.methods.ndr.objective import NDRObjective, NDRSettings
from airtool.methods.ndr.official import convert
from airtool.methods.objective import objective_from

SMALL_SINGLE = NDRConfig(
    dim=16,
    blocks=(1, 2, 3, 4),
    refinement_blocks=1,
    block="nafnet",
    atom_dim=32,
    feature_dim=16,
    rank=8,
    residual=True,
    degrad_dim=8,
)

PRESETS = {
    "small": replace(SMALL_SINGLE, fine=True),
    "small-single": SMALL_SINGLE,
    "paper": NDRConfig(),
    "paper-residual": NDRConfig(residual=True),
    "small-plain": replace(SMALL_SINGLE, recognises=False),
}
"""small: with a second network for the details. small-plain: there to measure what the paper's modules bring."""


class NDRMethod:
    """NDR-Restore, blind."""

    facts = FACTS
    presets: Mapping[str, NDRConfig] = PRESETS

    def __init__(self, config: NDRConfig) -> None:
        self.config = config
        dictionary = nn.Parameter(torch.randn(1, config.atoms, config.atom_dim))
        self.network = RestorationNet(config, dictionary).eval().requires_grad_(False)

    def restore(self, pictures: Tensor, request: Request) -> Tensor:
        return self.network(pictures, request.survey)

    def survey(self, pictures: Tensor) -> float | None:
        """How far what a picture, seen in crops (N, 3, H, W), suffers from lies in its details, 0 to 1.

        None where there is no second network for that.
        """
        return self.network.survey(pictures)

    def bytes_per_pixel(self, strips: bool) -> int:
        # At full resolution the decoder carries 2 * dim channels. A NAFNet block widens them twofold and a Restormer
        # block sixfold (query, key, value beside the input); both hold about two such tensors and the skip at once. In
        # strips these were measured to be 4.5 and 5.3 tensors of 2 * dim channels in all; the
        # C library's heap keeps more.
        local = self.config.block == "nafnet"
        return 4 * 2 * self.config.dim * ((8 if local else 9) if strips else (10 if local else 20))

    @classmethod
    def config_from(cls, values: Mapping[str, Any]) -> NDRConfig:
        return config_from(NDRConfig, values, FACTS.title)

    @classmethod
    def objective(cls, config: NDRConfig, settings: Mapping[str, Any]) -> NDRObjective:
        return objective_from(NDRObjective, config, NDRSettings, settings)

    from_official = staticmethod(convert)
