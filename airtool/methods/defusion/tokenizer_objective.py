"""Training of Defusion's tokenizer, the first stage: a VQGAN of degraded grounds (paper Eq. 2-4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airtool.errors import UsageError
from airtool.methods.defusion.adapter import InstructionSummary
from airtool.methods.defusion.config import DefusionConfig
from airtool.methods.defusion.network import DefusionNet
from airtool.methods.defusion.objective import PREFIX, instructed, told
from airtool.methods.defusion.tokens import in_units_of, stacked
from airtool.methods.defusion.warm_start import translated
from airtool.methods.objective import Batch, Objective, psnr
from airtool.networks.patch_discriminator import PatchDiscriminator, discriminator_loss, generator_loss
from airtool.networks.vqgan_codebook import Quantised

LARGEST_WEIGHT = 1e4
"""Of the adversarial loss, where the reconstruction hardly pulls any more."""


@dataclass(frozen=True)
class TokenizerSettings:
    """Choices of a recipe. The paper's further term, LPIPS, needs weights of another network and is left out."""

    pixels: Literal["mse", "l1"] = "mse"
    """Distance of the reconstruction, in [-1, 1]: mse as the paper says, l1 as the published VQGAN does."""
    codebook_weight: float = 1.0
    """Weight of what pulls the codes towards the features. The published VQGAN has 0.25 here and 1 below."""
    commitment_weight: float = 0.25
    """Weight of what pulls the features towards the codes."""
    crop_share: float = 0.0
    """Share of the samples that are crops of the degraded photographs in place of grounds. Not published."""
    clean_share: float = 0.1
    """Share of the grounds that are left clean."""
    restart_every: int = 0
    """Every so many steps, codes that no feature has chosen since are put where a feature is; 0: never, as published,
    where the codes come from a long training. At step 0 all of them."""
    adversarial_weight: float = 0.0
    """Weight of the hinge loss against a discriminator of patches, over that at which it pulls the last layer as hard
    as the reconstruction does; the paper has 0.8. 0: no discriminator."""
    adversarial_from: int = 0
    """First step that uses it."""
    naming_weight: float = 0.0
    """Weight of the cross-entropy of a small reader that has to name the damage from a ground's residual tokens, and is
    thrown away afterwards. Not published: in a training of minutes, pixels alone keep little of noise or blur."""

    def __post_init__(self) -> None:
        if self.pixels not in ("mse", "l1"):
            raise ValueError(f"pixels must be 'mse' or 'l1', not {self.pixels!r}")
        if not (0 <= self.crop_share <= 1 and 0 <= self.clean_share <= 1):
            raise ValueError("crop_share and clean_share must lie between 0 and 1")
        weights = (self.codebook_weight, self.commitment_weight, self.adversarial_weight, self.naming_weight)
        if min(*weights, self.adversarial_from) < 0:
            raise ValueError("weights and adversarial_from must be at least 0")
        if self.restart_every < 0:
            raise ValueError("restart_every must be at least 0")


@dataclass(frozen=True)
class Shown:
    """What the tokenizer learns to encode in one step."""

    pictures: Tensor
    """Degraded grounds, clean grounds, crops of photographs: (N, 3, view, view) in [-1, 1]."""
    grounds: Tensor
    """The rows that are degraded grounds, (n,) int64."""
    clean: Tensor
    """These grounds without damage, (n, 3, view, view) in [-1, 1]."""
    names: Tensor
    """1 for every degradation that they have, else 0: (n, names) float32."""


class NameReader(nn.Module):
    """Residual tokens (N, T, context) to a logit for every name, (N, names)."""

    def __init__(self, context: int, names: int) -> None:
        super().__init__()
        self.summary = InstructionSummary(context, context)
        self.out = nn.Linear(context, names)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.out(F.silu(self.summary(tokens)))


