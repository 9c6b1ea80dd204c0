"""Training of the small AutoDIR's parts that see no degradation: the autoencoder and the language."""

import numpy as np
import torch
from torch import Tensor

from airtool.methods.autodir.network import AutoDIRConfig
from airtool.methods.autodir.objective import AutoDIRObjective, AutoDIRSettings
from airtool.methods.autodir.paraphrases import UNDERSTOOD, sentence
from airtool.methods.autodir.understanding import language_loss
from airtool.methods.losses import distance
from airtool.methods.objective import Batch, psnr

HELD_OUT = 2**62
"""Seed of the sentences that are measured: no step's."""


class AutoencoderObjective(AutoDIRObjective):
    """Degraded and clean pictures back from their latents, which shall have zero mean and unit variance."""

    relative = False

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(batch.number(step))
        pictures = torch.cat([batch.degraded, batch.clean])
        latents = self.network.encode(2 * pictures - 1)
        disturbed = latents + self.settings.latent_noise * torch.randn(latents.shape, generator=generator).to(latents)
        restored = (self.network.decode(disturbed) + 1) / 2
        apart = distance(self.settings, restored.float(), pictures, step)
        mean, power = latents.float().mean((0, 2, 3)), latents.float().square().mean((0, 2, 3))
        moments = mean.square().mean() + (power - 1).square().mean()
        return {"loss": apart + self.settings.moments_weight * moments, "moments": moments.detach()}

    def measure(self, degraded: Tensor, clean: Tensor, label: str) -> float:
        """PSNR of the degraded picture as it comes back."""
        return psnr((self.network.decode(self.network.encode(2 * degraded - 1)) + 1) / 2, degraded)


class LanguageObjective(AutoDIRObjective):
    """Sentences of `paraphrases` and the classes that they mean. The pictures of the recipe are not looked at."""

    unit = "%"
    relative = False

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        return {"loss": language_loss(self.network.language, batch.number(step), self.settings.sentences)}

    def measure(self, degraded: Tensor, clean: Tensor, label: str) -> float:
        """100 where every class of a sentence is found and no other, averaged over held-out sentences."""
        rng = np.random.default_rng(HELD_OUT)
        texts, meant = zip(*(sentence(rng) for _ in range(2 * self.settings.sentences)), strict=True)
        wanted = torch.tensor([[name in names for name in UNDERSTOOD] for names in meant])
        found = self.network.language(self.network.language.tokenised(texts)).cpu() > 0
        return 100.0 * float((found == wanted).all(1).float().mean())


def objective_of(config: AutoDIRConfig, settings: AutoDIRSettings) -> AutoDIRObjective:
    """The objective of the stage that the settings name."""
    kinds = {"language": LanguageObjective, "autoencoder": AutoencoderObjective}
    return kinds.get(settings.stage, AutoDIRObjective)(config, settings)
