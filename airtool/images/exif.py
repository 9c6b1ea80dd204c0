"""EXIF blocks: the orientation, and what must change in a block when its picture is turned or restored.

Source: Exif 2.32 (CIPA DC-008-2019): tags 0x0112 (orientation), 0x011A and 0x011B (resolution), 0xA002 and 0xA003
(pixel dimensions).
"""

from airtool.images.tiff import EXIF, Directory, Header, integers, put_integers, read_directory, read_header

ORIENTATION = 0x0112
ACROSS, DOWN = 0x011A, 0x011B
WIDTH, HEIGHT = 0xA002, 0xA003
MARKER = b"Exif\0\0"
"""What JPEG, and some writers of other formats, put in front of a block."""


def parse(block: bytes | None) -> bytes | None:
    """A block as `Metadata.exif` holds it: no marker before it, and its first directory readable; None otherwise."""
    if block is None:
        return None
    block = block.removeprefix(MARKER)
    try:
        _first_directory(block)
    except ValueError:
        return None
    return block


def orientation(block: bytes) -> int:
    """The orientation, 1 to 8; 1 where the block has none, or one out of range. `block` as `parse` returns it."""
    header, first = _first_directory(block)
    values = integers(first.entries.get(ORIENTATION), header.order, (1,))
    return values[0] if len(values) == 1 and 1 <= values[0] <= 8 else 1


def has_resolution(block: bytes | None) -> bool:
    """Whether the block says how many pixels an inch has. `block` as `parse` returns it."""
    return block is not None and ACROSS in _first_directory(block)[1].entries


def upright(block: bytes, width: int, height: int) -> bytes:
    """The block for a picture of width x height pixels whose orientation has been applied.

    In place, so that offsets inside maker notes stay right: the orientation becomes 1, the pixel dimensions (where
    present) become the given ones, resolutions change places where the sides do, and the link to the thumbnail, which
    shows the picture as it was, is cut.
    `block` as `parse` returns it.
    """
    header, first = _first_directory(block)
    changed = bytearray(block)
    across, down = first.entries.get(ACROSS), first.entries.get(DOWN)
    if orientation(block) >= 5 and across and down and (across.type, across.count) == (down.type, down.count):
        for one, other in ((across, down), (down, across)):
            changed[one.position : one.position + len(one.value)] = other.value
    _put(changed, header, first, ORIENTATION, 1)
    changed[first.next_position : first.next_position + 4] = b"\0\0\0\0"
    for offset in integers(first.entries.get(EXIF), header.order)[:1]:
        try:
            details = read_directory(block, header, offset)
        except ValueError:
            continue  # a damaged part that nobody can read either before or after
        _put(changed, header, details, WIDTH, width)
        _put(changed, header, details, HEIGHT, height)
    return bytes(changed)


def _first_directory(block: bytes) -> tuple[Header, Directory]:
    header = read_header(block)
    if header.big:
        raise ValueError("EXIF blocks are never BigTIFF")
    return header, read_directory(block, header, header.first)


def _put(data: bytearray, header: Header, directory: Directory, tag: int, value: int) -> None:
    """Overwrite a single integer where the directory has it and it fits."""
    entry = directory.entries.get(tag)
    if entry is not None and len(integers(entry, header.order)) == 1 and value < 1 << (8 * len(entry.value)):
        put_integers(data, entry, header.order, [value])
