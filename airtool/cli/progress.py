"""How far a long command has come: a bar on a terminal, plain lines in a log."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from airtool.cli.console import say, stderr_console, stderr_is_terminal
from airtool.cli.signals import heed

T = TypeVar("T")

LOG_INTERVAL = 10.0
"""Seconds between two lines where standard error is no terminal."""


def track(iterable: Iterable[T], total: int | None, label: str, quiet: bool) -> Iterator[T]:
    """Yield the items of `iterable` and show on standard error how many there were, the rate and the time left.

    On a terminal that is a bar; lines printed meanwhile by `airtool.cli.console` appear above it. Elsewhere it is a
    plain line at most every `LOG_INTERVAL` seconds and one at the end. With `quiet` nothing is shown.
    `total` is the number of items, None when it is not known. Raises KeyboardInterrupt after an item when that was
    raised before and swallowed.
    """
    if quiet:
        items: Iterable[T] = iterable
    elif stderr_is_terminal():
        items = _with_bar(iterable, total, label)
    else:
        items = _with_lines(iterable, total, label)
    for item in items:
        yield item
        heed()


def clock(seconds: float) -> str:
    """A duration as people read it: "0.8 s", "45 s", "3 min 20 s", "2 h 05 min"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def pace(done: int, seconds: float) -> str:
    """Items a second, or seconds an item when that is the more telling."""
    if done == 0 or seconds <= 0:
        return "-"
    rate = done / seconds
    return f"{rate:.1f}/s" if rate >= 1 else f"{clock(1 / rate)} each"


def _with_bar(iterable: Iterable[T], total: int | None, label: str) -> Iterator[T]:
    from rich import progress as bars

    start = time.monotonic()
    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.fields[pace]}"),
        bars.TimeElapsedColumn(),
        bars.TextColumn("left:"),
        bars.TimeRemainingColumn(compact=True),
    )
    with bars.Progress(*columns, console=stderr_console(), transient=True) as progress:
        task = progress.add_task(label, total=total, pace="-")
        for done, item in enumerate(iterable, 1):
            yield item
            progress.update(task, completed=done, pace=pace(done, time.monotonic() - start))


def _with_lines(iterable: Iterable[T], total: int | None, label: str) -> Iterator[T]:
    start = spoken = time.monotonic()
    done, said = 0, 0
    for done, item in enumerate(iterable, 1):
        yield item
        now = time.monotonic()
        if now - spoken >= LOG_INTERVAL:
            say(_line(label, done, total, now - start))
            spoken, said = now, done
    if done > said:
        say(_line(label, done, total, time.monotonic() - start))


def _line(label: str, done: int, total: int | None, seconds: float) -> str:
    parts = [f"{label}: {done}" if total is None else f"{label}: {done}/{total}", pace(done, seconds)]
    if total is not None and done < total:
        parts.append(f"{clock(seconds / done * (total - done))} left")
    return ", ".join(parts)
