"""AV1 streams inside AVIF files: how large their frames are, whatever the container says. Source: AV1 Bitstream and
Decoding Process Specification, sections 5.3 (OBU header), 5.5 (sequence header) and 4.10.5 (leb128)."""

from airtool.images.container import DAMAGED, ContainerError

SEQUENCE_HEADER = 1
"""Type of the unit (OBU) that has the sides."""


MAX_UNITS = 20_000
"""Most units of all streams of a file; a still picture has three, and a few more for each tile."""


class Frames:
    """The frames that the streams of a file announce."""

    largest = (0, 0)
    """(width, height) of the largest one. Decoders take memory for it, whatever the container says."""
    _units = 0

    def look_at(self, stream: bytes) -> None:
        """Find the sides in one more stream. Raises ContainerError for absurdly many units."""
        at = 0
        while at < len(stream):
            self._units += 1
            if self._units > MAX_UNITS:
                raise ContainerError(DAMAGED)
            head = stream[at]
            at += 2 if head & 4 else 1  # with an extension
            length = len(stream) - at
            if head & 2:
                length, at = _leb128(stream, at)
            if head >> 3 & 15 == SEQUENCE_HEADER:
                size = _sequence_size(_Bits(stream[at : at + min(length, 256)]))
                self.largest = max(self.largest, size, key=lambda sides: sides[0] * sides[1])
            at += length


def _leb128(stream: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(8):
        byte = stream[at] if at < len(stream) else 0
        value |= (byte & 127) << 7 * index
        at += 1
        if byte < 128:
            break
    return value, at


def _sequence_size(bits: "_Bits") -> tuple[int, int]:
    """The sides in a sequence header, of which they are the first part that matters."""
    bits.take(4)  # profile, still picture
    if bits.take(1):  # reduced header
        bits.take(5)
    else:
        _skip_to_sides(bits)
    wide, high = bits.take(4) + 1, bits.take(4) + 1
    return bits.take(wide) + 1, bits.take(high) + 1


def _skip_to_sides(bits: "_Bits") -> None:
    delay = 0
    if bits.take(1):  # timing
        bits.take(64)
        if bits.take(1):  # a variable length code: zeros, one, as many bits
            zeros = 0
            while zeros < 32 and not bits.take(1):
                zeros += 1
            bits.take(zeros)
        if bits.take(1):  # decoder model
            delay = bits.take(5) + 1
            bits.take(42)
    display = bits.take(1)
    for _ in range(bits.take(5) + 1):  # operating points
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        if delay and bits.take(1):
            bits.take(2 * delay + 1)
        if display and bits.take(1):
            bits.take(4)


class _Bits:
    """Bits, the highest first; zeros behind the end."""

    def __init__(self, data: bytes) -> None:
        self.value, self.left = int.from_bytes(data), 8 * len(data)

    def take(self, count: int) -> int:
        self.left -= count
        shifted = self.value >> self.left if self.left >= 0 else self.value << -self.left
        return shifted & ((1 << count) - 1)
