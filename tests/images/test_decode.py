"""Pixels: every kind of file arrives with its values, its depth and its alpha."""

import base64
import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage
import tifffile
from PIL import Image, ImageOps

from airtool.errors import PictureError
from airtool.images.decode import decode, read
from airtool.images.encode import encode, lossy_changes
from airtool.images.isolated import IsolatedReader

DATA = Path(skimage.data_dir)


def stored(picture):
    """The samples that a picture stands for, as integers."""
    return np.rint(picture.rgb.astype(np.float64) * (2**picture.depth - 1)).astype(int)


def tiff(array, **options):
    target = io.BytesIO()
    tifffile.imwrite(target, array, **options)
    return target.getvalue()


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def shallower(data, bits):
    """A grey JPEG 2000 codestream of 16 bits as one of fewer; values are stored less half of the range."""
    data = bytearray(data)
    assert data[42] == 15
    data[42] = bits - 1
    return bytes(data)


@pytest.mark.parametrize("name", ["astronaut.png", "rocket.jpg", "retina.jpg"])
def test_photographs_are_read_as_pillow_reads_them(name):
    picture = read(DATA / name)
    with Image.open(DATA / name) as judge:
        expected = np.asarray(judge.convert("RGB")).astype(int)
    assert np.abs(stored(picture) - expected).max() <= (0 if name.endswith("png") else 1)
    assert (picture.depth, picture.grey, picture.alpha) == (8, False, None)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("endian", ["<", ">"])
def test_orientation_is_applied_once_and_reset(saved, exif, photo, format, orientation, endian):
    data = saved(photo, format, exif=exif(orientation, endian), **({"lossless": True} if format == "WEBP" else {}))
    with Image.open(io.BytesIO(data)) as judge:
        expected = np.asarray(ImageOps.exif_transpose(judge).convert("RGB")).astype(int)
    picture = decode(data, "x")
    assert picture.rgb.shape == expected.shape
    assert np.abs(stored(picture) - expected).max() <= 1
    kept = Image.Exif()
    kept.load(picture.metadata.exif)
    assert kept.get(0x0112, 1) == 1
    assert kept[0x010F] == "Maker"
    details = kept.get_ifd(0x8769)
    assert (details[0xA003], details[0xA002]) == picture.rgb.shape[:2]
    assert kept.get_ifd(0x8825)[2] == (52.0, 30.0, 1.5)


@pytest.mark.parametrize("orientation", [3, 6, 7])
def test_orientation_of_deep_tiled_and_grey_tiff(photo, orientation):
    turned = {3: lambda a: a[::-1, ::-1], 6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a, -1)[::-1]}[orientation]
    tag = [(274, 3, 1, orientation, True)]
    deep = photo.astype(np.uint16) * 257
    for array in (photo, deep, photo[..., 0], deep[..., 0]):
        for layout in ({}, {"tile": (16, 16), "compression": "deflate"}):
            colours = "rgb" if array.ndim == 3 else "minisblack"
            picture = decode(tiff(array, photometric=colours, extratags=tag, **layout), "x")
            expected = turned(array)
            np.testing.assert_array_equal(stored(picture)[..., 0], expected[..., 0] if array.ndim == 3 else expected)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG2000"])
def test_alpha_is_untouched(saved, rgba, format):
    picture = decode(saved(rgba, format), "x")
    np.testing.assert_array_equal(stored(picture), rgba[..., :3])
    np.testing.assert_array_equal(picture.alpha, rgba[..., 3])
    assert picture.alpha.dtype == np.uint8


def test_deep_alpha_is_untouched(rgba):
    deep = rgba.astype(np.uint16) * 257 - (rgba > 100)
    picture = decode(tiff(deep, photometric="rgb", extrasamples=["unassalpha"]), "x")
    np.testing.assert_array_equal(stored(picture), deep[..., :3])
    np.testing.assert_array_equal(picture.alpha, deep[..., 3])
    assert (picture.depth, picture.alpha.dtype) == (16, np.uint16)


def test_premultiplied_colours_are_divided(rgba):
    deep = rgba.astype(np.float64) * 257
    deep[..., :3] *= deep[..., 3:] / 65535
    picture = decode(tiff(np.rint(deep).astype(np.uint16), photometric="rgb", extrasamples=["assocalpha"]), "x")
    clear = rgba[..., 3] > 30
    np.testing.assert_allclose(picture.rgb[clear], rgba[..., :3][clear] / 255, atol=1e-4)


