"""How the C library treats memory that was freed."""

import ctypes
import sys
from typing import Any

TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8
"""Numbers of parameters of `mallopt` in <malloc.h>."""

NEVER = -1


def keep_heap() -> None:
    """Have glibc keep what is freed, so that the next layer of a network gets memory that is already mapped.

    By default every large tensor is mapped anew and handed back, and on a CPU the kernel spends as much time on
    clearing its pages as the layer on computing: a network takes up to 1.3 times as long (`docs/speed.md`). The process
    then holds on to the largest amount that it ever used at once, until `return_heap`. Does nothing where the
    C library is another one, nor under a limit of addresses (`ulimit -v`): kept ones would be lacking for all that is
    mapped elsewhere, such as oneDNN's code and the stacks of threads, even with smaller tiles.
    """
    if (mallopt := _function("mallopt")) is not None and not _limited():
        mallopt(MMAP_MAX, 0)
        mallopt(TRIM_THRESHOLD, NEVER)


def share_heap() -> None:
    """Have threads that are started from now on take memory from the one heap of the process.

    By default each has a heap of its own in pieces of at most 64 MiB, and what is larger is mapped anew whatever
    `keep_heap` says: a network that runs in a thread took 1.1 times as long. Does nothing where the C library is
    another one.
    """
    if (mallopt := _function("mallopt")) is not None:
        mallopt(ARENA_MAX, 1)


def return_heap() -> None:
    """Hand back what is kept and not in use; the kernel has to clear it again when it is wanted."""
    if (trim := _function("malloc_trim")) is not None:
        trim(0)


def _limited() -> bool:
    """Whether the process may have only so many addresses. Asked on Linux only."""
    import resource  # not there on Windows

    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def _function(name: str) -> Any:
    """A function of glibc; None where the C library is another one."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
