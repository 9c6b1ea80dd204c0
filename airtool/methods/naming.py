"""Training samples for methods that remove what is named and leave the rest.

A sample of the trainer suffers from what its label says, and its partner from nothing. Here some get a further
degradation, laid over both alike, and some are told nothing, or something that the picture does not have: what has to
come out then still holds whatever was not named.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from airtool.degradations import DEGRADATIONS
from airtool.degradations.compose import Step, compose, parse_steps, sample_step, shown_steps
from airtool.methods.objective import Batch

CLEAN = "clean"
"""The label of a sample that nothing was done to."""


@dataclass(frozen=True)
class NamingSettings:
    """Choices of a recipe; objectives add theirs in a subclass."""

    partial_share: float = 0.0
    """Share of the degraded samples that get a further degradation, of which the old, the new, or both are named."""
    idle_share: float = 0.0
    """Share of the degraded samples of which nothing that they have is named: they must stay as they are."""
    idle_names: Sequence[str] = tuple(DEGRADATIONS)
    """What may be named where it is not there, in such samples and in clean ones."""
    further: Sequence[str] = ("noise", "jpeg")
    """What may be laid over a sample: quick ones, as it happens between two steps of the optimiser."""

    def __post_init__(self) -> None:
        if min(self.partial_share, self.idle_share) < 0 or self.partial_share + self.idle_share > 1:
            raise ValueError("partial_share and idle_share must not be negative, nor exceed 1 together")
        for what, names in (("idle_names", self.idle_names), ("further", self.further)):
            if unknown := [name for name in names if name not in DEGRADATIONS]:
                raise ValueError(f"{what} has {unknown[0]!r}, which is none of {', '.join(DEGRADATIONS)}")


@dataclass(frozen=True)
class Named:
    """A batch with what is to be removed from each sample."""

    degraded: Tensor
    """(N, 3, H, W) float32 RGB in [0, 1]."""
    target: Tensor
    """The same without what was named, but with everything else that `degraded` suffers from."""
    wanted: tuple[tuple[str, ...], ...]
    """For each sample the steps to undo, in the order in which they were applied, with amounts where they are known
    ("rain:0.4"); empty: nothing. A name that the sample does not suffer from is to change nothing."""
    present: tuple[tuple[str, ...], ...]
    """For each sample all steps that were applied."""


def named(
    batch: Batch, generator: torch.Generator, settings: NamingSettings, only: Collection[str] = tuple(DEGRADATIONS)
) -> Named:
    """Decide for every sample of a batch what is named. All chance comes from `generator` (on the CPU).

    Samples whose label is empty count as suffering from something without a name; they are never named partially.
    only: what may be named. A sample that suffers from anything else keeps all of it: nothing that it has is named, or,
    as often, something of `settings.further` that is laid over it.
    """
    rows = [
        _one(batch.degraded[row], batch.clean[row], label, np.random.default_rng(seed), settings, only)
        for row, (label, seed) in enumerate(zip(batch.labels, _seeds(generator, len(batch.labels)), strict=True))
    ]
    degraded, target, wanted, present = zip(*rows, strict=True)
    return Named(torch.stack(degraded), torch.stack(target), wanted, present)


Row = tuple[Tensor, Tensor, tuple[str, ...], tuple[str, ...]]


def _one(
    degraded: Tensor,
    clean: Tensor,
    label: str,
    rng: np.random.Generator,
    settings: NamingSettings,
    only: Collection[str],
) -> Row:
    present = () if label in (CLEAN, "") else tuple(label.split(","))
    chance = rng.random()
    idle_names = [name for name in settings.idle_names if name in only]
    if label == CLEAN:
        return degraded, clean, _absent(present, rng, idle_names), present
    to_stay = any(step.name not in only for each in present for step in parse_steps(each))
    idle_share, partial_share = (0.5, 0.5) if to_stay else (settings.idle_share, settings.partial_share)
    if chance < idle_share and label:
        return degraded, degraded, _absent(present, rng, idle_names), present
    if chance < idle_share + partial_share and label:
        absent = [name for name in settings.further if name in only and not _has(present, name)]
        if absent:
            name = absent[int(rng.integers(len(absent)))]
            return _partial(degraded, clean, present, name, rng, new_alone=to_stay)
    if to_stay:
        return degraded, degraded, (), present
    return degraded, clean, present, present


def _partial(
    degraded: Tensor,
    clean: Tensor,
    present: tuple[str, ...],
    name: str,
    rng: np.random.Generator,
    *,
    new_alone: bool,
) -> Row:
    """Another degradation over both pictures, the same chance for both; named is one side of it, or all.

    new_alone: always the new side.
    """
    step = sample_step(name, rng)
    seed = int(rng.integers(2**63))
    both = _degraded(degraded, step, seed)
    further = (shown_steps((step,)),)
    choice = 1 if new_alone else int(rng.integers(3))
    if choice == 0:
        return both, _degraded(clean, step, seed), present, present + further
    if choice == 1:
        return both, degraded, further, present + further
    return both, clean, present + further, present + further


def _absent(present: tuple[str, ...], rng: np.random.Generator, names: Sequence[str]) -> tuple[str, ...]:
    """Nothing, or one of these names, of a class that the sample has not."""
    absent = [name for name in names if not _has(present, name)]
    if rng.random() < 0.5 or not absent:
        return ()
    return (shown_steps((sample_step(absent[int(rng.integers(len(absent)))], rng),)),)


def _has(present: tuple[str, ...], name: str) -> bool:
    return any(
        DEGRADATIONS[step.name].label == DEGRADATIONS[name].label for each in present for step in parse_steps(each)
    )


def _degraded(picture: Tensor, step: Step, seed: int) -> Tensor:
    pixels = np.ascontiguousarray(picture.float().cpu().numpy().transpose(1, 2, 0))
    result = compose(pixels, (step,), np.random.default_rng(seed))[0]
    # The files that the network will meet hold 8 bits.
    rounded = np.rint(np.clip(result, 0.0, 1.0) * 255.0).astype(np.float32) / 255.0
    return torch.from_numpy(rounded).permute(2, 0, 1).to(picture.device)


def _seeds(generator: torch.Generator, count: int) -> list[int]:
    return torch.randint(2**62, (count,), generator=generator).tolist()
