"""Training of Up-Restorer in the two stages of its paper: the noise first, then what the sampler makes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from airtool.diffusion.ddim import result
from airtool.diffusion.field import noise_window
from airtool.diffusion.schedule import antithetic_times
from airtool.methods.autodir.names import FIRST, SECOND
from airtool.methods.fine import Part, begun, check_part, check_samples, learn_only, second_of, share_loss
from airtool.methods.losses import DistanceSettings, distance
from airtool.methods.objective import Batch, Objective
from airtool.methods.up_restorer.network import UpRestorerConfig, UpRestorerNet
from airtool.methods.up_restorer.warm_start import from_correction, from_ndr
from airtool.networks.ssim_loss import ms_ssim, ssim

PREFIX = "network."


@dataclass(frozen=True)
class UpRestorerSettings(DistanceSettings):
    """Choices of a recipe. Distances and similarities are those of pictures in the diffusion's range [-1, 1], so that
    mean squared errors, and with them `floor`, are four times those of pictures in [0, 1]."""

    part: Part = "first"
    """What is trained."""
    stage: Literal["noise", "unrolled"] = "noise"
    """noise: the distance of the prediction at random time steps. unrolled: alpha * (1 - similarity) + (1 - alpha) *
    distance of what the whole sampler makes of pure noise, back through its evaluations."""
    alpha: float = 0.84
    """Share of the similarity (unrolled only). The paper does not state it; this is C2F-DFT's."""
    similarity: Literal["ssim", "ms-ssim"] = "ssim"
    """ssim: as the paper says. ms-ssim: as C2F-DFT does; needs crops of at least 16 pixels."""
    data_range: float = 2.0
    """Largest difference of two values for the similarity. C2F-DFT says 255, which leaves hardly a trace of it."""
    evaluations_with_gradient: int | None = None
    """Only so many of the last evaluations are learned from (unrolled only); all by default. Fewer cost less."""
    early_share: float = 0.0
    """Share of the steps in which the sampler ends at a random evaluation before its last (unrolled only). They cost
    less, and what an evaluation passes on is learned too where only the last ones have a gradient."""
    identity_start: bool = False
    """Begin with a zero last convolution: with prediction "x0" the untrained network returns the degraded picture."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_part(self.part, "part")
        if self.stage not in ("noise", "unrolled"):
            raise ValueError(f"stage must be 'noise' or 'unrolled', not {self.stage!r}")
        if self.similarity not in ("ssim", "ms-ssim"):
            raise ValueError(f"similarity must be 'ssim' or 'ms-ssim', not {self.similarity!r}")
        if not 0 <= self.alpha <= 1 or self.data_range <= 0:
            raise ValueError("alpha must lie between 0 and 1, and data_range above 0")
        if self.evaluations_with_gradient is not None and self.evaluations_with_gradient < 1:
            raise ValueError("evaluations_with_gradient must be at least 1")
        if not 0 <= self.early_share <= 1:
            raise ValueError("early_share must lie between 0 and 1")


class UpRestorerObjective(Objective):
    """The loss of one stage. What is random depends on the step alone, so that a resumed run sees the same."""

    def __init__(self, config: UpRestorerConfig, settings: UpRestorerSettings) -> None:
        super().__init__()
        self.settings = settings
        self.network = UpRestorerNet(config)
        if settings.part != "first" and not config.fine:
            raise ValueError(f"part {settings.part!r} needs a preset with fine = true")
        learn_only(settings.part, self.network.named_parameters())
        if settings.identity_start:
            for parameter in self._trained().backbone.output.parameters():
                torch.nn.init.zeros_(parameter)

    def _trained(self) -> UpRestorerNet:
        fine = self.network.fine if self.settings.part == "fine" else None
        return fine or self.network

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Raises UsageError for a sample that the part cannot learn from."""
        degraded, clean = 2 * batch.degraded - 1, 2 * batch.clean - 1
        if self.settings.part == "share":
            with torch.no_grad():
                levels = self.network.encoded(degraded)
            return share_loss(self.network.fine_share.logits(levels), batch.labels)
        if self.settings.part == "fine":
            check_samples(batch.labels)
        generator = torch.Generator().manual_seed(batch.number(step))
        if self.settings.stage == "noise":
            t = antithetic_times(len(clean), self.network.schedule.steps, generator)
            noise = torch.randn(clean.shape, generator=generator)
            loss = self.noise_loss(degraded, clean, t.to(clean.device), noise.to(clean.device), step)
            return {"loss": loss}
        noise = torch.randn(clean.shape, generator=generator)
        evaluations = len(self.network.times)
        if evaluations > 1 and torch.rand((), generator=generator) < self.settings.early_share:
            evaluations = int(torch.randint(1, evaluations, (), generator=generator))
        return self.unrolled_loss(degraded, clean, noise.to(clean.device), step, evaluations)

    def noise_loss(self, degraded: Tensor, clean: Tensor, t: Tensor, noise: Tensor, step: int) -> Tensor:
        """Stage one, for pictures in [-1, 1], time steps (N,) and noise (N, 3, H, W).

        Where the network predicts the clean picture the distance is taken there, which is that of the noise times
        sqrt((1 - alpha_bar) / alpha_bar).
        """
        noisy = self.network.schedule.diffuse(clean, noise, t)
        predicted = self._trained()(degraded, noisy, t)
        wanted = noise if self.network.config.prediction == "eps" else clean
        return distance(self.settings, predicted.float(), wanted, step)

    def unrolled_loss(
        self, degraded: Tensor, clean: Tensor, noise: Tensor, step: int, evaluations: int | None = None
    ) -> dict[str, Tensor]:
        """Stage two, for pictures in [-1, 1] and the noise (N, 3, H, W) that the sampler begins with."""
        settings = self.settings
        restored = result(self._trained().trajectory(degraded, noise, settings.evaluations_with_gradient, evaluations))
        apart = distance(settings, restored, clean, step)
        losses = {"loss": apart, "distance": apart.detach()}
        if settings.alpha:
            alike = (ssim if settings.similarity == "ssim" else ms_ssim)(restored, clean, settings.data_range)
            losses["loss"] = settings.alpha * (1 - alike) + (1 - settings.alpha) * apart
            losses["similarity"] = alike.detach()
        return losses

    def restore(self, degraded: Tensor, labels: Sequence[str]) -> Tensor:
        """By the second network alone while that is what is trained, when nothing tells the two apart yet."""
        start = noise_window(0, 0, 0, *degraded.shape[-2:])[None].to(degraded.device)
        rows = (2 * degraded - 1).split(1)
        return (torch.cat([self._trained().restored(picture, start) for picture in rows]) + 1) / 2

    def translated(self, method: str, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        fine = self.settings.part == "fine"
        if method == "ndr":
            found = from_ndr(second_of(tensors) if fine else tensors)
        elif method == "autodir":
            blocks = self.network.config.blocks[0]
            found = (fine and from_correction(tensors, blocks, SECOND)) or from_correction(tensors, blocks, FIRST)
        else:
            found = dict(tensors)
        if not fine:
            return found
        # Of another method's weights the second network is made; the first one stays as it is.
        return begun(found) | (found if method == "up-restorer" else {})

    def exported(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {key.removeprefix(PREFIX): tensor for key, tensor in state.items() if key.startswith(PREFIX)}
