"""Validation on held-out pictures, each degradation on its own."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from airtool.degradations import DEGRADATIONS
from airtool.degradations.compose import Step, compose, picture_rng, shown_steps
from airtool.errors import UsageError
from airtool.images.limits import MAX_PIXELS
from airtool.methods.objective import Objective, psnr
from airtool.training.data import PairedPictures, Pixels, Stored, load_folder, load_pairs
from airtool.training.recipe import CLEAN, Recipe

_Each = TypeVar("_Each")

SIZE_MULTIPLE = 16
"""Sides of a validation crop are cut to multiples of this, which suits every method."""

SEED = 0
"""Of what validation draws: not the recipe's, so that figures of one run can be laid beside those of the next."""


@dataclass(frozen=True)
class Report:
    """One validation."""

    figures: Mapping[str, float]
    """Mean of the objective's `measure` by kind."""
    title: str
    """What `score` is: "mean gain" or "mean"."""
    score: float
    """The figure by which the best weights are chosen, in the objective's unit, more being better."""
    line: str
    """All of that for people."""


class Validation:
    """Centre crops of held-out pictures, degraded by the default amounts, or of held-out pairs; the same at every call.

    pictures: clean ones, which the degradations of the mix and "clean" are measured on. pairs: by the name in the mix.
    """

    def __init__(
        self, recipe: Recipe, pictures: Sequence[Stored], pairs: Mapping[str, PairedPictures] | None = None
    ) -> None:
        """Raises UsageError when there is nothing to measure, or no picture to measure it on."""
        self.recipe, self.pairs = recipe, pairs or {}
        if recipe.validation_crop < SIZE_MULTIPLE:
            raise UsageError(f"recipe {recipe.name}: validation_crop must be at least {SIZE_MULTIPLE}")
        paired = [kind for kind in recipe.mix if kind in self.pairs]
        others = [kind for kind in recipe.mix if kind not in paired]
        degraded = [kind for kind in others if all(name in DEGRADATIONS for name in kind.split("+"))]
        own = [*degraded, *([CLEAN] if CLEAN in recipe.mix else [])]
        if own and not pictures:
            raise UsageError(f"recipe {recipe.name}: no pictures for validation")
        self.kinds = [*own, *paired]
        if not self.kinds:
            raise UsageError(f"recipe {recipe.name} has nothing to validate: give its [pairs] validation folders")
        self.clean = [_centre(picture, recipe.validation_crop) for picture in self._chosen(pictures)]

    def _chosen(self, pictures: Sequence[_Each]) -> Sequence[_Each]:
        count = self.recipe.validation_pictures
        return pictures[:: max(1, len(pictures) // count)][:count]

    def examples(self, kind: str) -> Iterator[tuple[Tensor, Tensor, str]]:
        """Degraded and clean crop, (1, 3, H, W) both, and what was done. One by one: all together take much memory."""
        if kind in self.pairs:
            paired, side = self.pairs[kind], self.recipe.validation_crop
            for both in self._chosen(list(zip(paired.degraded, paired.ground_truth, strict=True))):
                degraded, clean = (_tensor(_centre(each, side)) for each in both)
                yield degraded, clean, paired.label
            return
        for crop in self.clean:
            clean = _tensor(crop)
            if kind == CLEAN:
                yield clean, clean, CLEAN
            else:
                rng = picture_rng(SEED, crop)
                yield _tensor(compose(crop, _steps(kind), rng)[0]), clean, shown_steps(_steps(kind))

    def before(self) -> dict[str, float]:
        """Mean RGB PSNR in dB of the degraded crops themselves, by kind."""
        return {kind: _mean([psnr(each, clean) for each, clean, _ in self.examples(kind)]) for kind in self.kinds}

    @torch.inference_mode()
    def figures(self, objective: Objective, device: torch.device) -> dict[str, float]:
        """Mean of the objective's `measure` in float32, by kind."""
        return {
            kind: _mean(
                [
                    objective.measure(degraded.to(device), clean.to(device), label)
                    for degraded, clean, label in self.examples(kind)
                ]
            )
            for kind in self.kinds
        }

    def report(self, objective: Objective, device: torch.device, before: Mapping[str, float]) -> Report:
        """Measure, and judge: by the gain over `before` where the objective is `relative`, else by the mean."""
        figures, unit = self.figures(objective, device), objective.unit
        if objective.relative:
            title, score = "mean gain", gains(figures, before)
            parts = [f"{kind} {figure:.2f} ({figure - before[kind]:+.2f})" for kind, figure in figures.items()]
        else:
            title, score = "mean", _mean(list(figures.values()))
            parts = [f"{kind} {figure:.2f}" for kind, figure in figures.items()]
        return Report(figures, title, score, f"{title} {score:.3f} {unit}  {'  '.join(parts)}")


def held_out(recipe: Recipe, data: Path, max_pixels: int = MAX_PIXELS) -> Validation:
    """The validation of a recipe whose folders lie in `data`. Raises UsageError for folders that do not fit.

    max_pixels: as `load_folder` has it, which also says what else is raised.
    """
    pairs = {
        name: load_pairs(
            data / each.validation_degraded, data / each.validation_ground_truth, each.use, each.label, max_pixels
        )
        for name, each in recipe.pairs.items()
        if name in recipe.mix and each.validation_degraded
    }
    pictures = load_folder(data / recipe.validation, max_pixels) if recipe.validation else []
    return Validation(recipe, pictures, pairs)


def gains(figures: Mapping[str, float], before: Mapping[str, float]) -> float:
    """Mean gain over the degradations (not over clean), in the unit of both."""
    kinds = [kind for kind in figures if kind != CLEAN]
    return _mean([figures[kind] - before[kind] for kind in kinds]) if kinds else 0.0


def _steps(kind: str) -> list[Step]:
    return [Step(name, DEGRADATIONS[name].default) for name in kind.split("+")]


def _centre(picture: Stored, side: int) -> Pixels:
    height, width = (min(side, length) // SIZE_MULTIPLE * SIZE_MULTIPLE for length in picture.shape[:2])
    if not height or not width:
        raise UsageError(f"a validation picture is smaller than {SIZE_MULTIPLE} pixels: remove it")
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return picture[top : top + height, left : left + width].astype(np.float32) / 255.0


def _tensor(picture: Pixels) -> Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]
    return tensor.contiguous(memory_format=torch.channels_last)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
