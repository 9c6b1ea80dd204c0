"""JPEG 2000 files: how many pixels they have. Source: ISO/IEC 15444-1, annexes A.5.1 (SIZ) and I (boxes)."""

import struct

from airtool.images.boxes import boxes
from airtool.images.container import CUT_SHORT, DAMAGED, Container, ContainerError

START = b"\xff\x4f\xff\x51"
"""The first two markers of every codestream: SOC, SIZ."""

SIZ = struct.Struct(">4xHH8IH")
"""Length, capabilities, far corner, near corner, tile size, tile offset, components."""

CHANNELS = 4
"""Most that OpenCV takes."""

MAX_TILES = 65535
"""By the standard."""


def inspect(data: bytes) -> Container:
    """Find the sides. Raises ContainerError when the header is not all there, or asks for absurd work."""
    stream = data if data.startswith(START) else next((box.body for box in boxes(data) if box.kind == b"jp2c"), b"")
    if len(stream) < SIZ.size:
        raise ContainerError(CUT_SHORT)
    if not stream.startswith(START):
        raise ContainerError(DAMAGED)
    _, _, right, bottom, left, top, tile_width, tile_height, tile_left, tile_top, channels = SIZ.unpack_from(stream)
    if channels > CHANNELS:
        raise ContainerError(f"is a JPEG 2000 file of {channels} channels: convert it to RGB or to PNG")
    if not tile_width or not tile_height:
        raise ContainerError(DAMAGED)
    across, down = -(-(right - tile_left) // tile_width), -(-(bottom - tile_top) // tile_height)
    if across * down > MAX_TILES:
        raise ContainerError(DAMAGED)
    # The decoder's reference grid counts from (0, 0), whatever the near corner.
    return Container(data, (right - left, bottom - top))
