"""Boxes, of which AVIF and JPEG 2000 files consist. Source: ISO/IEC 14496-12, section 4.2; ISO/IEC 15444-1, annex I."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from airtool.images.container import CUT_SHORT, DAMAGED, ContainerError


@dataclass(frozen=True)
class Box:
    """One box: its four letters and what is in it."""

    kind: bytes
    body: bytes


def boxes(data: bytes) -> Iterator[Box]:
    """The boxes in `data`, one after another. Raises ContainerError when the last one is cut off."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            if at + 16 > len(data):
                raise ContainerError(CUT_SHORT)
            (size,), head = struct.unpack_from(">Q", data, at + 8), 16
        elif size == 0:
            size = len(data) - at
        if size < head:
            raise ContainerError(DAMAGED)
        if at + size > len(data):
            raise ContainerError(CUT_SHORT)
        yield Box(kind, data[at + head : at + size])
        at += size
