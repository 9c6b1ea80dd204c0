"""Items of an ISO base media file, of which AVIF files consist: what they are and where their bytes lie.

Source: ISO/IEC 14496-12, sections 8.11.3 (iloc), 8.11.4 (pitm), 8.11.6 (iinf). All of it is read with limits: pieces of
items may overlap, so that a small file can describe any number of huge ones.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from airtool.images.boxes import boxes
from airtool.images.container import DAMAGED, ContainerError

MAX_ITEMS = 1 << 16
"""Most items of a file, and most pieces of all its items together."""


class Reader:
    """Big-endian integers, one after another. Raises IndexError behind the end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> int:
        """The next integer, of so many bytes."""
        end = self.at + size
        if end > len(self.data):
            raise IndexError
        value = int.from_bytes(self.data[self.at : end])
        self.at = end
        return value


@dataclass(frozen=True)
class Item:
    """What a file says an item is."""

    number: int
    kind: bytes
    """Four letters: "av01", "grid", "Exif", "mime"..."""
    content_type: bytes
    """For "mime" items: "application/rdf+xml"..."""


def items(iinf: bytes) -> Iterator[Item]:
    """The items that an item information box lists."""
    for box in boxes(iinf[6 if iinf[:1] == b"\0" else 8 :]):
        version = box.body[0] if box.body else 0
        width = 2 if version == 2 else 4
        # version and flags, item number, protection, type, name, 0, content type, 0
        number, rest = int.from_bytes(box.body[4 : 4 + width]), box.body[4 + width + 2 :]
        if version >= 2:
            yield Item(number, rest[:4], b"".join(rest[4:].split(b"\0", 2)[1:2]))


def renamed(data: bytes, iinf: bytes, kinds: Collection[bytes]) -> bytes:
    """A file in which decoders do not know any more what the items of some kinds are. Nothing else in it moves.

    iinf: the body of its item information box.
    """
    head = 6 if iinf[:1] == b"\0" else 8
    veiled, at = bytearray(iinf), head
    for box in boxes(iinf[head:]):
        at = iinf.index(box.body, at)
        kind = at + (8 if box.body[:1] == b"\2" else 10)  # behind version and flags, item number, protection
        if box.body[kind - at : kind - at + 4] in kinds:
            veiled[kind : kind + 4] = b"skip"
        at += len(box.body)
    return data if veiled == iinf else data.replace(iinf, veiled, 1)


class Contents:
    """The bytes of items. Raises ContainerError for more than a real file describes.

    data: the whole file. meta: the bodies of the boxes in its metadata box.
    """

    def __init__(self, data: bytes, meta: Mapping[bytes, bytes]) -> None:
        self._pools = {0: data, 1: meta.get(b"idat", b"")}
        self._left = 2 * len(data)
        self._places = dict(_places(meta.get(b"iloc", b"")))

    def of(self, number: int) -> bytes:
        """The bytes of an item; none where the file does not have it."""
        method, extents = self._places.get(number, (0, []))
        pool = self._pools.get(method, b"")
        pieces = [pool[start : start + size] for start, size in self._affordable(extents)]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _affordable(self, extents: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        for start, size in extents:
            size = size or len(self._pools[0])  # none given: up to the end
            self._left -= min(size, max(0, len(self._pools[0]) - start))
            if self._left < 0:
                raise ContainerError(DAMAGED)
            yield start, size


def _places(iloc: bytes) -> Iterator[tuple[int, tuple[int, list[tuple[int, int]]]]]:
    """For each item in an item location box its method (0: in the file, 1: in the item data box) and its pieces."""
    if not iloc:
        return
    reader = Reader(iloc)
    version, _, sizes, more = reader.take(1), reader.take(3), reader.take(1), reader.take(1)
    offset_size, length_size, base_size, index_size = sizes >> 4, sizes & 15, more >> 4, more & 15 if version else 0
    pieces = 0
    for _ in range(reader.take(2 if version < 2 else 4)):
        number = reader.take(2 if version < 2 else 4)
        method = reader.take(2) & 15 if version else 0
        reader.take(2)
        base = reader.take(base_size)
        extents = []
        count = reader.take(2)
        pieces += 1 + count
        if pieces > 2 * MAX_ITEMS:
            raise ContainerError(DAMAGED)
        for _ in range(count):
            reader.take(index_size)
            start = base + reader.take(offset_size)
            extents.append((start, reader.take(length_size)))
        yield number, (method, extents)
