"""The process in which `airtool.images.isolated` decodes untrusted files; it may die. Run as a module, not imported.

It reads requests from standard input and answers on standard output, until the input ends:

    request: length of the file (8 bytes, big-endian), most pixels (8 bytes), the file
    answers: a line of JSON {"pixels": N} when the header is understood; a line of JSON with what was decoded, after
    which its metadata and samples follow, as many bytes as it says; or, in place of either, {"refused": "why"}
"""

import contextlib
import json
import math
import os
import signal
import struct
import sys
import time
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from airtool.images.container import ContainerError
from airtool.images.decode import Unpacked, inspect, unpack
from airtool.images.limits import MEMORY_PER_PIXEL, most_seconds
from airtool.images.opencv import cv2
from airtool.images.segments import packed

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

REQUEST = struct.Struct(">QQ")

FACTS = ("orientation", "white", "grey", "inverted", "opaque", "premultiplied", "transparent")
"""Fields of `Container` that travel as they are."""

ROOM = 1 << 28
"""Bytes of address space for a picture without any pixels."""

TOO_LITTLE = "does not fit into the memory that a picture of its size may take: get an intact copy of it"


def main() -> None:
    """Serve until standard input ends."""
    # Ctrl-C concerns the process that asks; it ends this one when it is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What libraries print must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    requests = sys.stdin.buffer
    cv2.setNumThreads(1)  # decoding has no use for more, and each would take address space
    if resource is not None:
        for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):  # a decoder writes no files
            resource.setrlimit(kind, (0, 0))
    while len(head := requests.read(REQUEST.size)) == REQUEST.size:
        length, max_pixels = REQUEST.unpack(head)
        _answer(requests.read(length), max_pixels, answers)


def _answer(data: bytes, max_pixels: int, answers: BinaryIO) -> None:
    try:
        format, container = inspect(data, max_pixels)
        pixels = container.size[0] * container.size[1]
        _say(answers, {"pixels": pixels})
        with _limited(ROOM + MEMORY_PER_PIXEL * pixels + 2 * len(data), most_seconds(pixels)):
            unpacked = unpack(format, container)
    except ContainerError as error:
        _say(answers, {"refused": str(error)})
    except MemoryError:
        _say(answers, {"refused": TOO_LITTLE})
    else:
        _send(answers, unpacked)


@contextlib.contextmanager
def _limited(more: int, seconds: float) -> Iterator[None]:
    """Let the process take so many bytes of address space and so many seconds of a processor more than it has.

    As far as the system sees to that. Too much memory is a MemoryError; too much time ends the process.
    """
    if resource is None:
        yield
        return
    limits = {resource.RLIMIT_CPU: math.ceil(time.process_time() + seconds)}
    with contextlib.suppress(OSError), open("/proc/self/statm", "rb") as file:
        limits[resource.RLIMIT_AS] = int(file.read().split()[0]) * resource.getpagesize() + more
    hard = {kind: resource.getrlimit(kind)[1] for kind in limits}
    for kind, most in limits.items():
        resource.setrlimit(kind, (most if hard[kind] == resource.RLIM_INFINITY else min(most, hard[kind]), hard[kind]))
    try:
        yield
    finally:
        for kind in limits:
            resource.setrlimit(kind, (hard[kind], hard[kind]))


def _send(answers: BinaryIO, unpacked: Unpacked) -> None:
    samples = np.ascontiguousarray(unpacked.samples)
    metadata = unpacked.metadata
    blocks = [metadata.exif, metadata.icc, metadata.xmp, packed(metadata.segments)]
    head = {
        "shape": samples.shape,
        "depth": 8 * samples.itemsize,
        "format": unpacked.format,
        "facts": {name: getattr(unpacked.container, name) for name in FACTS},
        "lost": unpacked.container.lost,
        "blocks": [None if block is None else len(block) for block in blocks],
    }
    _say(answers, head)
    for block in blocks:
        answers.write(block or b"")
    answers.write(samples.data.cast("B"))
    answers.flush()


def _say(answers: BinaryIO, words: dict[str, object]) -> None:
    answers.write(json.dumps(words).encode() + b"\n")
    answers.flush()


if __name__ == "__main__":
    main()