class TokenizerObjective(Objective):
    """loss = reconstruction + codebook + commitment (+ adversarial) (+ naming).

    The U-Net is carried along as it is, so that one weights file starts the second stage."""

    relative: ClassVar[bool] = False
    used: Tensor
    """How often each code was chosen since the last restart, (codes,) int64."""

    def __init__(self, config: DefusionConfig, settings: TokenizerSettings) -> None:
        """Raises ValueError for a config without a tokenizer."""
        super().__init__()
        self.settings = settings
        self.network = DefusionNet(config)
        if self.network.tokenizer is None:
            raise ValueError("stage 'tokenizer' is for condition 'instruction' only")
        self.network.requires_grad_(False)
        self.tokenizer = self.network.tokenizer.requires_grad_(True)
        self.discriminator = PatchDiscriminator() if settings.adversarial_weight else None
        self.reader = NameReader(config.tokenizer.code_dim, len(config.names)) if settings.naming_weight else None
        self.register_buffer("used", torch.zeros(config.tokenizer.codes, dtype=torch.int64))

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(batch.number(step))
        shown = self._shown(batch, generator)
        features = self.tokenizer.encode(shown.pictures)
        self._restart(features.detach(), step, generator)
        quantised = self.tokenizer.quantize(features)
        self.used += quantised.indices.flatten().bincount(minlength=len(self.used))
        made = self.tokenizer.decode(quantised.codes).float()
        losses = self._losses(shown.pictures, made, quantised, step)
        if self.reader is not None and len(shown.grounds):
            naming = self._naming(self.reader, quantised.codes[shown.grounds], shown)
            losses["loss"] = losses["loss"] + self.settings.naming_weight * naming
            losses["naming"] = naming.detach()
        return losses

    def _naming(self, reader: NameReader, codes: Tensor, shown: Shown) -> Tensor:
        """How badly the reader names the damage of the grounds from what it changed in their codes."""
        null = self.tokenizer.quantize(self.tokenizer.encode(shown.clean)).codes
        tokens = in_units_of((codes - null).float(), self.tokenizer.quantize.embedding.weight.detach())
        return F.binary_cross_entropy_with_logits(reader(tokens).float(), shown.names)

    def _losses(self, pictures: Tensor, made: Tensor, quantised: Quantised, step: int) -> dict[str, Tensor]:
        settings = self.settings
        apart = (F.mse_loss if settings.pixels == "mse" else F.l1_loss)(made, pictures)
        coded = settings.codebook_weight * quantised.codebook_loss.float()
        coded = coded + settings.commitment_weight * quantised.commitment_loss.float()
        losses = {
            "loss": apart + coded,
            "reconstruction": apart.detach(),
            "commitment": quantised.commitment_loss.detach(),
            "codes": torch.tensor(float(len(quantised.indices.unique()))),
        }
        if self.discriminator is not None and step >= settings.adversarial_from:
            against, judged = self._adversarial(self.discriminator, apart, pictures, made)
            losses["loss"] = losses["loss"] + against + judged
            losses |= {"adversarial": against.detach(), "discriminator": judged.detach()}
        return losses

    def _adversarial(
        self, discriminator: PatchDiscriminator, apart: Tensor, pictures: Tensor, made: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What the discriminator costs the decoder, weighted, and what the decoder costs the discriminator."""
        fixed = {key: each.detach() for key, each in discriminator.named_parameters()}
        against = generator_loss(torch.func.functional_call(discriminator, fixed, made))
        last = self.tokenizer.decoder.conv_out.weight
        pull, push = (torch.autograd.grad(each, last, retain_graph=True)[0].norm() for each in (apart, against))
        weight = (pull / (push + 1e-4)).clamp(0, LARGEST_WEIGHT).detach() * self.settings.adversarial_weight
        return weight * against, discriminator_loss(discriminator(pictures), discriminator(made.detach()))

    def _shown(self, batch: Batch, generator: torch.Generator) -> Shown:
        chances = torch.rand(len(batch.labels), 3, generator=generator).tolist()
        seeds = torch.randint(2**31, (len(batch.labels),), generator=generator).tolist()
        rows, grounds, unharmed, named = [], [], [], []
        for index, (label, (crop, clean, flip), seed) in enumerate(zip(batch.labels, chances, seeds, strict=True)):
            rng = np.random.default_rng(seed)
            ends = (-1,) if flip < 0.5 else ()
            if crop < self.settings.crop_share:
                row = self._crop(batch.degraded[index], rng)
            else:
                names = [] if clean < self.settings.clean_share else [step.name for step in told(label)]
                ground, row = self._ground(names, seed, rng)
                if names:
                    grounds.append(index)
                    unharmed.append(ground.flip(ends))
                    named.append([float(name in names) for name in self.network.config.names])
            rows.append(row.to(batch.degraded.device).flip(ends))
        pictures = 2 * torch.stack(rows) - 1
        return Shown(
            pictures=pictures,
            grounds=torch.tensor(grounds, dtype=torch.int64, device=pictures.device),
            clean=2 * torch.stack(unharmed).to(pictures) - 1 if unharmed else pictures[:0],
            names=torch.tensor(named, device=pictures.device),
        )

    def _ground(self, names: Sequence[str], seed: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Any part of a ground, clean and degraded by these, each (3, view, view) in [0, 1]."""
        config = self.network.config
        shown = self.network.instruction(instructed(names, rng), seed)
        top, left = rng.integers(config.canvas - config.view + 1, size=2)
        clean, degraded = stacked([shown], config.view, [(int(top), int(left))])
        return clean[0], degraded[0]

    def _crop(self, picture: Tensor, rng: np.random.Generator) -> Tensor:
        view = self.network.config.view
        height, width = picture.shape[-2:]
        if min(height, width) < view:
            raise UsageError(f"the tokenizer looks at {view} pixels: give the recipe a patch of at least that")
        top, left = rng.integers(height - view + 1), rng.integers(width - view + 1)
        return picture[:, top : top + view, left : left + view]

    @torch.no_grad()
    def _restart(self, features: Tensor, step: int, generator: torch.Generator) -> None:
        """Put codes that were not chosen lately where some of the features (N, dim, h, w) are."""
        if not self.settings.restart_every or step % self.settings.restart_every:
            return
        book = self.tokenizer.quantize.embedding.weight
        idle = (self.used == 0).nonzero()[:, 0]
        rows = features.permute(0, 2, 3, 1).flatten(0, 2).to(book)
        chosen = torch.randint(len(rows), (len(idle),), generator=generator).to(rows.device)
        book[idle] = rows[chosen]
        if torch.distributed.is_initialized():
            torch.distributed.broadcast(book, 0)
        self.used.zero_()

    def restore(self, degraded: Tensor, labels: Sequence[str]) -> Tensor:
        """The pictures as decoded from their codes; H and W multiples of the tokenizer's stride."""
        return (self.tokenizer(2 * degraded - 1)[0].float() + 1) / 2

    def measure(self, degraded: Tensor, clean: Tensor, label: str) -> float:
        """PSNR of the degraded picture as decoded from its codes: it is the damage that has to be kept."""
        return psnr(self.restore(degraded, (label,)), degraded)

    def translated(self, method: str, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return translated(method, tensors, self.network.config)

    def exported(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {key.removeprefix(PREFIX): tensor for key, tensor in state.items() if key.startswith(PREFIX)}
