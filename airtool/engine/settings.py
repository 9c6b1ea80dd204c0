"""How a method is to be run, as the user typed it. Knows no torch, so that mistakes are found before it is loaded."""

import re
from dataclasses import dataclass
from typing import Literal

from airtool.errors import UsageError

Precision = Literal["auto", "bf16", "fp32"]

PRECISIONS: tuple[Precision, ...] = ("auto", "bf16", "fp32")

DEVICE_PATTERN = re.compile(r"auto|cpu|mps|cuda(:\d+)?")

SMALLEST_TILE = 32
"""Pixels. Below this a tile is little else than overlap."""


@dataclass(frozen=True)
class Settings:
    """Everything about a run except the method and the pictures."""

    device: str = "auto"
    """"auto" (the first of cuda, mps, cpu that is there), "cpu", "mps", "cuda" or "cuda:N"."""
    precision: Precision = "auto"
    """Arithmetic of convolutions and products: "auto" is bf16 on GPUs that are built for it, fp32 elsewhere."""
    tile: int | None = None
    """Side of a tile in pixels; None: from the memory there is; 0: the whole picture at once."""
    seed: int = 0
    """Seed of the run, from which every picture's own seed is derived."""
    degradation: tuple[str, ...] = ()
    """Names of the degradations to remove, in order; empty for blind restoration."""
    prompt: str = ""
    """What to remove in the user's own words, for a method that takes them."""
    instruction: tuple[str, str] | None = None
    """Files of one scene, clean and degraded, that show what to remove, for a method that takes an example."""
    structure_weight: float | None = None
    """Weight of AutoDIR's structural correction, 0 to 1; None for the method's own choice."""
    work_size: tuple[float, ...] = ()
    """Megapixels of the reduced copies that are restored in place of the picture, rising; empty: the picture itself.
    What changed in each is carried over to the picture before the next. One above the picture's own stands for it."""
    self_ensemble: int = 1
    """1, 2 or 4: how many versions of each piece the network restores, whose results are averaged: itself; also its
    mirror image; also both upside down."""
    may_shrink: bool = True
    """Whether pieces are made smaller than `tile` says where memory is short; otherwise the picture fails."""
    detector_weights: str | None = None
    """Weights file of the detector, where it is asked; None takes the embedded ones."""

    def __post_init__(self) -> None:
        """Raises UsageError for a value that no machine could honour."""
        if not DEVICE_PATTERN.fullmatch(self.device):
            raise UsageError(f"no device is called '{self.device}': choose auto, cpu, mps, cuda or cuda:N")
        if self.precision not in PRECISIONS:
            raise UsageError(f"no precision is called '{self.precision}': choose {', '.join(PRECISIONS)}")
        if self.tile is not None and self.tile != 0 and self.tile < SMALLEST_TILE:
            raise UsageError(f"a tile of {self.tile} pixels is too small: choose at least {SMALLEST_TILE}, auto or off")
        if self.structure_weight is not None and not 0 <= self.structure_weight <= 1:
            raise UsageError(f"a structure weight of {self.structure_weight:g} makes no sense: choose from 0 to 1")
        if self.self_ensemble not in (1, 2, 4):
            raise UsageError(f"a self-ensemble of {self.self_ensemble} is not known: choose 1, 2 or 4")
        if list(self.work_size) != sorted(set(self.work_size)) or not all(each >= 0.01 for each in self.work_size):
            sizes = ",".join(f"{each:g}" for each in self.work_size)
            raise UsageError(f"work sizes of {sizes} megapixels make no sense: give rising numbers from 0.01 on")


def parse_devices(text: str) -> tuple[str, ...]:
    """The value of ``--devices``: names for `Settings.device`, joined by commas; a number N stands for "cuda:N".

    Raises UsageError for an unknown name, for a GPU that is named twice (a CPU may be: each time gets a share of its
    threads), and for a mixture of kinds, whose results differ in their last bits.
    """
    names = tuple(f"cuda:{int(name)}" if re.fullmatch(r"[0-9]{1,4}", name) else name for name in text.split(","))
    for name in names:
        if name == "auto" or not DEVICE_PATTERN.fullmatch(name):
            raise UsageError(f"--devices {text}: no device is called '{name}': choose 0, 1, ..., cuda:N, mps or cpu")
    names = tuple("cuda:0" if name == "cuda" else name for name in names)
    twice = next((name for name in names if name != "cpu" and names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"--devices {text}: {twice} is named twice: leave one of them out")
    if len({name.partition(":")[0] for name in names}) > 1:
        raise UsageError(f"--devices {text}: devices of different kinds give different bytes: name one kind only")
    return names


def parse_precision(text: str) -> Precision:
    """The value of ``--precision``. Raises UsageError for anything but "auto", "bf16" and "fp32"."""
    for name in PRECISIONS:
        if text == name:
            return name
    raise UsageError(f"no precision is called '{text}': choose {', '.join(PRECISIONS)}")


def parse_work_size(text: str | None) -> tuple[float, ...]:
    """The value of ``--work-size`` for `Settings.work_size`: "0.5", or several with commas. Raises UsageError."""
    if text is None:
        return ()
    try:
        return tuple(float(each) for each in text.split(","))
    except ValueError:
        raise UsageError(f"--work-size {text}: give megapixels, such as 0.5, or several with commas") from None


def parse_tile(text: str) -> int | None:
    """The value of ``--tile`` for `Settings.tile`: "auto", "off" or a number of pixels.

    Raises UsageError for anything else.
    """
    if text == "auto":
        return None
    if text == "off":
        return 0
    if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) < SMALLEST_TILE:
        raise UsageError(f"--tile {text}: give a number of pixels from {SMALLEST_TILE} on, auto or off")
    return int(text)


def parse_degradation(text: str | None) -> tuple[str, ...]:
    """The value of ``--degradation`` for `Settings.degradation`: "rain", "noise:25", or several with commas.

    Raises UsageError for an unknown degradation or an amount out of its range.
    """
    if text is None:
        return ()
    # Not at the top: most runs name no degradation, and this brings in OpenCV.
    from airtool.degradations.compose import parse_steps

    parse_steps(text)
    return tuple(item.strip() for item in text.split(","))
