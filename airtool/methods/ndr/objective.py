"""Training of NDR-Restore: restoration and degradation in both directions (paper Sec. III-D, Eq. 8).

As in the authors' code, both at once and by the mean absolute error; the paper says "alternately", and squares.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from airtool.methods.autodir.names import SECOND
from airtool.methods.autodir.names import for_restormer as from_correction
from airtool.methods.fine import Part, begun, check_part, check_samples, learn_only, share_loss
from airtool.methods.losses import DistanceSettings, distance
from airtool.methods.ndr.degrad import NDR
from airtool.methods.ndr.names import from_restormer
from airtool.methods.ndr.network import NDRConfig, RestorationNet
from airtool.methods.objective import Batch, Objective

PREFIX = "restoration_net."


@dataclass(frozen=True)
class NDRSettings(DistanceSettings):
    """Choices of a recipe."""

    stage: Part = "first"
    """What is trained; the second network without degrading again."""
    degradation_weight: float = 1.0
    """Weight of degrading the clean picture again."""
    degradation_every: int = 1
    """Do so at every so manieth step only: it costs as much as restoring and mainly shapes the dictionary."""
    identity_start: bool = False
    """Begin with a zero last convolution: with the residual pass the untrained network returns its input."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_part(self.stage, "stage")
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
        if settings.stage != "first" and not config.fine:
            raise ValueError(f"stage {settings.stage!r} needs a preset with fine = true")
        learn_only(settings.stage, [(name.removeprefix(PREFIX), each) for name, each in self.both.named_parameters()])
        if settings.identity_start:
            for parameter in self.both.restoration_net.reconstruction.parameters():
                torch.nn.init.zeros_(parameter)

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Raises UsageError for a sample that the stage cannot learn from."""
        if self.settings.stage == "fine":
            return self._fine(batch, step)
        if self.settings.stage == "share":
            return self._share(batch)
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

    def _fine(self, batch: Batch, step: int) -> dict[str, Tensor]:
        check_samples(batch.labels)
        return {"loss": distance(self.settings, self._fine_net()(batch.degraded).float(), batch.clean, step)}

    def _share(self, batch: Batch) -> dict[str, Tensor]:
        network = self.both.restoration_net
        with torch.no_grad():
            levels = network.encoded(batch.degraded)
        return share_loss(network.fine_share.logits(levels), batch.labels)

    def _fine_net(self) -> RestorationNet:
        network = self.both.restoration_net.fine
        assert network is not None
        return network

    def restore(self, degraded: Tensor, labels: Sequence[str]) -> Tensor:
        """By the second network alone in its stage, when nothing tells the two apart yet."""
        return self._fine_net()(degraded) if self.settings.stage == "fine" else self.both.restoration_net(degraded)

    def translated(self, method: str, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        fine = self.settings.stage == "fine"
        found = dict(tensors)
        if method == "autodir":
            correction = (fine and from_correction(tensors, SECOND)) or from_correction(tensors)
            # The residual pass hands every skipped feature on twice.
            found = from_restormer(correction, skip=2.0 if self.both.restoration_net.residual else 1.0)
        if not fine:
            return found
        # Of another method's weights the second network is made; the first one stays as it is.
        return begun(found) | (found if method == "ndr" else {})

    def exported(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        prefix = f"both.{PREFIX}"
        return {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}
