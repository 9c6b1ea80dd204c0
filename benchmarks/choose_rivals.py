"""Choose the parameters of the scoreboard's classical rivals on pictures that no benchmark has.

    python benchmarks/choose_rivals.py --data DIR
    python benchmarks/choose_rivals.py --data DIR --rivals bm3d --pictures 3 --crop 128

Takes the centres of the first validation photographs of BSDS500 (train/BSDS500-clean/val below DIR), degraded as the
row of the scoreboard is, and for Rain100L the five pairs of Rain-NDR5, which are of its training set. The parameters
with the largest mean PSNR win and are kept, with what else was tried, in benchmarks/scoring/chosen.json.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scoring.classical import NotInstalled, Pixels
from scoring.rivals import CHOSEN, RIVALS, Applied
from scoring.rows import ROWS, SEED, Row

from airtool.benches.pairs import pair_paths
from airtool.degradations.batch import degrade_picture
from airtool.degradations.compose import parse_steps
from airtool.images.decode import read
from airtool.images.discover import discover
from airtool.images.picture import Picture
from airtool.metrics.protocols import RGB

VALIDATION, RAIN = "train/BSDS500-clean/val", "train/Rain-NDR5"

Pair = tuple[Picture, Pixels]
"""A degraded picture and its ground truth."""


def centre(rgb: Pixels, side: int) -> Pixels:
    top, left = (max(0, (whole - side) // 2) for whole in rgb.shape[:2])
    return np.ascontiguousarray(rgb[top : top + side, left : left + side])


def cropped(path: Path | None, side: int) -> Picture:
    assert path is not None
    picture = read(path)
    return Picture(centre(picture.rgb, side), None, picture.depth, picture.grey, picture.format, picture.metadata)


def pairs_for(row: Row, data: Path, pictures: int, side: int) -> list[Pair]:
    """What a row's parameters are chosen on."""
    if row.degradation is None:
        found = pair_paths(str(data / RAIN / "lq"), str(data / RAIN / "gt")).pairs[:pictures]
        return [(cropped(pair.degraded.path, side), cropped(pair.ground_truth.path, side).rgb) for pair in found]
    steps = parse_steps(row.degradation)
    clean = [cropped(source.path, side) for source in discover([str(data / VALIDATION)])[:pictures]]
    return [(degrade_picture(picture, steps, SEED)[0], picture.rgb) for picture in clean]


def choice(name: str, row: Row, pairs: Sequence[Pair]) -> dict[str, Any]:
    """The best parameters of a rival, and the mean PSNR in dB of all that were tried and of the inputs."""
    tried = []
    for parameters in RIVALS[name].grid:
        rival = Applied(name, parameters, row.sigma)
        psnr = [RGB.psnr(rival.restore_picture(lq).rgb, truth) for lq, truth in pairs]
        tried.append({**parameters, "psnr": round(float(np.mean(psnr)), 3)})
    best = max(tried, key=lambda each: each["psnr"])
    height, width = pairs[0][1].shape[:2]
    return {
        "chosen": {key: value for key, value in best.items() if key != "psnr"},
        "on": f"{len(pairs)} pictures of up to {width} x {height}",
        "input": round(float(np.mean([RGB.psnr(lq.rgb, truth) for lq, truth in pairs])), 3),
        "tried": tried,
    }


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = os.environ.get("AIRTOOL_DATA")
    parser.add_argument("--data", type=Path, default=known, required=known is None)
    parser.add_argument("--rivals", default=",".join(RIVALS), help="comma-separated; default: all")
    parser.add_argument("--pictures", type=int, default=6, help="how many; default: 6")
    parser.add_argument("--crop", type=int, default=256, help="side of the centre in pixels; default: 256")
    parser.add_argument("--out", type=Path, default=CHOSEN)
    arguments = parser.parse_args(words)
    for name in arguments.rivals.split(","):
        for row in ROWS:
            if row.name not in RIVALS[name].rows or row.name in RIVALS[name].fixed:
                continue
            try:
                found = choice(name, row, pairs_for(row, arguments.data, arguments.pictures, arguments.crop))
            except NotInstalled as error:
                print(error, file=sys.stderr)
                break
            kept = json.loads(arguments.out.read_text("utf-8")) if arguments.out.exists() else {}
            kept.setdefault(name, {})[row.name] = found
            arguments.out.write_text(text_of(kept), "utf-8")
            print(f"{name} | {row.name} | {found['input']} -> {found['chosen']}", flush=True)
    return 0


def text_of(kept: dict[str, dict[str, Any]]) -> str:
    """JSON with one line a choice."""
    parts = []
    for name, rows in kept.items():
        lines = ",\n".join(f"  {json.dumps(row)}: {json.dumps(found)}" for row, found in rows.items())
        parts.append(f" {json.dumps(name)}: {{\n{lines}\n }}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    sys.exit(main())
