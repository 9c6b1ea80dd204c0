"""The manifest in a store, where nothing can be appended: pages of lines, each stored whole again when it grows.

What `airtool.engine.manifest` promises holds here too: a line is in the store before its picture is.
"""

import io
import os
import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

from airtool.images.remote import Remote
from airtool.images.stores import find, read, write

LINES = 100
"""Lines from which on a page is full: storing it again for every picture then sends 15 kB in the mean."""

READERS = 8
"""Pages that are read at a time."""


def run_name() -> str:
    """A name for the files of a run. The time is for people who look into the folder; nothing depends on it."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{secrets.token_hex(8)}"


class Pages:
    """Writes lines into pages of its own below `place`, each of which begins with `head`; safe for several threads.

    The first page is stored at once. Raises PictureError when it cannot be.
    """

    def __init__(self, place: Remote, head: str) -> None:
        self._place, self._head, self._run = place, head, run_name()
        self._number = 0
        self._page = [head]
        self._waiting: list[str] = []
        self._added = self._stored = 0
        self._adding, self._storing = threading.Lock(), threading.Lock()
        self._store([])

    def add(self, line: str) -> None:
        """On return the line is in the store. Raises PictureError when it cannot be stored."""
        with self._adding:
            self._waiting.append(line)
            self._added += 1
            own = self._added
        # What came in while a page was on its way goes with the next one, all at once.
        with self._storing:
            if own <= self._stored:
                return
            with self._adding:
                lines = list(self._waiting)
            self._store(lines)
            with self._adding:
                del self._waiting[: len(lines)]
            self._stored += len(lines)

    def _store(self, lines: list[str]) -> None:
        page = [*self._page, *lines]
        data = "".join(f"{line}\n" for line in page).encode()
        write(self._place / f"{self._run}-{self._number:06}.jsonl", data, overwrite=True)
        if len(page) > LINES:
            page = [self._head]
            self._number += 1
        self._page = page


def read_pages(place: Remote) -> Iterator[BinaryIO]:
    """The contents of all pages. Raises AirtoolError when the store cannot be reached."""
    pages = sorted((page for page in find(place) if page.name.endswith(".jsonl")), key=str)
    with ThreadPoolExecutor(READERS, "manifest") as pool:
        for data in pool.map(read, pages):
            yield io.BytesIO(data or b"")
