"""Size limits that hold by the header, and files made to keep a reader busy for ever or to fill its memory."""

import io
import os
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from airtool.errors import PictureError, UsageError
from airtool.images import tiff
from airtool.images.decode import INSPECTORS, decode, load, read
from airtool.images.formats import by_magic
from airtool.images.limits import MAX_PIXELS, MOST_PIXELS, parse_max_pixels
from airtool.images.opencv import cv2
from airtool.images.reader import Reader


def refusal(data: bytes, max_pixels: int = MAX_PIXELS) -> str:
    with pytest.raises(PictureError) as error:
        decode(data, "x.png", max_pixels)
    message = str(error.value)
    assert message.startswith("x.png ")
    assert message.isprintable()
    return message


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *more: bytes, depth: int = 8) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(min(height * (1 + 3 * width), 1000))))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + pixels + chunk(b"IEND", b"")


def resized(data: bytes, format: str, width: int, height: int) -> bytes:
    """A file of 60x40 pixels whose header says something else."""
    big, little = struct.pack(">II", width, height), struct.pack("<II", width, height)
    if format == "PNG":
        return data[:8] + chunk(b"IHDR", big + data[24:29]) + data[33:]
    if format == "JPEG":
        at = data.index(b"\xff\xc0") + 5
        return data[:at] + struct.pack(">HH", height & 0xFFFF, width & 0xFFFF) + data[at + 4 :]
    if format == "WEBP":
        bits = struct.unpack_from("<I", data, 21)[0] & ~0xFFFFFFF
        return data[:21] + struct.pack("<I", bits | (height - 1 & 0x3FFF) << 14 | width - 1 & 0x3FFF) + data[25:]
    if format == "AVIF":
        at = data.index(b"ispe") + 8
        return data[:at] + big + data[at + 8 :]
    if format == "BMP":
        return data[:18] + little + data[26:]
    if format == "PPM":
        return data.replace(b"60 40", b"%d %d" % (width, height), 1)
    if format == "JPEG2000":
        at = data.index(b"\xff\x4f\xff\x51") + 8
        return data[:at] + big + data[at + 8 : at + 16] + big + data[at + 24 :]  # also that of its only tile
    header = tiff.read_header(data)
    entries = tiff.read_directory(data, header, header.first).entries
    changed = bytearray(data)
    for tag, value in ((256, width), (257, height), (278, max(1, height))):
        changed[entries[tag].position - 6 : entries[tag].position] = struct.pack("<HI", tiff.LONG, 1)
        changed[entries[tag].position : entries[tag].position + 4] = struct.pack("<I", value)
    return bytes(changed)


FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "AVIF", "BMP", "PPM", "JPEG2000")


