"""Portable anymaps: the sample value that stands for white. Source: the Netpbm file format pages."""

import re

from airtool.images.container import DAMAGED, Container, ContainerError

GAP = rb"(?:\s+|#[^\n]*\n)+"
HEADER = re.compile(rb"P[2356]" + GAP + rb"\d+" + GAP + rb"\d+" + GAP + rb"(\d+)\s")


def inspect(data: bytes) -> Container:
    """Find the largest sample value, which OpenCV does not scale to that of the array. Bitmaps (P1, P4) have none.

    Raises ContainerError when the header has none or one out of range.
    """
    if data[1:2] in b"14":
        return Container(data)
    header = HEADER.match(data)
    white = int(header[1]) if header else 0
    if not 1 <= white <= 65535:
        raise ContainerError(DAMAGED)
    return Container(data, white=white)
