"""Bytes to pictures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from airtool.errors import PictureError
from airtool.images import avif, jpeg, png, ppm, tiff_picture, webp
from airtool.images.container import DAMAGED, Container, ContainerError
from airtool.images.exif import orientation, parse, upright
from airtool.images.formats import FORMATS, by_magic, unreadable
from airtool.images.names import shown
from airtool.images.opencv import MAX_PIXELS, cv2
from airtool.images.picture import Metadata, Picture

INSPECTORS: dict[str, Callable[[bytes], Container]] = {
    "jpeg": jpeg.inspect,
    "png": png.inspect,
    "webp": webp.inspect,
    "tiff": tiff_picture.inspect,
    "avif": avif.inspect,
    "ppm": ppm.inspect,
}
"""Formats whose structure says more than OpenCV reports."""

BAND = 1 << 20
"""Pixels converted at a time, so that temporary arrays stay small beside the picture."""

Samples = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


def read(path: Path) -> Picture:
    """Read a picture file. Raises PictureError when it cannot be read or, as `decode` does, not be decoded."""
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise PictureError(f"cannot read {shown(path)}: {reason}; check the file and its permissions") from error
    return decode(data, str(path))


def decode(data: bytes, name: str) -> Picture:
    """Decode the bytes of a picture file, whose format is told from its content, not from its name.

    The EXIF orientation (for AVIF that of the container, if it has one) is applied, and the kept EXIF block says so.
    Palettes are resolved; CMYK becomes RGB without its profile; colours stored multiplied by alpha are divided by it.
    name: what to call the file in messages.
    Raises PictureError, one line with the name and the remedy: empty, cut short or damaged files, files that are no
    picture, several pages or frames in one file, samples other than integers of up to 16 bits, high dynamic range,
    more than `opencv.MAX_PIXELS` pixels.
    """
    format = by_magic(data)
    try:
        if format is None:
            raise ContainerError(_no_picture(data))
        container = INSPECTORS.get(format, Container)(data)
        samples, metadata = _decode_samples(container)
        return _picture(samples, container, metadata, format)
    except ContainerError as error:
        raise PictureError(f"{shown(name)} {error}") from None
    except MemoryError:
        raise PictureError(f"{shown(name)} does not fit into memory: scale it down first") from None


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
    """Pixels as OpenCV returns them, (H, W) or (H, W, 3 or 4) in B G R A order, and the file's metadata."""
    encoded = np.frombuffer(container.pixels, np.uint8)
    try:
        # UNCHANGED keeps depth and alpha, and leaves the EXIF orientation to us.
        image, kinds, blocks = cv2.imdecodeWithMetadata(encoded, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        if "PIXELS" in str(error) or "IMAGE_WIDTH" in str(error) or "IMAGE_HEIGHT" in str(error):
            raise ContainerError(_too_large()) from None
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError from None
        raise ContainerError(DAMAGED) from None
    if image is None or image.size == 0:
        raise ContainerError(DAMAGED)
    if image.shape[0] * image.shape[1] > MAX_PIXELS:
        raise ContainerError(_too_large())
    if image.dtype == np.uint8:
        samples: Samples = image.astype(np.uint8, copy=False)
    elif image.dtype == np.uint16:
        samples = image.astype(np.uint16, copy=False)
    else:
        raise ContainerError(f"has {image.dtype} samples: convert it to 8 or 16 bits first")
    found = {int(kind): block.tobytes() for kind, block in zip(np.ravel(kinds), blocks, strict=True)}
    own = container.metadata
    xmp = found.get(cv2.IMAGE_METADATA_XMP, b"").removeprefix(jpeg.XMP_MARKER) or None
    return samples, Metadata(
        exif=parse(own.exif or found.get(cv2.IMAGE_METADATA_EXIF)),
        icc=own.icc or found.get(cv2.IMAGE_METADATA_ICCP),
        xmp=own.xmp or xmp,
    )


def _too_large() -> str:
    return f"has more than {MAX_PIXELS // 1_000_000} megapixels: scale it down or cut it up first"


def _picture(samples: Samples, container: Container, metadata: Metadata, format: str) -> Picture:
    """The picture that decoded samples stand for."""
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
    kept = Metadata(
        exif=upright(exif, width, height) if exif else None,
        icc=metadata.icc if profile_fits(metadata.icc, grey) else None,
        xmp=metadata.xmp,
    )
    return Picture(rgb, alpha, depth, grey, format, kept)


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
