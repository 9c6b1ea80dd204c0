"""Who runs: airtool and its rivals, with the same weights on the same picture."""

import math
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import torch
from plain.rival import rival_of

from airtool.engine.session import Session, open_with
from airtool.engine.settings import Settings
from airtool.engine.tiles import Pixels
from airtool.images.decode import read
from airtool.images.picture import Picture
from airtool.methods.registry import METHODS, load_method, method_class, preset_config
from airtool.methods.weights import embedded, embedded_path, write_weights
from airtool.native import native_bf16

PLAIN, OURS, UNKEPT, BF16, OPENVINO = "plain", "airtool", "airtool, heap not kept", "airtool, bf16", "openvino"
"""Names of the contenders."""

UNCONVERTED = {
    "dfpir": "PyTorch cannot trace its network",
    **dict.fromkeys(("up-restorer", "autodir", "defusion"), "one picture takes several calls of its network"),
}
"""Why OpenVINO is no rival for a method."""

Restore = Callable[[Picture], tuple[Pixels, tuple[int, int] | None]]
"""From a picture, which may be overwritten, to the restored pixels and the largest tile of ours."""

DEGRADATION = "rain"
"""What methods that have to be told are told: all of them know it."""

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "degraded"
"""Photographs of which pictures of any size are made."""

SPREAD = 0.02
"""Standard deviation of the random values in place of parameters that begin at zero, with which nothing would be
computed that shows in the result."""


@dataclass(frozen=True)
class Case:
    """One measurement: everything that the contenders have in common."""

    method: str
    preset: str
    weights: str
    """Weights file."""
    height: int
    width: int
    device: str = "cpu"
    tile: int | None = None
    """Of ours, as `Settings` has it; the rival takes pictures whole."""

    @property
    def megapixels(self) -> float:
        return self.height * self.width / 1e6

    @property
    def degradation(self) -> tuple[str, ...]:
        return () if METHODS[self.method].needs == "nothing" else (DEGRADATION,)

    def values(self) -> dict[str, Any]:
        """For another process to make the same case of."""
        return asdict(self)


def line_up(case: Case) -> tuple[tuple[str, ...], dict[str, str]]:
    """Who can run here, the plain rival first; and why others cannot."""
    names, left_out = [PLAIN, OURS], {}
    cpu = case.device == "cpu"
    if cpu and sys.platform.startswith("linux"):
        names.append(UNKEPT)
    if cpu and native_bf16(torch.device(case.device)):
        names.append(BF16)
    if not cpu:
        left_out[OPENVINO] = "on CPUs only"
    elif case.method in UNCONVERTED:
        left_out[OPENVINO] = UNCONVERTED[case.method]
    elif find_spec("openvino") is None:
        left_out[OPENVINO] = "not installed"
    else:
        names.append(OPENVINO)
    return tuple(names), left_out


def restorer(case: Case, name: str, threads: int) -> Restore:
    """The contender called `name`, ready to restore pictures of any size (ours) or of the case's (rivals)."""
    if name in (OURS, UNKEPT, BF16):
        precision = "bf16" if name == BF16 else "fp32"
        settings = Settings(device=case.device, precision=precision, tile=case.tile, degradation=case.degradation)
        # Once kept, a process's heap stays kept: this has to be the first session of its process.
        with patch("airtool.engine.session.keep_heap") if name == UNKEPT else nullcontext():
            session = open_with(settings, case.method, case.weights)
        return lambda picture: _ours(session, picture)
    loaded = load_method(case.method, case.weights)
    rgb = photograph(case.height, case.width)
    if name == OPENVINO:
        from measuring.compiled import compiled

        rival = compiled(loaded, rgb, threads)
    else:
        rival = rival_of(loaded, rgb, case.degradation, Settings().seed, torch.device(case.device))
    return lambda picture: (rival.restore(picture.rgb), None)


def _ours(session: Session, picture: Picture) -> tuple[Pixels, tuple[int, int] | None]:
    """As the command does it: the picture is overwritten."""
    restored = session.restore(picture, in_place=True)
    return restored.picture.rgb, restored.tile


def weights_of(method: str, preset: str, folder: Path) -> Path:
    """The embedded weights of a preset, or a file of random ones in `folder` where none are embedded."""
    if any((record.method, record.preset) == (method, preset) for record in embedded()):
        return embedded_path(method, preset)
    torch.manual_seed(0)
    made = method_class(method)(preset_config(method, preset))
    for parameter in made.network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=SPREAD)
    path = folder / f"{method}-{preset}-random.safetensors"
    write_weights(path, method, made.config, made.network.state_dict(), {"trained": "not at all"}, half=False)
    return path


def photograph(height: int, width: int) -> Pixels:
    """(height, width, 3) float32 in [0, 1]: the example pictures side by side, repeated by mirroring."""
    photographs = [read(path).rgb for path in sorted(EXAMPLES.glob("*.png"))]
    least = min(each.shape[0] for each in photographs)
    strip = np.concatenate([each[:least] for each in photographs], axis=1)
    missing = [max(0, side - have) for side, have in zip((height, width), strip.shape[:2], strict=True)]
    # OpenCV mirrors one picture's length at a time; numpy's symmetric padding takes many times the memory.
    while any(missing):
        down, right = (min(lack, have) for lack, have in zip(missing, strip.shape[:2], strict=True))
        strip = cv2.copyMakeBorder(strip, 0, down, 0, right, cv2.BORDER_REFLECT)
        missing = [lack - done for lack, done in zip(missing, (down, right), strict=True)]
    return np.ascontiguousarray(strip[:height, :width])


def size_of(megapixels: float) -> tuple[int, int]:
    """Height and width of a picture of so many pixels, about 3 by 4."""
    height = round(math.sqrt(megapixels * 1e6 * 3 / 4))
    return height, round(megapixels * 1e6 / height)