@pytest.mark.parametrize("format", FORMATS)
def test_the_limit_holds_by_the_header(
    saved: Callable[..., bytes], photo: np.ndarray, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = saved(photo, format, **({"lossless": True} if format == "WEBP" else {}))
    assert decode(data, "x", 2400).rgb.shape == (40, 60, 3)
    monkeypatch.setattr(cv2, "imdecodeWithMetadata", lambda *_: pytest.fail("decoded"))
    assert "60x40 pixels, and 2399 pixels are allowed" in refusal(data, 2399)
    assert "--max-pixels" in refusal(data, 2399)
    # A header that claims more than memory could hold is believed, too. The largest sides that the format can say:
    side = {"JPEG": 65_500, "WEBP": 16_384}.get(format, 1_000_000)
    assert f"{side}x{side} pixels, and 250 megapixels" in refusal(resized(data, format, side, side), 250_000_000)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("size", [(65_500, 4), (4, 65_500), (0, 40), (60, 0), (0, 0)])
def test_long_sides_and_none(
    saved: Callable[..., bytes], photo: np.ndarray, format: str, size: tuple[int, int]
) -> None:
    data = saved(photo, format, **({"lossless": True} if format == "WEBP" else {}))
    start = time.process_time()
    try:
        # What the file does not have may be filled up; it is no more than the header says, and comes at once.
        picture = decode(resized(data, format, *size), "x.png", 2_000_000)
        assert picture.rgb.shape[0] * picture.rgb.shape[1] <= 2_000_000
        assert min(picture.rgb.shape[:2]) > 0
    except PictureError as error:
        assert "\n" not in str(error)  # noqa: PT017
    assert time.process_time() - start < 10


def test_real_pictures_of_65500_pixels_a_side(saved: Callable[..., bytes]) -> None:
    for size in ((65_500, 3), (3, 65_500)):
        for format in ("PNG", "JPEG", "TIFF", "BMP", "PPM"):
            assert decode(saved(Image.new("RGB", size, (9, 99, 199)), format), "x").rgb.shape == (*size[::-1], 3)
    assert "a side may have 1048576" in refusal(png(2_000_000, 1))


def test_a_frame_larger_than_its_container(saved: Callable[..., bytes]) -> None:
    # 16 megapixels, 200 bytes; the container says 64x64, to which the decoder would scale them down.
    data = saved(Image.new("RGB", (4000, 4000)), "AVIF", speed=10)
    at = data.index(b"ispe") + 8
    assert "4000x4000 pixels" in refusal(data[:at] + struct.pack(">II", 64, 64) + data[at + 8 :], 1_000_000)


def test_tiles_larger_than_their_picture(photo: np.ndarray) -> None:
    target = io.BytesIO()
    tifffile.imwrite(target, photo, photometric="rgb", tile=(64, 64), compression="zlib")
    data = target.getvalue()
    decode(data, "x")
    header = tiff.read_header(data)
    entries = tiff.read_directory(data, header, header.first).entries
    changed = bytearray(data)
    for tag in (322, 323):
        changed[entries[tag].position : entries[tag].position + 2] = struct.pack("<H", 16384)
    assert "damaged" in refusal(bytes(changed))


def test_strips_that_are_not_all_there(photo: np.ndarray) -> None:
    # Where their number is wrong, the decoder would show what happened to be in memory.
    target = io.BytesIO()
    tifffile.imwrite(target, photo, photometric="rgb", rowsperstrip=8)
    data = target.getvalue()
    header = tiff.read_header(data)
    entries = tiff.read_directory(data, header, header.first).entries
    decode(data, "x")
    for tag, value in ((257, 4000), (278, 3), (278, 0)):
        changed = bytearray(data)
        position = entries[tag].position
        changed[position : position + len(entries[tag].value)] = value.to_bytes(len(entries[tag].value), "little")
        assert "damaged" in refusal(bytes(changed))


def test_files_too_large_for_any_allowed_picture_are_not_read(tmp_path: Path) -> None:
    sparse = tmp_path / "sparse.png"
    with sparse.open("wb") as file:
        file.truncate(100_000_000)
    with pytest.raises(PictureError, match=r"sparse\.png has more than 75 MB, and 1000000 pixels are allowed"):
        read(sparse, 1_000_000)
    assert len(load(sparse, 10_000_000)) == 100_000_000
    with pytest.raises(PictureError, match="more than 67 MB"):
        load(Path("/dev/zero"), 1000)  # tells no size, and never ends


def test_pipes_are_read_to_their_end(tmp_path: Path, saved: Callable[..., bytes], photo: np.ndarray) -> None:
    data = saved(photo, "PNG")
    out, into = os.pipe()
    os.write(into, data)
    os.close(into)
    assert load(Path(f"/dev/fd/{out}")) == data
    os.close(out)


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


def avif_with(iloc: bytes, kind: bytes) -> bytes:
    info = b"mime\0application/rdf+xml\0" if kind == b"mime" else kind + b"\0"
    listed = box(b"iinf", bytes(5) + b"\1" + box(b"infe", b"\2\0\0\0" + struct.pack(">HH", 9, 0) + info))
    properties = box(b"ipco", box(b"ispe", struct.pack(">III", 0, 8, 8))) + box(
        b"ipma", struct.pack(">IIHBB", 0, 1, 1, 1, 1)
    )
    pitm = box(b"pitm", struct.pack(">IH", 0, 1))
    meta = box(b"meta", bytes(4) + pitm + box(b"iprp", properties) + listed + box(b"iloc", iloc))
    return box(b"ftyp", b"avif\0\0\0\0avifmif1") + meta + box(b"mdat", b"\x12\0" * 50_000)


BOMBS: dict[str, Callable[[], bytes]] = {
    "white space before a number": lambda: b"P5" + b" " * 50_000 + b"x",
    "a number of many digits": lambda: b"P5 2 2 " + b"9" * 100_000 + b"\n",
    "fill bytes before no marker": lambda: b"\xff\xd8\xff" + b"\xff" * 2_000_000 + bytes(10),
    "many compressed profiles": lambda: png(8, 8, *[chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(1 << 26), 9))] * 100),
    "many compressed texts": lambda: png(
        8, 8, *[chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(1 << 26), 9))] * 100
    ),
    "items of nothing, without end": lambda: avif_with(
        bytes(6) + struct.pack(">H", 2000) + struct.pack(">HHH", 9, 0, 65535) * 2000, b"mime"
    ),
    "an item of many copies of the file": lambda: avif_with(
        b"\0\0\0\0\x44\0" + struct.pack(">HHHH", 1, 9, 0, 60000) + struct.pack(">II", 0, 90_000) * 60000,
        b"mime",
    ),
    "a stream of many empty units": lambda: avif_with(
        b"\0\0\0\0\x44\0" + struct.pack(">HHHHII", 1, 9, 0, 1, 201, 99_000), b"av01"
    ),
    "entries that are all the whole file": lambda: (
        b"II*\0\x08\0\0\0" + struct.pack("<H", 4000)
        + b"".join(struct.pack("<HHII", 1000 + i, 1, 900_000, 8) for i in range(4000)) + bytes(1_000_000)
    ),
    "a chain of directories": lambda: (
        b"II*\0\x08\0\0\0" + b"".join(struct.pack("<HI", 0, 14 + 6 * i) for i in range(200_000)) + bytes(10)
    ),
    "a directory behind all that can be counted": lambda: b"II+\0\x08\0\0\0" + b"\xff" * 8 + bytes(100),
    "no bits a sample": lambda: png(8, 8, depth=0),
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
def test_files_made_to_take_for_ever(bomb: str) -> None:
    data = BOMBS[bomb]()
    start = time.process_time()
    try:
        INSPECTORS[str(by_magic(data))](data)
    except ValueError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert bomb.startswith("many compressed")  # which has nothing to do with the pixels
    assert time.process_time() - start < 3


