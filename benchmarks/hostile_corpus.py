"""Small picture files from real encoders, and seeded ways to damage them.

The encoders are Pillow's, OpenCV's and tifffile's. What none of them writes lies in encoders/: JPEG with arithmetic
coding (cjpeg -arithmetic of libjpeg-turbo 2.1.5) and an interlaced PNG (pnmtopng -interlace of Netpbm 11.01), both of
the photograph that the others are made from, 24x18 pixels.
"""

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage
import tifffile
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

FOLDER = Path(__file__).parent / "encoders"

SIDES = (48, 36)
"""Width and height of most files: a case costs a few milliseconds."""

XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><a>Zoë</a></x:xmpmeta>'.encode()

MUTATIONS = ("truncation", "bit flips", "length fields")


def corpus() -> dict[str, bytes]:
    """Files by "format/kind"."""
    photo = Image.open(Path(skimage.data_dir) / "coffee.png").convert("RGB").resize(SIDES)
    rgb = np.asarray(photo)
    alpha = np.linspace(0, 255, rgb[..., 0].size).round().astype(np.uint8).reshape(rgb.shape[:2])
    kinds = {
        "rgb": photo,
        "rgba": Image.fromarray(np.dstack([rgb, alpha])),
        "grey": photo.convert("L"),
        "grey-alpha": Image.merge("LA", [photo.convert("L"), Image.fromarray(alpha)]),
        "palette": photo.quantize(16),
        "bitmap": photo.convert("1"),
        "cmyk": photo.convert("CMYK"),
        "flipped": Image.fromarray(rgb[::-1]),
    }
    files = dict(_png(kinds, rgb)) | dict(_jpeg(kinds)) | dict(_tiff(kinds, rgb, alpha)) | dict(_others(kinds, rgb))
    for path in sorted(FOLDER.iterdir()):
        files[f"{'jpeg' if path.suffix == '.jpg' else 'png'}/{path.stem}"] = path.read_bytes()
    return dict(sorted(files.items()))


def _saved(image: Image.Image, format: str, **options: Any) -> bytes:
    target = io.BytesIO()
    image.save(target, format, **options)
    return target.getvalue()


def _exif(endian: str = ">") -> bytes:
    block = Image.Exif()
    block.endian = endian
    block[0x010F], block[0x0112] = "Maker", 6
    block[0x8769] = {0x9003: "2020:01:02 03:04:05", 0x829A: 0.01, 0xA002: 60, 0xA003: 40}
    block[0x8825] = {1: "N", 2: (52.0, 30.0, 1.5)}
    return block.tobytes()


def _profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _png(kinds: dict[str, Image.Image], rgb: np.ndarray) -> Iterator[tuple[str, bytes]]:
    for kind in ("rgb", "rgba", "grey", "grey-alpha", "palette", "bitmap"):
        yield f"png/{kind}", _saved(kinds[kind], "PNG")
    for kind, array in (("rgb-16", rgb), ("rgba-16", np.dstack([rgb, rgb[..., 0]])), ("grey-16", rgb[..., 0])):
        yield f"png/{kind}", cv2.imencode(".png", array.astype(np.uint16) * 257)[1].tobytes()
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    yield "png/metadata", _saved(kinds["rgb"], "PNG", exif=_exif(), icc_profile=_profile(), pnginfo=info)
    yield "png/animated", _saved(kinds["rgb"], "PNG", save_all=True, append_images=[kinds["flipped"]])
    yield "png/transparent-grey", _saved(kinds["grey"], "PNG", transparency=90)


