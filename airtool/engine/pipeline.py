"""A batch of pictures: threads read and write while the network computes."""

import hashlib
import os
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from threading import Barrier
from types import TracebackType
from typing import TYPE_CHECKING, Self

from airtool.engine.compare import Pixels, bare_png, half, side_by_side
from airtool.engine.manifest import Journal, digest_of
from airtool.engine.records import Record
from airtool.engine.tasks import Task
from airtool.errors import PictureError, reason
from airtool.images.encode import encode, lossy_changes
from airtool.images.files import NoRoomError, TakenError, write_atomic
from airtool.images.formats import written_as
from airtool.images.names import shown
from airtool.images.picture import Picture
from airtool.images.reader import Reader
from airtool.images.remote import Place, Remote
from airtool.images.stores import taken

if TYPE_CHECKING:
    from airtool.engine.session import Restored, Session

PIXELS_AHEAD = {"cpu": 8_000_000, "mps": 16_000_000, "cuda": 64_000_000}
"""Pixels (12 bytes each) that may be in memory before another picture is read; one picture is always allowed."""

PIXELS_PER_BYTE = 4
"""How many pixels a byte of an unread file is taken for: 2 bits a pixel, as in a well compressed photograph."""


@dataclass(frozen=True)
class Opened:
    """A picture that was read."""

    picture: Picture
    digest: str
    """sha256 of the bytes that it was made from."""
    before: Pixels | None
    """The first half of the comparison, if one is wanted."""


@dataclass(frozen=True)
class Done:
    """A picture that was restored and is to be written."""

    restored: "Restored"
    source: str
    """sha256 of the bytes of its input."""
    before: Pixels | None
    maps: Mapping[str, Pixels]
    """What the method saw, by name, if that is wanted."""


