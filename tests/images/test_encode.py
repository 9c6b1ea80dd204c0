"""Encoding: nothing is lost but what the format cannot carry, as Pillow and tifffile read it back."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from airtool.errors import PictureError, UsageError
from airtool.images.decode import decode
from airtool.images.encode import encode, lossy_changes
from airtool.images.picture import Metadata, Picture

KEEPERS = ["jpeg", "png", "webp", "tiff", "avif"]


def picture(rgb, alpha=None, depth=8, grey=False, format="png", metadata=None):
    return Picture(np.asarray(rgb, np.float32), alpha, depth, grey, format, metadata or Metadata())


def opened(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def metadata_of(image):
    """EXIF, ICC and XMP as Pillow finds them."""
    exif = image.getexif()
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or exif.get(700)
    return exif, image.info.get("icc_profile"), xmp.encode() if isinstance(xmp, str) else xmp


def test_values_are_rounded_and_clipped():
    rgb = np.zeros((1, 6, 3)) + np.array([-0.5, 0.4999 / 255, 0.5001 / 255, 100.6 / 255, 254.6 / 255, 1.5])[:, None]
    assert np.asarray(opened(encode(picture(rgb))))[0, :, 0].tolist() == [0, 0, 1, 101, 255, 255]
    deep = tifffile.imread(io.BytesIO(encode(picture(rgb * 255 / 65535, depth=16), "tiff")))
    assert deep.dtype == np.uint16
    assert deep[0, :, 2].tolist() == [0, 0, 1, 101, 255, 382]  # 1.5 * 255 = 382.5, to even


@pytest.mark.parametrize("bad", [np.nan, -np.nan])
def test_pixels_that_are_not_numbers_are_refused(bad):
    rgb = np.full((3, 3, 3), 0.5)
    rgb[1, 1, 1] = bad
    with pytest.raises(PictureError, match="fp32"):
        encode(picture(rgb))


@pytest.mark.parametrize("format", ["png", "tiff", "ppm"])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("grey", [False, True])
def test_lossless_formats_give_every_value_back(format, depth, grey):
    values = np.arange(2**depth if depth == 8 else 65536).reshape(-1, 16)
    rgb = (values / np.float32(2**depth - 1)).astype(np.float32)[..., None].repeat(3, axis=2)
    if not grey:
        rgb[..., 0] = rgb[::-1, :, 0]
    one = picture(rgb, depth=depth, grey=grey)
    again = decode(encode(one, format), "x")
    np.testing.assert_array_equal(again.rgb, one.rgb)
    assert (again.depth, again.grey, again.format) == (depth, grey, format)
    assert lossy_changes(one, format) == ()


@pytest.mark.parametrize("format", ["png", "tiff", "bmp", "webp"])
def test_alpha_is_written_untouched(saved, rgba, format):
    one = decode(saved(rgba, "PNG"), "x")
    image = opened(encode(one, format))
    assert image.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(image)[..., 3], rgba[..., 3])
    if format != "webp":
        np.testing.assert_array_equal(np.asarray(image)[..., :3], rgba[..., :3])


def test_sixteen_bits_with_alpha(rgba):
    deep = rgba.astype(np.uint16) * 257
    one = picture(deep[..., :3] / np.float32(65535), deep[..., 3], 16)
    for format in ("png", "tiff"):
        again = decode(encode(one, format), "x")
        np.testing.assert_array_equal(again.alpha, deep[..., 3])
    with tifffile.TiffFile(io.BytesIO(encode(one, "tiff"))) as file:
        np.testing.assert_array_equal(file.asarray(), deep)
        assert file.pages[0].tags["ExtraSamples"].value == (2,)  # unassociated


@pytest.mark.parametrize("target", KEEPERS)
@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("source", ["JPEG", "TIFF", "AVIF"])
def test_metadata_survives(saved, photo, exif, icc, xmp, source, target, endian):
    extra = {"tiffinfo": {700: xmp}} if source == "TIFF" else {"xmp": xmp}
    if source == "TIFF":  # Pillow takes either block or tiffinfo
        block = Image.Exif()
        block.load(exif(6, endian))
        info = {tag: value for tag, value in block.items() if tag not in (0x8769, 0x8825)}
        extra = {"tiffinfo": info | {700: xmp, 0x8769: block.get_ifd(0x8769), 0x8825: block.get_ifd(0x8825)}}
    else:
        extra["exif"] = exif(6, endian)
    one = decode(saved(photo, source, icc_profile=icc, **extra), "x")
    assert lossy_changes(one, target) == ()
    image = opened(encode(one, target))
    found, profile, packet = metadata_of(image)
    assert image.size == (40, 60)
    assert found.get(0x0112, 1) == 1
    assert found[0x010F] == "Maker"
    details = found.get_ifd(0x8769)
    assert details[0x9003] == "2020:01:02 03:04:05"
    assert float(details[0x829A]) == 0.01
    assert found.get_ifd(0x8825)[2] == (52.0, 30.0, 1.5)
    assert profile == icc
    assert packet == xmp


def packet(orientation):
    """An XMP packet that tells the orientation, in the way that is asked for, with padding behind."""
    body = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    if orientation.startswith("<"):
        body += f'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/">{orientation}</rdf:Description>'
    else:
        body += f'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" {orientation}/>'
    return f"{body}</rdf:RDF></x:xmpmeta>{' ' * 60}".encode()


def turned_file(saved, photo, format, orientation, xmp, exif):
    """A file by Pillow that tells an orientation in EXIF (in TIFF and AVIF in their own way) and has an XMP packet."""
    if format == "TIFF":
        return saved(photo, format, tiffinfo={274: orientation, 700: xmp})
    if format == "PNG":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", xmp.decode())
        return saved(photo, format, exif=exif(orientation), pnginfo=info)
    return saved(photo, format, exif=exif(orientation), xmp=xmp)


@pytest.mark.parametrize("target", KEEPERS)
@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize(
    "words",
    ['tiff:Orientation="{}"', "tiff:Orientation = '{}'", "<tiff:Orientation>{}</tiff:Orientation>"],
)
def test_no_reader_turns_a_picture_that_was_turned(saved, photo, exif, source, target, words):
    data = turned_file(saved, photo, source, 6, packet(words.format(6)), exif)
    upright = ImageOps.exif_transpose(opened(data)).size
    image = opened(encode(decode(data, "x"), target))
    assert metadata_of(image)[2] == packet(words.format(1))
    assert ImageOps.exif_transpose(image).size == upright == (40, 60)


@pytest.mark.parametrize("target", KEEPERS)
def test_an_orientation_in_xmp_alone_is_neither_applied_nor_taken_away(saved, photo, target):
    # Whoever goes by it turned the original, and turns the result.
    xmp = packet('tiff:Orientation="6"')
    one = decode(saved(photo, "JPEG", xmp=xmp), "x")
    assert one.rgb.shape == photo.shape
    data = encode(one, target)
    assert xmp in data
    assert ImageOps.exif_transpose(opened(data)).size == (40, 60)


@pytest.mark.parametrize("target", KEEPERS)
@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_an_upright_orientation_still_overrules_that_in_xmp(saved, photo, exif, source, target):
    xmp = packet('tiff:Orientation="6"')
    original = turned_file(saved, photo, source, 1, xmp, exif)
    assert ImageOps.exif_transpose(opened(original)).size == (60, 40)
    data = encode(decode(original, "x"), target)
    assert xmp in data
    assert ImageOps.exif_transpose(opened(data)).size == (60, 40)


@pytest.mark.parametrize("other", ['tiff:Orientation="1"', 'tiff:Orientation="62"', 'a:Orientation="6"', "<b>6</b>"])
def test_the_rest_of_xmp_is_untouched_by_turning(saved, photo, exif, other):
    xmp = packet(other)
    assert decode(saved(photo, "JPEG", xmp=xmp, exif=exif(6)), "x").metadata.xmp == xmp


@pytest.mark.parametrize("target", KEEPERS)
def test_second_generation_keeps_the_same_metadata(saved, photo, exif, icc, xmp, target):
    first = decode(saved(photo, "JPEG", exif=exif(3), icc_profile=icc, xmp=xmp), "x")
    second = decode(encode(first, target), "x")
    third = decode(encode(second, target), "x")
    assert third.metadata == second.metadata
    assert (second.metadata.icc, second.metadata.xmp) == (icc, xmp)


def test_large_metadata(photo, icc):
    large = icc + bytes(150_000)
    exif = b"II*\0\x08\0\0\0\0\0\0\0\0\0" + bytes(70_000)
    one = picture(photo / 255, metadata=Metadata(exif, large, b"<x/>" + b" " * 70_000))
    assert opened(encode(one, "jpeg")).info["icc_profile"] == large
    assert lossy_changes(one, "jpeg") == ("EXIF is dropped", "XMP is dropped")
    for format in ("png", "webp", "tiff", "avif"):
        assert decode(encode(one, format), "x").metadata.icc == large
        assert lossy_changes(one, format) == ()


def test_profiles_agree_with_the_channels(saved, photo, icc):
    grey_icc = icc[:16] + b"GRAY" + icc[20:]
    grey = decode(saved(photo[..., 0], "JPEG", icc_profile=grey_icc), "x")
    assert opened(encode(grey, "png")).info["icc_profile"] == grey_icc
    assert opened(encode(grey, "png")).mode == "L"
    assert "icc_profile" not in opened(encode(grey, "webp")).info
    assert lossy_changes(grey, "webp") == ("one grey channel becomes three equal ones", "the colour profile is dropped")
    rgb_in_grey = decode(saved(photo[..., 0], "JPEG", icc_profile=icc), "x")
    assert opened(encode(rgb_in_grey, "jpeg")).info["icc_profile"] == icc
    assert lossy_changes(rgb_in_grey, "png") == ("the colour profile is dropped",)


def test_what_a_format_cannot_carry_is_said(rgba, icc):
    deep = rgba.astype(np.uint16) * 257
    one = picture(deep[..., :3] / np.float32(65535), deep[..., 3], 16, metadata=Metadata(icc=icc))
    assert lossy_changes(one, "jpeg") == ("transparency is dropped", "16 bits a sample become 8")
    assert lossy_changes(one, "bmp") == ("16 bits a sample become 8", "the colour profile is dropped")
    assert lossy_changes(one, "avif") == ("transparency is compressed with loss", "16 bits a sample become 12")
    assert lossy_changes(one) == ()
    again = decode(encode(one, "avif"), "x")
    assert again.depth == 16
    assert np.abs(again.alpha.astype(int) - deep[..., 3]).max() < 3 * 257


def test_quality(photo):
    one = picture(photo / np.float32(255))
    for format in ("jpeg", "webp", "avif"):
        low, usual, high = (len(encode(one, format, quality)) for quality in (20, None, 100))
        assert low < usual < high
        error = decode(encode(one, format), "x").rgb - one.rgb
        assert -10 * np.log10(np.mean(error**2)) > 28
    assert encode(one, "jpeg", 95) == encode(one, "jpeg")
    with pytest.raises(UsageError, match="1 to 100"):
        encode(one, "jpeg", 0)


def test_formats_that_cannot_be_written(photo):
    with pytest.raises(UsageError, match="--format png"):
        encode(picture(photo / 255), "jp2")
    with pytest.raises(PictureError, match="20000x1 pixels as WEBP: add --format png"):
        encode(picture(np.zeros((1, 20000, 3))), "webp")
