"""The classical rivals: what each is for, which parameters were tried, and which were chosen."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from airtool.engine.session import Restored
from airtool.images.picture import Picture
from scoring.classical import Pixels, bilateral, bm3d, bright_median, clahe, gamma, nlm, unsharp
from scoring.dark_channel import dehaze
from scoring.rows import Row

Parameters = Mapping[str, float]

CHOSEN = Path(__file__).with_name("chosen.json")
"""Parameters by rival and row, with the figures by which they were chosen; written by choose_rivals.py."""


@dataclass(frozen=True)
class Rival:
    """One classical method."""

    title: str
    source: str
    """What it is, for the page."""
    rows: tuple[str, ...]
    """Names of the rows that it is for; it is measured on rows that are `like` one of them, too."""
    restore: Callable[..., Pixels]
    """Of the pixels and the parameters, and for those that are `told`, sigma."""
    grid: tuple[Parameters, ...]
    """What was tried; a single one is no choice."""
    told: bool = False
    """Whether it takes sigma, the noise level, which is estimated where a row does not know it."""
    fixed: Mapping[str, Parameters] = field(default_factory=dict)
    """Parameters of rows where there is nothing to choose."""


def _grid(**values: tuple[float, ...]) -> tuple[Parameters, ...]:
    return tuple(dict(zip(values, each, strict=True)) for each in product(*values.values()))


_NOISE = ("CBSD68 noise 15", "CBSD68 noise 25", "CBSD68 noise 50")
_FALLING = ("Rain100L", "Kodak24 rain", "Kodak24 snow", "Kodak24 raindrop")
_BLURRED = ("Kodak24 motion-blur", "Kodak24 defocus", "Kodak24 low resolution x2")
_WINDOWS = ((3, 3), (1, 5), (1, 9), (1, 15))

RIVALS: dict[str, Rival] = {
    "bm3d": Rival(
        "BM3D",
        "block matching and 3-D filtering, the authors' package `bm3d` 4.0 (for non-commercial use only; not needed by "
        "airtool), colour, both stages: Dabov, Foi, Katkovnik and Egiazarian, IEEE TIP 2007; Mäkinen, Azzari and Foi, "
        "IEEE TIP 2020; told the noise level, or the estimate times a factor",
        (*_NOISE, "Kodak24 camera-noise"),
        bm3d,
        _grid(strength=(1.5, 2.2, 3.0, 4.0)),
        told=True,
        fixed={row: {"strength": 1.0} for row in _NOISE},
    ),
    "nlm": Rival(
        "NLM",
        "OpenCV's non-local means (Buades, Coll and Morel, CVPR 2005), windows of 7 and 21 pixels; filters by a factor "
        "times the noise level, which it is told, or the estimate",
        (*_NOISE, "Kodak24 camera-noise", "Kodak24 rain,noise,snow"),
        nlm,
        _grid(strength=(0.15, 0.3, 0.5, 0.6, 0.7, 0.9, 1.2)),
        told=True,
    ),
    "dark-channel": Rival(
        "DCP",
        "dark channel prior (He, Sun and Tang, CVPR 2009), transmission refined by the guided filter (ECCV 2010), "
        "radius 40; own code, `benchmarks/scoring/dark_channel.py`",
        ("Kodak24 haze",),
        dehaze,
        _grid(patch=(7, 15, 25), keep=(0.75, 0.85, 0.95, 1.0)),
    ),
    "gamma": Rival(
        "gamma",
        "one gamma curve on sRGB values",
        ("Kodak24 low-light",),
        gamma,
        _grid(exponent=(0.25, 0.3, 0.35, 0.4, 0.5, 0.6)),
    ),
    "clahe": Rival(
        "CLAHE",
        "OpenCV's contrast-limited adaptive histogram equalisation of the lightness (CIE L*)",
        ("Kodak24 low-light",),
        clahe,
        _grid(clip=(2.0, 4.0, 8.0, 16.0, 40.0), tiles=(1, 2, 4, 8)),
    ),
    "unsharp": Rival(
        "unsharp mask",
        "the picture plus what a Gaussian blur takes from it; the x2 input is bicubic interpolation already",
        _BLURRED,
        unsharp,
        _grid(amount=(0.25, 0.5, 1.0, 2.0), sigma=(1.0, 2.0, 3.0)),
    ),
    "median": Rival(
        "median",
        "what stands out brighter than the median of its surroundings (height x width in pixels) by more than a "
        "threshold is cut down to that",
        _FALLING,
        bright_median,
        tuple({"height": y, "width": x, "threshold": t} for y, x in _WINDOWS for t in (0.0, 0.04, 0.1)),
    ),
    "bilateral": Rival(
        "bilateral",
        "OpenCV's bilateral filter against blocks and rings",
        ("Kodak24 jpeg 10", "Kodak24 jpeg 20"),
        bilateral,
        _grid(colour=(0.07, 0.12, 0.18, 0.25), space=(1.5, 3.0, 5.0)),
    ),
}


class Applied:
    """A rival with parameters, as an `airtool.benches.evaluate.Restorer`."""

    def __init__(self, name: str, parameters: Parameters, sigma: float | None) -> None:
        self.name, self.parameters = name, dict(parameters)
        self.options: dict[str, Any] = {**parameters, "sigma": sigma} if RIVALS[name].told else {**parameters}

    def restore_picture(self, picture: Picture) -> Picture:
        return picture.with_rgb(RIVALS[self.name].restore(picture.rgb, **self.options))

    def restore(self, picture: Picture) -> Restored:
        return Restored(self.restore_picture(picture), picture.rgb.shape[:2], seconds=0.0, notes=())

    def describe(self) -> Mapping[str, Any]:
        return {"method": self.name, "parameters": self.parameters}


def is_for(name: str, row: Row) -> bool:
    return bool({row.name, row.like} & {*RIVALS[name].rows})


def chosen(name: str, row: Row) -> Parameters:
    """Parameters of a rival for a row. Raises ValueError where none were chosen yet."""
    rival, key = RIVALS[name], row.name if row.name in RIVALS[name].rows else row.like
    if key in rival.fixed:
        return rival.fixed[key]
    choices = json.loads(CHOSEN.read_text("utf-8")) if CHOSEN.exists() else {}
    try:
        return choices[name][key]["chosen"]
    except KeyError:
        raise ValueError(f"no parameters of {name} are chosen for {row.name}: run choose_rivals.py") from None


def rival_for(name: str, row: Row) -> Applied:
    """A rival, ready for a row. Raises ValueError as `chosen` does."""
    return Applied(name, chosen(name, row), row.sigma)