def test_palettes_are_resolved(saved, photo):
    palette = Image.fromarray(photo).quantize(16)
    np.testing.assert_array_equal(stored(decode(saved(palette, "PNG"), "x")), np.asarray(palette.convert("RGB")))
    data = saved(palette, "PNG", transparency=bytes([0, 100, 200, 255]))
    with Image.open(io.BytesIO(data)) as judge:
        expected = np.asarray(judge.convert("RGBA"))
    picture = decode(data, "x")
    np.testing.assert_array_equal(np.dstack([stored(picture), picture.alpha]), expected)


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_transparent_grey_value(bits):
    white = 2**bits - 1
    row = {1: bytes([0b10100000]), 8: bytes([255, 0, 255]), 16: struct.pack(">3H", white, 0, white)}[bits]
    header = struct.pack(">IIBBBBB", 3, 1, bits, 0, 0, 0, 0)
    body = (
        chunk(b"IHDR", header) + chunk(b"tRNS", struct.pack(">H", white)) + chunk(b"IDAT", zlib.compress(b"\0" + row))
    )
    picture = decode(b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b""), "x")
    opaque = 65535 if bits == 16 else 255
    assert picture.grey
    assert picture.alpha.tolist() == [[0, opaque, 0]]
    assert picture.rgb[0, :, 1].tolist() == [1, 0, 1]


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_grey(saved, photo, format):
    deep = photo[..., 0].astype(np.uint16) * 257 - 3 * (photo[..., 0] > 3)
    picture = decode(saved(deep.astype(np.uint16), format), "x")
    assert (picture.depth, picture.grey) == (16, True)
    np.testing.assert_array_equal(stored(picture), np.repeat(deep[..., None], 3, axis=2))


def test_grey_with_alpha_stays_grey(saved, rgba):
    image = Image.merge("LA", (Image.fromarray(rgba[..., 0]), Image.fromarray(rgba[..., 3])))
    picture = decode(saved(image, "PNG"), "x")
    assert picture.grey
    np.testing.assert_array_equal(stored(picture)[..., 2], rgba[..., 0])
    np.testing.assert_array_equal(picture.alpha, rgba[..., 3])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_zero(photo, dtype):
    grey = photo[..., 0].astype(dtype)
    picture = decode(tiff(np.iinfo(dtype).max - grey, photometric="miniswhite"), "x")
    np.testing.assert_array_equal(stored(picture)[..., 0], grey)


