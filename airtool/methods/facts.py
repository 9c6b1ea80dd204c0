"""What can be known of a method without loading it: free of torch, so that `--help` and planning errors stay quick."""

from dataclasses import dataclass
from typing import Literal


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
    """Order in which the authors' weights expect the colours. Conversion happens at import: callers always give RGB."""
    needs: Literal["nothing", "label", "prompt", "instruction"]
    """What the user (or the detector) has to say about the damage."""
    tiling: Literal["exact", "approximate", "discouraged"]
    """exact: purely local; approximate: uses whole-picture statistics; discouraged: needs the whole picture."""
    overlap: int
    """Pixels by which neighbouring tiles should overlap."""
    draws: bool = False
    """Whether it draws random numbers, fixed by `Request.seeds`."""
    surveys: bool = False
    """Whether it should see parts of the whole picture before its tiles, to treat all of them alike."""
    explains: tuple[str, ...] = ()
    """Names of the maps that it can show with ``--explain``."""
    summary: str = ""
    """One line for lists."""
    implementation: str = ""
    """``module:class`` of the `MethodClass`, imported when the method is used."""
