"""WebP files: completeness, and whether they move. Source: RFC 9649."""

import struct

from airtool.images.container import CUT_SHORT, Container, ContainerError

ANIMATION = 0x02
"""The flag in the extended header."""


def inspect(data: bytes) -> Container:
    """Check a WebP file. Raises ContainerError for one that is cut short or animated."""
    if len(data) < 21 or struct.unpack_from("<I", data, 4)[0] + 8 > len(data):
        raise ContainerError(CUT_SHORT)
    if data[12:16] == b"VP8X" and data[20] & ANIMATION:
        raise ContainerError("is an animation: split it into single pictures first")
    return Container(data)
