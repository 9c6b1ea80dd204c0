"""DFPIR behind the contract of a method."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from airtool.methods.base import Request
from airtool.methods.configs import config_from
from airtool.methods.dfpir import FACTS
from airtool.methods.dfpir.network import DFPIRConfig, DFPIRNet
from airtool.methods.dfpir.objective import DFPIRObjective, DFPIRSettings
from airtool.methods.dfpir.official import convert
from airtool.methods.dfpir.prompts import FINE_LABELS, LABELS, UNKNOWN, as_request, asked_labels
from airtool.methods.objective import objective_from

SINGLE = DFPIRConfig(dim=16, blocks=(1, 2, 3, 4), refinement_blocks=1, block="nafnet", labels=LABELS)

ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "attention": {"perturbation": "attention"},
    "no-caapm": {"selective": False},
    **{f"gamma-{gamma}": {"gamma": gamma} for gamma in (0.5, 0.6, 0.7, 0.8, 1.0)},
}
"""What the paper's Table 3 varies, at the size of `SINGLE`, for recipes to name: "small-attention" and so on."""

PRESETS = {
    "small": replace(SINGLE, fine_labels=FINE_LABELS),
    "small-single": SINGLE,  # before the stage that adds the second network
    "paper": DFPIRConfig(),
    **{f"small-{name}": replace(SINGLE, **change) for name, change in ABLATIONS.items()},
}


class DFPIRMethod:
    """DFPIR, told the degradation, or blind with weights that learned the prompt "unknown"."""

    facts = FACTS
    presets: Mapping[str, DFPIRConfig] = PRESETS

    def __init__(self, config: DFPIRConfig) -> None:
        self.config = config
        self.network: nn.Module = DFPIRNet(config).eval().requires_grad_(False)

    def check(self, degradation: tuple[str, ...]) -> None:
        asked_labels(degradation, self.config.labels)

    def restore(self, pictures: Tensor, request: Request) -> Tensor:
        """Raises UsageError as `check` does."""
        first, *others = asked_labels(request.degradation, self.config.labels)
        restored = self._restored(pictures, first)
        for label in others:
            restored = self._restored(restored.clamp(0, 1), label)
        return restored

    def candidates(self) -> tuple[str, ...]:
        return tuple(as_request(label) for label in self.config.labels if label != UNKNOWN)

    def _restored(self, pictures: Tensor, label: str) -> Tensor:
        number = self.config.labels.index(label)
        return self.network(pictures, torch.full((pictures.shape[0],), number, device=pictures.device))

    def bytes_per_pixel(self, strips: bool) -> int:
        # Measured peaks, in float32 tensors of the decoder's 2 * dim channels at full resolution: 7.9 and 15.5; in
        # strips 3.9 and 4.0. Plus a reserve, for what the C library's heap keeps between them.
        whole = 9 if self.config.block == "nafnet" else 17
        return 4 * 2 * self.config.dim * (8 if strips else whole)

    @classmethod
    def config_from(cls, values: Mapping[str, Any]) -> DFPIRConfig:
        return config_from(DFPIRConfig, values, FACTS.title)

    @classmethod
    def objective(cls, config: DFPIRConfig, settings: Mapping[str, Any]) -> DFPIRObjective:
        """Raises UsageError for settings that are unknown or make no sense."""
        return objective_from(DFPIRObjective, config, DFPIRSettings, settings)

    from_official = staticmethod(convert)
