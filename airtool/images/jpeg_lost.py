"""What JPEG files hold that cannot go into a restored one: not carried, but named.

Sources: ITU-T T.81 annex B; JFIF 1.02; ISO/IEC 19566-5 annex D (JUMBF in APP11 segments); C2PA 2.1, appendix A.3; CIPA
DC-007 and ISO 21496-1 (further pictures and their index); Motion Photo format 1.0 (Android); ISO/IEC 14496-12 (video).
"""

import re

from airtool.images import photoshop
from airtool.images.jpeg_markers import (
    APP0,
    APP1,
    APP2,
    APP11,
    APP12,
    APP13,
    APP14,
    APP15,
    EXIF_MARKER,
    ICC_MARKER,
    JFIF_MARKER,
    XMP_EXTENSION_MARKER,
    XMP_MARKER,
)

START = b"\xff\xd8\xff"
"""How a picture begins, also the second one of a file (CIPA DC-007, multi-picture format)."""

VIDEO = re.compile(rb"ftyp(?<=\0\0\0.ftyp)", re.DOTALL)
"""How an MP4 file begins: the length of its first box, and what that is. The word first, so that megabytes of zeros,
each of which may begin such a length, are passed over at once."""

SUBSTANCE = re.compile(rb"[^\0\xff\xd9 \t\r\n]")
"""What is more than padding, line ends, or one more end of the picture."""

COLOUR_MODEL = b"Adobe_CM"
"""APP13: a number or two of Photoshop's, without its blocks."""

UNNAMED = {
    APP0: (JFIF_MARKER, b"JFXX\0"),  # thumbnails show the picture as it was, and go as those in EXIF do
    APP1: (EXIF_MARKER, XMP_MARKER, XMP_EXTENSION_MARKER),
    APP2: (ICC_MARKER, b"MPF\0", b"urn:iso:std:iso:ts:21496:-1\0"),  # the pictures that these tell of are named
    APP12: (b"Ducky",),  # the quality that it was saved with
    APP13: (photoshop.MARKER, COLOUR_MODEL),
    APP14: (b"Adobe",),  # how the colours are coded
}
"""How segments begin that are read, carried, or of no use to a file that was written anew."""

THERMAL = b"FLIR\0"
JUMBF, BOX, CONTENT_CREDENTIALS = b"JP", b"jumb", b"jumdc2pa"
"""APP11: how a segment begins, of what type its box is, and what that says first where it is a C2PA manifest store."""


def segment_lost(kind: bytes, body: bytes) -> str | None:
    """What is lost with an application's segment, in words; None for what is read, carried, or of no further use.

    kind: its marker, 2 bytes. body: what stands behind its length.
    """
    if not APP0 <= kind <= APP15 or not body or body.startswith(UNNAMED.get(kind, ())):
        return None
    if kind == APP13:
        return None  # a further part of Photoshop's blocks
    if kind == APP1 and body.startswith(THERMAL):
        return "FLIR's thermal data is dropped"
    if kind == APP11 and body.startswith(JUMBF) and body[12:16] == BOX:
        if int.from_bytes(body[4:8]) > 1:
            return None  # goes on where an earlier one ends
        # A long box has 8 more bytes for its length.
        credentials = CONTENT_CREDENTIALS in body[20 : 20 + 8 + len(CONTENT_CREDENTIALS)]
        return "the content credentials (C2PA) are dropped" if credentials else "JUMBF data is dropped"
    return f"an APP{kind[1] - APP0[1]} segment is dropped"


def appended_lost(data: bytes, at: int) -> tuple[str, ...]:
    """What is lost with the bytes that follow a picture, which ends at `at`, in words; nothing for mere padding.

    Cameras put previews, second eyes and gain maps there, and the first picture is the one that is meant; phones put a
    video there, always last.
    """
    video = VIDEO.search(data, at)
    # In a few megabytes of video, the three bytes that begin a picture turn up by chance.
    pictures = data.find(START, at, video.start() if video else len(data)) >= 0
    lost = ["further pictures in the file are dropped"] if pictures else []
    if video:
        lost.append("the video of a motion photo is dropped")
    elif not pictures and SUBSTANCE.search(data, at):
        lost.append("data behind the picture is dropped")
    return tuple(lost)
