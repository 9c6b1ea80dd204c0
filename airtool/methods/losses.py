"""The distance between a restored picture and its ground truth, as recipes choose it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from airtool.degradations import DEGRADATIONS


@dataclass(frozen=True)
class DistanceSettings:
    """Choices of a recipe; objectives add theirs in a subclass."""

    loss: Literal["l1", "mse", "rmse", "psnr"] = "l1"
    """l1: mean absolute error, as NDR-Restore's code (its paper's Eq. 8 is squared), DFPIR and Up-Restorer. mse: mean
    squared error, as AutoDIR. rmse: root of each picture's mean squared error: every picture pulls equally hard. psnr:
    its logarithm, which is what is measured, but in which nearly clean pictures pull hardest."""
    floor: Sequence[tuple[int, float]] = ((0, 1e-4),)
    """Added to each mean squared error under the root or the logarithm: (step, value) pairs, geometric in between.
    The logarithm alone would punish the slightest change to a clean picture so hard that haze and darkness, which ask
    for large changes, are never begun with; a high floor at first gives every degradation its chance."""

    emphasis: Mapping[str, float] = field(default_factory=dict)
    """How often the distance of a sample counts that suffers from a degradation of that name; the largest, where it has
    several. Others, and those of degradations that are not named, count once. What a network can improve by a decibel
    only, as JPEG, is otherwise outweighed by what it can improve by ten, however many samples of it there are."""

    def __post_init__(self) -> None:
        if self.loss not in ("l1", "mse", "rmse", "psnr"):
            raise ValueError(f"loss must be 'l1', 'mse', 'rmse' or 'psnr', not {self.loss!r}")
        if not self.floor or not all(len(pair) == 2 and pair[1] > 0 for pair in self.floor):
            raise ValueError("floor must be a list of [step, value] with values above 0")
        if unknown := [name for name in self.emphasis if name not in DEGRADATIONS]:
            raise ValueError(f"emphasis names {unknown[0]!r}, which is none of {', '.join(DEGRADATIONS)}")
        if not all(value > 0 for value in self.emphasis.values()):
            raise ValueError("emphasis must be above 0")


def distance(
    settings: DistanceSettings, restored: Tensor, clean: Tensor, step: int, labels: Sequence[str] = ()
) -> Tensor:
    """A scalar, smaller for better: means over the batch. restored, clean: (N, 3, H, W) float32.

    labels: as in `airtool.methods.objective.Batch`, for the emphasis; without them all samples count alike.
    """
    if settings.loss == "l1":
        each = (restored - clean).abs().mean((1, 2, 3))
    else:
        each = (restored - clean).square().mean((1, 2, 3))
    if settings.loss in ("rmse", "psnr"):
        steps, floors = zip(*settings.floor, strict=True)
        each = each + float(np.exp(np.interp(step, steps, np.log(floors))))
        each = each.sqrt() if settings.loss == "rmse" else torch.log10(each)
    if settings.emphasis and labels:
        each = each * torch.tensor([_counts(settings.emphasis, label) for label in labels]).to(each)
    return each.mean()


def _counts(emphasis: Mapping[str, float], label: str) -> float:
    return max((emphasis.get(step.partition(":")[0], 1.0) for step in label.split(",")), default=1.0)
