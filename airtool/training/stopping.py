"""Ending a run between two steps when it is asked to end, so that nothing it has learned is lost."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def postponed() -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM wait until the block has ended, and then do what they do; the list holds those that came.

    The second one waits no longer. Nothing changes outside the main thread, where no signals can be caught, nor for
    signals that are ignored. When the block raises, that goes first and the signal is forgotten.
    """
    asked: list[int] = []
    usual = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number in ours:
            signal.signal(number, usual[number])

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        if len(asked) > 1:
            restore()
            signal.raise_signal(number)

    main_thread = threading.current_thread() is threading.main_thread()
    ours = [number for number in SIGNALS if main_thread and usual[number] not in (signal.SIG_IGN, None)]
    for number in ours:
        signal.signal(number, note)
    try:
        yield asked
    finally:
        restore()
    if asked:
        signal.raise_signal(asked[0])
