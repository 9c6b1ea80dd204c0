"""Training of DFPIR: one distance between restored and clean (L1 as published), every sample with its prompt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from airtool.methods.autodir.names import for_restormer as from_correction
from airtool.methods.dfpir.network import DFPIRConfig, DFPIRNet
from airtool.methods.dfpir.perturbation import SelectiveAttention
from airtool.methods.dfpir.prompts import UNKNOWN, training_label
from airtool.methods.losses import DistanceSettings, distance
from airtool.methods.ndr.names import for_restormer
from airtool.methods.objective import Batch, Objective

PREFIX = "network."

GOLDEN = (5**0.5 - 1) / 2
"""Multiples of the golden ratio fill the unit interval most evenly, whatever the number of them."""


@dataclass(frozen=True)
class DFPIRSettings(DistanceSettings):
    """Choices of a recipe."""

    unknown_share: float = 0.15
    """Share of the samples that get the prompt "unknown" whatever was done to them, so that the weights also work when
    nobody says what is wrong. Only where the preset has that prompt: the ``paper`` preset, like the paper, has not."""
    temperature: float = 1.0
    """Starting value of CAAPM's learned temperature. At 1, as published, an untrained attention is all but even, so
    that every channel becomes the mean of all; a larger one lets a short training begin with distinct channels."""
    identity_start: bool = False
    """Begin with a zero last convolution: the untrained network returns its input."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.unknown_share <= 1:
            raise ValueError(f"unknown_share must be from 0 to 1, not {self.unknown_share}")
        if self.temperature <= 0:
            raise ValueError(f"temperature must be above 0, not {self.temperature}")


class DFPIRObjective(Objective):
    """loss = |restored - clean|, with the prompt of each sample's label."""

    def __init__(self, config: DFPIRConfig, settings: DFPIRSettings) -> None:
        super().__init__()
        self.settings = settings
        self.labels = config.labels
        self.network = DFPIRNet(config)
        for module in self.network.modules():
            if isinstance(module, SelectiveAttention):
                torch.nn.init.constant_(module.temperature, settings.temperature)
        if settings.identity_start:
            torch.nn.init.zeros_(self.network.output.weight)
            if self.network.output.bias is not None:
                torch.nn.init.zeros_(self.network.output.bias)

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Raises UsageError for a label that the preset has no prompt for."""
        restored = self._restored(batch.degraded, self.training_labels(batch.labels, batch.number(step)))
        return {"loss": distance(self.settings, restored.float(), batch.clean, step)}

    def restore(self, degraded: Tensor, labels: Sequence[str]) -> Tensor:
        return self._restored(degraded, [training_label(label, self.labels) for label in labels])

    def training_labels(self, labels: Sequence[str], number: int) -> list[str]:
        """The prompt label of each sample of batch `number`: its own, or "unknown".

        Which ones are hidden depends on that and the place in the batch alone, so a resumed run hides the same.
        """
        share = self.settings.unknown_share if UNKNOWN in self.labels else 0.0
        first = number * len(labels)
        return [
            UNKNOWN if (first + place) * GOLDEN % 1 < share else training_label(label, self.labels)
            for place, label in enumerate(labels)
        ]

    def _restored(self, degraded: Tensor, labels: Sequence[str]) -> Tensor:
        prompts = torch.tensor([self.labels.index(label) for label in labels], device=degraded.device)
        return self.network(degraded, prompts)

    def exported(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {key.removeprefix(PREFIX): tensor for key, tensor in state.items() if key.startswith(PREFIX)}

    def translated(self, method: str, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        if method == "autodir":
            return from_correction(tensors)
        return for_restormer(tensors) if method == "ndr" else tensors
