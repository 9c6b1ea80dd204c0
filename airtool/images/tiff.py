"""The TIFF structure, in which both TIFF files and EXIF blocks are written: a header and directories of tagged entries.

Source: TIFF Revision 6.0, Adobe 1992, section 2; BigTIFF as documented with libtiff 4. Reading only trusts what lies
inside the data: everything else raises ValueError.
"""

import contextlib
import struct
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Order = Literal["<", ">"]
"""Little-endian ("II") or big-endian ("MM"), as `struct` writes it."""

UNIT = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 1, 7: 1, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes that change places together when the byte order changes, by field type."""

SIZE = UNIT | {5: 8, 10: 8}
"""Bytes a value, by field type; rationals are two numbers."""

WORDS = {array(code).itemsize: code for code in "HIQ"}
"""Type code of `array` by the number of bytes."""

BYTE, SHORT, LONG, UNDEFINED = 1, 3, 4, 7
LAST_CLASSIC = 13
"""The last field type that files other than BigTIFF have."""

EXIF, GPS, INTEROP = 0x8769, 0x8825, 0xA005
CHILD_TAGS = frozenset({EXIF, GPS, INTEROP})
"""Tags that point to a directory of metadata; the third is found in the first."""

INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
"""Field types that hold unsigned integers, as `struct` writes them."""

MAX_ENTRIES = 4096
"""Most entries believed of one directory; real ones have fewer than a hundred."""

MAX_VALUES = 64
"""Most values of an entry that `integers` gives; what is of interest has a few."""


@dataclass(frozen=True)
class Entry:
    """One tagged entry of a directory."""

    tag: int
    type: int
    count: int
    value: bytes
    """The values in the byte order of the file."""
    position: int = 0
    """Where `value` starts in the file."""


@dataclass(frozen=True)
class Header:
    """How a file is written."""

    order: Order
    big: bool
    """BigTIFF: counts and offsets of 8 bytes."""
    first: int
    """Where the first directory starts."""


@dataclass(frozen=True)
class Directory:
    """One directory (IFD) of a file."""

    entries: dict[int, Entry]
    """By tag; of entries with one tag the first counts."""
    next: int
    """Where the next directory starts, 0 for none."""
    next_position: int
    """Where `next` is written."""
    lost: frozenset[int] = frozenset()
    """Tags of entries that were left out."""


@dataclass(frozen=True)
class Tree:
    """A directory of metadata that is free of positions, with the directories below it by the tag that points there."""

    entries: tuple[Entry, ...]
    children: dict[int, "Tree"]


def read_header(data: bytes) -> Header:
    """The header. Raises ValueError when `data` does not start with one."""
    order: Order = "<" if data[:2] == b"II" else ">"
    if data[:4] in (b"II*\0", b"MM\0*") and len(data) >= 8:
        return Header(order, False, struct.unpack_from(order + "I", data, 4)[0])
    if data[:4] in (b"II+\0", b"MM\0+") and len(data) >= 16:
        return Header(order, True, struct.unpack_from(order + "Q", data, 8)[0])
    raise ValueError("no TIFF header")


def read_directory(data: bytes, header: Header, offset: int, only: frozenset[int] | None = None) -> Directory:
    """The directory at `offset`, less entries of unknown type or with values outside the data.

    only: the tags to take, None for all. Raises ValueError when the directory itself is not inside the data, or its
    values together are larger than that: each of thousands of entries can name the whole file as its value.
    """
    head, entry, word = ("Q", "HHQ", "Q") if header.big else ("H", "HHI", "I")
    head, entry, word = header.order + head, header.order + entry, header.order + word
    inline = struct.calcsize(word)
    step = struct.calcsize(entry) + inline
    try:
        if offset > len(data):  # or more than `struct` can count to
            raise struct.error
        (count,) = struct.unpack_from(head, data, offset)
        start = offset + struct.calcsize(head)
        if count > MAX_ENTRIES:
            raise ValueError("a directory of absurd length")
        (following,) = struct.unpack_from(word, data, start + count * step)
    except struct.error:
        raise ValueError("a directory outside the file") from None
    entries: dict[int, Entry] = {}
    lost: set[int] = set()
    total = 0
    for at in range(start, start + count * step, step):
        tag, kind, values = struct.unpack_from(entry, data, at)
        if only is not None and tag not in only:
            continue
        size = SIZE.get(kind, 0) * values
        position = at + struct.calcsize(entry)
        if size > inline:
            (position,) = struct.unpack_from(word, data, position)
        if kind in SIZE and position + size <= len(data) and tag not in entries:
            total += size
            if total > 2 * len(data):  # small values are shared now and then
                raise ValueError("a directory of absurd size")
            entries[tag] = Entry(tag, kind, values, data[position : position + size], position)
        elif tag not in entries:
            lost.add(tag)
    return Directory(entries, following, start + count * step, frozenset(lost))


def integers(entry: Entry | None, order: Order, default: tuple[int, ...] = ()) -> tuple[int, ...]:
    """The first `MAX_VALUES` values of an entry of unsigned integers; `default` where it is missing, empty or holds
    something else."""
    if entry is None or entry.type not in INTEGERS:
        return default
    return struct.unpack_from(f"{order}{min(entry.count, MAX_VALUES)}{INTEGERS[entry.type]}", entry.value) or default


def all_integers(entry: Entry | None, order: Order) -> Iterator[int]:
    """All values of an entry of unsigned integers, one at a time: there may be millions."""
    if entry is not None and entry.type in INTEGERS:
        yield from (value for (value,) in struct.iter_unpack(order + INTEGERS[entry.type], entry.value))


def put_integers(data: bytearray, entry: Entry, order: Order, values: Sequence[int]) -> None:
    """Overwrite the values of an integer entry in place. Raises ValueError when they do not fit."""
    try:
        struct.pack_into(f"{order}{entry.count}{INTEGERS[entry.type]}", data, entry.position, *values)
    except (struct.error, KeyError):
        raise ValueError(f"tag {entry.tag} cannot hold {values}") from None


def short(tag: int, order: Order, *values: int) -> Entry:
    """A new entry of 16-bit integers."""
    return Entry(tag, SHORT, len(values), struct.pack(f"{order}{len(values)}H", *values))


def read_tree(data: bytes, header: Header, directory: Directory, wanted: frozenset[int] | None, order: Order) -> Tree:
    """A directory with the metadata directories below it, its values in the byte order `order`.

    wanted: tags to take from this directory, None for all; those of child directories always come whole. Children that
    cannot be read are left out, and so are entries that only BigTIFF has.
    """
    children = {}
    for tag in CHILD_TAGS & directory.entries.keys():
        for offset in integers(directory.entries[tag], header.order)[:1]:
            with contextlib.suppress(ValueError):
                child = read_directory(data, header, offset)
                # Only interoperability lies a level deeper; following nothing else also ends loops.
                deeper = {INTEROP} if tag == EXIF else set()
                entries = {t: e for t, e in child.entries.items() if t not in CHILD_TAGS or t in deeper}
                children[tag] = read_tree(data, header, replace(child, entries=entries), None, order)
    own = (entry for tag, entry in directory.entries.items() if tag not in CHILD_TAGS and entry.type <= LAST_CLASSIC)
    chosen = (entry for entry in own if wanted is None or entry.tag in wanted)
    return Tree(tuple(_reordered(entry, header.order, order) for entry in chosen), children)


def build_tree(tree: Tree, order: Order, offset: int) -> bytes:
    """Bytes of a directory (classic TIFF, no next one) that will stand at `offset`, its values and children after it.

    `tree` has its values in `order`. Raises ValueError when the result would reach past 4 GiB.
    """
    pointers = [Entry(tag, LONG, 1, bytes(4)) for tag in tree.children]
    table = sorted((*tree.entries, *pointers), key=lambda entry: entry.tag)
    at = offset + 2 + 12 * len(table) + 4
    rows, rest = [struct.pack(order + "H", len(table))], []
    for entry in table:
        if entry.tag in tree.children:
            block = build_tree(tree.children[entry.tag], order, at)
            field = offset_bytes(at, order)
        elif len(entry.value) > 4:
            block, field = entry.value, offset_bytes(at, order)
        else:
            block, field = b"", entry.value.ljust(4, b"\0")
        rows.append(struct.pack(order + "HHI", entry.tag, entry.type, entry.count) + field)
        block += bytes(len(block) % 2)  # values start at even offsets
        rest.append(block)
        at += len(block)
    return b"".join((*rows, bytes(4), *rest))


def offset_bytes(at: int, order: Order) -> bytes:
    """An offset as a classic TIFF file holds it. Raises ValueError past 4 GiB."""
    if at >= 1 << 32:
        raise ValueError("a TIFF file ends at 4 GiB")
    return struct.pack(order + "I", at)


def _reordered(entry: Entry, old: Order, new: Order) -> Entry:
    """The entry with its value in another byte order."""
    unit = UNIT[entry.type]
    if old == new or unit == 1:
        return entry
    values = array(WORDS[unit], entry.value)
    values.byteswap()
    return replace(entry, value=values.tobytes())
