"""What large pictures gain from being looked at as a whole: python benchmarks/large_scenes.py --data DIR

Two questions, on Kodak24 with synthetic degradations at default amounts and seed 0, each method told what is wrong
where it can be told:

- Tone: haze and low light restored whole, in tiles of 256 pixels whose tone is their own, and in such tiles as they
  come by default, with the tone of a look at the reduced picture (`airtool.engine.tone`).
- Weather: rain and snow in pictures enlarged three times after they were degraded, so that streaks and flakes have
  grown as they have in a photograph of many megapixels; restored by the network alone, by default, where reduced
  copies come first (`airtool.engine.passes`), and at work sizes alone.

Prints Markdown.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import numpy.typing as npt

from airtool.degradations.compose import compose, parse_steps, picture_rng
from airtool.engine.session import Session, open_with
from airtool.engine.settings import Settings
from airtool.images.decode import read
from airtool.images.discover import discover
from airtool.methods.registry import METHODS

Pixels = npt.NDArray[np.float32]

TILE = 256
ENLARGED = 3
WAYS: dict[str, dict[str, object]] = {
    "`--tile off`": {"tile": 0},
    "by default": {},
    "`--work-size 0.4`": {"work_size": (0.4,)},
    "`--work-size 0.4,1.6`": {"work_size": (0.4, 1.6)},
}
"""Columns of the second table."""


def psnr(a: Pixels, b: Pixels) -> float:
    return float(-10 * np.log10(np.mean(np.square(a.astype(np.float64) - b))))


def degraded(scene: Pixels, kind: str) -> Pixels:
    """As `airtool degrade --seed 0` writes it, in 8 bits."""
    found = compose(scene, parse_steps(kind), picture_rng(0, scene))[0]
    return (np.rint(np.clip(found, 0, 1) * 255) / 255).astype(np.float32)


def session(method: str, kind: str, **settings: object) -> Session:
    told = () if METHODS[method].needs == "nothing" else (kind,)
    return open_with(Settings(degradation=told, **settings), method)  # type: ignore[arg-type]


def enlarged(rgb: Pixels) -> Pixels:
    return np.clip(cv2.resize(rgb, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC), 0, 1)


def mean_psnr(scenes: list[Pixels], kind: str, restore: Callable[[Pixels], Pixels], larger: bool) -> float:
    figures = []
    for scene in scenes:
        before, truth = degraded(scene, kind), scene
        if larger:
            before, truth = enlarged(before), enlarged(truth)
        figures.append(psnr(restore(before), truth))
    return float(np.mean(figures))


def tone_table(method: str, scenes: list[Pixels]) -> str:
    lines = ["| PSNR in dB | input | whole | tiles alone | tiles with one tone |", "|---|---|---|---|---|"]
    for kind in ("haze", "low-light"):
        whole, tiles = session(method, kind, tile=0), session(method, kind, tile=TILE)
        figures = [mean_psnr(scenes, kind, lambda rgb: rgb, False)]
        figures.append(mean_psnr(scenes, kind, whole.restore_array, False))
        with patch("airtool.engine.tone.changes_tone", return_value=False):
            figures.append(mean_psnr(scenes, kind, tiles.restore_array, False))
        figures.append(mean_psnr(scenes, kind, tiles.restore_array, False))
        lines.append(f"| {kind} | " + " | ".join(f"{each:.2f}" for each in figures) + " |")
        print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines)


def weather_table(method: str, scenes: list[Pixels]) -> str:
    lines = ["| PSNR in dB | input | " + " | ".join(WAYS) + " |", "|---" * (len(WAYS) + 2) + "|"]
    for kind in ("rain", "snow"):
        ways = [lambda rgb: rgb, *(session(method, kind, **how).restore_array for how in WAYS.values())]
        figures = [mean_psnr(scenes, kind, way, True) for way in ways]
        lines.append(f"| {kind} | " + " | ".join(f"{each:.2f}" for each in figures) + " |")
        print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("AIRTOOL_DATA"))
    parser.add_argument("--method", default="autodir")
    parser.add_argument("--pictures", type=int, default=4, help="how many, evenly over the set")
    arguments = parser.parse_args()
    folder = Path(arguments.data or "") / "bench" / "Kodak24" / "gt"
    if arguments.data is None or not folder.is_dir():
        print("name the folder that holds bench/Kodak24 with --data or AIRTOOL_DATA", file=sys.stderr)
        return 2
    paths = [source.path for source in discover([str(folder)]) if source.path is not None]
    chosen = paths[:: max(1, len(paths) // arguments.pictures)][: arguments.pictures]
    scenes = [read(path).rgb for path in chosen]
    facts = session(arguments.method, "rain").describe()
    print(f"{time.strftime('%Y-%m-%d')}, `{arguments.method}`, {facts['weights']}, sha256 `{facts['sha256']}`,")
    print(f"{facts['device']}, {facts['precision']}, {len(scenes)} pictures.\n")
    print(tone_table(arguments.method, scenes) + "\n")
    print(weather_table(arguments.method, scenes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
