"""TIFF files: completeness, size, what OpenCV decodes wrongly, and metadata, which it neither reads nor writes there.

Sources: TIFF Revision 6.0 (Adobe 1992); XMP specification part 3 (tag 700); ICC.1:2022 annex B.4 (tag 34675).
"""

from airtool.images.container import CUT_SHORT, DAMAGED, Container, ContainerError, one_frame
from airtool.images.picture import Metadata
from airtool.images.tiff import (
    BYTE,
    UNDEFINED,
    Directory,
    Entry,
    Header,
    Order,
    Tree,
    all_integers,
    build_tree,
    integers,
    offset_bytes,
    put_integers,
    read_directory,
    read_header,
    read_tree,
    short,
)

WIDTH, HEIGHT, TILE_WIDTH, TILE_HEIGHT = 256, 257, 322, 323
COLOR_MAP = 320
SUBFILE_TYPE, BITS, PHOTOMETRIC, STRIP_OFFSETS, ORIENTATION = 254, 258, 262, 273, 274
SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS, PLANAR, TILE_OFFSETS, TILE_COUNTS = 277, 278, 279, 284, 324, 325
EXTRA_SAMPLES, SAMPLE_FORMAT, XMP, ICC = 338, 339, 700, 34675
SUB_DIRECTORIES, DNG_VERSION = 330, 50706
ASSOCIATED, UNASSOCIATED = 1, 2
"""Values of EXTRA_SAMPLES: colours stored multiplied by alpha, or not."""

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
"""Values of PHOTOMETRIC that OpenCV decodes."""

DEPTHS = {
    WHITE_IS_ZERO: (1, 8, 16),
    BLACK_IS_ZERO: (1, 8, 16),
    RGB: (8, 16),
    PALETTE: (1, 4, 8),
    CMYK: (8,),
    YCBCR: (8,),
}
"""Bits a sample that OpenCV decodes with each of them."""

UNSIGNED = 1
"""The value of SAMPLE_FORMAT for unsigned integers."""

ESSENTIAL = frozenset({*range(256, 267), *range(273, 285), *range(317, 326), 301, 338, 339, 347, *range(529, 533)})
"""Tags without which the pixels become others: sides, layout, colours, tables."""

MAX_TILE = 1 << 22
"""Most pixels of a tile, unless the picture itself has more; encoders make tiles of 128 to 1024 pixels a side."""

MAX_DIRECTORIES = 500
"""Most directories that are followed: each of a file's bytes can be the start of one."""

DESCRIPTIVE = frozenset(
    {269, 270, 271, 272, ORIENTATION, 282, 283, 296, 305, 306, 315, 316, 18246, 33432, 33723, *range(40091, 40096)}
)
"""Tags of the first directory that describe the picture rather than its layout: document, camera, resolution, software,
time, artist, rating, copyright, IPTC, and the titles of Windows. The orientation is among them, as one that is said
to be upright keeps readers from going by an older one in XMP."""


