"""How the C library treats memory that was freed."""

import ctypes
import sys

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""Numbers of two parameters of `mallopt` in <malloc.h>."""

NEVER = -1


def keep_heap() -> None:
    """Have glibc keep what is freed, so that the next layer of a network gets memory that is already mapped.

    By default every large tensor is mapped anew and handed back, and on a CPU the kernel spends as much time on
    clearing its pages as the layer on computing: a network of many thin layers takes up to twice as long. The process
    then holds on to the largest amount that it ever used at once. Does nothing where the C library is another one.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # musl
        return
    mallopt(MMAP_MAX, 0)
    mallopt(TRIM_THRESHOLD, NEVER)
