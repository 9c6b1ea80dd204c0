"""BMP files: how many pixels they have. Source: the headers BITMAPCOREHEADER and BITMAPINFOHEADER of Windows."""

import struct

from airtool.images.container import CUT_SHORT, Container, ContainerError

CORE_HEADER = 12
"""Bytes of the oldest header, which has sides of 16 bits."""


def inspect(data: bytes) -> Container:
    """Find the sides. Raises ContainerError when the header is not all there."""
    if len(data) < 26:
        raise ContainerError(CUT_SHORT)
    form = "<HH" if struct.unpack_from("<I", data, 14) == (CORE_HEADER,) else "<ii"
    width, height = struct.unpack_from(form, data, 18)
    return Container(data, (width, abs(height)))  # a negative height: rows from top to bottom
