"""What only files of one format can hold: carried to files of the same format, and named where it is lost."""

import io
import struct
import zlib

import pytest
from PIL import Image, ImageOps
from PIL.IptcImagePlugin import getiptcinfo
from PIL.PngImagePlugin import PngInfo

from airtool.images import segments
from airtool.images.decode import decode
from airtool.images.encode import encode, lossy_changes

CAPTION = b"Harbour at dusk"


def opened(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def iptc():
    """Photoshop's block with an IPTC caption."""
    record = b"\x1c\x02\x78" + struct.pack(">H", len(CAPTION)) + CAPTION
    return b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(record)) + record + bytes(len(record) % 2)


def segment(kind, body):
    return bytes([0xFF, kind]) + struct.pack(">H", 2 + len(body)) + body


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.fixture
def jpeg(saved, photo, exif, icc, xmp):
    """A JPEG file lying on its side, with IPTC, an extension of its XMP, a comment, and different densities."""
    data = saved(photo, "JPEG", exif=exif(6), icc_profile=icc, xmp=xmp, dpi=(300, 200), comment=b"from the archive")
    extension = b"http://ns.adobe.com/xmp/extension/\0" + b"G" * 32 + struct.pack(">II", 3, 0) + b"<b>"
    return data[:20] + segment(0xED, iptc()) + segment(0xE1, extension) + data[20:]  # behind JFIF's


@pytest.fixture
def png(saved, photo, exif):
    """A PNG file lying on its side, with all kinds of text, different densities, and a description of its colours."""
    info = PngInfo()
    info.add_text("Author", "Zoë")
    info.add_text("Description", CAPTION.decode(), zip=True)
    info.add_itxt("Title", "照", lang="ja")
    info.add_text("Raw profile type exif", "\nexif\n")
    data = saved(photo, "PNG", exif=exif(6), pnginfo=info, dpi=(300, 200))
    colours = chunk(b"gAMA", struct.pack(">I", 100_000)) + chunk(b"cHRM", struct.pack(">8I", *range(8)))
    return data[:33] + colours + data[33:]


def test_jpeg_to_jpeg(jpeg, icc, xmp):
    picture = decode(jpeg, "x")
    assert lossy_changes(picture) == ()
    data = encode(picture)
    image = opened(data)
    assert getiptcinfo(image)[2, 120] == CAPTION
    assert image.info["comment"] == b"from the archive"
    assert image.info["jfif_density"] == (200, 300)  # it was turned
    assert (image.info["icc_profile"], image.info["xmp"]) == (icc, xmp)
    assert data.index(b"JFIF") < data.index(b"Exif") < data.index(b"xmp/extension")
    assert ImageOps.exif_transpose(image).size == (40, 60)
    assert decode(data, "x").metadata == picture.metadata


def test_png_to_png(png):
    picture = decode(png, "x")
    assert lossy_changes(picture) == ()
    image = opened(encode(picture))
    assert {key: str(text) for key, text in image.text.items()} == {
        "Author": "Zoë",
        "Description": CAPTION.decode(),
        "Title": "照",
    }
    assert tuple(round(value) for value in image.info["dpi"]) == (200, 300)
    assert (image.info["gamma"], len(image.info["chromaticity"])) == (1.0, 8)
    assert ImageOps.exif_transpose(image).size == (40, 60)


def test_a_profile_and_its_short_form_are_not_both_written(saved, photo, icc):
    data = saved(photo, "PNG", icc_profile=icc)
    both = decode(data[:33] + chunk(b"sRGB", b"\0") + data[33:], "x")
    assert lossy_changes(both) == ()
    assert b"sRGB" not in encode(both).partition(b"iCCP")[0]
    assert "srgb" not in opened(encode(both)).info
    gamma = chunk(b"gAMA", struct.pack(">I", 100_000))
    assert lossy_changes(decode(data[:33] + gamma + data[33:], "x"), "jpeg") == ()  # the profile overrules it


def test_what_another_format_cannot_hold_is_said(jpeg, png, saved, photo):
    assert lossy_changes(decode(jpeg, "x"), "png") == (
        "the resolution is dropped",
        "IPTC is dropped",
        "extended XMP is dropped",
        "the comment is dropped",
    )
    assert lossy_changes(decode(png, "x"), "tiff") == (
        "the description of the colours is dropped",
        "text is dropped",
        "the resolution is dropped",
    )
    data = saved(photo, "PNG")
    plain = data[:33] + b"".join(chunk(kind, body) for kind, body in segments.SRGB.items()) + data[33:]
    assert len(decode(plain, "x").metadata.segments) == 2
    short = decode(data[:33] + chunk(b"sRGB", b"\0") + data[33:], "x")
    assert opened(encode(short)).info["srgb"] == 0
    assert lossy_changes(short, "jpeg") == ()
    assert lossy_changes(decode(plain, "x"), "jpeg") == ()  # sRGB is what readers take it for anyway


def test_what_is_no_text_or_too_much_of_it_is_left_out(saved, photo, monkeypatch):
    data = saved(photo, "PNG")
    odd = chunk(b"tEXt", b"no end") + chunk(b"tEXt", b"\0empty") + chunk(b"tEXt", b"k" * 80 + b"\0x")
    odd += chunk(b"pHYs", b"short") + chunk(b"gAMA", bytes(4)) * 2
    assert [each.kind for each in decode(data[:33] + odd + data[33:], "x").metadata.segments] == [b"gAMA"]
    monkeypatch.setattr(segments, "MOST", 10_000)
    text = chunk(b"tEXt", b"a\0" + b"b" * 6000)
    picture = decode(data[:33] + chunk(b"gAMA", bytes(4)) + 2 * text + data[33:], "x")
    assert [each.kind for each in picture.metadata.segments] == [b"gAMA"]
    assert lossy_changes(picture) == ("text is dropped",)
