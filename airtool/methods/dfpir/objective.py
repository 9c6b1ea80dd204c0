"""Training of DFPIR: one distance between restored and clean (L1 as published), every sample with its prompt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from airtool.errors import UsageError
from airtool.methods.autodir.names import SECOND
from airtool.methods.autodir.names import for_restormer as from_correction
from airtool.methods.dfpir.network import DFPIRConfig, DFPIRNet
from airtool.methods.dfpir.perturbation import SelectiveAttention
from airtool.methods.dfpir.prompts import UNKNOWN, training_label
from airtool.methods.losses import DistanceSettings, distance
from airtool.methods.ndr.names import for_restormer
from airtool.methods.objective import Batch, Objective

PREFIX = "network."
FINE = "fine."
"""Where the names of the second network's layers begin."""

GOLDEN = (5**0.5 - 1) / 2
"""Multiples of the golden ratio fill the unit interval most evenly, whatever the number of them."""


@dataclass(frozen=True)
class DFPIRSettings(DistanceSettings):
    """Choices of a recipe."""

    stage: Literal["first", "fine"] = "first"
    """first: the network, but not the second one that a preset with fine_labels has. fine: that one alone, from samples
    of those labels; it begins with what --start-from gives last: another method's layers, or those of the first one
    where weights of `dfpir` have no second."""
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
        if self.stage not in ("first", "fine"):
            raise ValueError(f"stage must be 'first' or 'fine', not {self.stage!r}")
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
        self.fine_labels = config.fine_labels
        if settings.stage == "fine" and not config.fine_labels:
            raise ValueError("stage 'fine' needs a preset with fine_labels")
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(name.startswith(FINE) == (settings.stage == "fine"))
        for module in self.network.modules():
            if isinstance(module, SelectiveAttention):
                torch.nn.init.constant_(module.temperature, settings.temperature)
        if settings.identity_start:
            for parameter in self._trained().output.parameters():
                torch.nn.init.zeros_(parameter)

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Raises UsageError for a label that the preset has no prompt for, or that the stage is not for."""
        labels = self.training_labels(batch.labels, batch.number(step))
        if self.settings.stage == "fine":
            self._check_fine(batch.labels, labels)
        restored = self._trained().alone(batch.degraded, self._prompts(labels, batch.degraded.device))
        return {"loss": distance(self.settings, restored.float(), batch.clean, step)}

    def restore(self, degraded: Tensor, labels: Sequence[str]) -> Tensor:
        wanted = [training_label(label, self.labels) for label in labels]
        return self.network(degraded, self._prompts(wanted, degraded.device))

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

    def _trained(self) -> DFPIRNet:
        fine = self.network.fine if self.settings.stage == "fine" else None
        return fine or self.network

    def _check_fine(self, done: Sequence[str], labels: Sequence[str]) -> None:
        for each, label in zip(done, labels, strict=True):
            if label not in self.fine_labels:
                raise UsageError(
                    f"stage 'fine' is not for {each!r} (prompt {label!r}): take it out of the recipe's [mix]"
                )

    def _prompts(self, labels: Sequence[str], device: torch.device) -> Tensor:
        return torch.tensor([self.labels.index(label) for label in labels], device=device)

    def exported(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {key.removeprefix(PREFIX): tensor for key, tensor in state.items() if key.startswith(PREFIX)}

    def translated(self, method: str, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        fine = self.settings.stage == "fine"
        if method == "autodir":
            found = (fine and from_correction(tensors, SECOND)) or from_correction(tensors)
        else:
            found = dict(for_restormer(tensors) if method == "ndr" else tensors)
        if not fine:
            return found
        begun = {f"{FINE}{key}": tensor for key, tensor in found.items() if not key.startswith(FINE)}
        # Of another method's weights the second network is made; the first one stays as it is.
        return begun | (found if method == "dfpir" else {})
