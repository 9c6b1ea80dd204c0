"""Decoding untrusted files in processes of their own: a decoder that crashes, hangs or eats memory costs one picture.

The processes import `airtool.images` alone. Each gets one file at a time through a pipe and gives back samples, never
objects. They may take as much address space as the file's header justifies (where the system has such a limit, as Linux
does), write no files, and are ended when they take too long, by the processor's time or by the clock. They run under
the user's own account: what a decoder that has been taken over by an attacker could read, they can read.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

import airtool
from airtool.errors import PictureError
from airtool.images.container import Container
from airtool.images.decode import Samples, Unpacked, assemble
from airtool.images.formats import FORMATS
from airtool.images.limits import MAX_PIXELS, largest_file, most_seconds
from airtool.images.names import shown
from airtool.images.picture import Metadata, Picture
from airtool.images.reader import Reader
from airtool.images.segments import MOST, unpacked
from airtool.images.worker import FACTS, REQUEST

PATIENCE = 6.0
"""How many times the processor time that a picture may take is waited for on the clock: the machine may be busy."""

MAX_LINE = 1 << 16
"""Bytes of a line of an answer."""


class _LostError(Exception):
    """A worker died or misbehaved; the message continues "<file name> ..."."""


class _Worker:
    """One process. It is asked by one thread at a time, and of no more use once `_LostError` was raised."""

    def __init__(self) -> None:
        root = str(Path(airtool.__file__).parent.parent)
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        # -P: a file called numpy.py beside the pictures is not to be imported.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "airtool.images.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
        )
        self._late = False

    def ask(self, data: bytes, max_pixels: int) -> Unpacked | str:
        """What is in a file, or why it is refused: words that continue its name. Raises _LostError."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            with self._within(PATIENCE * most_seconds(0)):
                self._process.stdin.write(REQUEST.pack(len(data), max_pixels))
                self._process.stdin.write(data)
                self._process.stdin.flush()
                words = _line(self._process.stdout)
            if "refused" in words:
                return str(words["refused"])
            with self._within(PATIENCE * most_seconds(min(int(words["pixels"]), max_pixels))):
                words = _line(self._process.stdout)
                found = None if "refused" in words else _unpacked(words, self._process.stdout, max_pixels)
            return str(words["refused"]) if found is None else found
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            # Broken pipes and the end of answers; everything else is the talk of a decoder out of its mind.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1)  # it may be about to die, and the cause is worth telling
            self.end()
            raise _LostError(self._obituary()) from None

    @contextlib.contextmanager
    def _within(self, seconds: float) -> Iterator[None]:
        """End the process when a block takes longer, by which its answers end. Raises EOFError then."""
        timer = threading.Timer(seconds, self._expire)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
        if self._late:
            raise EOFError

    def _expire(self) -> None:
        self._late = True
        self._process.kill()

    def _obituary(self) -> str:
        code = self._process.returncode
        if self._late or code == -getattr(signal, "SIGXCPU", 0):
            return "takes too long to decode, as a damaged file does: get an intact copy of it"
        cause = signal.Signals(-code).name if code < 0 and -code in set(signal.Signals) else f"code {code}"
        return f"makes the decoder crash ({cause}), as a damaged file does: get an intact copy of it"

    def end(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()


class IsolatedReader(Reader):
    """A `Reader` that decodes in other processes, as many as there are threads that ask at the same time.

    A file whose decoder dies gives a PictureError, and the next one gets a fresh process.
    """

    def __init__(self, max_pixels: int = MAX_PIXELS) -> None:
        super().__init__(max_pixels)
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._lock = threading.Lock()
        self._closed = False

    def decode(self, data: bytes, name: str) -> Picture:
        """As `Reader.decode`; also PictureError for a file that crashes its decoder, or takes too long or too much."""
        try:
            answer = self._ask(data, name)
            if isinstance(answer, str):
                raise PictureError(f"{shown(name)} {answer}")
            return assemble(answer)
        except _LostError as error:
            raise PictureError(f"{shown(name)} {error}") from None
        except MemoryError:
            raise PictureError(f"{shown(name)} does not fit into memory: scale it down first") from None

    def _ask(self, data: bytes, name: str) -> Unpacked | str:
        """As `_Worker.ask`, of a worker that has nothing to do. Raises PictureError when there can be none."""
        worker = self._take(name)
        try:
            answer = worker.ask(data, self.max_pixels)
        except BaseException:
            # A part of its answer may still be on the way: it is of no more use.
            with self._lock:
                self._all.discard(worker)
            worker.end()
            raise
        with self._lock:
            self._idle.append(worker)
        return answer

    def close(self) -> None:
        """End all processes; a picture that is being decoded fails."""
        with self._lock:
            self._closed = True
            workers, self._all = self._all, set()
            self._idle = []
        for worker in workers:
            worker.end()

    def _take(self, name: str) -> _Worker:
        with self._lock:
            if self._idle:
                return self._idle.pop()
            if self._closed:
                raise PictureError(f"{shown(name)}: not decoded, the run has ended")
            try:
                worker = _Worker()
            except OSError as error:
                raise PictureError(
                    f"{shown(name)}: no process to decode it in ({error.strerror}): close other programs, or leave "
                    "--isolate out"
                ) from None
            self._all.add(worker)
            return worker


def _line(answers: IO[bytes]) -> dict[str, Any]:
    line = answers.readline(MAX_LINE)
    if not line.endswith(b"\n"):
        raise EOFError
    return dict(json.loads(line))


def _unpacked(words: Mapping[str, Any], answers: IO[bytes], max_pixels: int) -> Unpacked:
    """What a worker sent behind a line. Raises EOFError, and others for what no worker says."""
    shape = tuple(int(side) for side in words["shape"])
    if len(shape) < 2 or min(shape) < 1 or shape[0] * shape[1] > max_pixels or shape[2:] not in ((), (3,), (4,)):
        raise ValueError("no shape of a picture")
    lengths = [None if length is None else int(length) for length in words["blocks"]]
    if sum(length or 0 for length in lengths) > largest_file(max_pixels) + MOST or words["format"] not in FORMATS:
        raise ValueError("no answer")
    exif, icc, xmp, packed = (None if length is None else _exactly(answers, length) for length in lengths)
    samples: Samples = np.empty(shape, {8: np.uint8, 16: np.uint16}[words["depth"]])
    _fill(answers, samples.data.cast("B"))
    facts = {name: words["facts"][name] for name in FACTS}
    container = Container(b"", (shape[1], shape[0]), **facts, lost=tuple(map(str, words["lost"])))
    return Unpacked(samples, container, Metadata(exif, icc, xmp, unpacked(packed or b"")), words["format"])


def _exactly(answers: IO[bytes], length: int) -> bytes:
    data = answers.read(length)
    if len(data) < length:
        raise EOFError
    return data


def _fill(answers: IO[bytes], target: memoryview) -> None:
    at = 0
    while at < len(target):
        count = answers.readinto(target[at:])  # type: ignore[attr-defined]  # a BufferedReader
        if not count:
            raise EOFError
        at += count
