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


def block(number, data, name=b""):
    """One of Photoshop's blocks."""
    name = bytes([len(name)]) + name + bytes((1 + len(name)) % 2)
    return b"8BIM" + struct.pack(">H", number) + name + struct.pack(">I", len(data)) + data + bytes(len(data) % 2)


def iptc():
    """Photoshop's blocks: a caption of IPTC, thumbnails, a resolution of 300 by 200, and a path with a name."""
    record = b"\x1c\x02\x78" + struct.pack(">H", len(CAPTION)) + CAPTION
    resolution = struct.pack(">IHHIHH", 300 << 16, 1, 1, 200 << 16, 1, 1)
    thumbnails = block(0x0409, b"as it was") + block(0x040C, b"as it was!")
    own = block(0x0404, record) + thumbnails + block(0x03ED, resolution) + block(0x07D0, b"path", b"a path")
    return b"Photoshop 3.0\0" + own


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
    assert b"as it was" not in data
    assert struct.pack(">IHHIHH", 200 << 16, 1, 1, 300 << 16, 1, 1) in data
    assert b"a path\0\0\0\0\x04path" in data
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
    assert len(decode(plain, "x").metadata.segments) == 3
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


def test_blocks_of_photoshop_that_cannot_be_taken_apart_are_left_out_and_named(saved, photo):
    data = saved(photo, "JPEG")
    for body, words in ((iptc()[:-3], "IPTC is dropped"), (b"Photoshop 3.0\0anything", "data of Photoshop is dropped")):
        picture = decode(data[:20] + segment(0xED, body) + data[20:], "x")
        assert lossy_changes(picture) == (words,)
        assert b"Photoshop" not in encode(picture)
    only_thumbnails = b"Photoshop 3.0\0" + block(0x040C, b"as it was")
    picture = decode(data[:20] + segment(0xED, only_thumbnails) + data[20:], "x")
    assert lossy_changes(picture) == ()
    assert b"Photoshop" not in encode(picture)


@pytest.mark.parametrize("dpi", [(300, 200), (72, 72)])
def test_resolutions_go_from_jpeg_to_png_and_back(saved, photo, dpi):
    picture = decode(saved(photo, "JPEG", dpi=dpi), "x")
    assert lossy_changes(picture, "png") == ()
    as_png = encode(picture, "png")
    assert tuple(round(value) for value in opened(as_png).info["dpi"]) == dpi
    there = decode(as_png, "x")
    assert lossy_changes(there, "jpeg") == ()
    assert opened(encode(there, "jpeg")).info["jfif_density"] == dpi
    assert lossy_changes(picture, "bmp") == ("the resolution is dropped",)


def test_the_resolutions_of_a_turned_picture_agree(saved, photo):
    exif = Image.Exif()
    exif[0x0112], exif[0x011A], exif[0x011B], exif[0x0128] = 6, 300.0, 200.0, 2
    for format in ("JPEG", "PNG"):
        picture = decode(saved(photo, format, exif=exif.tobytes(), dpi=(300, 200)), "x")
        image = opened(encode(picture))
        own = image.getexif()
        assert (own[0x011A], own[0x011B]) == (200.0, 300.0)
        assert tuple(round(value) for value in image.info["dpi"]) == (200, 300)
    # What EXIF says is not lost with what the file said beside it.
    assert lossy_changes(picture, "webp") == ()


def test_only_hidden_copies_of_what_turns_are_taken_from_a_turned_png(saved, photo, exif):
    info = PngInfo()
    for name in ("exif", "APP1", "xmp", "iptc", "8bim"):
        info.add_text(f"Raw profile type {name}", f"\n{name}\n")
    picture = decode(saved(photo, "PNG", exif=exif(6), pnginfo=info), "x")
    assert set(opened(encode(picture)).text) == {"Raw profile type iptc", "Raw profile type 8bim"}


def test_what_is_too_much_is_named_by_what_it_was(saved, photo, monkeypatch):
    monkeypatch.setattr(segments, "MOST", 100)
    data = saved(photo, "JPEG")
    picture = decode(data[:20] + segment(0xED, iptc()) + data[20:], "x")
    assert lossy_changes(picture) == ("IPTC is dropped",)
    plain = saved(photo, "PNG")
    monkeypatch.setattr(segments, "MOST", 1000)
    srgb = decode(plain[:33] + chunk(b"cICP", bytes([1, 13, 0, 1])) + plain[33:], "x")
    assert lossy_changes(srgb, "jpeg") == ()
