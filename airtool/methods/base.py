"""The contract of a method: what the engine may know of it and what it must do."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from torch import Tensor, nn


@dataclass(frozen=True)
class MethodFacts:
    """What a method is and needs, independent of any weights."""

    name: str
    """The name typed after ``--method``."""
    title: str
    """The name in print."""
    paper: str
    """Venue, year and identifier."""
    size_multiple: int
    """Height and width of the input must be multiples of this (the engine pads)."""
    channel_order: Literal["rgb", "bgr"]
    """Order in which published weights expect the colours; the method converts, callers always give RGB."""
    needs: Literal["nothing", "label", "prompt", "instruction"]
    """What the user (or the detector) has to say about the damage."""
    tiling: Literal["exact", "approximate", "discouraged"]
    """exact: purely local; approximate: uses whole-picture statistics; discouraged: needs the whole picture."""
    overlap: int
    """Pixels by which neighbouring tiles should overlap."""


@dataclass(frozen=True)
class Request:
    """What is asked of a method for one batch, apart from the pixels."""

    seeds: tuple[int, ...] = ()
    """One seed a picture, derived from the run's seed and the picture's content."""
    degradation: tuple[str, ...] = ()
    """Names of the degradations to remove, in order; empty for blind restoration."""


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

    def bytes_per_pixel(self) -> int:
        """Peak activation memory of ``restore`` in bytes for each input pixel of a float32 batch of one."""
        ...
