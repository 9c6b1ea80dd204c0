"""Bytes to pictures."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from airtool.errors import PictureError
from airtool.images import avif, bmp, jp2, jpeg, png, ppm, tiff_picture, webp, xmp
from airtool.images.container import DAMAGED, NO_EXIF, NO_PROFILE, Container, ContainerError
from airtool.images.exif import orientation, parse, upright
from airtool.images.formats import FORMATS, by_magic, unreadable
from airtool.images.jpeg_markers import XMP_MARKER
from airtool.images.limits import MAX_PIXELS, MAX_SIDE, largest_file
from airtool.images.names import shown
from airtool.images.opencv import cv2
from airtool.images.picture import Metadata, Picture
from airtool.images.remote import Place, Remote
from airtool.images.segments import turned
from airtool.images.stores import read as fetch

INSPECTORS: dict[str, Callable[[bytes], Container]] = {
    "jpeg": jpeg.inspect,
    "png": png.inspect,
    "webp": webp.inspect,
    "tiff": tiff_picture.inspect,
    "avif": avif.inspect,
    "bmp": bmp.inspect,
    "ppm": ppm.inspect,
    "jp2": jp2.inspect,
}
"""What checks a file of each format before OpenCV sees it."""

BAND = 1 << 20
"""Pixels converted at a time, so that temporary arrays stay small beside the picture."""

CHUNK = 1 << 26
"""Bytes read at a time from what tells no size."""

Samples = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Unpacked:
    """What came out of a picture file, before anything is made of it."""

    samples: Samples
    """(H, W) or (H, W, 3 or 4), B G R A order, not turned."""
    container: Container
    """Without the file's bytes."""
    metadata: Metadata
    format: str
    """A name in `FORMATS`."""


