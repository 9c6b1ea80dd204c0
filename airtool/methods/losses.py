"""The distance between a restored picture and its ground truth, as recipes choose it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


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

    def __post_init__(self) -> None:
        if self.loss not in ("l1", "mse", "rmse", "psnr"):
            raise ValueError(f"loss must be 'l1', 'mse', 'rmse' or 'psnr', not {self.loss!r}")
        if not self.floor or not all(len(pair) == 2 and pair[1] > 0 for pair in self.floor):
            raise ValueError("floor must be a list of [step, value] with values above 0")


def distance(settings: DistanceSettings, restored: Tensor, clean: Tensor, step: int) -> Tensor:
    """A scalar, smaller for better: means over the batch. restored, clean: (N, 3, H, W) float32."""
    if settings.loss == "l1":
        return F.l1_loss(restored, clean)
    if settings.loss == "mse":
        return F.mse_loss(restored, clean)
    steps, floors = zip(*settings.floor, strict=True)
    floor = float(np.exp(np.interp(step, steps, np.log(floors))))
    squared = (restored - clean).square().mean((1, 2, 3)) + floor
    return (squared.sqrt() if settings.loss == "rmse" else torch.log10(squared)).mean()
