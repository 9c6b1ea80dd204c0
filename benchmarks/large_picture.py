"""Large photographs: time per megapixel, peak memory, and how far tiles differ from the whole picture.

    python benchmarks/large_picture.py PHOTO [PHOTO ...] [--method NAME] [--weights FILE]

The photographs are laid side by side and repeated, mirrored, up to 24 megapixels for time and memory; the difference
between tiles and whole is measured on the first one, cut to at most 3 megapixels.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measuring.memory import largest

from airtool.engine.session import open_session
from airtool.images.decode import read
from airtool.images.encode import encode
from airtool.images.picture import Metadata, Picture
from airtool.methods import DEFAULT
from airtool.metrics.protocols import RGB

LARGE = (4000, 6000)
"""Height and width: 24 megapixels."""


def large(photographs: list[np.ndarray]) -> np.ndarray:
    """One picture of LARGE pixels from smaller ones."""
    height = min(photo.shape[0] for photo in photographs)
    strip = np.concatenate([photo[:height] for photo in photographs], axis=1)
    missing = [max(0, side - have) for side, have in zip(LARGE, strip.shape[:2], strict=True)]
    return np.pad(strip, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")[: LARGE[0], : LARGE[1]]


def run_command(picture: np.ndarray, options: list[str]) -> tuple[float, float]:
    """Seconds and peak MiB of `airtool restore` on one picture, everything included."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.jpg"
        path.write_bytes(encode(Picture(picture, None, 8, False, "jpeg", Metadata())))
        start = time.perf_counter()
        command = [sys.executable, "-m", "airtool", "restore", str(path), str(Path(folder) / "out.jpg"), *options]
        subprocess.run(command, check=True)
        seconds = time.perf_counter() - start
    return seconds, largest(resource.RUSAGE_CHILDREN) / 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", nargs="+", type=Path)
    parser.add_argument("--method", default=DEFAULT)
    parser.add_argument("--weights")
    arguments = parser.parse_args()
    options = ["--method", arguments.method]
    if arguments.weights:
        options += ["--weights", arguments.weights]
    photographs = [read(path).rgb for path in arguments.photographs]
    seconds, peak = run_command(large(photographs), options)
    print(f"24 MP: {seconds:.0f} s, {seconds / 24:.2f} s/MP, peak {peak:.0f} MiB")
    photo = np.ascontiguousarray(photographs[0][:1536, :2048])
    whole = open_session(arguments.method, arguments.weights, tile=0).restore_array(photo)
    for tile in (560, 400, 256):
        tiled = open_session(arguments.method, arguments.weights, tile=tile).restore_array(photo)
        worst = np.abs(tiled - whole).max() * 255
        print(
            f"tile {tile}: {RGB.psnr(tiled, whole):.1f} dB (8-bit), largest difference {worst:.3f}/255 from the whole"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