@pytest.mark.parametrize(("kind", "channels"), [(2, 1), (3, 3), (5, 1), (6, 3)])
@pytest.mark.parametrize("white", [15, 255, 1023, 65535])
def test_anymap_with_its_own_white(kind, channels, white):
    values = np.array([[white, 0, white // 3], [1, 2, 3]])[:, :channels].ravel()
    header = f"P{kind}\n# taken by hand\n1 2\n{white}\n".encode()
    binary = values.astype(">u2" if white > 255 else "u1").tobytes()
    raw = binary if kind > 4 else " ".join(map(str, values)).encode() + b"\n"
    picture = decode(header + raw, "x")
    assert (picture.depth, picture.grey) == (16 if white > 255 else 8, channels == 1)
    np.testing.assert_allclose(picture.rgb[:, 0, :channels].ravel(), values / white, rtol=1e-6)


@pytest.mark.parametrize("bits", [10, 12])
def test_avif_of_more_than_eight_bits(rgba, bits):
    samples = (rgba.astype(np.uint16) << (bits - 8)) + 1
    settings = [cv2.IMWRITE_AVIF_DEPTH, bits, cv2.IMWRITE_AVIF_QUALITY, 100]
    _, encoded = cv2.imencode(".avif", cv2.cvtColor(samples, cv2.COLOR_RGBA2BGRA), settings)
    picture = decode(encoded.tobytes(), "x")
    assert picture.depth == 16
    white = 2**bits - 1
    assert np.abs(picture.alpha / 65535 - samples[..., 3] / white).max() < 4 / white
    assert abs(picture.rgb.mean() - samples[..., :3].mean() / white) < 0.01
    assert lossy_changes(picture) == ("transparency is compressed with loss",)  # 12 bits hold them all
    assert f"{bits} bits a sample become 8" in lossy_changes(picture, "webp")


TWELVE_BITS = base64.b64decode(
    "AAAADGpQICANCocKAAAAFGZ0eXBqcDIgAAAAAGpwMiAAAAAtanAyaAAAABZpaGRyAAAAAgAAAAIABAsHAAAAAAAPY29scgEAAAAAABAAAACwanAy"
    "Y/9P/1EAMgAAAAAAAgAAAAIAAAAAAAAAAAAAAAIAAAACAAAAAAAAAAAABAsBAQsBAQsBAQsBAf9SAAwAAAABAAAEBAAB/1wABEBg/2QAJQABQ3Jl"
    "YXRlZCBieSBPcGVuSlBFRyB2ZXJzaW9uIDIuNS40/5AACgAAAAAANQAB/5Pf4CAHe/H2FRb9P8/kHAjqv72uE3/P5BQAMdg5v9/gHA/iGD8IPRn/"
    "2Q=="
)
"""A JPEG 2000 file that OpenJPEG (of imagecodecs 2026.3.6, bitspersample=12, reversible) made of `TWELVE_BIT_SAMPLES`:
neither Pillow nor OpenCV writes this depth."""

TWELVE_BIT_SAMPLES = np.array(
    [[[0, 1, 4095, 4095], [4095, 2048, 7, 2048]], [[17, 33, 65, 16], [1023, 1024, 1025, 0]]], np.uint16
)


def test_jpeg_2000_of_twelve_bits():
    rgb, alpha = TWELVE_BIT_SAMPLES[..., :3], TWELVE_BIT_SAMPLES[..., 3]
    picture = decode(TWELVE_BITS, "x")
    assert (picture.depth, picture.grey, picture.alpha.dtype) == (16, False, np.uint16)
    np.testing.assert_array_equal(picture.rgb, rgb / np.float32(4095))
    np.testing.assert_array_equal(picture.alpha, np.rint(alpha * (65535 / 4095)))
    for format in ("png", "tiff"):
        written = cv2.imdecode(np.frombuffer(encode(picture, format), np.uint8), cv2.IMREAD_UNCHANGED)
        assert written.dtype == np.uint16
        np.testing.assert_array_equal(written[..., [2, 1, 0, 3]], np.rint(TWELVE_BIT_SAMPLES * (65535 / 4095)))
    with IsolatedReader() as reader:
        np.testing.assert_array_equal(reader.decode(TWELVE_BITS, "x").rgb, picture.rgb)


@pytest.mark.parametrize("bits", range(9, 17))
def test_jpeg_2000_of_any_depth(saved, photo, bits):
    values = np.rint(photo[..., 1] * ((2**bits - 1) / 255)).astype(np.uint16)
    data = shallower(saved(values + (2**15 - 2 ** (bits - 1)), "JPEG2000", no_jp2=True), bits)
    with Image.open(io.BytesIO(data)) as judge:
        np.testing.assert_array_equal(judge, values << (16 - bits))
    picture = decode(data, "x")
    assert (picture.depth, picture.grey) == (16, True)
    np.testing.assert_array_equal(picture.rgb[..., 1], values / np.float32(2**bits - 1))
    fewer = (f"{bits} bits a sample become 12",) if bits > 12 else ()
    assert lossy_changes(picture, "avif") == fewer


@pytest.mark.parametrize("kinds", [{"xmp"}, {"exif"}, {"exif", "xmp"}])
def test_avif_whose_metadata_lie_far_behind(saved, rgba, exif, xmp, kinds):
    blocks = {"exif": exif(), "xmp": xmp}
    data = saved(rgba, "AVIF", **{kind: blocks[kind] for kind in kinds})
    picture = decode(data, "x")
    assert picture.rgb.shape == rgba[..., :3].shape
    assert picture.metadata.xmp == (xmp if "xmp" in kinds else None)
    assert (picture.metadata.exif is not None) == ("exif" in kinds)


def test_cmyk_becomes_rgb_without_its_profile(saved, photo, icc):
    cmyk = icc[:16] + b"CMYK" + icc[20:]
    for format in ("JPEG", "TIFF"):
        options = {"quality": 100, "subsampling": 0} if format == "JPEG" else {}
        picture = decode(saved(Image.fromarray(photo).convert("CMYK"), format, icc_profile=cmyk, **options), "x")
        assert np.abs(stored(picture) - photo.astype(int)).max() <= 8
        assert picture.alpha is None
        assert picture.metadata.icc is None
        assert picture.lost == ("CMYK becomes RGB", "the colour profile is dropped")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "BMP", "PPM", "JPEG2000"])
@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_extreme_shapes(saved, format, size):
    picture = decode(saved(Image.new("RGB", size, (200, 200, 200)), format), "x")
    assert picture.rgb.shape == (size[1], size[0], 3)
    np.testing.assert_allclose(picture.rgb, 200 / 255, atol=2 / 255)


def test_names_outside_ascii_and_missing_files(tmp_path, saved, photo):
    path = tmp_path / "Ünï\ncode-照片.png"
    path.write_bytes(saved(photo, "PNG"))
    assert read(path).rgb.shape == (40, 60, 3)
    with pytest.raises(PictureError, match=r"照片\.jpg.*no such file") as error:
        read(path.with_suffix(".jpg"))
    assert "\n" not in str(error.value)
