"""Pictures to bytes."""

import numpy as np
import numpy.typing as npt

from airtool.errors import PictureError, UsageError
from airtool.images import jpeg, png, tiff_picture
from airtool.images.decode import BAND, Samples, profile_fits
from airtool.images.exif import has_resolution
from airtool.images.formats import FORMATS, Format, missing_encoder
from airtool.images.jpeg_markers import XMP_MARKER
from airtool.images.opencv import cv2
from airtool.images.picture import Metadata, Picture
from airtool.images.segments import DENSITIES, OVERRULED, XMP_EXTENSION, dropped, translated

QUALITY = 95
"""Default quality of lossy formats, 1 to 100."""

AVIF_BITS = 12
"""Bits a sample of AVIF for pictures of 16 bits."""


def lossy_changes(picture: Picture, format: str | None = None) -> tuple[str, ...]:
    """What is lost of a picture's file, in words: empty when everything but compression survives.

    That is what reading has not kept, and what the format cannot carry.

    format: a name in `FORMATS`, None for the picture's own. Raises ValueError for another name.
    """
    target = _target(picture, format)
    changes = list(picture.lost)
    transparent = picture.alpha is not None and picture.alpha.min() < np.iinfo(picture.alpha.dtype).max
    if transparent and not target.alpha:
        changes.append("transparency is dropped")
    if transparent and target.name == "avif":
        changes.append("transparency is compressed with loss")
    bits = picture.bits or picture.depth
    if picture.depth == 16 and not target.sixteen_bit:
        changes.append(f"{bits} bits a sample become 8")
    if bits > AVIF_BITS and target.name == "avif":
        changes.append(f"{bits} bits a sample become {AVIF_BITS}")
    if picture.grey and not _one_channel(picture, target):
        changes.append("one grey channel becomes three equal ones")
    kept = _kept(picture, target)
    words = {"exif": "EXIF", "icc": "the colour profile", "xmp": "XMP"}
    changes += [
        f"{word} is dropped"
        for kind, word in words.items()
        if getattr(picture.metadata, kind) and not getattr(kept, kind)
    ]
    held = set(kept.segments)
    left = [segment for segment in picture.metadata.segments if segment not in held]
    if kept.icc or any(segment.kind == b"sRGB" for segment in picture.metadata.segments):
        left = [segment for segment in left if segment.kind not in OVERRULED]
    if has_resolution(kept.exif) or DENSITIES.intersection(segment.kind for segment in kept.segments):
        left = [segment for segment in left if segment.kind not in DENSITIES]
    changes += dropped(left)
    return tuple(changes)


def encode(picture: Picture, format: str | None = None, quality: int | None = None) -> bytes:
    """The bytes of a picture file.

    Values are clipped to [0, 1] and rounded to the nearest of 8 or 16 bits, as deep as the picture was stored if the
    format can; AVIF has 12 bits for 16. Grey pictures are written as one channel (the mean of the three) where the
    format has that without or with their alpha. What the format cannot carry is left out: see `lossy_changes`.
    format: a name in `FORMATS`, None for the picture's own. quality: 1 to 100 for JPEG (4:4:4), WebP and AVIF, 95 if
    None; the others are lossless and ignore it.
    Raises UsageError for a format that cannot be written and a quality out of range, PictureError when the pixels are
    not finite or too many for the format, ValueError for an unknown format.
    """
    target = _target(picture, format)
    if reason := missing_encoder(target.name):
        raise UsageError(f"{reason}: add --format png")
    if quality is not None and not 1 <= quality <= 100:
        raise UsageError(f"--quality {quality} is out of range: choose 1 to 100")
    samples = _samples(picture, target)
    kept = _kept(picture, target)
    spliced = _spliced(target, kept)
    kinds, blocks = _for_opencv(kept, target, spliced)
    suffix = target.suffixes[0] if target.name != "ppm" or samples.ndim == 3 else ".pgm"
    parameters = _parameters(target.name, picture.depth, QUALITY if quality is None else quality)
    try:
        done, encoded = cv2.imencodeWithMetadata(suffix, samples, kinds, blocks, parameters)
    except cv2.error:
        done = False
    if not done:
        height, width = samples.shape[:2]
        raise PictureError(f"cannot write {width}x{height} pixels as {target.name.upper()}: add --format png")
    data = encoded.tobytes()
    if target.name == "jpeg" and spliced != Metadata():
        return jpeg.embed(data, spliced)
    if target.name == "png":
        return png.embed(data, spliced)
    if target.name == "tiff":
        return tiff_picture.embed(data, spliced, alpha=samples.ndim == 3 and samples.shape[2] == 4)
    return data


def _spliced(target: Format, kept: Metadata) -> Metadata:
    """The metadata that OpenCV cannot write into this format, and that is put into the finished file."""
    if target.name in ("png", "tiff"):
        return kept
    if target.name == "jpeg":
        return Metadata(icc=kept.icc if len(kept.icc or b"") > jpeg.ICC_CHUNK else None, segments=kept.segments)
    return Metadata()


def _target(picture: Picture, format: str | None) -> Format:
    name = picture.format if format is None else format
    if name not in FORMATS:
        raise ValueError(f"unknown format {name!r}")
    return FORMATS[name]


