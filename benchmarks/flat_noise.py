"""Noise left where photographs are flat, for pictures without ground truth: python benchmarks/flat_noise.py DIR ...

The first folder holds the noisy pictures, every other one what something made of them, by the same names. In each noisy
picture the flattest square is sought, the one whose coarse structure varies least, and there the standard deviation of
what is finer than that structure is printed, on the 0..255 scale, for each folder. Texture is not judged: look.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

from airtool.errors import AirtoolError
from airtool.images.decode import read
from airtool.images.discover import discover

SIDE = 64
"""Of the square, in pixels; squares are tried at every half of it."""

COARSE = 6.0
"""Sigma of the Gaussian that tells structure from noise, in pixels."""


def coarse(picture: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), COARSE, borderType=cv2.BORDER_REFLECT_101)


def flattest(picture: np.ndarray) -> tuple[slice, slice]:
    """Where the square lies in a picture, float32 (H, W, 3)."""
    structure = coarse(picture)
    height, width = picture.shape[:2]
    starts = [
        (top, left)
        for top in range(0, max(1, height - SIDE + 1), SIDE // 2)
        for left in range(0, max(1, width - SIDE + 1), SIDE // 2)
    ]
    squares = [(slice(top, top + SIDE), slice(left, left + SIDE)) for top, left in starts]
    return min(squares, key=lambda square: float(structure[square].std((0, 1)).sum()))


def left_over(picture: np.ndarray, square: tuple[slice, slice]) -> float:
    """Standard deviation on the 0..255 scale of what is finer than the structure."""
    return 255 * float((picture - coarse(picture))[square].std())


def pictures(folder: Path) -> dict[str, Path]:
    """The pictures of a folder by their path below it, without suffix."""
    return {
        str(source.relative.with_suffix("")): source.path
        for source in discover([str(folder)])
        if isinstance(source.path, Path)
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR")
    folders = parser.parse_args().folders
    try:
        found = [pictures(folder) for folder in folders]
        print(
            "| picture | " + " | ".join(folder.name for folder in folders) + " |\n" + "|---" * (1 + len(folders)) + "|"
        )
        for stem in sorted(found[0]):
            seen = [read(each[stem]).rgb for each in found if stem in each]
            square = flattest(seen[0])
            print(f"| {stem} | " + " | ".join(f"{left_over(picture, square):.1f}" for picture in seen) + " |")
    except AirtoolError as error:
        print(f"flat_noise: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
