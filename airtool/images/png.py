"""PNG files: completeness, size, metadata, and the chunks that matter for the pixels.

Source: Portable Network Graphics, third edition (W3C 2025).
"""

import struct
import zlib
from collections.abc import Iterator

from airtool.images.container import CUT_SHORT, DAMAGED, NO_PROFILE, NO_XMP, Container, ContainerError, one_frame
from airtool.images.picture import Metadata
from airtool.images.segments import FIXED, TEXT, Carried

SIGNATURE = b"\x89PNG\r\n\x1a\n"
AFTER_HEADER = len(SIGNATURE) + 12 + 13
"""Where the first chunk, IHDR, ends."""

PIXEL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
XMP_KEYWORD = b"XML:com.adobe.xmp"
GREY, GREY_ALPHA = 0, 4
"""Colour types."""
HDR_TRANSFERS = frozenset({16, 18})
"""Transfer characteristics (ITU-T H.273) of high dynamic range: PQ and HLG."""
MAX_KEYWORD = 79
"""Most bytes of the keyword of a text."""
MAX_METADATA = 1 << 26
"""Most bytes that a compressed metadata chunk may unpack to."""


def inspect(data: bytes) -> Container:
    """Check a PNG file and take it apart.

    OpenCV is given only the chunks that make the pixels: libpng prints warnings about others, such as slightly wrong
    colour profiles, which are common. Raises ContainerError for a file that is cut short, damaged or animated, and
    for high dynamic range.
    """
    kept, transparent, header = [SIGNATURE], None, b""
    exif: bytes | None = None
    profile: bytes | None = None
    text: bytes | None = None
    plain: bytes | None = None
    carried = Carried()
    fixed: set[bytes] = set()
    for kind, body, whole in _chunks(data):
        if kind in PIXEL_CHUNKS:
            if zlib.crc32(body, zlib.crc32(kind)) != struct.unpack(">I", whole[-4:])[0]:
                raise ContainerError(DAMAGED)
            kept.append(whole)
        if kind == b"IHDR" and len(body) == 13 and not header:
            header = body
            if header[8] not in (1, 2, 4, 8, 16):
                raise ContainerError(DAMAGED)
        elif kind == b"tRNS" and header[9:10] == bytes([GREY]) and len(body) == 2:
            # OpenCV ignores the transparent value of grey pictures, and stretches fewer than 8 bits to 8.
            bits = header[8]
            transparent = struct.unpack(">H", body)[0] * (255 // (2**bits - 1) if bits < 8 else 1)
        elif kind == b"acTL" and len(body) == 8:
            one_frame(struct.unpack(">I", body[:4])[0], "frames")
        elif kind == b"cICP" and len(body) == 4 and body[1] in HDR_TRANSFERS:
            raise ContainerError("is a high dynamic range picture: convert it to sRGB first")
        elif kind == b"eXIf":
            exif = body
        elif kind == b"iCCP":
            profile = profile or body
        elif kind == b"iTXt" and body.startswith(XMP_KEYWORD + b"\0"):
            text = text or body
        elif kind == b"tEXt" and body.startswith(XMP_KEYWORD + b"\0"):
            plain = plain or body
        elif kind in TEXT and 1 <= body.find(b"\0") <= MAX_KEYWORD:
            carried.add(kind, body)
        elif len(body) == FIXED.get(kind) and kind not in fixed:
            fixed.add(kind)
            carried.add(kind, body)
    if not header:
        raise ContainerError(DAMAGED)
    # Only now, and the first of each kind: a file may hold thousands of them, each of which unpacks to very much.
    # An iCCP chunk: name, 0, compression method, profile.
    icc = _unpack(profile.partition(b"\0")[2][1:]) if profile else None
    xmp = _international_text(text) if text else None
    if xmp is None and plain:
        # OpenCV 5.0 writes XMP into the wrong kind of chunk, and with memory from behind it.
        packet, end, _ = plain[len(XMP_KEYWORD) + 1 :].rpartition(b">")
        xmp = packet + end
    grey = header[9:10] == bytes([GREY_ALPHA])
    size = struct.unpack(">II", header[:8])
    metadata = Metadata(exif, icc or None, xmp or None, carried.segments)
    damaged = ((profile, icc, NO_PROFILE), (text, xmp, NO_XMP))
    lost = tuple(words for there, read, words in damaged if there and not read)
    return Container(b"".join(kept), size, metadata, grey=grey, transparent=transparent, lost=(*lost, *carried.lost))


def embed(data: bytes, metadata: Metadata) -> bytes:
    """A PNG file with metadata, in chunks behind its header (OpenCV 5.0 damages XMP, and libpng rejects profiles)."""
    chunks = []
    if metadata.icc is not None:
        chunks.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc)))
    if metadata.exif is not None:
        chunks.append(_chunk(b"eXIf", metadata.exif))
    if metadata.xmp is not None:
        # keyword, 0, not compressed, method, language, 0, translated keyword, 0, text
        chunks.append(_chunk(b"iTXt", XMP_KEYWORD + bytes(5) + metadata.xmp))
    chunks += [_chunk(segment.kind, segment.body) for segment in metadata.segments]
    return data[:AFTER_HEADER] + b"".join(chunks) + data[AFTER_HEADER:]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Kind, body, and all bytes of each chunk up to IEND. Raises ContainerError when the file ends before."""
    at = len(SIGNATURE)
    kind = b""
    while kind != b"IEND":
        if at + 12 > len(data):
            raise ContainerError(CUT_SHORT)
        length, kind = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data):
            raise ContainerError(CUT_SHORT)
        yield kind, data[at + 8 : at + 8 + length], data[at : at + 12 + length]
        at += 12 + length


def _unpack(packed: bytes) -> bytes | None:
    """Decompressed data, None when it is damaged or absurdly large."""
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(packed, MAX_METADATA)
    except zlib.error:
        return None
    return data if unpacker.eof else None


def _international_text(body: bytes) -> bytes | None:
    """The text of an iTXt chunk: keyword, 0, compressed?, method, language, 0, translated keyword, 0, text."""
    _, _, rest = body.partition(b"\0")
    text = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    return _unpack(text) if rest[:1] == b"\1" else text
