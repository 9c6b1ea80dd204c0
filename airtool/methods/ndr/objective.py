"""Training of NDR-Restore: restoration and degradation in both directions (paper Sec. III-D, Eq. 8)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from airtool.methods.ndr.degrad import NDR
from airtool.methods.ndr.network import NDRConfig
from airtool.methods.objective import Batch, Objective

PREFIX = "restoration_net."


@dataclass(frozen=True)
class NDRSettings:
    """Choices of a recipe."""

    loss: Literal["l1", "rmse", "psnr"] = "l1"
    """l1: mean absolute error, as published. rmse: root of each picture's mean squared error: every picture pulls
    equally hard. psnr: its logarithm, which is what is measured, but in which nearly clean pictures pull hardest."""
    floor: Sequence[tuple[int, float]] = ((0, 1e-4),)
    """Added to each mean squared error under the root or the logarithm: (step, value) pairs, geometric in between.
    The logarithm alone would punish the slightest change to a clean picture so hard that haze and darkness, which ask
    for large changes, are never begun with; a high floor at first gives every degradation its chance."""
    degradation_weight: float = 1.0
    """Weight of degrading the clean picture again."""
    degradation_every: int = 1
    """Do so at every so manieth step only: it costs as much as restoring and mainly shapes the dictionary."""
    identity_start: bool = False
    """Begin with a zero last convolution: with the residual pass the untrained network returns its input."""

    def __post_init__(self) -> None:
        if self.loss not in ("l1", "rmse", "psnr"):
            raise ValueError(f"loss must be 'l1', 'rmse' or 'psnr', not {self.loss!r}")
        if not self.floor or not all(len(pair) == 2 and pair[1] > 0 for pair in self.floor):
            raise ValueError("floor must be a list of [step, value] with values above 0")
        if self.degradation_every < 1:
            raise ValueError("degradation_every must be at least 1")


class NDRObjective(Objective):
    """loss = |restored - clean| + weight * |degraded again - degraded|.

    The recognised degradation is not detached, so the second term also trains the dictionary and the encoder.
    """

    def __init__(self, config: NDRConfig, settings: NDRSettings) -> None:
        super().__init__()
        self.settings = settings
        self.both = NDR(config)
        if settings.identity_start:
            reconstruction = self.both.restoration_net.reconstruction
            torch.nn.init.zeros_(reconstruction.weight)
            assert reconstruction.bias is not None
            torch.nn.init.zeros_(reconstruction.bias)

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        degraded, clean = batch.degraded, batch.clean
        restored, recognised = self.both.restoration_net.restore_and_recognise(degraded)
        restoration = self._distance(restored.float(), clean, step)
        losses = {"loss": restoration, "restoration": restoration.detach()}
        if self.settings.degradation_weight and step % self.settings.degradation_every == 0:
            again = self.both.degradation_net(clean, recognised)
            degradation = F.l1_loss(again.float(), degraded)
            losses["loss"] = restoration + self.settings.degradation_weight * degradation
            losses["degradation"] = degradation.detach()
        return losses

    def _distance(self, restored: Tensor, clean: Tensor, step: int) -> Tensor:
        if self.settings.loss == "l1":
            return F.l1_loss(restored, clean)
        steps, floors = zip(*self.settings.floor, strict=True)
        floor = float(np.exp(np.interp(step, steps, np.log(floors))))
        squared = (restored - clean).square().mean((1, 2, 3)) + floor
        return (squared.sqrt() if self.settings.loss == "rmse" else torch.log10(squared)).mean()

    def restore(self, degraded: Tensor, labels: Sequence[str]) -> Tensor:
        return self.both.restoration_net(degraded)

    def exported(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        prefix = f"both.{PREFIX}"
        return {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}