def read(path: Place, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read a picture file. Raises PictureError when it cannot be read or, as `decode` does, not be decoded."""
    return decode(load(path, max_pixels), str(path), max_pixels)


def load(path: Place, max_pixels: int = MAX_PIXELS) -> bytes:
    """The bytes of a picture file, here or in a store, still to be decoded.

    Raises PictureError when it cannot be read, and when it is larger than a picture of `max_pixels` can be: then it is
    not taken into memory.
    """
    most = largest_file(max_pixels)
    try:
        if isinstance(path, Remote):
            data = fetch(path, most)
        else:
            with path.open("rb") as file:
                data = _read_up_to(file, most)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise PictureError(f"cannot read {shown(path)}: {reason}; check the file and its permissions") from error
    except MemoryError:
        raise PictureError(f"{shown(path)} does not fit into memory: scale it down first") from None
    if data is None:
        raise PictureError(f"{shown(path)} {_too_large(f'more than {most // 1_000_000} MB', max_pixels)}")
    return data


def _read_up_to(file: BinaryIO, most: int) -> bytes | None:
    """The rest of a file; None when it has more than `most` bytes, which are then not taken into memory."""
    size = os.fstat(file.fileno()).st_size
    if size > most:
        return None
    data = file.read(size + 1) if size else b""
    # Pipes and devices tell no size, and may never end.
    while len(data) <= most and (piece := file.read(CHUNK)):
        data += piece
    return data if len(data) <= most else None


def decode(data: bytes, name: str, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode the bytes of a picture file, whose format is told from its content, not from its name.

    The EXIF orientation (for AVIF that of the container, if it has one) is applied, and the kept EXIF and XMP say so.
    Palettes are resolved; CMYK becomes RGB without its profile; colours stored multiplied by alpha are divided by it.
    name: what to call the file in messages. max_pixels: most that the picture may have, by its header, before memory is
    taken for them; up to `limits.MOST_PIXELS`.
    Raises PictureError, one line with the name and the remedy: empty, cut short or damaged files, files that are no
    picture, several pages or frames in one file, samples other than integers of up to 16 bits, high dynamic range,
    more pixels than `max_pixels`.
    """
    try:
        return assemble(unpack(*inspect(data, max_pixels)))
    except ContainerError as error:
        raise PictureError(f"{shown(name)} {error}") from None
    except MemoryError:
        raise PictureError(f"{shown(name)} does not fit into memory: scale it down first") from None


def inspect(data: bytes, max_pixels: int) -> tuple[str, Container]:
    """The first part of `decode`: the format of a file, and what its structure says. No memory is taken for pixels.

    Raises ContainerError.
    """
    if len(data) > (most := largest_file(max_pixels)):
        raise ContainerError(_too_large(f"more than {most // 1_000_000} MB", max_pixels))
    format = by_magic(data)
    if format is None:
        raise ContainerError(_no_picture(data))
    container = INSPECTORS[format](data)
    width, height = container.size
    if width < 1 or height < 1:
        raise ContainerError(DAMAGED)
    if max(width, height) > MAX_SIDE:
        raise ContainerError(f"has {width}x{height} pixels, and a side may have {MAX_SIDE}: cut it up first")
    if width * height > max_pixels:
        raise ContainerError(_too_large(f"{width}x{height} pixels", max_pixels))
    return format, container


def unpack(format: str, container: Container) -> Unpacked:
    """The second part of `decode`: the decoder's work on what `inspect` gave. Raises ContainerError, MemoryError."""
    samples, found = _decode_samples(container)
    if samples.shape[0] * samples.shape[1] > container.size[0] * container.size[1]:
        raise ContainerError(DAMAGED)
    metadata = replace(found, exif=parse(found.exif))
    lost = (*container.lost, NO_EXIF) if found.exif and not metadata.exif else container.lost
    return Unpacked(samples, replace(container, pixels=b"", metadata=Metadata(), lost=lost), metadata, format)


def _no_picture(data: bytes) -> str:
    """What to say about bytes that start like none of the formats."""
    if not data:
        return CUT_TO_NOTHING
    if known := unreadable(data):
        return f"is a {known} file, which airtool does not read: convert it to PNG first"
    names = ", ".join(FORMATS).upper()
    return f"is not a picture in a format that airtool reads ({names}): remove it or convert it"


CUT_TO_NOTHING = "is empty (0 bytes): get a complete copy of it"


def _decode_samples(container: Container) -> tuple[Samples, Metadata]:
    """Pixels as OpenCV returns them, (H, W) or (H, W, 3 or 4) in B G R A order, and the file's metadata.

    EXIF comes as the file has it, which may be no EXIF at all.
    """
    encoded = np.frombuffer(container.pixels, np.uint8)
    try:
        # UNCHANGED keeps depth and alpha, and leaves the EXIF orientation to us.
        image, kinds, blocks = cv2.imdecodeWithMetadata(encoded, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError from None
        raise ContainerError(DAMAGED) from None
    if image is None or image.size == 0:
        raise ContainerError(DAMAGED)
    if image.dtype == np.uint8:
        samples: Samples = image.astype(np.uint8, copy=False)
    elif image.dtype == np.uint16:
        samples = image.astype(np.uint16, copy=False)
    else:
        raise ContainerError(f"has {image.dtype} samples: convert it to 8 or 16 bits first")
    found = {int(kind): block.tobytes() for kind, block in zip(np.ravel(kinds), blocks, strict=True)}
    own = container.metadata
    packet = found.get(cv2.IMAGE_METADATA_XMP, b"").removeprefix(XMP_MARKER) or None
    return samples, Metadata(
        exif=own.exif or found.get(cv2.IMAGE_METADATA_EXIF),
        icc=own.icc or found.get(cv2.IMAGE_METADATA_ICCP),
        xmp=own.xmp or packet,
        segments=own.segments,
    )


def _too_large(what: str, max_pixels: int) -> str:
    allowed = f"{max_pixels / 1e6:.0f} mega" if max_pixels >= 10**7 else f"{max_pixels} "
    return f"has {what}, and {allowed}pixels are allowed: scale it down, or raise --max-pixels if you trust it"


def assemble(unpacked: Unpacked) -> Picture:
    """The last part of `decode`: the picture that decoded samples stand for."""
    samples, container, metadata = unpacked.samples, unpacked.container, unpacked.metadata
    exif = metadata.exif
    turn = container.orientation or (orientation(exif) if exif else 1)
    samples = np.ascontiguousarray(_turned(samples, turn))
    height, width = samples.shape[:2]
    depth = 8 * samples.itemsize
    full = 2**depth - 1
    white = container.white or full
    alpha: Samples | None = None
    if samples.ndim == 3 and samples.shape[2] == 4 and not container.opaque:
        alpha = samples[..., 3].copy()
        if white != full:
            alpha[...] = np.rint(alpha * (full / white))
    elif container.transparent is not None and samples.ndim == 2:
        alpha = samples.copy()
        alpha[...] = np.where(samples == container.transparent, 0, full)
    if container.inverted:
        samples = full - samples
    rgb = _rgb(samples, white)
    if container.premultiplied and alpha is not None:
        cover = alpha[..., None] / np.float32(full)
        np.divide(rgb, cover, out=rgb, where=cover > 0)
        np.minimum(rgb, 1, out=rgb)
    grey = samples.ndim == 2 or container.grey
    # A picture that was not turned keeps what XMP says: we do not go by it, and whoever does saw the original so, too.
    fits = profile_fits(metadata.icc, grey)
    # A video behind the picture, or beside it in its container, goes into no output.
    packet = xmp.still(metadata.xmp) if metadata.xmp else None
    kept = Metadata(
        exif=upright(exif, width, height) if exif else None,
        icc=metadata.icc if fits else None,
        xmp=xmp.upright(packet) if packet and turn != 1 else packet,
        segments=turned(metadata.segments, turn) if turn != 1 else metadata.segments,
    )
    lost = container.lost if fits or not metadata.icc else (*container.lost, NO_PROFILE)
    return Picture(rgb, alpha, depth, grey, unpacked.format, kept, lost, white.bit_length())


def _rgb(samples: Samples, white: int) -> npt.NDArray[np.float32]:
    """(H, W, 3) R G B in [0, 1] for samples as `_decode_samples` returns them, `white` becoming 1."""
    height, width = samples.shape[:2]
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    turn = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}[channels]
    rgb = np.empty((height, width, 3), np.float32)
    step = max(1, BAND // width)
    for top in range(0, height, step):
        band = rgb[top : top + step]
        # Division, correctly rounded, is undone exactly by multiplying with `white` and rounding.
        np.divide(cv2.cvtColor(samples[top : top + step], turn), np.float32(white), out=band)
        np.minimum(band, 1, out=band)
    return rgb


def profile_fits(icc: bytes | None, grey: bool) -> bool:
    """Whether a colour profile describes pixels of this kind: RGB profiles do for both, grey ones for grey only."""
    return icc is not None and (icc[16:20] == b"RGB " or (grey and icc[16:20] == b"GRAY"))


def _turned(samples: Any, orientation: int) -> Any:
    """Pixels the right way up, for what the EXIF orientation says about the stored ones."""
    if orientation >= 5:
        samples = samples.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    return samples