def _one_channel(picture: Picture, target: Format) -> bool:
    """Whether the picture is written as one channel; OpenCV has no grey with alpha."""
    return picture.grey and target.grey and not (picture.alpha is not None and target.alpha)


def _kept(picture: Picture, target: Format) -> Metadata:
    """The metadata that goes into the file: what the format has, fits into it, and agrees with the channels."""
    own = picture.metadata
    one = _one_channel(picture, target)
    exif = own.exif if "exif" in target.metadata else None
    xmp = own.xmp if "xmp" in target.metadata else None
    icc = own.icc if "icc" in target.metadata and profile_fits(own.icc, one) else None
    if target.name == "jpeg":
        exif = exif if len(exif or b"") <= jpeg.MAX_EXIF else None
        xmp = xmp if len(xmp or b"") <= jpeg.MAX_XMP else None
        icc = icc if len(icc or b"") <= jpeg.MAX_ICC else None
    if target.name == "png" and one and icc is not None and icc[16:20] != b"GRAY":
        icc = None  # the standard forbids it, and readers drop it
    # An extension continues a packet; of a profile and its short form a file may have one.
    without = {XMP_EXTENSION if xmp is None else None, b"sRGB" if icc is not None else None}
    same = picture.format == target.name
    segments = own.segments if same else translated(own.segments, picture.format, target.name)
    return Metadata(exif, icc, xmp, tuple(each for each in segments if each.kind not in without))


def _for_opencv(metadata: Metadata, target: Format, without: Metadata) -> tuple[list[int], list[npt.NDArray[np.uint8]]]:
    """Metadata as `imencodeWithMetadata` takes it, less the kinds that `without` has."""
    kinds, blocks = [], []
    for name, kind in (
        ("exif", cv2.IMAGE_METADATA_EXIF),
        ("icc", cv2.IMAGE_METADATA_ICCP),
        ("xmp", cv2.IMAGE_METADATA_XMP),
    ):
        block = getattr(metadata, name)
        if block is not None and getattr(without, name) is None:
            if name == "xmp" and target.name == "jpeg":
                block = XMP_MARKER + block
            kinds.append(kind)
            blocks.append(np.frombuffer(block, np.uint8))
    return kinds, blocks


def _samples(picture: Picture, target: Format) -> Samples:
    """Pixels as OpenCV writes them: (H, W), (H, W, 3) B G R or (H, W, 4) B G R A, 8 or 16 bits (AVIF: 12 in 16)."""
    deep = picture.depth == 16 and target.sixteen_bit
    bits = AVIF_BITS if deep and target.name == "avif" else 16 if deep else 8
    white = 2**bits - 1
    height, width = picture.rgb.shape[:2]
    one = _one_channel(picture, target)
    alpha = picture.alpha if target.alpha else None
    dtype = np.uint16 if deep else np.uint8
    samples = np.empty((height, width) if one else (height, width, 3 if alpha is None else 4), dtype)
    step = max(1, BAND // width)
    for top in range(0, height, step):
        band = picture.rgb[top : top + step]
        if picture.grey:
            band = band.mean(axis=2, keepdims=True)
        quantised = _quantised(band, white)
        if one:
            samples[top : top + step] = quantised[..., 0]
        else:
            samples[top : top + step, :, :3] = quantised[..., ::-1]
    if alpha is not None:
        stored = np.iinfo(alpha.dtype).max
        # Alpha of the depth of the file goes in as it is.
        samples[..., 3] = alpha if stored == white else np.rint(alpha * (white / stored))
    return samples


def _quantised(values: npt.NDArray[np.float32], white: int) -> npt.NDArray[np.float32]:
    """Whole numbers from 0 to `white` for values from 0 to 1. Raises PictureError for NaN."""
    scaled = values * np.float32(white)
    np.rint(scaled, out=scaled)
    np.clip(scaled, 0, white, out=scaled)
    if np.isnan(scaled).any():
        raise PictureError("the picture has pixels that are not numbers: restore it again with --precision fp32")
    return scaled


def _parameters(format: str, depth: int, quality: int) -> list[int]:
    """Settings of the encoder."""
    if format == "jpeg":
        # Full-resolution chroma: restored colour edges are what the user came for.
        return [
            cv2.IMWRITE_JPEG_QUALITY, quality,
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
        ]  # fmt: skip
    if format == "webp":
        return [cv2.IMWRITE_WEBP_QUALITY, quality]
    if format == "avif":
        return [cv2.IMWRITE_AVIF_QUALITY, quality, cv2.IMWRITE_AVIF_DEPTH, AVIF_BITS if depth == 16 else 8]
    if format == "png":
        # Against level 6, level 1 costs 4 to 8 % of size on photographs and takes a third to half of the time.
        return [cv2.IMWRITE_PNG_COMPRESSION, 1]
    if format == "tiff":
        # OpenCV's LZW makes 16-bit photographs larger than they are uncompressed.
        return [cv2.IMWRITE_TIFF_COMPRESSION, cv2.IMWRITE_TIFF_COMPRESSION_ADOBE_DEFLATE]
    return []