def test_a_jpeg_of_very_many_scans(saved: Callable[..., bytes], photo: np.ndarray) -> None:
    data = saved(photo, "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    assert "more than 100 scans" in refusal(data[:-2] + last * 200 + b"\xff\xd9")


def test_no_file_is_one_format_here_and_another_one_there(saved: Callable[..., bytes], photo: np.ndarray) -> None:
    # OpenCV tells formats in its own way: what is told from bytes in the middle could be anything to it.
    bmp = saved(photo, "BMP")
    for disguise in (b"WEBP", b"avif"):
        at = 4 if disguise == b"avif" else 8
        word = b"ftypavif" if disguise == b"avif" else disguise
        assert by_magic(bmp[:at] + word + bmp[at + len(word) :]) == "bmp"


@pytest.mark.parametrize(
    ("text", "pixels"), [(None, MAX_PIXELS), ("5000", 5000), ("100M", 10**8), ("1g", 10**9), (" 20k ", 20_000)]
)
def test_numbers_of_pixels(text: str | None, pixels: int) -> None:
    assert parse_max_pixels(text) == pixels


@pytest.mark.parametrize("text", ["0", "-5", "many", "2G", "1e9", "", "9" * 40, str(MOST_PIXELS + 1), "²"])
def test_what_is_no_number_of_pixels(text: str) -> None:
    with pytest.raises(UsageError, match="--max-pixels"):
        parse_max_pixels(text)


def test_an_endless_stream_is_refused_before_it_fills_the_memory() -> None:
    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:
            buffer[:] = bytes(len(buffer))
            return len(buffer)

    reader = Reader(max_pixels=1)
    data = reader.load_stream(io.BufferedReader(Endless()))
    with pytest.raises(PictureError, match=r"standard input has more than 67 MB, and 1 pixels are allowed"):
        reader.decode(data, "standard input")
