"""JPEG files: completeness, size, colour profiles too large for one segment, and what OpenCV neither reads nor writes.

Sources: ITU-T T.81 annex B (markers); ICC.1:2022 annex B.4 (APP2 chunks); JFIF 1.02.
"""

import re
import struct

from airtool.images import photoshop
from airtool.images.container import CUT_SHORT, DAMAGED, Container, ContainerError
from airtool.images.jpeg_lost import COLOUR_MODEL, appended_lost, segment_lost
from airtool.images.jpeg_markers import (
    APP0,
    APP2,
    APP15,
    ICC_MARKER,
    JFIF_MARKER,
    XMP_EXTENSION_MARKER,
    XMP_MARKER,
)
from airtool.images.picture import Metadata, Segment
from airtool.images.segments import COMMENT, JFIF, JFIF_DENSITY, PHOTOSHOP, XMP_EXTENSION, Carried

MAX_EXIF = 65527
"""Most bytes of an EXIF block: a segment holds 65533, less "Exif", 0, 0."""

MAX_XMP = 65533 - len(XMP_MARKER)
DENSITY = slice(7, 12)
"""Where JFIF's segment, behind its length, has the density."""
DENSITY_AT = 6 + DENSITY.start
"""Where a file has it."""
NO_DENSITY = b"\0\0\1\0\1"
"""Square pixels of no known size."""
CMYK = 4
"""Components of a picture that becomes RGB."""
ICC_CHUNK = 65533 - len(ICC_MARKER) - 2
MAX_ICC = 255 * ICC_CHUNK
STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length: TEM, RST0 to RST7, SOI."""

SOS, EOI = 0xDA, 0xD9
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of the header that has the sides (SOF0 to SOF15)."""
NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""The end of compressed data: a marker that is neither a stuffed zero nor a restart. Of many FF before it only the
last matters; a pattern that took them all would look at each of them again and again."""
MAX_SCANS = 100
"""Most scans of one picture. Encoders write about ten; every one makes a decoder go over the whole picture."""


def inspect(data: bytes) -> Container:
    """Check that a JPEG file reaches its end-of-image marker, and collect what OpenCV does not tell.

    Decoders fill up what is missing with grey, and a half-grey picture must not pass for a restored one. Raises
    ContainerError for a file that is cut short or damaged.
    """
    at, size, scans = 2, None, 0
    carried, other = Carried(), []
    lost: list[str] = []
    while True:
        found = NEXT_MARKER.search(data, at)
        if found is None:
            raise ContainerError(CUT_SHORT)
        at, marker = found.end(), data[found.end() - 1]
        if marker == EOI:
            if size is None or not scans:
                raise ContainerError(DAMAGED)
            metadata = Metadata(segments=carried.segments)
            lost += appended_lost(data, at)
            return Container(_without(data, other), size, metadata, lost=(*lost, *carried.lost))
        scans += marker == SOS
        if scans > MAX_SCANS:
            raise ContainerError(f"is built from more than {MAX_SCANS} scans, as no encoder does: remove it")
        if marker in FRAMES and size is None and at + 7 <= len(data):
            height, width = struct.unpack_from(">3xHH", data, at)
            size = width, height
            if data[at + 7 : at + 8] == bytes([CMYK]):
                lost.append("CMYK becomes RGB")
        if marker not in STANDALONE:
            # A length that is out of range runs the search to the end of the file: that is cut short, too.
            length = int.from_bytes(data[at : at + 2])
            kind, body = bytes([0xFF, marker]), data[at + 2 : at + length]
            if kind == APP2 and body and not body.startswith(ICC_MARKER):
                other.append((at - 2, at + length))
            _carry(carried, kind, body)
            words = segment_lost(kind, body)
            if words is not None and words not in lost:
                lost.append(words)
            at += length


def _without(data: bytes, parts: list[tuple[int, int]]) -> bytes:
    """A file less some parts: OpenCV 5.0 takes the index of several pictures, in an APP2 segment, for a profile."""
    ends = [0, *(end for _, end in parts)]
    starts = [*(start for start, _ in parts), len(data)]
    return b"".join(data[end:start] for end, start in zip(ends, starts, strict=True)) if parts else data


def _carry(carried: Carried, kind: bytes, body: bytes) -> None:
    """Take over a segment that goes into the output as it is, and JFIF's density."""
    if kind == JFIF:
        density = body[DENSITY]
        if body.startswith(JFIF_MARKER) and len(density) == JFIF_DENSITY.size and density != NO_DENSITY:
            carried.add(kind, density)
    elif kind == PHOTOSHOP and not body.startswith(COLOUR_MODEL):
        # Blocks may go on in a further segment: whoever cuts there is rare, and the half of a block is nothing.
        rest = photoshop.without_thumbnail(body)
        if rest is None:
            carried.refuse(Segment(kind, body))
        elif rest != photoshop.MARKER:
            carried.add(kind, rest)
    elif kind == COMMENT or (kind == XMP_EXTENSION and body.startswith(XMP_EXTENSION_MARKER)):
        carried.add(kind, body)


def embed(data: bytes, metadata: Metadata) -> bytes:
    """A JPEG file, as OpenCV wrote it, with what that cannot write: a large profile, and segments.

    metadata: its profile of at most `MAX_ICC` bytes; EXIF and XMP are not looked at.
    """
    # Behind JFIF's segment, which has to be the first.
    first = 2
    if data[2:4] == JFIF:
        first += 2 + int.from_bytes(data[4:6])
    head, last = bytearray(data[:first]), first
    while APP0 <= data[last : last + 2] <= APP15:
        last += 2 + int.from_bytes(data[last + 2 : last + 4])
    further = []
    for segment in metadata.segments:
        if segment.kind != JFIF:
            further.append(_segment(segment.kind, segment.body))
        elif data[2:4] == JFIF:
            head[DENSITY_AT : DENSITY_AT + len(segment.body)] = segment.body
    profile = [] if metadata.icc is None else _profile(metadata.icc)
    return b"".join((head, *profile, data[first:last], *further, data[last:]))


def _profile(icc: bytes) -> list[bytes]:
    """A colour profile in as many segments as it takes."""
    chunks = [icc[i : i + ICC_CHUNK] for i in range(0, len(icc), ICC_CHUNK)]
    return [
        _segment(APP2, ICC_MARKER + bytes([number, len(chunks)]) + chunk)
        for number, chunk in enumerate(chunks, start=1)
    ]


def _segment(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack(">H", 2 + len(body)) + body
