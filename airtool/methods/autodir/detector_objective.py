"""Training of the detector: both encoders at once, by the losses of `biqa`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from airtool.errors import UsageError
from airtool.methods.autodir.biqa import fidelity, released_fidelity, semantic_agnostic
from airtool.methods.autodir.detector import PRESETS, DetectorConfig, DetectorNet
from airtool.methods.autodir.variations import as_jpeg, backlit, softened
from airtool.methods.autodir.vocabulary import NOTHING, UNDEGRADED, shares
from airtool.methods.objective import Batch, Objective, objective_from

PREFIX = "network."

SOFTNESS = (0.5, 1.8)
"""Range of the standard deviation in pixels by which a soft photograph is blurred, even on a logarithmic scale."""
LEAST_NOISE = 0.14
"""Amount of camera noise in the least noisy of the soft photographs (training pictures begin at 0.1)."""
LIGHT_KEPT = 0.4
"""A picture that is lit from behind keeps at least so much of the light of its light parts."""


@dataclass(frozen=True)
class DetectorSettings:
    """Choices of a recipe."""

    semantic_weight: float = 1.0
    """lambda of Eq. 6; 0 leaves the clean partners out (the paper's ablation)."""
    warmup: int = 1000
    """Steps over which lambda rises from 0 and a cross-entropy fades out. The gradient of Eq. 4 vanishes where the true
    class has no probability, so what is given up early is lost for good; and as long as a degraded picture looks like
    its partner, Eq. 5 undoes what Eq. 4 does. The paper starts from CLIP, which can tell them apart; we do not."""
    fidelity: Literal["paper", "released"] = "paper"
    """Eq. 4 as printed, or as the authors' code has it."""
    shift: int = 8
    """Crops lose so many pixels of height and width, at a side drawn anew for each step: else the blocks of a JPEG
    picture would begin at the crop's corner every time, and be known by that."""
    soft_share: float = 0.0
    """Share of the pictures with nothing but camera noise that are soft, and less noisy: what most photographs are at
    full size, where only the noise is damage."""
    backlit_share: float = 0.0
    """Share of the pictures with nothing but low light whose light parts keep theirs: exposed for the sky."""
    saved_share: float = 0.5
    """Share of the degraded pictures that are saved as JPEG at last, as most files have been."""
    saved_quality: Sequence[float] = (70.0, 95.0)
    """Lowest and highest quality of that. Where it can be seen, it counts as a further degradation of the picture."""
    grey_share: float = 0.05
    """Share of the pictures that lose their colours, with their partners: there are grey photographs too."""

    def __post_init__(self) -> None:
        if self.fidelity not in ("paper", "released"):
            raise ValueError(f"fidelity must be 'paper' or 'released', not {self.fidelity!r}")
        if min(self.semantic_weight, self.warmup) < 0:
            raise ValueError("semantic_weight and warmup must be at least 0")
        if self.shift < 0 or self.shift % 2:
            raise ValueError("shift must be an even number of pixels, at least 0")
        shares = (self.soft_share, self.backlit_share, self.saved_share, self.grey_share)
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError("soft_share, backlit_share, saved_share and grey_share must be from 0 to 1")
        if len(self.saved_quality) != 2 or not 1 <= self.saved_quality[0] <= self.saved_quality[1] <= 100:
            raise ValueError("saved_quality must be the lowest and the highest, from 1 to 100")


class DetectorObjective(Objective):
    """loss = L_FID + lambda L_SA (Eq. 6), L_SA over the pictures with a visible degradation only.

    During the warm-up, at the part w of it: L_FID + w lambda L_SA + (1 - w) cross-entropy.
    """

    unit = "%"
    relative = False

    def __init__(self, config: DetectorConfig, settings: DetectorSettings) -> None:
        super().__init__()
        self.settings = settings
        self.classes = config.classes
        self.network = DetectorNet(config)

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        # Every draw is decided by the batch's number alone, so that a run that is resumed goes on as it would have.
        generator = torch.Generator().manual_seed(batch.number(step))
        saved = self._saved(self._as_photographed(batch, generator), generator)
        y = self.targets(saved.labels).to(batch.degraded.device)
        degraded, clean = self._varied(saved, generator)
        # Their clean partners must not look degraded; the others are their own partners.
        partnered = y[:, self.classes.index(NOTHING)] == 0
        wanted = self.settings.semantic_weight > 0 and bool(partnered.any())
        pictures = torch.cat([degraded, clean[partnered]]) if wanted else degraded
        logits = self.network(pictures)
        own, partners = logits[: len(y)], logits[len(y) :]
        form = fidelity if self.settings.fidelity == "paper" else released_fidelity
        warm = min(1.0, step / self.settings.warmup) if self.settings.warmup else 1.0
        loss = form(own, y).mean()
        losses = {"fidelity": loss.detach()}
        if wanted:
            scene = semantic_agnostic(partners, y[partnered]).mean()
            loss = loss + warm * self.settings.semantic_weight * scene
            losses["semantic"] = scene.detach()
        if warm < 1.0:
            loss = loss + (1.0 - warm) * F.cross_entropy(own, y)
        losses = {"loss": loss, **losses}
        losses["correct"] = (y.gather(1, own.detach().argmax(1, keepdim=True)) > 0).float().mean()
        return losses

    def targets(self, labels: Sequence[str]) -> Tensor:
        """y (N, classes) for the labels of a batch. Raises UsageError for a degradation without a class here."""
        y = torch.zeros(len(labels), len(self.classes))
        for row, label in enumerate(labels):
            for name, share in shares(label).items():
                if name not in self.classes:
                    raise UsageError(f"these weights know no {name!r}: take it out of the recipe's [mix]")
                y[row, self.classes.index(name)] = share
        return y

    def _as_photographed(self, batch: Batch, generator: torch.Generator) -> Batch:
        """The batch with some of its noisy pictures softened and some of its dark ones lit from behind."""
        if not (self.settings.soft_share or self.settings.backlit_share):
            return batch
        degraded, clean, labels = batch.degraded.clone(), batch.clean.clone(), list(batch.labels)
        draws = torch.rand(len(labels), 3, generator=generator).tolist()
        for row, (label, (chance, first, second)) in enumerate(zip(labels, draws, strict=True)):
            name, _, amount = label.partition(":")
            if name == "camera-noise" and "," not in label and chance < self.settings.soft_share:
                weaker = LEAST_NOISE ** (1 - first) * max(LEAST_NOISE, float(amount)) ** first
                noise = (degraded[row] - clean[row]) * (weaker / float(amount))
                clean[row] = softened(clean[row], SOFTNESS[0] * (SOFTNESS[1] / SOFTNESS[0]) ** second)
                degraded[row] = _in_8_bits(clean[row] + noise)
                labels[row] = f"{name}:{weaker:g}"
            elif name == "low-light" and "," not in label and chance < self.settings.backlit_share:
                degraded[row] = _in_8_bits(backlit(degraded[row], clean[row], LIGHT_KEPT + (1 - LIGHT_KEPT) * first))
        return replace(batch, degraded=degraded, clean=clean, labels=tuple(labels))

    def _saved(self, batch: Batch, generator: torch.Generator) -> Batch:
        """The batch with some of its degraded pictures saved as JPEG, and labels that say so."""
        chosen = torch.rand(len(batch.labels), generator=generator) < self.settings.saved_share
        low, high = self.settings.saved_quality
        qualities = (low + (high - low) * torch.rand(len(batch.labels), generator=generator)).round().tolist()
        degraded, labels = batch.degraded.clone(), list(batch.labels)
        for row in chosen.nonzero().flatten().tolist():
            if not labels[row]:
                continue  # refused by `targets`, in words of its own
            quality = qualities[row]
            degraded[row] = as_jpeg(degraded[row], quality)
            saved = f"jpeg:{quality:g}"
            labels[row] = saved if labels[row] == UNDEGRADED else f"{labels[row]},{saved}"
        return replace(batch, degraded=degraded, labels=tuple(labels))

    def _varied(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Degraded and clean pictures, moved and greyed alike."""
        shift = self.settings.shift
        top, left = torch.randint(max(1, shift), (2,), generator=generator).tolist()
        height, width = (side - shift for side in batch.degraded.shape[2:])
        part = (..., slice(top, top + height), slice(left, left + width))
        grey = torch.rand(len(batch.labels), 1, 1, 1, generator=generator) < self.settings.grey_share
        both = [
            torch.where(grey.to(each.device), each[part][:, 1:2], each[part]) for each in (batch.degraded, batch.clean)
        ]
        return both[0], both[1]

    def measure(self, degraded: Tensor, clean: Tensor, label: str) -> float:
        """100 where the most probable class is one that the picture has, else 0."""
        named = self.network(degraded).argmax(1, keepdim=True).cpu()
        return 100.0 * float((self.targets((label,)).gather(1, named) > 0).float())

    def exported(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {key.removeprefix(PREFIX): tensor for key, tensor in state.items() if key.startswith(PREFIX)}


def _in_8_bits(picture: Tensor) -> Tensor:
    """As a file would hold it."""
    return (picture.clamp(0, 1) * 255).round() / 255


class DetectorTraining:
    """What a recipe needs to train the detector."""

    presets = PRESETS

    @classmethod
    def objective(cls, config: DetectorConfig, settings: Mapping[str, Any]) -> DetectorObjective:
        """Raises UsageError for settings that are unknown or make no sense."""
        return objective_from(DetectorObjective, config, DetectorSettings, settings)
