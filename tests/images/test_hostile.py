"""Files that must be refused: each with one line that names the file and the remedy."""

import io
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import skimage
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from airtool.errors import PictureError
from airtool.images.decode import decode
from airtool.images.encode import encode, lossy_changes

FILES = [
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("PNG", {}),
    ("WEBP", {}),
    ("WEBP", {"lossless": True}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("TIFF", {"compression": "packbits", "palette": True}),
    ("AVIF", {}),
    ("BMP", {}),
    ("PPM", {}),
    ("JPEG2000", {}),
]

DATA = Path(skimage.data_dir)


def refusal(data: bytes) -> str:
    with pytest.raises(PictureError) as error:
        decode(data, "holiday/x.png")
    message = str(error.value)
    assert message.startswith("holiday/x.png ")
    assert "\n" not in message
    assert ":" in message
    return message


@pytest.mark.parametrize(("format", "options"), FILES)
def test_files_cut_short_are_never_half_a_picture(saved, photo, format, options):
    options = dict(options)
    image = Image.fromarray(photo).quantize(16) if options.pop("palette", False) else photo
    data = saved(image, format, **options)
    decode(data, "whole")
    for length in {1, 10, 30, *np.linspace(40, len(data) - 1, 40).astype(int)}:
        refusal(data[:length])
    assert "cut short" in refusal(data[: len(data) * 2 // 3]) or format in ("BMP", "PPM", "JPEG2000")


def test_a_jpeg_whose_end_is_zeros_is_cut_short(saved, photo, exif):
    # As left behind by an interrupted download. The thumbnail's own end marker must not count.
    data = saved(photo, "JPEG", exif=exif() + saved(photo, "JPEG"))
    assert "cut short" in refusal(data[: len(data) * 3 // 4] + bytes(len(data) // 4))
    decode(data + b"trailing bytes, as phones add them", "x")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"Dear diary,\n", "not a picture"),
        (b"P5 is what I type first\n", "damaged"),
        (b"GIF89a" + bytes(20), "GIF"),
        (b"\0\0\0\x18ftypheic" + bytes(20), "HEIC"),
        (b"%PDF-1.7", "PDF"),
        (b"\x89PNG\r\n\x1a\n", "cut short"),
    ],
)
def test_what_is_no_picture(data, words):
    assert words in refusal(data)


def test_several_pictures_in_one_file(saved, photo):
    flipped = [Image.fromarray(photo[::-1])]
    for format in ("PNG", "WEBP", "AVIF", "TIFF"):
        assert "single pictures" in refusal(saved(photo, format, save_all=True, append_images=flipped))
    assert "2 pages" in refusal((DATA / "multipage.tif").read_bytes())


@pytest.mark.parametrize("mode", ["RGB", "L", "I;16", "1"])
def test_several_anymaps_in_one_file(saved, photo, mode):
    picture = Image.fromarray(photo[:, :59]).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture).astype(np.uint16) * 257)
    data = saved(picture, "PPM")
    decode(data + b"\n", "x")
    decode(data + b"P6", "x")
    for gap in (b"", b"\n"):
        assert refusal(data + gap + data).endswith("holds 2 pictures or more: split it into single pictures first")


@pytest.mark.parametrize("profile", [False, True])
def test_several_jpegs_in_one_file(saved, photo, icc, profile):
    first, second = Image.fromarray(photo), Image.fromarray(photo[::2, ::2])
    options = {"icc_profile": icc} if profile else {}
    several = decode(saved(first, "MPO", save_all=True, append_images=[second], **options), "x")
    np.testing.assert_array_equal(several.rgb, decode(saved(photo, "JPEG"), "x").rgb)
    assert several.metadata.icc == (icc if profile else None)  # not the index of the pictures
    assert lossy_changes(several) == ("further pictures in the file are dropped",)
    assert lossy_changes(decode(saved(photo, "JPEG") + bytes(100), "x")) == ()


def test_samples_that_cannot_be_carried(photo):
    for array, options in (
        (photo.astype(np.float32), {"photometric": "rgb"}),
        (photo.astype(np.int16), {"photometric": "rgb"}),
        (photo.astype(np.uint32), {"photometric": "rgb"}),
        (photo[..., :2], {"photometric": "minisblack", "planarconfig": "contig", "extrasamples": ["unassalpha"]}),
        (np.moveaxis(photo, 2, 0).astype(np.uint16), {"photometric": "rgb", "planarconfig": "separate"}),
    ):
        target = io.BytesIO()
        tifffile.imwrite(target, array, **options)
        assert "kind of TIFF" in refusal(target.getvalue())


