"""WebP files: completeness, size, and whether they move. Source: RFC 9649."""

import struct

from airtool.images.container import CUT_SHORT, DAMAGED, Container, ContainerError

ANIMATION = 0x02
"""The flag in the extended header."""


def inspect(data: bytes) -> Container:
    """Check a WebP file. Raises ContainerError for one that is cut short, damaged or animated."""
    if len(data) < 30 or struct.unpack_from("<I", data, 4)[0] + 8 > len(data):
        raise ContainerError(CUT_SHORT)
    if data[12:16] == b"VP8X" and data[20] & ANIMATION:
        raise ContainerError("is an animation: split it into single pictures first")
    return Container(data, _size(data))


def _size(data: bytes) -> tuple[int, int]:
    """Width and height by the first chunk: lossy, lossless, or the canvas of the extended format."""
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise ContainerError(DAMAGED)