def inspect(data: bytes) -> Container:
    """Check a TIFF file, collect its metadata, and mend what OpenCV would decode wrongly.

    Mended by changing tags in a copy: OpenCV applies the orientation only to some layouts, so it gets none to apply;
    it multiplies unassociated 8-bit alpha into the colours, so it is told that this has been done; it inverts
    white-is-zero only with 8 bits. Raises ContainerError for files that are cut short or damaged, of several pages, and
    of samples or colours that cannot be carried through.
    """
    try:
        header = read_header(data)
        first = read_directory(data, header, header.first)
    except ValueError:
        raise ContainerError(CUT_SHORT) from None
    if first.lost & ESSENTIAL:
        raise ContainerError(CUT_SHORT)
    _check_whole(data, first, header.order)
    one_frame(_pages(data, header, first), "pages")
    order = header.order

    def value(tag: int, *default: int) -> tuple[int, ...]:
        return integers(first.entries.get(tag), order, default)

    width, height = value(WIDTH, 0)[0], value(HEIGHT, 0)[0]
    planes = value(SAMPLES, 1)[0] if value(PLANAR, 1)[0] != 1 else 1
    if TILE_OFFSETS in first.entries:
        across, down = value(TILE_WIDTH, 0)[0], value(TILE_HEIGHT, 0)[0]
        tiles = planes * _times(width, across) * _times(height, down)
        _check_pieces(data, first, order, (TILE_OFFSETS, TILE_COUNTS), tiles)
        if across * down > max(MAX_TILE, 2 * width * height):
            raise ContainerError(DAMAGED)
    else:
        rows = value(ROWS_PER_STRIP, height)[0]
        _check_pieces(data, first, order, (STRIP_OFFSETS, STRIP_COUNTS), planes * _times(height, rows))
    bits, samples, extra = max(value(BITS, 1)), value(SAMPLES, 1)[0], value(EXTRA_SAMPLES)
    photometric = (value(PHOTOMETRIC) or (BLACK_IS_ZERO,))[0]
    _check_layout(bits, samples, photometric, value(SAMPLE_FORMAT, UNSIGNED), value(PLANAR, 1)[0])
    if photometric == PALETTE:
        colours = first.entries.get(COLOR_MAP)
        if colours is None or colours.count != 3 << bits:  # OpenCV would make do with grey
            raise ContainerError(DAMAGED)
    changes = {ORIENTATION: 1} if ORIENTATION in first.entries else {}
    inverted = photometric == WHITE_IS_ZERO and bits == 16
    if inverted:
        changes[PHOTOMETRIC] = BLACK_IS_ZERO
    if extra == (UNASSOCIATED,):
        changes[EXTRA_SAMPLES] = ASSOCIATED
    pixels = data
    if changes:
        changed = bytearray(data)
        for tag, new in changes.items():
            entry = first.entries[tag]
            if len(integers(entry, order)) == 1:
                put_integers(changed, entry, order, [new])
        pixels = bytes(changed)
    turn = value(ORIENTATION, 1)
    return Container(
        pixels,
        (width, height),
        Metadata(_exif(data, header, first), _raw(first, ICC), _raw(first, XMP)),
        orientation=turn[0] if len(turn) == 1 and 1 <= turn[0] <= 8 else 1,
        inverted=inverted,
        opaque=photometric == CMYK,
        premultiplied=extra == (ASSOCIATED,) and samples == 4,
        lost=("CMYK becomes RGB",) if photometric == CMYK else (),
    )


def _check_whole(data: bytes, first: Directory, order: Order) -> None:
    """Refuse files whose first picture is a preview, as in raw files of most cameras: OpenCV would give that.

    A lone picture that is marked as a reduced copy is all that there is, and read.
    """
    reduced = integers(first.entries.get(SUBFILE_TYPE), order, (0,))[0] & 1
    raw = DNG_VERSION in first.entries or data[8:10] == b"CR"  # Adobe's DNG; Canon's CR2
    if raw or (reduced and (first.next or SUB_DIRECTORIES in first.entries)):
        raise ContainerError(
            "is a raw file, or begins with a small preview as these do, and airtool does not read it: develop it to "
            "TIFF first"
        )


