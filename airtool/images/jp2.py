"""JPEG 2000 files: size and bit depth. Source: ISO/IEC 15444-1, annexes A.5.1 (SIZ) and I (boxes)."""

import struct

from airtool.images.boxes import boxes
from airtool.images.container import CUT_SHORT, DAMAGED, Container, ContainerError

START = b"\xff\x4f\xff\x51"
"""The first two markers of every codestream: SOC, SIZ."""

SIZ = struct.Struct(">4xHH8IH")
"""Length, capabilities, far corner, near corner, tile size, tile offset, components. Three bytes of each component
follow: its depth, and two of its sampling."""

SIGNED = 0x80
"""The bit that marks a depth as one of signed samples; the others hold the number of bits less one."""

CHANNELS = 4
"""Most that OpenCV takes."""

MAX_TILES = 65535
"""By the standard."""


def inspect(data: bytes) -> Container:
    """Find the sides and the depth.

    Raises ContainerError when the header is not all there, asks for absurd work, or tells of samples that OpenCV
    refuses or misreads: indices, signed, of fewer than 8 or more than 16 bits, of different depths.
    """
    stream, palette = _codestream(data)
    if len(stream) < SIZ.size:
        raise ContainerError(CUT_SHORT)
    if not stream.startswith(START):
        raise ContainerError(DAMAGED)
    _, _, right, bottom, left, top, tile_width, tile_height, tile_left, tile_top, channels = SIZ.unpack_from(stream)
    if channels > CHANNELS:
        raise ContainerError(f"is a JPEG 2000 file of {channels} channels: convert it to RGB or to PNG")
    if not channels or not tile_width or not tile_height:
        raise ContainerError(DAMAGED)
    across, down = -(-(right - tile_left) // tile_width), -(-(bottom - tile_top) // tile_height)
    if across * down > MAX_TILES:
        raise ContainerError(DAMAGED)
    depths = stream[SIZ.size : SIZ.size + 3 * channels : 3]
    if len(depths) < channels:
        raise ContainerError(CUT_SHORT)
    if palette:  # the decoder would return its indices as shades of grey
        raise ContainerError("is a JPEG 2000 file with a palette: convert it to RGB or to PNG")
    bits = _bits(depths)
    # The decoder's reference grid counts from (0, 0), whatever the near corner.
    return Container(data, (right - left, bottom - top), white=2**bits - 1 if 8 < bits < 16 else None)


def _codestream(data: bytes) -> tuple[bytes, bool]:
    """The first codestream of a file, empty without one, and whether its samples are indices into a palette."""
    if data.startswith(START):
        return data, False
    palette = False
    for box in boxes(data):
        if box.kind == b"jp2h":
            palette = any(inner.kind == b"pclr" for inner in boxes(box.body))
        elif box.kind == b"jp2c":
            return box.body, palette
    return b"", palette


def _bits(depths: bytes) -> int:
    """Bits a sample, the same for all components. Raises ContainerError for what OpenCV does not read so."""
    if any(depth & SIGNED for depth in depths):
        raise ContainerError("is a JPEG 2000 file of signed samples: convert it to RGB or to PNG")
    bits = [depth + 1 for depth in depths]
    if len(set(bits)) > 1:
        listed = ", ".join(map(str, bits))
        raise ContainerError(f"is a JPEG 2000 file of different depths ({listed} bits): convert it to RGB or to PNG")
    if not 8 <= bits[0] <= 16:
        raise ContainerError(f"has {bits[0]} bits a sample: convert it to 8 or 16 bits first")
    return bits[0]
