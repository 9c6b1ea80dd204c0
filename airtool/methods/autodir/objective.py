"""Training of the small AutoDIR, part by part: the language, the autoencoder, the diffusion, the correction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from airtool.diffusion.schedule import antithetic_times
from airtool.errors import UsageError
from airtool.methods.autodir.network import AutoDIRConfig, AutoDIRNet
from airtool.methods.autodir.sampling import SCHEDULE, diffuse, window_noise
from airtool.methods.autodir.vocabulary import NOTHING, class_of
from airtool.methods.losses import DistanceSettings, distance
from airtool.methods.naming import NamingSettings, named
from airtool.methods.ndr.names import for_restormer
from airtool.methods.objective import Batch, Objective

PREFIX = "network."

Stage = Literal["language", "autoencoder", "diffusion", "structure", "fine"]

TRAINED: Mapping[str, tuple[str, ...]] = {
    "language": ("language",),
    "autoencoder": ("autoencoder",),
    "diffusion": ("denoiser", "sentences"),
    "structure": ("corrector",),
    "fine": ("fine_corrector",),
}
"""The parts that learn in each stage; all others stay as they are."""


@dataclass(frozen=True)
class AutoDIRSettings(NamingSettings, DistanceSettings):
    """Choices of a recipe. `loss` and `floor` are of the stages "autoencoder", "structure" and "fine"."""

    stage: Stage = "structure"
    """language: what sentences ask for. autoencoder: pictures back from their latents. diffusion: Eq. 8 in terms of
    what the network predicts. structure: Eq. 9-10, the correction of what the sampler gives; with `estimate`
    "one-step" and `loss` "mse" as published. fine: the same for the second correction, from samples that suffer from
    nothing but its classes."""
    estimate: Literal["sampler", "one-step"] = "sampler"
    """What the correction learns from: the sampler's result, as in use, or as in the paper the clean latent that one
    evaluation at a random time step implies."""
    latent_noise: float = 0.05
    """Standard deviation of the noise added to latents before they are decoded (autoencoder only)."""
    moments_weight: float = 0.1
    """Weight of what keeps the latents near zero mean and unit variance (autoencoder only)."""
    sentences: int = 128
    """Fresh sentences a step (language only)."""

    def __post_init__(self) -> None:
        NamingSettings.__post_init__(self)
        DistanceSettings.__post_init__(self)
        if self.stage not in TRAINED:
            raise ValueError(f"stage must be one of {', '.join(TRAINED)}, not {self.stage!r}")
        if self.estimate not in ("sampler", "one-step"):
            raise ValueError(f"estimate must be 'sampler' or 'one-step', not {self.estimate!r}")
        if min(self.latent_noise, self.moments_weight) < 0:
            raise ValueError("latent_noise and moments_weight must be at least 0")
        if self.sentences < 1:
            raise ValueError("sentences must be at least 1")


class AutoDIRObjective(Objective):
    """The loss of the diffusion or of the correction.

    What is random depends on the step alone, so that a resumed run sees the same.
    """

    patch_multiple = 16  # the diffusion halves latents, which are an eighth as wide

    def __init__(self, config: AutoDIRConfig, settings: AutoDIRSettings) -> None:
        super().__init__()
        self.settings = settings
        self.network = AutoDIRNet(config)
        if settings.stage == "fine" and not config.fine_classes:
            raise ValueError("stage 'fine' needs a preset with fine_classes")
        # The corrections begin by handing back the degraded picture, or whatever a warm start brings along.
        for corrector in self.network.correctors():
            for parameter in corrector.output.parameters():
                torch.nn.init.zeros_(parameter)
        for name, module in self.network.named_children():
            module.requires_grad_(name in TRAINED[settings.stage])

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Raises UsageError for a sample that the stage cannot learn from."""
        if self.settings.stage == "fine":
            self._check_fine(batch.labels)
        generator = torch.Generator().manual_seed(batch.number(step))
        chosen = named(batch, generator, self.settings)
        shares = [training_shares(wanted, self.network.config.classes, generator) for wanted in chosen.wanted]
        words = self.network.context(torch.stack(shares).to(batch.degraded.device), self.network.config.classes)
        degraded, target = 2 * chosen.degraded - 1, 2 * chosen.target - 1
        if self.settings.stage == "diffusion":
            return {"loss": self._diffusion_loss(degraded, target, words, generator)}
        with torch.no_grad():
            diffused = self._estimate(degraded, target, words, generator)
        asked = self.network.config.fine_classes if self.settings.stage == "fine" else ()
        restored = diffused + self.network.correct(degraded, diffused, words, asked)
        return {
            "loss": distance(self.settings, ((restored + 1) / 2).float(), chosen.target, step),
            "diffused": (diffused - target).square().mean().detach() / 4,
        }

    def _check_fine(self, labels: Sequence[str]) -> None:
        config = self.network.config
        for label in labels:
            for name in asked_classes(label, config.classes):
                if name not in config.fine_classes:
                    raise UsageError(f"stage 'fine' is not for {name!r}: take it out of the recipe's [mix]")

    def _diffusion_loss(self, degraded: Tensor, target: Tensor, words: Tensor, generator: torch.Generator) -> Tensor:
        with torch.no_grad():
            latent, image_latent = self.network.encode(target), self.network.encode(degraded)
        t = antithetic_times(len(latent), SCHEDULE.steps, generator).to(latent.device)
        noise = torch.randn(latent.shape, generator=generator).to(latent)
        predicted = self.network.denoise(SCHEDULE.diffuse(latent, noise, t), t, image_latent, words)
        return F.mse_loss(predicted.float(), latent if self.network.config.prediction == "x0" else noise)

    def _estimate(self, degraded: Tensor, target: Tensor, words: Tensor, generator: torch.Generator) -> Tensor:
        """I_sd, (N, 3, H, W) in [-1, 1]."""
        config = self.network.config
        shape = (len(degraded), config.latent_channels, *(side // 8 for side in degraded.shape[2:]))
        if self.settings.estimate == "sampler":
            return diffuse(self.network, degraded, words, lambda _: torch.randn(shape, generator=generator))
        t = antithetic_times(len(degraded), SCHEDULE.steps, generator).to(degraded.device)
        noise = torch.randn(shape, generator=generator).to(degraded)
        noisy = SCHEDULE.diffuse(self.network.encode(target), noise, t)
        predicted = self.network.denoise(noisy, t, self.network.encode(degraded), words)
        if config.prediction == "eps":
            signal = SCHEDULE.alpha_bar.to(noisy.device)[t].view(-1, 1, 1, 1)
            predicted = (noisy - (1 - signal).sqrt() * predicted) / signal.sqrt()
        return self.network.decode(predicted)

    def restore(self, degraded: Tensor, labels: Sequence[str]) -> Tensor:
        """Told the classes of the labels, in equal shares."""
        classes = self.network.config.classes
        shares = torch.stack([equal_shares(label, classes) for label in labels]).to(degraded.device)
        words = self.network.context(shares, classes)
        seeds, size = (0,) * len(labels), (degraded.shape[2], degraded.shape[3])
        noise = window_noise(seeds, (0, 0), size, self.network.latent_channels, self.network.latent_factor)
        diffused = diffuse(self.network, 2 * degraded - 1, words, noise)
        if self.settings.stage == "diffusion":
            return (diffused + 1) / 2
        corrections = [
            self.network.correct(2 * degraded[[row]] - 1, diffused[[row]], words[[row]], asked_classes(label, classes))
            for row, label in enumerate(labels)
        ]
        return (diffused + torch.cat(corrections) + 1) / 2

    def translated(self, method: str, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Where weights have no second correction, it begins with those of the first."""
        found = from_ndr(tensors) if method == "ndr" else dict(tensors)
        first = {f"fine_{key}": tensor for key, tensor in found.items() if key.startswith("corrector.")}
        return first | found

    def exported(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {key.removeprefix(PREFIX): tensor for key, tensor in state.items() if key.startswith(PREFIX)}


def from_ndr(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """NDR-Restore's backbone as the start of the correction, which then restores what NDR-Restore restores, blindly.

    Of the two pictures that the correction sees only the degraded one is looked at first.
    """
    found = {}
    for key, tensor in for_restormer(tensors, skip=2.0).items():
        part, _, rest = key.partition(".")
        if part == "patch_embed":
            entry = torch.cat([tensor, torch.zeros_like(tensor)], 1) if tensor.ndim == 4 else tensor
            found[f"corrector.entry.{rest.removeprefix('proj.')}"] = entry
        else:
            found[f"corrector.{key}"] = tensor
    return found


def training_shares(wanted: Sequence[str], classes: Sequence[str], generator: torch.Generator) -> Tensor:
    """Shares (classes,) for what is named: uneven among several, and with a little on "no", as a detector gives them.

    Raises UsageError for a degradation without a class here.
    """
    rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
    shares = torch.zeros(len(classes))
    for name in _classes(wanted, classes):
        shares[classes.index(name)] = float(rng.uniform(0.5, 1.0))
    if not shares.any():
        shares[classes.index(NOTHING)] = 1.0
    elif rng.random() < 0.5:
        shares[classes.index(NOTHING)] = float(rng.uniform(0.0, 0.3))
    return shares / shares.sum()


def equal_shares(label: str, classes: Sequence[str]) -> Tensor:
    """Shares (classes,) for a label as `Batch` has it."""
    shares = torch.zeros(len(classes))
    for name in asked_classes(label, classes) or (NOTHING,):
        shares[classes.index(name)] = 1.0
    return shares / shares.sum()


def asked_classes(label: str, classes: Sequence[str]) -> tuple[str, ...]:
    """The classes of a label as `Batch` has it."""
    return _classes(() if label in ("clean", "") else label.split(","), classes)


def _classes(wanted: Sequence[str], classes: Sequence[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(class_of(each) for each in wanted))
    for name in found:
        if name not in classes:
            raise UsageError(f"these weights know no {name!r}: take it out of the recipe's [mix]")
    return found
