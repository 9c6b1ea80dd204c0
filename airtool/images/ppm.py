"""Portable anymaps: the sample value that stands for white. Source: the Netpbm file format pages."""

import re

from airtool.images.container import DAMAGED, Container, ContainerError

GAP = rb"(?:\s+|#[^\n]*\n)+"
HEADER = re.compile(rb"P[2356]" + GAP + rb"\d+" + GAP + rb"\d+" + GAP + rb"(\d+)\s")


def inspect(data: bytes) -> Container:
    """Find the largest sample value, and hide it from OpenCV, which scales by it in some variants and not in others.

    Bitmaps (P1, P4) have none. Raises ContainerError when the header has none or one out of range.
    """
    if data[1:2] in b"14":
        return Container(data)
    header = HEADER.match(data)
    white = int(header[1]) if header else 0
    if header is None or not 1 <= white <= 65535:
        raise ContainerError(DAMAGED)
    full = b"255" if white < 256 else b"65535"
    return Container(data[: header.start(1)] + full + data[header.end(1) :], white=white)
