"""Being asked to end: by Ctrl-C, or by SIGTERM, which is what shells, job queues and shutting systems send."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 and the number of the signal."""

TERMINATED = 143
"""Exit code after SIGTERM; also what a shell reports where SIGTERM comes too early to be caught."""


_ASKED: ContextVar[tuple[list[int], ...]] = ContextVar("asked to end", default=())
"""What the `endable` around a command has given."""


@contextmanager
def endable() -> Iterator[list[int]]:
    """SIGTERM raises KeyboardInterrupt, so that what is being written is finished, as with Ctrl-C.

    The list that is given holds the exit codes that the signals so far ask for: an exception that comes out of the blue
    may be swallowed, by libraries that raise one of their own, or by Python itself, which does so in destructors and
    tells it; here it does not tell. `heed` raises it again. Nothing changes outside the main thread, where no signals
    can be caught, nor for a signal for which the caller has arranged otherwise.
    """
    asked: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        asked.append(TERMINATED if number == signal.SIGTERM else INTERRUPTED)
        raise KeyboardInterrupt

    def unraisable(swallowed: "UnraisableHookArgs") -> None:
        if not (asked and swallowed.exc_type is KeyboardInterrupt):
            told(swallowed)

    told = sys.unraisablehook
    usual: dict[signal.Signals, Any] = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
    main_thread = threading.current_thread() is threading.main_thread()
    ours = [number for number, handler in usual.items() if main_thread and signal.getsignal(number) == handler]
    for number in ours:
        signal.signal(number, interrupt)
    sys.unraisablehook = unraisable
    token = _ASKED.set((asked,))
    try:
        yield asked
    finally:
        _ASKED.reset(token)
        sys.unraisablehook = told
        for number in ours:
            signal.signal(number, usual[number])


def heed() -> None:
    """Raises KeyboardInterrupt when the command has been asked to end; for loops that may run for long."""
    if any(_ASKED.get()):
        raise KeyboardInterrupt
