"""AVIF files: bit depth, orientation, and the metadata that OpenCV does not report.

Sources: ISO/IEC 14496-12 (boxes, iloc, iinf), ISO/IEC 23008-12 (colr, irot, imir, ipma), AV1-ISOBMFF (av1C).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from airtool.images.container import CUT_SHORT, DAMAGED, Container, ContainerError
from airtool.images.picture import Metadata
from airtool.images.png import HDR_TRANSFERS

XMP_TYPE = b"application/rdf+xml"

TURNS = {(0, None): 1, (1, None): 8, (2, None): 3, (3, None): 6, (0, 0): 4, (0, 1): 2, (2, 0): 2, (2, 1): 4}
TURNS |= {(1, 0): 5, (1, 1): 7, (3, 0): 7, (3, 1): 5}
"""EXIF orientation of a rotation (irot: quarter turns anticlockwise) followed by a mirroring (imir: 0 swaps top and
bottom, 1 swaps left and right; None: no mirroring)."""


@dataclass(frozen=True)
class _Box:
    kind: bytes
    body: bytes


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
    top = {box.kind: box.body for box in _boxes(data)}
    meta = {box.kind: box.body for box in _boxes(top.get(b"meta", b"")[4:])}
    pitm = meta.get(b"pitm", b"")
    primary = int.from_bytes(pitm[4:6] if pitm[:1] == b"\0" else pitm[4:8])
    properties = _properties(meta.get(b"iprp", b""), primary)
    icc, white, turn, mirror = None, None, 0, None
    for box in properties:
        if box.kind == b"colr" and box.body[:4] in (b"prof", b"rICC"):
            icc = box.body[4:]
        elif box.kind == b"colr" and box.body[:4] == b"nclx" and struct.unpack(">H", box.body[6:8])[0] in HDR_TRANSFERS:
            raise ContainerError("is a high dynamic range picture: convert it to sRGB first")
        elif box.kind == b"av1C" and box.body[2] & 0x40:
            white = 4095 if box.body[2] & 0x20 else 1023
        elif box.kind == b"irot":
            turn = box.body[0] & 3
        elif box.kind == b"imir":
            mirror = box.body[0] & 1
    stored = any(box.kind in (b"irot", b"imir") for box in properties)
    found = Metadata(icc=icc, xmp=_xmp(data, meta))
    return Container(data, found, orientation=TURNS[turn, mirror] if stored else None, white=white)


def _boxes(data: bytes) -> Iterator[_Box]:
    """The boxes in `data`. Raises ContainerError when the last one is cut off."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            (size,), head = struct.unpack_from(">Q", data, at + 8), 16
        elif size == 0:
            size = len(data) - at
        if size < head:
            raise ContainerError(DAMAGED)
        if at + size > len(data):
            raise ContainerError(CUT_SHORT)
        yield _Box(kind, data[at + head : at + size])
        at += size


def _properties(iprp: bytes, item: int) -> list[_Box]:
    """The properties that belong to an item."""
    found = {box.kind: box.body for box in _boxes(iprp)}
    if b"ipco" not in found or b"ipma" not in found:
        return []
    every = list(_boxes(found[b"ipco"]))
    reader = _Reader(found[b"ipma"])
    version, flags = reader.take(1), reader.take(3)
    chosen: list[_Box] = []
    for _ in range(reader.take(4)):
        owner = reader.take(2 if version < 1 else 4)
        for _ in range(reader.take(1)):
            index = reader.take(2) & 0x7FFF if flags & 1 else reader.take(1) & 0x7F
            if owner == item and 0 < index <= len(every):
                chosen.append(every[index - 1])
    return chosen


def _xmp(data: bytes, meta: dict[bytes, bytes]) -> bytes | None:
    """The XMP packet: the item of type "mime" with XMP's content type."""
    iinf = meta.get(b"iinf", b"")
    for box in _boxes(iinf[6 if iinf[:1] == b"\0" else 8 :]):
        version = box.body[0] if box.body else 0
        width = 2 if version == 2 else 4
        # version and flags, item number, protection, type, name, 0, content type, 0
        item, rest = int.from_bytes(box.body[4 : 4 + width]), box.body[4 + width + 2 :]
        if version >= 2 and rest[:4] == b"mime" and rest[4:].split(b"\0")[1:2] == [XMP_TYPE]:
            return _item(data, meta, item)
    return None


def _item(data: bytes, meta: dict[bytes, bytes], item: int) -> bytes | None:
    """The bytes of an item, where the item location box finds them in the file or in the item data box."""
    reader = _Reader(meta.get(b"iloc", b""))
    version, _, sizes, more = reader.take(1), reader.take(3), reader.take(1), reader.take(1)
    offset_size, length_size, base_size, index_size = sizes >> 4, sizes & 15, more >> 4, more & 15 if version else 0
    for _ in range(reader.take(2 if version < 2 else 4)):
        number = reader.take(2 if version < 2 else 4)
        method = reader.take(2) & 15 if version else 0
        reader.take(2)
        base = reader.take(base_size)
        extents = []
        for _ in range(reader.take(2)):
            reader.take(index_size)
            start = base + reader.take(offset_size)
            extents.append((start, start + reader.take(length_size)))
        if number == item and method in (0, 1):
            pool = data if method == 0 else meta.get(b"idat", b"")
            return b"".join(pool[start:end] for start, end in extents) or None
    return None


class _Reader:
    """Big-endian integers, one after another. Raises IndexError behind the end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> int:
        end = self.at + size
        if end > len(self.data):
            raise IndexError
        value = int.from_bytes(self.data[self.at : end])
        self.at = end
        return value