def _times(length: int, step: int) -> int:
    """How many steps it takes to cover a length. Raises ContainerError for none that could."""
    if step < 1:
        raise ContainerError(DAMAGED)
    return -(-length // step)


def _check_pieces(data: bytes, first: Directory, order: Order, tags: tuple[int, int], expected: int) -> None:
    """Refuse strips or tiles that are not all there.

    Where their number is not the one that follows from the size, the decoder guesses where they lie, and what it does
    not find it leaves as it happened to be in memory.
    """
    entries = [first.entries.get(tag) for tag in tags]
    if any(entry is None or entry.count != expected for entry in entries):
        raise ContainerError(DAMAGED)
    places = zip(*(all_integers(entry, order) for entry in entries), strict=False)
    if any(start + size > len(data) for start, size in places):
        raise ContainerError(CUT_SHORT)


def _check_layout(bits: int, samples: int, photometric: int, formats: tuple[int, ...], planar: int) -> None:
    """Refuse what OpenCV would misread or return without a part of it."""
    reason = None
    if any(kind != UNSIGNED for kind in formats):
        reason = "its samples are not integers of 8 or 16 bits"
    elif photometric not in DEPTHS:
        reason = "its colour space is neither grey, RGB, YCbCr nor CMYK"
    elif photometric == CMYK and (bits != 8 or samples != 4):
        reason = "CMYK is read with 8 bits and without alpha only"
    elif bits not in DEPTHS[photometric]:
        reason = f"it has {bits} bits a sample"
    elif photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO, PALETTE) and samples > 1:
        reason = "it has grey or palette colours together with alpha"
    elif photometric in (RGB, YCBCR) and samples not in (3, 4):
        reason = f"it has {samples} channels"
    elif planar != 1 and samples > 1 and bits != 8:
        reason = "it stores its channels one after another with 16 bits"
    if reason:
        raise ContainerError(f"is a kind of TIFF that airtool does not read ({reason}): convert it to RGB or to PNG")


def _pages(data: bytes, header: Header, first: Directory) -> int:
    """How many pictures the file holds, reduced copies and masks not counted."""
    count, seen, directory = 1, {header.first}, first
    while directory.next and directory.next not in seen:
        seen.add(directory.next)
        if len(seen) > MAX_DIRECTORIES:
            one_frame(MAX_DIRECTORIES, "pages or more")
        try:
            directory = read_directory(data, header, directory.next, only=frozenset({SUBFILE_TYPE}))
        except ValueError:
            raise ContainerError(DAMAGED) from None
        count += not integers(directory.entries.get(SUBFILE_TYPE), header.order, (0,))[0] & 0b101
    return count


def _raw(directory: Directory, tag: int) -> bytes | None:
    entry = directory.entries.get(tag)
    return entry.value if entry is not None and entry.value else None


def _exif(data: bytes, header: Header, first: Directory) -> bytes | None:
    """The descriptive entries and the Exif and GPS directories as an EXIF block, None without any."""
    tree = read_tree(data, header, first, DESCRIPTIVE, header.order)
    if not tree.entries and not tree.children:
        return None
    start = b"II*\0" if header.order == "<" else b"MM\0*"
    return start + offset_bytes(8, header.order) + build_tree(tree, header.order, 8)


def embed(data: bytes, metadata: Metadata, alpha: bool) -> bytes:
    """A classic TIFF file with `metadata` and, with `alpha`, its fourth channel declared as unassociated alpha.

    The first directory is written anew behind the rest of the file; pixels stay where they are. Maker notes move, so
    that offsets inside them, which no standard describes, may no longer lead anywhere.
    """
    header = read_header(data)
    order = header.order
    entries = dict(read_directory(data, header, header.first).entries)
    children: dict[int, Tree] = {}
    if metadata.exif is not None:
        block = read_header(metadata.exif)
        directory = read_directory(metadata.exif, block, block.first)
        tree = read_tree(metadata.exif, block, directory, DESCRIPTIVE, order)
        entries |= {entry.tag: entry for entry in tree.entries}
        children = tree.children
    for tag, kind, value in ((XMP, BYTE, metadata.xmp), (ICC, UNDEFINED, metadata.icc)):
        if value is not None:
            entries[tag] = Entry(tag, kind, len(value), value)
    if alpha:
        entries[EXTRA_SAMPLES] = short(EXTRA_SAMPLES, order, UNASSOCIATED)
    data += bytes(len(data) % 2)
    built = build_tree(Tree(tuple(entries.values()), children), order, len(data))
    return data[:4] + offset_bytes(len(data), order) + data[8:] + built
