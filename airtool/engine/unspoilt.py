"""Threads in which oneDNN still works."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from airtool.heap import share_heap

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_SPOILT = threading.local()


def unspoilt(compute: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
    """Call what runs a network: in this thread, or in a new one where oneDNN has failed in this one.

    oneDNN's code generator (Xbyak) keeps its first error for as long as the thread lives: once memory was short for the
    code of one layer, no other can be made ready there, whatever has been freed since. Raises what `compute` raises.
    """
    if not getattr(_SPOILT, "found", False):
        try:
            return compute(*args, **kwargs)
        except RuntimeError as error:
            if "could not create a primitive" in str(error):
                _SPOILT.found = True
                share_heap()  # for the threads that come
            raise
    with ThreadPoolExecutor(1, "compute") as pool:
        return pool.submit(compute, *args, **kwargs).result()
