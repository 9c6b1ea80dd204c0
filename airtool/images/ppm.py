"""Portable anymaps: their size, and the sample value that stands for white. Source: the Netpbm file format pages."""

import re

from airtool.images.container import DAMAGED, Container, ContainerError

# Possessive quantifiers: what once matched is never tried in another way, which could take for ever.
GAP = rb"(?:\s|#[^\n]*+\n)++"
NUMBER = rb"([0-9]{1,10}+)"
HEADER = re.compile(rb"P[1-6]" + GAP + NUMBER + GAP + NUMBER)
WHITE = re.compile(GAP + NUMBER + rb"\s")


def inspect(data: bytes) -> Container:
    """Find the largest sample value, and hide it from OpenCV, which scales by it in some variants and not in others.

    Bitmaps (P1, P4) have none. Raises ContainerError when the header has none or one out of range.
    """
    header = HEADER.match(data)
    if header is None:
        raise ContainerError(DAMAGED)
    size = int(header[1]), int(header[2])
    if data[1:2] in b"14":
        return Container(data, size)
    found = WHITE.match(data, header.end())
    white = int(found[1]) if found else 0
    if found is None or not 1 <= white <= 65535:
        raise ContainerError(DAMAGED)
    full = b"255" if white < 256 else b"65535"
    return Container(data[: found.start(1)] + full + data[found.end(1) :], size, white=white)
