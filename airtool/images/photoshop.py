"""The blocks in which Photoshop keeps IPTC and much else, in APP13 segments of JPEG files.

Source: Adobe Photoshop File Formats Specification (2019), "Image Resource Blocks".
"""

import struct
from collections.abc import Iterator

MARKER = b"Photoshop 3.0\0"
SIGNATURE = b"8BIM"
IPTC = 0x0404
RESOLUTION = 0x03ED
THUMBNAILS = frozenset({0x0409, 0x040C})
HALF = 8
"""Bytes that a resolution has for each side."""

Block = tuple[int, bytes, bytes]
"""Number, name as it stands in the file, content."""


def without_thumbnail(body: bytes) -> bytes | None:
    """An APP13 segment without the small copy of the picture as it was; None for one that cannot be taken apart."""
    try:
        return _built(block for block in _blocks(body) if block[0] not in THUMBNAILS)
    except ValueError:
        return None


def on_its_side(body: bytes) -> bytes:
    """The segment, as `without_thumbnail` returns it, for a picture whose sides have been swapped."""
    return _built(
        (number, name, data[HALF : 2 * HALF] + data[:HALF] + data[2 * HALF :]) if number == RESOLUTION else block
        for block in _blocks(body)
        for number, name, data in [block]
    )


def holds_iptc(body: bytes) -> bool:
    """Whether there is a caption, a copyright or the like."""
    try:
        return any(number == IPTC for number, _, _ in _blocks(body))
    except ValueError:
        return SIGNATURE + struct.pack(">H", IPTC) in body


def _blocks(body: bytes) -> Iterator[Block]:
    """Raises ValueError where something else stands."""
    if not body.startswith(MARKER):
        raise ValueError("not Photoshop's")
    at = len(MARKER)
    while at < len(body):
        if body[at : at + 4] != SIGNATURE or at + 7 > len(body):
            raise ValueError("no block")
        number, length = struct.unpack_from(">HB", body, at + 4)
        name = at + 6
        size = name + 1 + length + (1 + length) % 2
        if size + 4 > len(body):
            raise ValueError("cut short")
        (count,) = struct.unpack_from(">I", body, size)
        data = body[size + 4 : size + 4 + count]
        if len(data) < count:
            raise ValueError("cut short")
        yield number, body[name:size], data
        at = size + 4 + count + count % 2


def _built(blocks: Iterator[Block]) -> bytes:
    return MARKER + b"".join(
        SIGNATURE + struct.pack(">H", number) + name + struct.pack(">I", len(data)) + data + bytes(len(data) % 2)
        for number, name, data in blocks
    )
