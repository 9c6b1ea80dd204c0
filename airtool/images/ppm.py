"""Portable anymaps: size, the sample value that stands for white, and how many there are in one file.

Source: the Netpbm file format pages.
"""

import re

from airtool.images.container import DAMAGED, Container, ContainerError, one_frame

# Possessive quantifiers: what once matched is never tried in another way, which could take for ever.
GAP = rb"(?:\s|#[^\n]*+\n)++"
NUMBER = rb"([0-9]{1,10}+)"
HEADER = re.compile(rb"P[1-6]" + GAP + NUMBER + GAP + NUMBER)
ANOTHER = re.compile(rb"\s*+" + HEADER.pattern)
"""How one more picture begins behind the first."""
WHITE = re.compile(GAP + NUMBER + rb"\s")


def inspect(data: bytes) -> Container:
    """Find the largest sample value, and hide it from OpenCV, which scales by it in some variants and not in others.

    Bitmaps (P1, P4) have none. Raises ContainerError when the header has none or one out of range, and for more than
    one picture.
    """
    header = HEADER.match(data)
    if header is None:
        raise ContainerError(DAMAGED)
    size = int(header[1]), int(header[2])
    if data[1:2] in b"14":
        if data[1:2] == b"4":
            _check_alone(data, header.end() + 1, -(-size[0] // 8) * size[1])
        return Container(data, size)
    found = WHITE.match(data, header.end())
    white = int(found[1]) if found else 0
    if found is None or not 1 <= white <= 65535:
        raise ContainerError(DAMAGED)
    if data[1:2] in b"56":
        channels, depth = 3 if data[1:2] == b"6" else 1, 1 if white < 256 else 2
        _check_alone(data, found.end(), size[0] * size[1] * channels * depth)
    full = b"255" if white < 256 else b"65535"
    return Container(data[: found.start(1)] + full + data[found.end(1) :], size, white=white)


def _check_alone(data: bytes, start: int, length: int) -> None:
    """Refuse a file in which another picture follows the samples; plain formats (P1 to P3) know no second one."""
    if ANOTHER.match(data, min(start + length, len(data))):  # the sides may be any numbers
        one_frame(2, "pictures or more")
