"""How large a picture may be, decided from its header before memory is taken for its pixels."""

import re

from airtool.errors import UsageError

MAX_PIXELS = 1 << 28
"""Most pixels of one picture unless somebody says otherwise: 268 megapixels, more than any camera takes in one shot."""

MOST_PIXELS = 1 << 30
"""Most that may be asked for (1074 megapixels): where OpenCV itself stops."""

MAX_SIDE = 1 << 20
"""Most pixels of one side: where OpenCV stops, too."""

BYTES_PER_PIXEL = 8
"""Most bytes that a pixel takes in a file without compression: four channels of 16 bits."""

SPARE_BYTES = 1 << 26
"""What a file may hold beside its pixels: metadata, tables, thumbnails (67 MB)."""

MEMORY_PER_PIXEL = 50
"""Most bytes of memory for each pixel of the header while a picture is decoded, whatever its format and kind."""

SECONDS = 10.0
"""Most processor time for a small picture where decoding is isolated."""

PIXELS_PER_SECOND = 2_000_000
"""How many more each second more is for; a tenth of what the slowest decoder does."""

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


def parse_max_pixels(text: str | None) -> int:
    """The value of ``--max-pixels``: a number of pixels, also with k, M or G behind it ("100M"); None: `MAX_PIXELS`.

    Raises UsageError for anything else, and for numbers outside 1 to `MOST_PIXELS`.
    """
    if text is None:
        return MAX_PIXELS
    found = re.fullmatch(r"([0-9]{1,12})([kmg]?)", text.strip().lower())
    pixels = int(found[1]) * UNITS[found[2]] if found else 0
    if not 1 <= pixels <= MOST_PIXELS:
        raise UsageError(f"--max-pixels {text}: give a number of pixels up to {MOST_PIXELS}, such as 100M")
    return pixels


def most_seconds(pixels: int) -> float:
    """Most processor time for decoding so many pixels."""
    return SECONDS + pixels / PIXELS_PER_SECOND


def largest_file(max_pixels: int) -> int:
    """Bytes of the largest file that a picture of so many pixels can be."""
    return BYTES_PER_PIXEL * max_pixels + SPARE_BYTES
