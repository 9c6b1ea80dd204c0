"""Training of Defusion's diffusion: the second stage, with the tokenizer as the first one left it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from airtool.degradations import DEGRADATIONS
from airtool.degradations.compose import Step, parse_steps, sample_step
from airtool.diffusion.ddim import clean_from_noise, clean_from_velocity, noise_from_clean
from airtool.diffusion.field import noise_window
from airtool.diffusion.schedule import antithetic_times
from airtool.errors import UsageError
from airtool.methods.defusion.config import DefusionConfig
from airtool.methods.defusion.instruction import from_pair
from airtool.methods.defusion.network import DefusionNet, Wanted
from airtool.methods.defusion.tokens import as_map
from airtool.methods.defusion.warm_start import translated
from airtool.methods.fine import Part, check_part, learn_only, share_loss
from airtool.methods.losses import DistanceSettings, distance
from airtool.methods.naming import CLEAN, Named, NamingSettings, named
from airtool.methods.objective import Batch, Objective
from airtool.metrics.protocols import Pixels

PREFIX = "network."


@dataclass(frozen=True)
class DegradationSettings(DistanceSettings, NamingSettings):
    """Choices of a recipe. Distances are those of pictures in the diffusion's range [-1, 1], so that mean squared
    errors, and with them `floor`, are four times those of pictures in [0, 1]."""

    part: Part = "first"
    """What is trained: a U-Net, or what tells from the tokens of an example which of the two is asked."""
    measured: Literal["prediction", "restored"] = "prediction"
    """prediction: the mean squared error of what the network predicts, as published for the noise (Eq. 11). restored:
    the distance, by `loss` and `floor`, of the picture that the prediction implies."""
    times: Literal["all", "sampled"] = "all"
    """all: every time step alike. sampled: only those at which the sampler evaluates."""
    first_share: float = 0.5
    """Share of the steps that learn the first evaluation, the one that begins with pure noise (sampled only)."""
    own_estimate: bool = False
    """Let evaluations behind the first one see what the first one predicted, as when sampling, in place of the truth
    under noise (sampled only). Costs a further pass without gradient."""
    null_share: float = 0.1
    """Share of the samples that are instructed to remove nothing, and are to stay as they are."""

    def __post_init__(self) -> None:
        DistanceSettings.__post_init__(self)
        NamingSettings.__post_init__(self)
        check_part(self.part, "part")
        if self.measured not in ("prediction", "restored"):
            raise ValueError(f"measured must be 'prediction' or 'restored', not {self.measured!r}")
        if self.times not in ("all", "sampled"):
            raise ValueError(f"times must be 'all' or 'sampled', not {self.times!r}")
        if not (0 <= self.first_share <= 1 and 0 <= self.null_share <= 1):
            raise ValueError("first_share and null_share must lie between 0 and 1")
        if self.own_estimate and self.times != "sampled":
            raise ValueError("own_estimate is for times = 'sampled' only")


class DegradationObjective(Objective):
    """The loss of the diffusion. What is random depends on the step alone, so that a resumed run sees the same."""

    def __init__(self, config: DefusionConfig, settings: DegradationSettings) -> None:
        super().__init__()
        self.settings = settings
        self.network = DefusionNet(config)
        if settings.part != "first" and not config.fine_names:
            raise ValueError(f"part {settings.part!r} needs a preset with fine_names")
        learn_only(settings.part, self.network.named_parameters())
        if self.network.tokenizer is not None:
            self.network.tokenizer.requires_grad_(False)

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Raises UsageError for a sample of which nobody says what it suffers from."""
        if "" in batch.labels:
            raise UsageError("defusion has to be told what each sample suffers from: give the recipe's [pairs] a label")
        if self.settings.part == "share":
            return self._share(batch)
        generator = torch.Generator().manual_seed(batch.number(step))
        config = self.network.config
        nameable = config.fine_names if self._fine else config.names
        samples = self._with_nulls(named(batch, generator, self.settings, nameable), generator)
        degraded, target = 2 * samples.degraded - 1, 2 * samples.target - 1
        tokens = self._tokens(samples.wanted, generator)
        return self.loss(degraded, target, tokens, generator, step)

    def loss(
        self, degraded: Tensor, target: Tensor, tokens: Tensor, generator: torch.Generator, step: int
    ) -> dict[str, Tensor]:
        """For pictures (N, 3, H, W) in [-1, 1] and tokens (N, T, context)."""
        network, config = self.network, self.network.config
        diffused = network.diffused(degraded, target)
        noise = torch.randn(diffused.shape, generator=generator).to(diffused.device)
        index = self._evaluation(generator)
        if index is None:
            t = antithetic_times(len(diffused), network.schedule.steps, generator).to(diffused.device)
        else:
            t = torch.full((len(diffused),), network.times[index], device=diffused.device)
        seen, within = diffused, noise
        if index and self.settings.own_estimate:
            seen, within = self._estimate(degraded, diffused, noise, tokens)
        noisy = network.schedule.diffuse(seen, within, t)
        predicted = network(noisy, degraded, t, tokens, fine=self._fine).float()
        signal = network.schedule.alpha_bar.to(t.device)[t].view(-1, 1, 1, 1)
        if self.settings.measured == "prediction":
            # What leads from the network's input to the truth, whoever's estimate that input was made from.
            noise = noise_from_clean(noisy, diffused, signal)
            wanted = {
                "eps": noise,
                "x0": diffused,
                "v": signal.sqrt() * noise - (1 - signal).sqrt() * diffused,
            }[config.prediction]
            return {"loss": F.mse_loss(predicted, wanted)}
        clean = self._clean(predicted, noisy, signal)
        return {"loss": distance(self.settings, network.restored(degraded, clean), target, step)}

    @property
    def _fine(self) -> bool:
        return self.settings.part == "fine"

    def _share(self, batch: Batch) -> dict[str, Tensor]:
        """Samples and their ground truths are taken for examples."""
        canvas = self.network.config.canvas
        with torch.no_grad():
            pairs = zip(_pixels(batch.clean), _pixels(batch.degraded), strict=True)
            tokens = self.network.instructed([from_pair(clean, degraded, canvas) for clean, degraded in pairs])
        return share_loss(self.network.fine_share.logits([as_map(tokens)]), batch.labels)

    def _evaluation(self, generator: torch.Generator) -> int | None:
        """Which of the sampler's evaluations a step learns; None: any time step, each sample its own."""
        count = len(self.network.times)
        first, which = torch.rand(2, generator=generator).tolist()
        if self.settings.times == "all":
            return None
        return 0 if count == 1 or first < self.settings.first_share else 1 + int(which * (count - 1))

    def _estimate(self, degraded: Tensor, diffused: Tensor, noise: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """What the first evaluation predicts, and the noise that it leaves, as the sampler goes on with them."""
        network = self.network
        t = network.times[0]
        signal = network.schedule.signal(t)
        with torch.no_grad():
            times = torch.full((len(diffused),), t, device=diffused.device)
            noisy = network.schedule.diffuse(diffused, noise, times)
            predicted = network(noisy, degraded, times, tokens, fine=self._fine).float()
            clean = network.limit(degraded)(self._clean(predicted, noisy, torch.tensor(signal)))
            return clean, noise_from_clean(noisy, clean, signal)

    def _clean(self, predicted: Tensor, noisy: Tensor, signal: Tensor) -> Tensor:
        """y0 as the prediction implies it; signal: alpha_bar, to be broadcast."""
        prediction = self.network.config.prediction
        if prediction == "x0":
            return predicted
        return (clean_from_noise if prediction == "eps" else clean_from_velocity)(noisy, predicted, signal)

    def _with_nulls(self, samples: Named, generator: torch.Generator) -> Named:
        """The samples, some of which are told nothing and stay as they are; not where none is told anything."""
        if self.network.config.condition == "none":
            return samples
        null = torch.rand(len(samples.wanted), generator=generator) < self.settings.null_share
        rows = null.to(samples.degraded.device).view(-1, 1, 1, 1)
        return replace(
            samples,
            target=torch.where(rows, samples.degraded, samples.target),
            wanted=tuple(() if gone else each for gone, each in zip(null.tolist(), samples.wanted, strict=True)),
        )

    def _tokens(self, wanted: Sequence[Sequence[str]], generator: torch.Generator) -> Tensor:
        """Tokens of instructions with other grounds and amounts than the samples have."""
        room = self.network.config.canvas - self.network.config.view + 1
        seeds = torch.randint(2**31, (len(wanted), 2), generator=generator).tolist()
        places = torch.randint(room, (len(wanted), 2), generator=generator).tolist()
        shown = [instructed(each, np.random.default_rng(seed)) for each, (_, seed) in zip(wanted, seeds, strict=True)]
        return self.network.tokens(shown, [seed for seed, _ in seeds], [(top, left) for top, left in places])

    def restore(self, degraded: Tensor, labels: Sequence[str]) -> Tensor:
        start = noise_window(0, 0, 0, *degraded.shape[-2:])[None].to(degraded.device)
        restored = [
            self.network.restore(picture, start, self.network.tokens([wanted], [0]), self.network.share_for(wanted))
            for picture, wanted in zip(degraded.split(1), map(told, labels), strict=True)
        ]
        return torch.cat(restored)

    def translated(self, method: str, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return translated(method, tensors, self.network.config, fine=self._fine)

    def exported(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {key.removeprefix(PREFIX): tensor for key, tensor in state.items() if key.startswith(PREFIX)}


def _pixels(pictures: Tensor) -> list[Pixels]:
    return [np.ascontiguousarray(each) for each in pictures.permute(0, 2, 3, 1).cpu().numpy()]


def told(label: str) -> Wanted:
    """What the label of a sample says to remove."""
    return () if label == CLEAN else parse_steps(label)


def instructed(wanted: Sequence[str], rng: np.random.Generator) -> Wanted:
    """The degradations to remove, each with an amount between the default and one drawn from its training range.

    As published, an instruction is of the same kind as the damage, not of the same strength. That most amounts are near
    the default is our choice: it is what a user gets who gives none.
    """
    return tuple(_between(step, rng) for each in wanted for step in parse_steps(each))


def _between(step: Step, rng: np.random.Generator) -> Step:
    default, drawn = DEGRADATIONS[step.name].default, sample_step(step.name, rng).amount
    return Step(step.name, default + rng.random() * (drawn - default))