def _jpeg(kinds: dict[str, Image.Image]) -> Iterator[tuple[str, bytes]]:
    yield "jpeg/baseline", _saved(kinds["rgb"], "JPEG")
    yield "jpeg/progressive", _saved(kinds["rgb"], "JPEG", progressive=True)
    yield "jpeg/444", _saved(kinds["rgb"], "JPEG", subsampling=0, quality=95)
    yield "jpeg/grey", _saved(kinds["grey"], "JPEG")
    yield "jpeg/cmyk", _saved(kinds["cmyk"], "JPEG")
    # What Photoshop writes: the same with a marker that says that the colours are YCCK.
    cmyk = _saved(kinds["cmyk"], "JPEG")
    yield "jpeg/ycck", cmyk[:2] + b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\2" + cmyk[2:]
    yield "jpeg/restart", _saved(kinds["rgb"], "JPEG", restart_marker_blocks=2)
    yield "jpeg/metadata", _saved(kinds["rgb"], "JPEG", exif=_exif(), icc_profile=_profile(), xmp=XMP)
    yield "jpeg/exif-little-endian", _saved(kinds["rgb"], "JPEG", exif=_exif("<"))
    restart = [cv2.IMWRITE_JPEG_RST_INTERVAL, 1, cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
    yield "jpeg/opencv-progressive-restart", cv2.imencode(".jpg", np.asarray(kinds["rgb"]), restart)[1].tobytes()


def _tiff(kinds: dict[str, Image.Image], rgb: np.ndarray, alpha: np.ndarray) -> Iterator[tuple[str, bytes]]:
    for kind, compression in (
        ("rgb", "raw"), ("rgba", "tiff_lzw"), ("palette", "packbits"), ("grey", "tiff_adobe_deflate"),
        ("bitmap", "group4"), ("rgb", "jpeg"), ("cmyk", "tiff_lzw"), ("bitmap", "group3"),
    ):  # fmt: skip
        yield f"tiff/{kind}-{compression}", _saved(kinds[kind], "TIFF", compression=compression)
    yield "tiff/metadata", _saved(kinds["rgb"], "TIFF", exif=_exif(), icc_profile=_profile())
    yield "tiff/pages", _saved(kinds["rgb"], "TIFF", save_all=True, append_images=[kinds["flipped"]])
    yield "tiff/opencv-lzw-predictor", cv2.imencode(".tif", rgb)[1].tobytes()
    yield "tiff/opencv-16", cv2.imencode(".tif", rgb.astype(np.uint16) * 257)[1].tobytes()
    deep, whole = np.dstack([rgb, alpha]).astype(np.uint16) * 257, {"photometric": "rgb"}
    for kind, array, options in (
        ("tiled", rgb, whole | {"tile": (16, 16), "compression": "zlib", "predictor": True}),
        ("tiled-16", deep[..., :3], whole | {"tile": (32, 32)}),
        ("big", rgb, whole | {"bigtiff": True, "compression": "zlib"}),
        ("big-tiled", rgb, whole | {"bigtiff": True, "tile": (16, 32), "compression": "zlib"}),
        ("big-endian-strips", rgb, whole | {"byteorder": ">", "rowsperstrip": 5}),
        ("float", rgb.astype(np.float32) / 255, whole),
        ("16-alpha", deep, whole | {"extrasamples": ["unassalpha"]}),
        ("16-premultiplied", deep, whole | {"extrasamples": ["assocalpha"]}),
        ("white-is-zero-16", deep[..., 0], {"photometric": "miniswhite"}),
        ("planes", np.moveaxis(rgb, 2, 0), whole | {"planarconfig": "separate"}),
    ):
        target = io.BytesIO()
        tifffile.imwrite(target, array, **options)
        yield f"tiff/{kind}", target.getvalue()


def _others(kinds: dict[str, Image.Image], rgb: np.ndarray) -> Iterator[tuple[str, bytes]]:
    flipped = {"save_all": True, "append_images": [kinds["flipped"]]}
    yield "webp/lossy", _saved(kinds["rgb"], "WEBP", method=0)
    yield "webp/lossless", _saved(kinds["rgb"], "WEBP", lossless=True, method=0)
    yield "webp/alpha", _saved(kinds["rgba"], "WEBP", method=0)
    yield "webp/alpha-lossless", _saved(kinds["rgba"], "WEBP", lossless=True, method=0)
    yield "webp/metadata", _saved(kinds["rgb"], "WEBP", exif=_exif(), icc_profile=_profile(), xmp=XMP, method=0)
    yield "webp/animated", _saved(kinds["rgb"], "WEBP", **flipped)
    for name, kind, options in (
        ("420", "rgb", {}),
        ("444-alpha", "rgba", {"subsampling": "4:4:4"}),
        ("grey", "grey", {"subsampling": "4:0:0"}),
        ("metadata", "rgb", {"exif": _exif(), "icc_profile": _profile(), "xmp": XMP}),
        ("animated", "rgb", flipped),
        ("tiles", "rgb", {"tile_rows": 1, "tile_cols": 1}),
    ):
        yield f"avif/{name}", _saved(kinds[kind], "AVIF", speed=9, **options)
    deep = [cv2.IMWRITE_AVIF_DEPTH, 12, cv2.IMWRITE_AVIF_SPEED, 9]
    yield "avif/12-bit", cv2.imencode(".avif", rgb.astype(np.uint16) * 16, deep)[1].tobytes()
    yield "gif/still", _saved(kinds["palette"], "GIF")
    yield "gif/animated", _saved(kinds["palette"], "GIF", save_all=True, append_images=[kinds["palette"].rotate(180)])
    for kind in ("rgb", "rgba", "grey", "palette", "bitmap"):
        yield f"bmp/{kind}", _saved(kinds[kind], "BMP")
    yield "bmp/opencv", cv2.imencode(".bmp", rgb)[1].tobytes()
    for kind in ("rgb", "grey", "bitmap"):
        yield f"ppm/{kind}", _saved(kinds[kind], "PPM")
    ascii = [cv2.IMWRITE_PXM_BINARY, 0]
    yield "ppm/ascii", cv2.imencode(".ppm", rgb, ascii)[1].tobytes()
    yield "ppm/ascii-grey", cv2.imencode(".pgm", rgb[..., 0], ascii)[1].tobytes()
    yield "ppm/rgb-16", cv2.imencode(".ppm", rgb.astype(np.uint16) * 257)[1].tobytes()
    for kind in ("rgb", "rgba", "grey"):
        yield f"jp2/{kind}", _saved(kinds[kind], "JPEG2000")
    yield (
        "jp2/lossy-tiles",
        _saved(kinds["rgb"], "JPEG2000", irreversible=True, tile_size=(16, 16), quality_layers=[20, 5]),
    )
    yield "jp2/codestream", _saved(kinds["rgb"], "JPEG2000", no_jp2=True)
    yield "jp2/opencv-16", cv2.imencode(".jp2", rgb.astype(np.uint16) * 257)[1].tobytes()


def damaged(data: bytes, mutation: str, rng: random.Random) -> bytes:
    """A file with damage of one of the kinds `MUTATIONS`."""
    return _DAMAGE[mutation](data, rng)


def _truncated(data: bytes, rng: random.Random) -> bytes:
    # Half of them in the header, where every byte has a meaning.
    return data[: rng.randrange(min(len(data), 400) if rng.random() < 0.5 else len(data))]


def _flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    reach = rng.choice((64, 400, len(data)))
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        changed[rng.randrange(min(len(data), reach))] ^= 1 << rng.randrange(8)
    return _with_checksums(bytes(changed), rng)


def _edited(data: bytes, rng: random.Random) -> bytes:
    """One to three of the numbers by which a decoder measures the file, set to something that they should not be."""
    changed = bytearray(data)
    fields = list(_fields(data))
    for _ in range(rng.choice((1, 1, 2, 3))):
        at, size, order = rng.choice(fields)
        old = int.from_bytes(changed[at : at + size], order)
        most = (1 << 8 * size) - 1
        large = rng.choice((65500, 65535, 1 << 20, (1 << 31) - 1, 1 << 31, most, most - 1, most // 2))
        new = rng.choice((0, 1, old + 1, old - 1, old * 2, old // 2, old + 8, large, rng.randrange(most + 1)))
        changed[at : at + size] = (new & most).to_bytes(size, order)
    return _with_checksums(bytes(changed), rng)


_DAMAGE: dict[str, Callable[[bytes, random.Random], bytes]] = dict(
    zip(MUTATIONS, (_truncated, _flipped, _edited), strict=True)
)


def _fields(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """(offset, bytes, byte order) of lengths, counts, offsets and sides in an intact file."""
    if data[:4] == b"\x89PNG":
        yield from ((16, 4, "big"), (20, 4, "big"), (24, 1, "big"), (25, 1, "big"))
        yield from ((at - 4, 4, "big") for at in _found(data, b"IDAT", b"PLTE", b"tRNS", b"iCCP", b"eXIf", b"iTXt"))
    elif data[:2] == b"\xff\xd8":
        for marker in range(0xC0, 0xFF):
            for at in _found(data, bytes([0xFF, marker])):
                yield at + 2, 2, "big"
                if marker in (0xC0, 0xC1, 0xC2, 0xC9, 0xCA):
                    yield from ((at + 5, 2, "big"), (at + 7, 2, "big"), (at + 9, 1, "big"), (at + 11, 1, "big"))
    elif data[:4] == b"RIFF":
        yield from ((4, 4, "little"), (16, 4, "little"), (24, 2, "little"), (26, 2, "little"), (28, 2, "little"))
        yield from ((at + 4, 4, "little") for at in _found(data, b"VP8 ", b"VP8L", b"ALPH", b"EXIF", b"ICCP", b"ANMF"))
    elif data[:2] in (b"II", b"MM"):
        yield from _tiff_fields(data)
    elif data[4:8] in (b"ftyp", b"jP  ") or data[:2] == b"\xff\x4f":
        boxes = b"ftyp meta iloc iinf infe iprp ipco ipma mdat jp2h jp2c colr".split()
        yield from ((at - 4, 4, "big") for at in _found(data, *boxes))
        for at in _found(data, b"iloc"):
            yield from ((at + offset, 2, "big") for offset in range(4, 40, 2))
        for at in _found(data, b"ispe", b"ihdr"):
            yield from ((at + offset, 4, "big") for offset in (4, 8, 12))
        for at in _found(data, b"\xff\x51\x00"):  # SIZ
            yield from ((at + offset, 4, "big") for offset in range(6, 38, 4))
            yield from ((at + 2, 2, "big"), (at + 38, 2, "big"))
        for at in _found(data, b"\xff\x52\x00", b"\xff\x5c\x00", b"\xff\x90\x00"):  # COD, QCD, SOT
            yield from ((at + offset, 2, "big") for offset in (2, 4, 6, 8, 10))
    elif data[:2] == b"BM":
        yield from ((at, 4, "little") for at in (2, 10, 14, 18, 22, 28, 34, 46))
        yield from ((at, 2, "little") for at in (26, 28))
    elif data[:4] == b"GIF8":
        yield from ((at, 2, "little") for at in (6, 8, 10))
    else:  # portable anymaps: digits of the header
        yield from ((at, 1, "big") for at, byte in enumerate(data[:20]) if 48 <= byte < 58 and at)


def _found(data: bytes, *words: bytes) -> Iterator[int]:
    for word in words:
        at = data.find(word)
        while at >= 0 and at < len(data) - 40:
            yield at
            at = data.find(word, at + 1)


def _tiff_fields(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """The header, and every part of every entry of the first directory."""
    little, big = data[:2] == b"II", data[2:3] == b"+" or data[3:4] == b"+"
    order: Any = "little" if little else "big"
    word, sign = (8, "<" if little else ">") if big else (4, "<" if little else ">")
    first = struct.unpack_from(sign + ("Q" if big else "I"), data, 8 if big else 4)[0]
    count_size = 8 if big else 2
    yield (8 if big else 4), word, order
    yield first, count_size, order
    count = int.from_bytes(data[first : first + count_size], order)
    for at in range(first + count_size, first + count_size + count * (4 + 2 * word), 4 + 2 * word):
        yield from ((at, 2, order), (at + 2, 2, order), (at + 4, word, order), (at + 4 + word, word, order))
        yield at + 4 + word, 2, order  # where the value itself stands


def _with_checksums(data: bytes, rng: random.Random) -> bytes:
    """PNG files with the checksums of what they now hold, mostly: otherwise nothing would get past them."""
    if data[:4] != b"\x89PNG" or rng.random() < 0.2:
        return data
    changed, at = bytearray(data), 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4])
        end = at + 8 + length
        if end + 4 > len(data):
            break
        changed[end : end + 4] = zlib.crc32(data[at + 4 : end]).to_bytes(4)
        at = end + 4
    return bytes(changed)
