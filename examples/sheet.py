"""Stack the before | after pictures of a folder into one sheet: python examples/sheet.py COMPARE_DIR SHEET.jpg"""

import sys
from pathlib import Path

import cv2
import numpy as np

WIDTH = 1000
"""Pixels of the sheet's width."""

GAP = 8
"""White pixels between rows."""


def main(folder: str, sheet: str) -> int:
    rows = []
    for path in sorted(Path(folder).rglob("*.jpg")):
        picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
        height = round(picture.shape[0] * WIDTH / picture.shape[1])
        rows += [
            cv2.resize(picture, (WIDTH, height), interpolation=cv2.INTER_AREA),
            np.full((GAP, WIDTH, 3), 255, np.uint8),
        ]
    if not rows:
        print(f"no .jpg files in {folder}", file=sys.stderr)
        return 2
    cv2.imencode(".jpg", np.vstack(rows[:-1]), [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tofile(sheet)
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