class Pipeline:
    """Restores tasks in order. Use as a context manager and iterate once; every picture gives one `Record`.

    A picture that fails gives a record that says why, and the others are restored; once the disk is full, those that
    were not read yet fail at once, as nothing that the network made of them could be kept. Leaving the context early,
    by an exception or Ctrl-C, drops what has not begun, lets files that are being written be finished (each appears
    whole or not at all), and adds them to `records`.

    quality: for lossy formats, 1 to 100; None: the format's default. overwrite: replace existing outputs.
    workers: threads that read, and as many that encode and write. journal: lists what is written, for ``--resume``.
    reader: what opens the pictures, within its limits.
    """

    def __init__(
        self,
        session: "Session",
        tasks: Sequence[Task],
        *,
        quality: int | None = None,
        overwrite: bool = False,
        workers: int = 2,
        journal: Journal | None = None,
        reader: Reader | None = None,
    ) -> None:
        self.records: list[Record] = []
        """What is finished so far."""
        self._session = session
        self._quality = quality
        self._overwrite = overwrite
        self._workers = workers
        self._journal = journal
        self._reader = reader or Reader()
        self._limit = PIXELS_AHEAD.get(session.device.type, PIXELS_AHEAD["cpu"])
        self._in_flight = 0
        self._no_room = False
        self._waiting = deque(tasks)
        self._reading: deque[tuple[Task, int, Future[Opened]]] = deque()
        self._writing: deque[tuple[int, Future[Record]]] = deque()
        self._readers = ThreadPoolExecutor(workers, "read")
        self._writers = _started(ThreadPoolExecutor(workers, "write"), workers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A second Ctrl-C must not cut off a write: it would take only the moment that the write needs anyway.
        waiting = True
        while waiting:
            with suppress(KeyboardInterrupt):
                for pool in (self._readers, self._writers):
                    pool.shutdown(wait=False, cancel_futures=True)
                self._writers.shutdown(wait=True)
                waiting = False
        for _, future in self._writing:
            # Not done: the interruption came before it was handed to a writer. In already: just after that.
            if future.done() and not future.cancelled() and future.result() not in self.records[-1:]:
                self.records.append(future.result())
        self._writing.clear()

    def __iter__(self) -> Iterator[Record]:
        while self._waiting or self._reading or self._writing:
            self._read_ahead()
            if self._reading:
                self._restore_next()
            if self._writing and (self._writing[0][1].done() or not self._reading or self._is_behind()):
                yield self._finish_next()

    def _is_behind(self) -> bool:
        """Whether writing holds more pictures than there are threads to write them."""
        return len(self._writing) > self._workers

    def _read_ahead(self) -> None:
        """Start to read as many of the next pictures as there are threads and memory for."""
        while self._waiting and len(self._reading) <= self._workers:
            task = self._waiting[0]
            pixels = _guess_pixels(task)
            busy = bool(self._reading or self._writing)
            if busy and self._in_flight + pixels > self._limit:
                return
            self._waiting.popleft()
            self._in_flight += pixels
            # Standard input is read here: a thread blocked on it could not be stopped by Ctrl-C.
            data = self._reader.load_stream(sys.stdin.buffer) if task.job.source.path is None else None
            self._reading.append((task, pixels, self._readers.submit(self._open, task, data)))

    def _open(self, task: Task, data: bytes | None) -> Opened:
        """Read one picture; runs in a thread."""
        path = task.job.source.path
        if self._no_room:
            raise PictureError(f"{shown(task.name)}: not begun, as the disk is full: free some space, then --resume")
        content = self._reader.load(path) if path is not None else data or b""
        picture = self._reader.decode(content, task.name if path is None else str(path))
        digest = hashlib.sha256(content).hexdigest()
        return Opened(picture, digest, None if task.comparison is None else half(picture.rgb))

    def _restore_next(self) -> None:
        """Send the oldest picture through the network and hand it to a writer."""
        task, pixels, opening = self._reading.popleft()
        try:
            opened = opening.result()
            height, width = opened.picture.rgb.shape[:2]
            self._in_flight += height * width - pixels
            pixels = height * width
            maps = self._session.explain(opened.picture.rgb) if task.explanations else {}
            restored = self.restore(task, opened.picture)
        except Exception as error:
            failed: Future[Record] = Future()
            failed.set_result(self._failed(task, error))
            self._writing.append((pixels, failed))
            return
        # Listed before it begins, so that an interruption in between forgets no file that was written.
        saving: Future[Record] = Future()
        self._writing.append((pixels, saving))
        self._writers.submit(self._save, saving, task, Done(restored, opened.digest, opened.before, maps))

    def restore(self, task: Task, picture: Picture) -> "Restored":
        """What is made of one picture, whose pixels may be overwritten; on the thread that iterates.

        Raises whatever goes wrong: the picture fails, the others are restored.
        """
        return self._session.restore(picture, in_place=True)

    def _finish_next(self) -> Record:
        pixels, saving = self._writing[0]
        record = saving.result()
        self.records.append(record)
        self._writing.popleft()
        self._in_flight -= pixels
        return record

    def _save(self, saving: Future[Record], task: Task, done: Done) -> None:
        """Encode and write one picture, and tell `saving` what became of it; runs in a thread."""
        try:
            record = self._write(task, done)
        except Exception as error:
            record = self._failed(task, error)
        saving.set_result(record)

    def _failed(self, task: Task, error: Exception) -> Record:
        """The record of a picture that could not be restored or written; notes that the disk is full."""
        self._no_room = self._no_room or isinstance(error, NoRoomError)
        return failure(task, error)

    def _write(self, task: Task, done: Done) -> Record:
        restored, picture = done.restored, done.restored.picture
        height, width = picture.rgb.shape[:2]
        format, notes = task.job.format, task.job.notes
        if format is None:
            format, notes = written_as(picture.format)
        data = encode(picture, format, self._quality)
        # These first, so that a picture one of whose companions failed is not taken for done by --resume.
        if done.before is not None and task.comparison is not None:
            write_atomic(task.comparison, side_by_side(done.before, half(picture.rgb), picture), overwrite=True)
        for name, target in task.explanations.items():
            write_atomic(target, bare_png(done.maps[name]), overwrite=True)
        if task.job.target is None:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        elif not self._place(task.job.target, task.job.replaces, data, done.source):
            return Record(task.name, task.output, "kept")
        return Record(
            source=task.name,
            target=task.output,
            status="restored",
            width=width,
            height=height,
            seconds=restored.seconds,
            tile=restored.tile,
            degradation=restored.wanted.degradation,
            shares=dict(restored.wanted.shares),
            guessed=restored.guessed,
            notes=(*restored.notes, *notes, *lossy_changes(picture, format)),
        )

    def _place(self, target: Place, replaces: str | None, data: bytes, source: str) -> bool:
        """Write an output; False when another run has made the very same one meanwhile.

        replaces: sha256 of the file that may be replaced. source: sha256 of the input.
        """
        digest = hashlib.sha256(data).hexdigest()
        if self._journal is not None:
            self._journal.add(target, digest, len(data), source)
        overwrite = self._overwrite
        if replaces is not None and taken([target]):
            if digest_of(target) not in (replaces, digest):
                raise PictureError(f"{shown(target)} was changed by somebody else meanwhile: it is kept")
            overwrite = True
        try:
            write_atomic(target, data, overwrite)
        except TakenError:
            if digest_of(target) != digest:
                raise
            return False
        return True


def _started(pool: ThreadPoolExecutor, threads: int) -> ThreadPoolExecutor:
    """Start all threads of a pool now.

    An interruption while it starts one at its first task would leave a thread that works, but that nobody waits for.
    """
    together = Barrier(threads + 1)
    for _ in range(threads):
        pool.submit(together.wait)
    together.wait()
    return pool


def failure(task: Task, error: Exception) -> Record:
    """The record of a picture that could not be restored: whatever went wrong, the batch goes on."""
    name, output = shown(task.name), shown(task.output)
    if isinstance(error, BrokenPipeError):
        message = f"{name}: nobody reads {output} any more"
    else:
        # By "standard output" alone nobody knows which picture it was.
        message = reason(error, name) if task.job.target is None else reason(error, name, output)
    return Record(task.name, task.output, "failed", message=message)


def _guess_pixels(task: Task) -> int:
    """Pixels of a picture that has not been read."""
    path = task.job.source.path
    if path is None:
        return 0
    if isinstance(path, Remote):
        return (path.size or 0) * PIXELS_PER_BYTE
    with suppress(OSError):
        return os.stat(path).st_size * PIXELS_PER_BYTE
    return 0
