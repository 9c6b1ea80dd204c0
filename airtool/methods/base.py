"""The contract of a method: what the engine, the trainer and the importer may ask of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from airtool.methods.facts import MethodFacts
from airtool.methods.objective import Objective

__all__ = [
    "ExplainingMethod",
    "LabelledMethod",
    "Method",
    "MethodClass",
    "MethodFacts",
    "PromptedMethod",
    "Request",
    "SurveyingMethod",
]


Pixels = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Request:
    """What is asked of a method for one batch, apart from the pixels."""

    seeds: tuple[int, ...] = ()
    """One seed a picture, derived from the run's seed and the picture's content."""
    degradation: tuple[str, ...] = ()
    """Degradations to remove, in order, with or without amounts ("noise:25"); empty for blind restoration."""
    place: tuple[int, int] = (0, 0)
    """(top, left) in the whole picture of the first pixel of the batch, so that tiles can share what is random."""
    shares: tuple[tuple[str, float], ...] = ()
    """Weights of the classes to remove, which add up to 1, for a method that is prompted; "no" for nothing at all."""
    prompt: str = ""
    """The user's own sentence, for a method that is prompted."""
    structure_weight: float | None = None
    """Weight of AutoDIR's structural correction, 0 to 1; None for the method's own choice."""
    instruction: tuple[Pixels, Pixels] | None = None
    """An example, clean and degraded, (H, W, 3) float32 each, for a method that is instructed."""
    survey: float | None = None
    """What `SurveyingMethod.survey` found in the whole picture of which the batch is a tile; None for the whole."""


class Method(Protocol):
    """One paper, ready to restore. Holds weights and nothing that changes between calls."""

    facts: MethodFacts
    config: Any
    """The frozen dataclass that the networks were built from."""
    network: nn.Module
    """Everything that moves to a device or changes dtype."""

    def restore(self, pictures: Tensor, request: Request) -> Tensor:
        """Restore a batch.

        ``pictures``: (N, 3, H, W) RGB in sRGB encoding, range [0, 1], H and W multiples of
        ``facts.size_multiple``, in the network's dtype and on its device. Returns the same shape; the
        range is not clipped.
        """
        ...

    def bytes_per_pixel(self, strips: bool) -> int:
        """Peak activation memory of ``restore`` in bytes for each input pixel of a float32 batch of one.

        strips: whether local layers go through the picture in strips (`airtool.networks.strips`), as on CPUs.
        """
        ...


class LabelledMethod(Method, Protocol):
    """A method that has to be told the degradation: ``facts.needs`` is "label" or "instruction"."""

    def check(self, degradation: tuple[str, ...]) -> None:
        """Raise UsageError, which names what these weights know, unless they can remove this."""
        ...

    def candidates(self) -> tuple[str, ...]:
        """Everything that these weights can be told, one at a time: what to try when nobody says what is wrong."""
        ...


class PromptedMethod(Method, Protocol):
    """A method that is told in words: ``facts.needs`` is "prompt"."""

    def classes(self) -> tuple[str, ...]:
        """What these weights tell apart, in the words of `airtool.methods.autodir.vocabulary`."""
        ...

    def understand(self, prompt: str) -> tuple[tuple[str, float], ...]:
        """The classes that a sentence asks to remove, with weights that add up to 1.

        Empty where the network reads the sentence itself. Raises UsageError, which names the nearest classes, for a
        sentence that asks for nothing that is known.
        """
        ...


class SurveyingMethod(Method, Protocol):
    """A method that decides something for the whole picture, which a tile alone could mislead: ``facts.surveys``."""

    def survey(self, pictures: Tensor) -> float | None:
        """What to put into `Request.survey` for every tile of the picture that these crops (N, 3, H, W) are from.

        Pictures as ``restore`` takes them. None where these weights decide nothing.
        """
        ...


class ExplainingMethod(Method, Protocol):
    """A method that can show what it saw: ``facts.explains`` is not empty."""

    def explain(self, pictures: Tensor, request: Request) -> dict[str, Tensor]:
        """Maps by the names in ``facts.explains``, (N, 1 or 3, H, W) in [0, 1], for pictures as ``restore`` takes."""
        ...


class MethodClass(Protocol):
    """The ways to make a `Method`; implemented by the class that ``facts.implementation`` names."""

    facts: MethodFacts
    presets: Mapping[str, Any]
    """Configs by preset name; "small" is embedded, "paper" has the published size."""

    def __call__(self, config: Any) -> Method:
        """A method with untrained weights in evaluation mode."""
        ...

    def config_from(self, values: Mapping[str, Any]) -> Any:
        """The config from the plain values of a weights file. Raises AirtoolError when they do not fit."""
        ...

    def objective(self, config: Any, settings: Mapping[str, Any]) -> Objective:
        """What the trainer trains. Raises UsageError for unknown settings."""
        ...

    def from_official(self, tensors: Mapping[str, Tensor], variant: str | None) -> tuple[Any, dict[str, Tensor]]:
        """Config and network state from the authors' checkpoint. Raises AirtoolError, naming the first misfit."""
        ...
