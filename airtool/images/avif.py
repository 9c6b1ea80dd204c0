"""AVIF files: size, bit depth, orientation, and metadata.

Sources: ISO/IEC 14496-12 (boxes), ISO/IEC 23008-12 (colr, irot, imir, ipma, Exif), AV1-ISOBMFF (av1C).
"""

import struct

from airtool.images.av1 import Frames
from airtool.images.boxes import Box, boxes
from airtool.images.container import DAMAGED, Container, ContainerError
from airtool.images.items import Contents, Reader, items, renamed
from airtool.images.picture import Metadata
from airtool.images.png import HDR_TRANSFERS

EXIF_KIND = b"Exif"
XMP_TYPE = b"application/rdf+xml"

TURNS = {(0, None): 1, (1, None): 8, (2, None): 3, (3, None): 6, (0, 0): 4, (0, 1): 2, (2, 0): 2, (2, 1): 4}
TURNS |= {(1, 0): 5, (1, 1): 7, (3, 0): 7, (3, 1): 5}
"""EXIF orientation of a rotation (irot: quarter turns anticlockwise) followed by a mirroring (imir: 0 swaps top and
bottom, 1 swaps left and right; None: no mirroring)."""


def inspect(data: bytes) -> Container:
    """Check an AVIF file and take from it what OpenCV leaves out.

    A rotation or mirroring stored by the container overrules the EXIF tag, as readers of AVIF do it. Raises
    ContainerError for a file that is cut short, damaged, animated, or of high dynamic range.
    """
    if data[8:12] == b"avis":
        raise ContainerError("is an animation: split it into single pictures first")
    try:
        return _inspect(data)
    except (struct.error, IndexError):
        raise ContainerError(DAMAGED) from None


def _inspect(data: bytes) -> Container:
    top = {box.kind: box.body for box in boxes(data)}
    meta = {box.kind: box.body for box in boxes(top.get(b"meta", b"")[4:])}
    pitm = meta.get(b"pitm", b"")
    primary = int.from_bytes(pitm[4:6] if pitm[:1] == b"\0" else pitm[4:8])
    properties = _properties(meta.get(b"iprp", b""), primary)
    size, icc, white, turn, mirror = None, None, None, 0, None
    for box in properties:
        if box.kind == b"colr" and box.body[:4] in (b"prof", b"rICC"):
            icc = box.body[4:]
        elif box.kind == b"colr" and box.body[:4] == b"nclx" and struct.unpack(">H", box.body[6:8])[0] in HDR_TRANSFERS:
            raise ContainerError("is a high dynamic range picture: convert it to sRGB first")
        elif box.kind == b"av1C" and box.body[2] & 0x40:
            white = 4095 if box.body[2] & 0x20 else 1023
        elif box.kind == b"ispe":
            size = struct.unpack_from(">4xII", box.body)
        elif box.kind == b"irot":
            turn = box.body[0] & 3
        elif box.kind == b"imir":
            mirror = box.body[0] & 1
    if size is None:
        raise ContainerError(DAMAGED)
    contents, frames, exif, xmp = Contents(data, meta), Frames(), None, None
    for item in items(meta.get(b"iinf", b"")):
        if item.kind == b"av01":
            frames.look_at(contents.of(item.number))
        elif item.kind == EXIF_KIND and exif is None:
            block = contents.of(item.number)
            exif = block[4 + int.from_bytes(block[:4]) :] or None  # what lies before the block is counted first
        elif item.kind == b"mime" and item.content_type == XMP_TYPE and xmp is None:
            xmp = contents.of(item.number) or None
    stored = any(box.kind in (b"irot", b"imir") for box in properties)
    # A decoder takes memory for the frames in the stream, even where the container says something else.
    largest = max(size, frames.largest, key=lambda sides: sides[0] * sides[1])
    orientation = TURNS[turn, mirror] if stored else None
    # OpenCV 5.0 judges a file by its first 500 bytes, and takes one whose metadata lies behind them for no picture.
    pixels = renamed(data, meta.get(b"iinf", b""), (EXIF_KIND, b"mime"))
    return Container(pixels, largest, Metadata(exif, icc, xmp), orientation=orientation, white=white)


def _properties(iprp: bytes, item: int) -> list[Box]:
    """The properties that belong to an item."""
    found = {box.kind: box.body for box in boxes(iprp)}
    if b"ipco" not in found or b"ipma" not in found:
        return []
    every = list(boxes(found[b"ipco"]))
    reader = Reader(found[b"ipma"])
    version, flags = reader.take(1), reader.take(3)
    chosen: list[Box] = []
    for _ in range(reader.take(4)):
        owner = reader.take(2 if version < 1 else 4)
        for _ in range(reader.take(1)):
            index = reader.take(2) & 0x7FFF if flags & 1 else reader.take(1) & 0x7F
            if owner == item and 0 < index <= len(every):
                chosen.append(every[index - 1])
    return chosen
