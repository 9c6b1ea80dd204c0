"""JPEG files: completeness, size, and colour profiles too large for one segment.

Sources: ITU-T T.81 annex B (markers); ICC.1:2022 annex B.4 (APP2 chunks); JFIF 1.02.
"""

import re
import struct

from airtool.images.container import CUT_SHORT, DAMAGED, Container, ContainerError

MAX_EXIF = 65527
"""Most bytes of an EXIF block: a segment holds 65533, less "Exif", 0, 0."""

XMP_MARKER = b"http://ns.adobe.com/xap/1.0/\0"
MAX_XMP = 65533 - len(XMP_MARKER)
ICC_MARKER = b"ICC_PROFILE\0"
ICC_CHUNK = 65533 - len(ICC_MARKER) - 2
MAX_ICC = 255 * ICC_CHUNK
STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length: TEM, RST0 to RST7, SOI."""

SOS, EOI, APP0 = 0xDA, 0xD9, 0xE0
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of the header that has the sides (SOF0 to SOF15)."""
NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""The end of compressed data: a marker that is neither a stuffed zero nor a restart. Of many FF before it only the
last matters; a pattern that took them all would look at each of them again and again."""
MAX_SCANS = 100
"""Most scans of one picture. Encoders write about ten; every one makes a decoder go over the whole picture."""


def inspect(data: bytes) -> Container:
    """Check that a JPEG file reaches its end-of-image marker.

    Decoders fill up what is missing with grey, and a half-grey picture must not pass for a restored one. Raises
    ContainerError for a file that is cut short or damaged.
    """
    at, size, scans = 2, None, 0
    while True:
        found = NEXT_MARKER.search(data, at)
        if found is None:
            raise ContainerError(CUT_SHORT)
        at, marker = found.end(), data[found.end() - 1]
        if marker == EOI:
            if size is None or not scans:
                raise ContainerError(DAMAGED)
            return Container(data, size)
        scans += marker == SOS
        if scans > MAX_SCANS:
            raise ContainerError(f"is built from more than {MAX_SCANS} scans, as no encoder does: remove it")
        if marker in FRAMES and size is None and at + 7 <= len(data):
            height, width = struct.unpack_from(">3xHH", data, at)
            size = width, height
        if marker not in STANDALONE:
            # A length that is out of range runs the search to the end of the file: that is cut short, too.
            at += int.from_bytes(data[at : at + 2])


def embed_profile(data: bytes, icc: bytes) -> bytes:
    """A JPEG file with a colour profile in as many segments as it takes; at most `MAX_ICC` bytes."""
    chunks = [icc[i : i + ICC_CHUNK] for i in range(0, len(icc), ICC_CHUNK)]
    segments = [
        struct.pack(">BBH", 0xFF, 0xE2, 2 + len(ICC_MARKER) + 2 + len(chunk))
        + ICC_MARKER
        + bytes([number, len(chunks)])
        + chunk
        for number, chunk in enumerate(chunks, start=1)
    ]
    # Behind JFIF's segment, which has to be the first.
    at = 2
    if data[2:4] == bytes([0xFF, APP0]):
        at += 2 + int.from_bytes(data[4:6])
    return data[:at] + b"".join(segments) + data[at:]
