"""How a run opens its pictures: within which limits, and in which process."""

from typing import BinaryIO

from airtool.images.decode import decode, load
from airtool.images.limits import MAX_PIXELS, largest_file
from airtool.images.picture import Picture
from airtool.images.remote import Place


class Reader:
    """Opens pictures of at most `max_pixels` pixels, in this process. Threads may share one; a context manager."""

    def __init__(self, max_pixels: int = MAX_PIXELS) -> None:
        self.max_pixels = max_pixels

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def load(self, path: Place) -> bytes:
        """The bytes of a file, here or in a store. Raises PictureError as `airtool.images.decode.load`."""
        return load(path, self.max_pixels)

    def load_stream(self, file: BinaryIO) -> bytes:
        """What is left of a stream that may be endless, cut off where `decode` refuses it as too large."""
        return file.read(largest_file(self.max_pixels) + 1)

    def decode(self, data: bytes, name: str) -> Picture:
        """The picture in the bytes of a file. Raises PictureError as `airtool.images.decode.decode`."""
        return decode(data, name, self.max_pixels)

    def read(self, path: Place) -> Picture:
        """The picture in a file. Raises PictureError as `load` and `decode`."""
        return self.decode(self.load(path), str(path))

    def close(self) -> None:
        """End what runs beside this process; nothing here."""


def open_reader(max_pixels: int = MAX_PIXELS, *, isolate: bool = False) -> Reader:
    """A reader. isolate: decode in processes of their own, which may die: `airtool.images.isolated`."""
    if not isolate:
        return Reader(max_pixels)
    from airtool.images.isolated import IsolatedReader

    return IsolatedReader(max_pixels)
