"""Training of NDR-Restore: restoration and degradation in both directions (paper Sec. III-D, Eq. 8).

As in the authors' code, both at once and by the mean absolute error; the paper says "alternately", and squares.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from airtool.methods.autodir.names import for_restormer as from_correction
from airtool.methods.losses import DistanceSettings, distance
from airtool.methods.ndr.degrad import NDR
from airtool.methods.ndr.names import from_restormer
from airtool.methods.ndr.network import NDRConfig
from airtool.methods.objective import Batch, Objective

PREFIX = "restoration_net."


@dataclass(frozen=True)
class NDRSettings(DistanceSettings):
    """Choices of a recipe."""

    degradation_weight: float = 1.0
    """Weight of degrading the clean picture again."""
    degradation_every: int = 1
    """Do so at every so manieth step only: it costs as much as restoring and mainly shapes the dictionary."""
    identity_start: bool = False
    """Begin with a zero last convolution: with the residual pass the untrained network returns its input."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.degradation_every < 1:
            raise ValueError("degradation_every must be at least 1")


class NDRObjective(Objective):
    """loss = |restored - clean| + weight * |degraded again - degraded|.

    The recognised degradation is not detached, so the second term also trains the dictionary and the encoder. A network
    that recognises nothing goes without it.
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
        restoration = distance(self.settings, restored.float(), clean, step)
        losses = {"loss": restoration, "restoration": restoration.detach()}
        weighted = recognised is not None and self.settings.degradation_weight
        if weighted and step % self.settings.degradation_every == 0:
            again = self.both.degradation_net(clean, recognised)
            degradation = F.l1_loss(again.float(), degraded)
            losses["loss"] = restoration + self.settings.degradation_weight * degradation
            losses["degradation"] = degradation.detach()
        return losses

    def restore(self, degraded: Tensor, labels: Sequence[str]) -> Tensor:
        return self.both.restoration_net(degraded)

    def translated(self, method: str, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        if method != "autodir":
            return tensors
        # The residual pass hands every skipped feature on twice.
        return from_restormer(from_correction(tensors), skip=2.0 if self.both.restoration_net.residual else 1.0)

    def exported(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        prefix = f"both.{PREFIX}"
        return {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}
