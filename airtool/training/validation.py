"""Validation on held-out pictures, each degradation on its own."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from airtool.degradations import DEGRADATIONS
from airtool.degradations.compose import Step, compose, picture_rng, shown_steps
from airtool.errors import UsageError
from airtool.methods.objective import Objective
from airtool.metrics.protocols import RGB
from airtool.training.data import Pixels, Stored
from airtool.training.recipe import CLEAN, Recipe

CEILING = 60.0
"""dB at which a picture that comes back unchanged counts, as its PSNR is infinite."""

SIZE_MULTIPLE = 16
"""Sides of a validation crop are cut to multiples of this, which suits every method."""


class Validation:
    """Centre crops of held-out pictures, degraded by the default amounts, the same at every call."""

    def __init__(self, recipe: Recipe, pictures: Sequence[Stored]) -> None:
        """Raises UsageError when there is no picture."""
        if not pictures:
            raise UsageError(f"recipe {recipe.name}: no pictures for validation")
        chosen = pictures[:: max(1, len(pictures) // recipe.validation_pictures)][: recipe.validation_pictures]
        self.clean = [_centre(picture, recipe.validation_crop) for picture in chosen]
        self.seed = recipe.seed
        kinds = [kind for kind in recipe.mix if all(name in DEGRADATIONS for name in kind.split("+"))]
        self.kinds = [*kinds, *([CLEAN] if CLEAN in recipe.mix else [])]

    def _degraded(self, clean: Pixels, kind: str) -> Pixels:
        if kind == CLEAN:
            return clean
        return compose(clean, _steps(kind), picture_rng(self.seed, clean))[0]

    def input_psnr(self) -> dict[str, float]:
        """Mean RGB PSNR in dB of the degraded crops themselves, by kind."""
        return {kind: _mean([_psnr(self._degraded(clean, kind), clean) for clean in self.clean]) for kind in self.kinds}

    @torch.inference_mode()
    def psnr(self, objective: Objective, device: torch.device) -> dict[str, float]:
        """Mean RGB PSNR in dB after restoration in float32, by kind."""
        scores = {}
        for kind in self.kinds:
            label = CLEAN if kind == CLEAN else shown_steps(_steps(kind))
            values = []
            for clean in self.clean:
                restored = objective.restore(_tensor(self._degraded(clean, kind), device), (label,))
                values.append(_psnr(restored[0].float().cpu().numpy().transpose(1, 2, 0), clean))
            scores[kind] = _mean(values)
        return scores


def gains(scores: Mapping[str, float], before: Mapping[str, float]) -> float:
    """Mean gain in dB over the degradations (not over clean): the figure by which the best weights are chosen."""
    kinds = [kind for kind in scores if kind != CLEAN]
    return _mean([scores[kind] - before[kind] for kind in kinds]) if kinds else 0.0


def _steps(kind: str) -> list[Step]:
    return [Step(name, DEGRADATIONS[name].default) for name in kind.split("+")]


def _centre(picture: Stored, side: int) -> Pixels:
    height, width = (min(side, length) // SIZE_MULTIPLE * SIZE_MULTIPLE for length in picture.shape[:2])
    if not height or not width:
        raise UsageError(f"a validation picture is smaller than {SIZE_MULTIPLE} pixels: remove it")
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return picture[top : top + height, left : left + width].astype(np.float32) / 255.0


def _tensor(picture: Pixels, device: torch.device) -> Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None].to(device)
    return tensor.contiguous(memory_format=torch.channels_last)


def _psnr(restored: Pixels, clean: Pixels) -> float:
    return min(RGB.psnr(restored, clean), CEILING)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
