"""The contract between a method's training and the training loop."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeVar

from torch import Tensor, nn

from airtool.errors import UsageError
from airtool.metrics.protocols import RGB, Pixels

Config = TypeVar("Config")
Settings = TypeVar("Settings")
Made = TypeVar("Made")

CEILING = 60.0
"""dB at which a picture that comes back unchanged counts, as its PSNR is infinite."""


@dataclass(frozen=True)
class Batch:
    """Training samples."""

    degraded: Tensor
    """(N, 3, H, W) float32 RGB in [0, 1]."""
    clean: Tensor
    """Ground truth, as `degraded`."""
    labels: tuple[str, ...]
    """What was done to each: "clean", or degradations in order, with their amounts: "rain:0.42,noise:11.3"."""
    part: int = 0
    """Which of the parts this is that a step's samples are shared out into, over processes and one after the other."""
    parts: int = 1
    """How many those are."""

    def number(self, step: int) -> int:
        """A number that no other part of any step has: the seed of whatever an objective draws for these samples."""
        return step * self.parts + self.part


class Objective(nn.Module):
    """Everything of a method that is trained, with its loss as the forward pass."""

    unit: ClassVar[str] = "dB"
    """Unit of `measure`."""
    patch_multiple: ClassVar[int] = 8
    """What the sides of training crops have to be multiples of, as networks halve them up to three times."""
    relative: ClassVar[bool] = True
    """Whether a run is judged by what `measure` gains over the untouched input, clean pictures apart, or by its mean
    over everything."""

    @abstractmethod
    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Losses of one batch, scalars by name; "loss" is the one to minimise, the others are for the log."""

    def restore(self, degraded: Tensor, labels: Sequence[str]) -> Tensor:
        """Restore a batch as the finished method will, for validation.

        degraded: as in `Batch`, and so is the result. labels: as in `Batch`, for methods that have to be told.
        To be defined by whatever restores; what does not defines `measure` instead.
        """
        raise NotImplementedError

    def measure(self, degraded: Tensor, clean: Tensor, label: str) -> float:
        """How good the averaged weights are on one held-out sample, more being better: PSNR of what `restore` gives.

        degraded, clean: (1, 3, H, W), otherwise as in `Batch`. label: as in `Batch`.
        """
        return psnr(self.restore(degraded, (label,)), clean)

    def translated(self, method: str, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Weights of another method under the names that `exported` gives, for a warm start. Unchanged by default."""
        return tensors

    @abstractmethod
    def exported(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The part of a state dict of this module that a weights file holds, under the network's own keys."""


def psnr(pictures: Tensor, clean: Tensor) -> float:
    """RGB PSNR of one picture (1, 3, H, W) in dB after rounding to 8 bits, at most `CEILING`."""
    return min(RGB.psnr(_pixels(pictures), _pixels(clean)), CEILING)


def _pixels(pictures: Tensor) -> Pixels:
    return pictures[0].float().cpu().numpy().transpose(1, 2, 0)


def objective_from(
    make: Callable[[Config, Settings], Made], config: Config, kind: type[Settings], values: Mapping[str, Any]
) -> Made:
    """What `make` makes of the network's config and of a recipe's [objective], the values of the dataclass `kind`.

    Raises UsageError, in one line, for a key that `kind` does not know and for values that make no sense.
    """
    known = [each.name for each in fields(kind)]  # type: ignore[arg-type]  # dataclasses have no type of their own
    for name in values:
        if name not in known:
            raise UsageError(f"[objective] of the recipe: unknown key {name!r}; known are {', '.join(known)}")
    try:
        return make(config, kind(**values))
    except (TypeError, ValueError) as error:
        raise UsageError(f"[objective] of the recipe: {error}") from None
