"""The picture formats that airtool reads and writes: names, suffixes and what each can carry."""

from dataclasses import dataclass
from pathlib import PurePath

from airtool.errors import UsageError


@dataclass(frozen=True)
class Format:
    """What one file format can carry."""

    name: str
    suffixes: tuple[str, ...]
    """Lower case, with the dot; the first is the one that new files get."""
    alpha: bool
    sixteen_bit: bool
    lossy: bool
    """Whether the pixels change on the way to the file at the default settings."""
    metadata: frozenset[str]
    """Which of "exif", "icc", "xmp" survive."""
    grey: bool = True
    """Whether it stores a picture of one channel."""
    writable: bool = True
    optional: bool = False
    """Whether some builds of OpenCV lack its encoder."""


ALL_METADATA = frozenset({"exif", "icc", "xmp"})
NO_METADATA: frozenset[str] = frozenset()

FORMATS: dict[str, Format] = {
    entry.name: entry
    for entry in (
        Format("jpeg", (".jpg", ".jpeg", ".jpe", ".jfif"), False, False, True, ALL_METADATA),
        Format("png", (".png",), True, True, False, ALL_METADATA),
        Format("webp", (".webp",), True, False, True, ALL_METADATA, grey=False),
        Format("tiff", (".tif", ".tiff"), True, True, False, ALL_METADATA),
        Format("avif", (".avif",), True, True, True, ALL_METADATA, optional=True),
        Format("bmp", (".bmp", ".dib"), True, False, False, NO_METADATA),
        Format("ppm", (".ppm", ".pgm", ".pbm", ".pnm"), False, True, False, NO_METADATA),
        Format("jp2", (".jp2", ".j2k"), True, True, False, NO_METADATA, writable=False),
    )
}

SUFFIXES: dict[str, str] = {suffix: entry.name for entry in FORMATS.values() for suffix in entry.suffixes}
"""Format name of every suffix that marks a picture."""

STAND_IN = "png"
"""What pictures become whose own format cannot be written: it keeps all that they may hold."""

RAW = frozenset({
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos", ".mrw",
    ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
})  # fmt: skip
"""Suffixes of what cameras store unprocessed."""

OTHERS = RAW | {
    ".exr", ".gif", ".hdr", ".heic", ".heif", ".hif", ".ico", ".jxl", ".psb", ".psd", ".svg", ".tga", ".xcf",
}  # fmt: skip
"""Suffixes that mark a picture in a format that airtool neither reads nor writes."""

USUAL = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".avif")
"""Suffixes that people type by hand."""

ALIASES = {"jpg": "jpeg", "tif": "tiff", "pgm": "ppm", "pbm": "ppm", "pnm": "ppm"}
"""What else people type for `--format`."""

MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"II*\0", "tiff"),
    (0, b"MM\0*", "tiff"),
    (0, b"II+\0", "tiff"),
    (0, b"MM\0+", "tiff"),
    (0, b"BM", "bmp"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "jp2"),
    (0, b"\xff\x4f\xff\x51", "jp2"),
)
"""(offset, bytes there, format name) by which a file is told, whatever it is called. OpenCV tells them in its own way,
so that each is told from the first byte on: nothing that passes here for one format is another one there."""

UNREADABLE: tuple[tuple[int, bytes, str], ...] = (
    (0, b"GIF8", "GIF"),
    (4, b"ftypheic", "HEIC"),
    (4, b"ftypheix", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"8BPS", "Photoshop"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"%PDF", "PDF"),
)
"""The same for well-known formats that airtool does not read, to say so by name."""


def by_suffix(name: str | PurePath) -> str | None:
    """The format that a file name announces, or None for a suffix that marks no picture."""
    return SUFFIXES.get(PurePath(name).suffix.lower())


def by_other_suffix(name: str | PurePath) -> str | None:
    """The suffix, in lower case, of a file name that announces one of `OTHERS`, or None."""
    suffix = PurePath(name).suffix.lower()
    return suffix if suffix in OTHERS else None


def mistyped(name: str | PurePath) -> bool:
    """Whether the suffix of a file name is one of `USUAL` with a slip of the keyboard.

    Two letters swapped, one doubled, or an inner one left out, as in "jgp", "pngg" and "wbp". Other letters in place of
    the right ones do not count: "diff" and "pkg" are names of folders too.
    """
    suffix = PurePath(name).suffix.lower()
    return suffix not in SUFFIXES and any(suffix in _slips(usual) for usual in USUAL)


def by_magic(data: bytes) -> str | None:
    """The format of a file by its first bytes, or None when it is none of `FORMATS`."""
    # Portable anymaps: "P1" to "P6" and then white space or a comment, so that text starting with P5 rarely passes.
    if len(data) > 2 and data[:1] == b"P" and data[1:2] in b"123456" and data[2:3] in b" \t\r\n#":
        return "ppm"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    # Before the letters stands the length of the box, less than 64 KiB.
    if data[:2] == b"\0\0" and data[4:12] in (b"ftypavif", b"ftypavis"):
        return "avif"
    return _match(MAGIC, data)


def unreadable(data: bytes) -> str | None:
    """The name of a well-known format that airtool does not read, or None."""
    return _match(UNREADABLE, data)


def parse_format(text: str) -> str:
    """The format name for what a user typed: "PNG", "jpg", ".tif".

    Raises UsageError for anything else, and for formats that are only read.
    """
    name = text.strip().lower().removeprefix(".")
    name = ALIASES.get(name, name)
    if name not in FORMATS or not FORMATS[name].writable:
        raise UsageError(f"--format {text!r} is not a format airtool writes: choose one of {', '.join(writable())}")
    return name


def writable() -> tuple[str, ...]:
    """Names of all formats that airtool writes."""
    return tuple(entry.name for entry in FORMATS.values() if entry.writable)


def missing_encoder(name: str) -> str | None:
    """Why a format of `FORMATS` cannot be written, or None when it can.

    OpenCV is asked, and therefore imported (0.3 s), only for formats that some of its builds lack.
    """
    entry = FORMATS[name]
    if not entry.writable:
        return f"{name.upper()} pictures can be read but not written"
    if entry.optional:
        from airtool.images.opencv import cv2

        if not cv2.haveImageWriter("x" + entry.suffixes[0]):
            return f"the installed OpenCV cannot write {name.upper()}"
    return None


def written_as(name: str) -> tuple[str, tuple[str, ...]]:
    """The format in which a picture is written unless another is asked for, and what to say where it is not its own.

    name: its own, in `FORMATS`.
    """
    if missing_encoder(name) is None:
        return name, ()
    return STAND_IN, (f"{name.upper()} cannot be written and becomes {STAND_IN.upper()}",)


def _slips(suffix: str) -> set[str]:
    """What a suffix becomes by one slip. The first character, the dot, stays."""
    swapped = {suffix[:i] + suffix[i + 1] + suffix[i] + suffix[i + 2 :] for i in range(1, len(suffix) - 1)}
    doubled = {suffix[:i] + suffix[i] + suffix[i:] for i in range(1, len(suffix))}
    # Of three letters too little would stay.
    shortened = {suffix[:i] + suffix[i + 1 :] for i in range(2, len(suffix) - 1)} if len(suffix) > 4 else set()
    return swapped | doubled | shortened


def _match(table: tuple[tuple[int, bytes, str], ...], data: bytes) -> str | None:
    return next((name for offset, magic, name in table if data[offset : offset + len(magic)] == magic), None)
