"""Time and memory of decoding, in this process and isolated: python benchmarks/decoding.py [--megapixels 24 --rounds 3]

Files of a photograph at two sizes, 0.15 megapixels and the given one. Prints a line of Markdown for each: processor
time, that of the isolated process included, the least of ROUNDS; and the most memory for a pixel while it is decoded in
a fresh process. Linux only (/proc).
"""

import argparse
import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage
import tifffile
from PIL import Image

from airtool.images.decode import decode
from airtool.images.limits import MEMORY_PER_PIXEL
from airtool.images.reader import Reader, open_reader

SMALL = (480, 320)
"""Sides of the small pictures."""

SAMPLES = 20
"""Times that a small picture is read for one measurement."""


def photograph(width: int, height: int) -> np.ndarray:
    """(height, width, 3) uint8: a photograph, enlarged, with the noise that enlarging takes away."""
    with Image.open(Path(skimage.data_dir) / "coffee.png") as picture:
        large = np.asarray(picture.convert("RGB").resize((width, height), Image.Resampling.BICUBIC))
    noise = np.random.default_rng(0).integers(-4, 5, large.shape, np.int16)
    return np.clip(large + noise, 0, 255).astype(np.uint8)


def files(rgb: np.ndarray) -> Iterator[tuple[str, bytes]]:
    """The picture in the kinds of files that people have, and in those that take most memory."""

    def saved(array: np.ndarray, format: str, **options: Any) -> bytes:
        target = io.BytesIO()
        Image.fromarray(array).save(target, format, **options)
        return target.getvalue()

    rgba = np.dstack([rgb, rgb[..., 0]])
    exif = Image.Exif()
    exif[0x0112] = 6
    yield "JPEG", saved(rgb, "JPEG", quality=92)
    yield "JPEG, progressive, turned", saved(rgb, "JPEG", progressive=True, subsampling=0, exif=exif)
    yield "PNG", saved(rgb, "PNG", compress_level=1)
    yield (
        "PNG, 16 bits, alpha",
        cv2.imencode(".png", rgba.astype(np.uint16) * 257, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes(),
    )
    yield "WebP", saved(rgb, "WEBP", method=0)
    yield "AVIF, alpha", saved(rgba, "AVIF", speed=10)
    yield "JPEG 2000, alpha", saved(rgba, "JPEG2000")
    target = io.BytesIO()
    deep = rgba.astype(np.uint16) * 257
    turned = [(274, 3, 1, 6, True)]
    tifffile.imwrite(target, deep, photometric="rgb", extrasamples=["unassalpha"], extratags=turned)
    yield "TIFF, 16 bits, alpha, turned", target.getvalue()


def least(reader: Reader, data: bytes, times: int, rounds: int) -> float:
    """Seconds that one decoding takes of a processor."""
    found = []
    for _ in range(rounds):
        start = spent()
        for _ in range(times):
            reader.decode(data, "x")
        found.append((spent() - start) / times)
    return min(found)


def spent() -> float:
    """Processor seconds of this process and of its children."""
    children = " ".join(path.read_text() for path in Path("/proc/self/task").glob("*/children")).split()
    tasks = (path for child in children for path in Path(f"/proc/{child}/task").glob("*/schedstat"))
    return time.process_time() + sum(int(path.read_text().split()[0]) for path in tasks) / 1e9


def peak(data: bytes, pixels: int) -> float:
    """Bytes for a pixel that decoding takes in a fresh process, the file itself not counted."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        command = [sys.executable, __file__, "--peak", file.name]
        return int(subprocess.run(command, capture_output=True, check=True).stdout) / pixels


def print_peak(path: Path) -> None:
    """Decode a file and print how many bytes of memory that takes."""

    def most() -> int:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024

    cv2.setNumThreads(1)
    data = path.read_bytes()
    decode(cv2.imencode(".png", np.zeros((9, 9, 3), np.uint8))[1].tobytes(), "x")
    Path("/proc/self/clear_refs").write_text("5")
    before = most()
    decode(data, "x")
    print(most() - before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peak", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.peak:
        print_peak(chosen.peak)
        return
    height = round((chosen.megapixels * 1e6 / 1.5) ** 0.5)
    with open_reader() as here, open_reader(isolate=True) as there:
        start = time.perf_counter()
        there.decode(cv2.imencode(".png", np.zeros((9, 9, 3), np.uint8))[1].tobytes(), "x")
        print(f"a process starts in {time.perf_counter() - start:.2f} s; limit {MEMORY_PER_PIXEL} bytes a pixel\n")
        print("| file | pixels | here | isolated | memory |\n|---|---|---|---|---|")
        for size, times in ((SMALL, SAMPLES), ((round(1.5 * height), height), 1)):
            for kind, data in files(photograph(*size)):
                one, other = (least(reader, data, times, chosen.rounds) * 1e3 for reader in (here, there))
                memory = f"{peak(data, size[0] * size[1]):.0f} B/px" if size != SMALL else ""
                print(f"| {kind} | {size[0]}x{size[1]} | {one:.1f} ms | {other:.1f} ms | {memory} |", flush=True)


if __name__ == "__main__":
    main()
