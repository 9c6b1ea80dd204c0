"""What a restored JPEG file cannot have is named, and ordinary files raise no false alarm."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from airtool.images.decode import decode
from airtool.images.encode import encode, lossy_changes

VIDEO = struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"mp42", 0, b"mp42", b"isom") + b"\xff\xd8\xff anything \xff\xd9"
DROPPED = "the video of a motion photo is dropped"


def segment(number, body):
    return bytes([0xFF, 0xE0 + number]) + struct.pack(">H", 2 + len(body)) + body


def box(kind, body):
    return struct.pack(">I4s", 8 + len(body), kind) + body


def jumbf(content, number=1):
    return segment(11, b"JP" + struct.pack(">HI", 1, number) + content)


def told(data):
    """What is said to be lost of a JPEG file that becomes another one, of which the pixels are still the same."""
    return lossy_changes(decode(data, "x"))


@pytest.mark.parametrize("fields", [b'GCamera:MotionPhoto="1"', b"Camera:MicroVideo='1'"])
def test_a_motion_photo_loses_its_video_and_says_so(saved, photo, fields):
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a Item:Semantic="MotionPhoto" ' + fields + b' b:Version="1"/>'
    packet += b"<GCamera:MotionPhoto> 1</GCamera:MotionPhoto><c:MotionPhotoVersion>1</c:MotionPhotoVersion></x:xmpmeta>"
    still = saved(photo, "JPEG", xmp=packet)
    for appended in (
        VIDEO,
        bytes(9) + VIDEO,
        bytes(100) + b"\0\0\x30\x0a\x10\0\0\0MotionPhoto_Data" + VIDEO + b"SEFH....SEFT",
    ):
        picture = decode(still + appended, "x")
        np.testing.assert_array_equal(picture.rgb, decode(still, "x").rgb)
        # Not of further pictures: their three bytes lie in the video by chance.
        assert lossy_changes(picture) == (DROPPED,)
        for format in ("jpeg", "png", "webp"):
            written = Image.open(io.BytesIO(encode(picture, format))).info["xmp"]
            expected = packet.replace(fields, fields.replace(b"1", b"0")).replace(b"> 1<", b"> 0<")
            assert (written, len(written)) == (expected, len(packet))
    assert told(still + saved(photo[::2], "JPEG") + VIDEO) == ("further pictures in the file are dropped", DROPPED)


def test_other_data_behind_a_picture_is_named_and_padding_is_not(saved, photo):
    data = saved(photo, "JPEG")
    assert told(data + b"\0\0SEFH....SEFT") == ("data behind the picture is dropped",)
    for padding in (bytes(5000), b"\n", b"\xff\xff\xd9\r\n", b" "):
        assert told(data + padding) == ()


@pytest.mark.parametrize(
    ("segments", "words"),
    [
        (jumbf(box(b"jumb", box(b"jumd", b"c2pa" + bytes(13)))), ("the content credentials (C2PA) are dropped",)),
        (
            jumbf(struct.pack(">I4sQ", 1, b"jumb", 99) + box(b"jumd", b"c2pa" + bytes(13)))
            + jumbf(struct.pack(">I4sQ", 1, b"jumb", 99) + b"more", 2),
            ("the content credentials (C2PA) are dropped",),
        ),
        (jumbf(box(b"jumb", box(b"jumd", b"json" + bytes(13)))), ("JUMBF data is dropped",)),
        (jumbf(box(b"RESI", b"jumdc2pa")), ("an APP11 segment is dropped",)),
        (segment(1, b"FLIR\0\1\0\0") * 2, ("FLIR's thermal data is dropped",)),
        (
            segment(5, b"x") + segment(15, b"y") + segment(5, b"z"),
            tuple(f"an APP{n} segment is dropped" for n in (5, 15)),
        ),
        (segment(1, b"anything") + segment(2, b"FPXR\0"), tuple(f"an APP{n} segment is dropped" for n in (1, 2))),
    ],
)
def test_segments_that_are_not_carried_are_named(saved, photo, segments, words):
    data = saved(photo, "JPEG")
    assert told(data[:20] + segments + data[20:]) == words
    assert told(encode(decode(data[:20] + segments + data[20:], "x"))) == ()


def test_ordinary_segments_raise_no_alarm(saved, photo, exif, icc, xmp):
    data = saved(photo, "JPEG", exif=exif(6), icc_profile=icc, xmp=xmp, dpi=(300, 200), comment=b"from the archive")
    ordinary = segment(0, b"JFXX\0\x10thumbnail") + segment(12, b"Ducky\0\1\0\4") + segment(14, b"Adobe\0d\0\0\0\0\1")
    ordinary += segment(2, b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0") + segment(13, b"Adobe_CM\0\2") + segment(7, b"")
    assert told(data[:20] + ordinary + data[20:]) == ()


def test_real_files_raise_no_alarm():
    root = Path(__file__).parents[2]
    found = list((root / "examples").rglob("*.jp*g"))
    assert found
    for path in found:
        assert told(path.read_bytes()) == ()


def test_the_colour_model_of_photoshop_does_not_cost_the_caption(saved, photo):
    record = b"\x1c\x02\x78\0\5hello"
    blocks = b"Photoshop 3.0\0" + b"8BIM\4\4\0\0" + struct.pack(">I", len(record)) + record
    data = saved(photo, "JPEG")
    picture = decode(data[:20] + segment(13, b"Adobe_CM\0\2") + segment(13, blocks) + data[20:], "x")
    assert lossy_changes(picture) == ()
    assert record in encode(picture)
