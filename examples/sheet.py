"""Stack the before | after pictures of a folder into one sheet: python examples/sheet.py COMPARE SHEET.jpg [WIDTH]"""

import sys
from pathlib import Path

import cv2
import numpy as np

WIDTH = 1000
"""Pixels of the sheet's width, unless told otherwise."""

GAP = 8
"""White pixels between rows."""


def main(folder: str, sheet: str, width: int = WIDTH) -> int:
    rows = []
    for path in sorted(Path(folder).rglob("*.jpg")):
        picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
        height = round(picture.shape[0] * width / picture.shape[1])
        rows += [
            cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA),
            np.full((GAP, width, 3), 255, np.uint8),
        ]
    if not rows:
        print(f"no .jpg files in {folder}", file=sys.stderr)
        return 2
    cv2.imencode(".jpg", np.vstack(rows[:-1]), [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tofile(sheet)
    return 0


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4) or not "".join(sys.argv[3:] or "1").isdigit():
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:3], *map(int, sys.argv[3:])))