@pytest.mark.parametrize("kind", ["sub-directory", "next page", "DNG", "CR2"])
def test_the_preview_of_a_raw_file_is_not_taken_for_its_picture(photo, kind):
    target = io.BytesIO()
    with tifffile.TiffWriter(target) as writer:
        version = [(50706, 1, 4, b"\1\4\0\0", True)] if kind == "DNG" else []
        two = kind in ("sub-directory", "next page")
        small = {"photometric": "rgb", "subfiletype": int(two), "extratags": version}
        writer.write(photo[::4, ::4].copy(), subifds=int(kind == "sub-directory"), **small)
        if two:
            writer.write(photo, photometric="rgb")
    data = target.getvalue()
    if kind == "CR2":  # the signature lies where the directory was, which moves to the end
        data = data[:4] + struct.pack("<I", len(data)) + b"CR\2\0" + data[12:] + data[8:]
    assert "is a raw file, or begins with a small preview" in refusal(data)


def test_a_lone_picture_that_is_marked_as_a_reduced_copy_is_read(photo):
    target = io.BytesIO()
    tifffile.imwrite(target, photo, photometric="rgb", subfiletype=1)
    assert decode(target.getvalue(), "x").rgb.shape == photo.shape


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def small_tiff(bits, photometric):
    """A TIFF file of 8x2 pixels of 0, put together by its specification, with a grey palette if it has one."""
    palette = [round(index * 65535 / (2**bits - 1)) for index in range(2**bits)] * 3 if photometric == 3 else []
    end = 8 + 2 + 12 * (10 if palette else 9) + 4
    tags = {256: 8, 257: 2, 258: bits, 259: 1, 262: photometric, 273: end, 277: 1, 278: 2, 279: 2 * bits}
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags.items())
    if palette:
        entries += struct.pack("<HHII", 320, 3, len(palette), end + 2 * bits)
    directory = struct.pack("<H", len(entries) // 12) + entries + bytes(4)
    return b"II*\0\x08\0\0\0" + directory + bytes(2 * bits) + struct.pack(f"<{len(palette)}H", *palette)


@pytest.mark.parametrize(("bits", "photometric"), [(2, 0), (2, 1), (4, 0), (4, 1), (2, 3)])
def test_intact_tiff_of_unusual_depth_is_not_called_damaged(bits, photometric):
    data = small_tiff(bits, photometric)
    with Image.open(io.BytesIO(data)) as judge:
        assert np.asarray(judge.convert("L")).tolist() == [[0 if photometric else 255] * 8] * 2
    assert refusal(data).endswith(f"does not read (it has {bits} bits a sample): convert it to RGB or to PNG")


@pytest.mark.parametrize(("bits", "photometric"), [(1, 0), (1, 1), (8, 1), (1, 3), (4, 3), (8, 3)])
def test_tiff_of_usual_depth_is_read(bits, photometric):
    assert decode(small_tiff(bits, photometric), "x").rgb.tolist() == [[[0.0 if photometric else 1.0] * 3] * 8] * 2


def jpeg_2000(saved, image, *depths):
    """A JPEG 2000 file whose header tells these depths, coded as the standard does: bits less one, 128 for signed."""
    data = bytearray(saved(image, "JPEG2000"))
    start = data.index(b"\xff\x4f\xff\x51") + 42
    data[start : start + 3 * len(depths) : 3] = bytes(depths)
    return bytes(data)


@pytest.mark.parametrize(
    ("depths", "words"),
    [
        ((11, 11, 7), r"different depths \(12, 12, 8 bits\): convert"),
        ((7, 7, 7, 0), r"different depths \(8, 8, 8, 1 bits\): convert"),
        ((7 + 128, 7 + 128, 7 + 128), "signed samples: convert"),
        ((11 + 128,), "signed samples: convert"),
        ((6, 6, 6), "has 7 bits a sample: convert"),
        ((3,), "has 4 bits a sample: convert"),
        ((17,), "has 18 bits a sample: convert"),
    ],
)
def test_depths_of_jpeg_2000_that_cannot_be_carried(saved, rgba, depths, words):
    image = rgba[..., 0] if len(depths) == 1 else rgba[..., : len(depths)]
    assert re.search(words, refusal(jpeg_2000(saved, image, *depths)))


def test_a_palette_in_jpeg_2000(saved, photo):
    data = saved(photo[..., 0], "JPEG2000")
    header = data.index(b"jp2h") - 4
    (length,) = struct.unpack_from(">I", data, header)
    palette = struct.pack(">I4sHBBBB6B", 20, b"pclr", 2, 3, 7, 7, 7, 0, 0, 0, 255, 0, 0)
    end = header + length
    data = data[:header] + struct.pack(">I", length + len(palette)) + data[header + 4 : end] + palette + data[end:]
    assert "with a palette: convert" in refusal(data)


def test_decompression_bomb():
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    assert "268 megapixels" in refusal(data)


def test_high_dynamic_range(saved, photo):
    data = saved(photo, "PNG")
    assert "high dynamic range" in refusal(data[:33] + chunk(b"cICP", bytes([9, 16, 0, 1])) + data[33:])
    decode(data[:33] + chunk(b"cICP", bytes([1, 13, 0, 1])) + data[33:], "sRGB, said in another way")
    data = saved(photo, "AVIF")
    at = data.index(b"colrnclx") + 8
    assert "high dynamic range" in refusal(data[: at + 2] + bytes([0, 18]) + data[at + 4 :])


def test_a_damaged_chunk(saved, photo):
    data = bytearray(saved(photo, "PNG"))
    data[len(data) // 2] ^= 1
    assert "damaged" in refusal(bytes(data))


def test_a_profile_that_unpacks_without_end_is_dropped(saved, photo):
    data = saved(photo, "PNG")
    profile = chunk(b"iCCP", b"bomb\0\0" + zlib.compress(bytes(1 << 27)))
    picture = decode(data[:33] + profile + data[33:], "x")
    assert (picture.metadata.icc, picture.lost) == (None, ("the colour profile is dropped",))


@pytest.mark.parametrize(
    "block", [b"", b"II", b"garbage", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff" + bytes(9)]
)
def test_malformed_exif_is_dropped(saved, photo, block):
    for format in ("JPEG", "WEBP", "PNG"):
        picture = decode(saved(photo, format, exif=b"Exif\0\0" + block), "x")
        assert picture.metadata.exif is None
        assert picture.lost == (("damaged EXIF is dropped",) if block else ())
        np.testing.assert_array_equal(picture.rgb, decode(saved(photo, format), "x").rgb)


def test_flipped_bytes_end_in_a_picture_or_a_refusal(saved, photo, exif, icc, xmp):
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp.decode())
    extras = {"exif": exif(6), "icc_profile": icc}
    files = [saved(photo, f, **extras, xmp=xmp) for f in ("JPEG", "WEBP", "AVIF")]
    files += [saved(photo, "PNG", **extras, pnginfo=info), saved(photo, "TIFF", **extras), saved(photo, "PPM")]
    rng = np.random.default_rng(0)
    outcomes = {True: 0, False: 0}
    for round in range(1200):
        data = bytearray(files[round % len(files)])
        reach = len(data) if round % 3 else 700  # headers are where the traps are
        for at in rng.integers(0, min(reach, len(data)), size=rng.integers(1, 6)):
            data[at] = rng.choice([0, 1, 255, rng.integers(256)])
        try:
            picture = decode(bytes(data), "x")
        except PictureError as error:
            assert "\n" not in str(error)  # noqa: PT017
            outcomes[False] += 1
        else:
            encode(picture, ("png", "tiff", "jpeg")[round % 3])
            outcomes[True] += 1
    assert min(outcomes.values()) > 100


def test_opencv_keeps_quiet(tmp_path, saved, photo):
    # Of a damaged TIFF the library complains at length, of an almost right colour profile libpng does.
    (tmp_path / "cut.tif").write_bytes(saved(photo, "TIFF", compression="tiff_lzw")[:-20])
    (tmp_path / "bad.jp2").write_bytes(saved(photo, "JPEG2000")[:-300])
    profile = b"\0\0\2\x0cAPPL" + bytes(200)
    (tmp_path / "profile.png").write_bytes(saved(photo, "PNG", icc_profile=profile))
    code = (
        "import pathlib, sys\n"
        "from airtool.errors import PictureError\n"
        "from airtool.images.decode import read\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    try:\n        print(path.name, read(path).rgb.shape)\n"
        "    except PictureError:\n        print(path.name, 'refused')\n"
    )
    run = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["bad.jp2 refused", "cut.tif refused", "profile.png (40, 60, 3)"]
    assert run.stderr == ""
