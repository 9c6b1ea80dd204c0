"""The same batch on several devices of this machine: a thread and a network for each, pictures to whichever is free."""

import contextlib
import ctypes
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self

import torch

from airtool.engine.device import pick_device
from airtool.engine.forward import reproducible
from airtool.engine.manifest import Journal
from airtool.engine.pipeline import Done, Opened, Pipeline, failure
from airtool.engine.records import Record
from airtool.engine.session import Session, open_with
from airtool.engine.settings import Settings
from airtool.engine.tasks import Task
from airtool.errors import AirtoolError, UsageError
from airtool.heap import share_heap
from airtool.images.reader import Reader


def open_shared(
    settings: Settings,
    devices: Sequence[str],
    method: str | None = None,
    weights: str | Path | None = None,
    preset: str = "small",
    reader: Reader | None = None,
) -> list[Session]:
    """One session a device, with everything else as in `settings`.

    devices: as `airtool.engine.settings.parse_devices` gives them. The others are those of
    `airtool.engine.session.open_with`, as which it raises; also UsageError when the devices would compute in different
    precisions.
    """
    for name in devices:  # all of them before seconds are spent on weights
        pick_device(name)
    sessions = [open_with(replace(settings, device=name), method, weights, preset, reader=reader) for name in devices]
    if len({session.dtype for session in sessions}) > 1:
        raise UsageError("--devices: these GPUs would compute in different precisions: choose one with --precision")
    return sessions


def describe_shared(sessions: Sequence[Session]) -> dict[str, Any]:
    """`Session.describe` of all: they differ in the device alone. threads: those of each, where they share them."""
    first = sessions[0].describe()
    return {
        **first,
        "device": ",".join(str(session.device) for session in sessions),
        "threads": first["threads"] and _share(first["threads"], len(sessions)),
    }


def _share(threads: int, devices: int) -> int:
    """Threads of PyTorch for each of several parts of the processor."""
    return max(1, threads // devices)


def answers(device: torch.device) -> bool:
    """Whether a device still computes: some errors of a GPU last until the process ends."""
    try:
        return (torch.ones(2, device=device) + 1).sum().item() == 4
    except RuntimeError:
        return False


class DevicesPipeline(Pipeline):
    """`Pipeline` over several sessions, which are equal but for their devices: the same files and the same records.

    Records come in the order of the tasks, however the devices share these out. A device that fails takes one picture
    along and is left out from then on, unless it is the last one. Leaving the context early stops the devices between
    two operations of the network. workers: threads that read, and as many that write, for each device. CPUs share the
    threads of PyTorch evenly. The other arguments are those of `Pipeline`.
    """

    def __init__(
        self,
        sessions: Sequence[Session],
        tasks: Sequence[Task],
        *,
        quality: int | None = None,
        overwrite: bool = False,
        workers: int = 2,
        journal: Journal | None = None,
        reader: Reader | None = None,
    ) -> None:
        count = len(sessions)
        super().__init__(
            sessions[0],
            tasks,
            quality=quality,
            overwrite=overwrite,
            workers=workers * count,
            journal=journal,
            reader=reader,
        )
        self._limit *= count
        self._devices = [_Device(session, self._compute) for session in sessions]
        self._free: SimpleQueue[_Device] = SimpleQueue()
        self._left, self._leaving = count, Lock()
        self._active: list[tuple[int, Future[Record]]] = []
        """Pictures that are in memory after reading: their pixels, and what tells when they are not any more."""
        self._around = contextlib.ExitStack()

    def __enter__(self) -> Self:
        if self._devices[0].session.device.type == "cpu":
            # Before the threads begin: they take over what holds then.
            usual = torch.get_num_threads()
            torch.set_num_threads(_share(usual, len(self._devices)))
            self._around.callback(torch.set_num_threads, usual)
            share_heap()
        # For all threads, and so held as long as any of them computes.
        self._around.enter_context(reproducible())
        for device in self._devices:
            device.start()
            self._free.put(device)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for device in self._devices:
            device.stop(at_once=kind is not None)
        waiting = True
        while waiting:
            with contextlib.suppress(KeyboardInterrupt):
                for device in self._devices:
                    device.join()
                waiting = False
        super().__exit__(kind, error, trace)
        self._around.close()

    def __iter__(self) -> Iterator[Record]:
        while self._waiting or self._reading or self._writing:
            # Asked once: a picture may finish at any moment.
            told = [(pixels, saving, saving.done()) for pixels, saving in self._active]
            self._in_flight -= sum(pixels for pixels, _, done in told if done)
            self._active = [(pixels, saving) for pixels, saving, done in told if not done]
            self._read_ahead()
            if self._reading and len(self._active) < len(self._devices) + self._workers:
                self._restore_next()
            elif self._active:
                wait([saving for _, saving in self._active], return_when=FIRST_COMPLETED)
            while self._writing and self._writing[0][1].done():
                yield self._finish_next()

    def _restore_next(self) -> None:
        """Hand the oldest picture to a device as soon as one is free."""
        task, pixels, opening = self._reading.popleft()
        saving: Future[Record] = Future()
        # No pixels: they are given back once the picture is written, which may be long before its turn to be told.
        self._writing.append((0, saving))
        try:
            opened = opening.result()
        except Exception as error:
            self._in_flight -= pixels
            saving.set_result(failure(task, error))
            return
        height, width = opened.picture.rgb.shape[:2]
        self._in_flight += height * width - pixels
        self._active.append((height * width, saving))
        self._free.get().take(task, opened, saving)

    def _compute(self, device: "_Device", task: Task, opened: Opened, saving: Future[Record]) -> None:
        """Send one picture through the network and hand it to a writer; runs in the device's thread."""
        try:
            maps = device.session.explain(opened.picture.rgb) if task.explanations else {}
            restored = device.session.restore(opened.picture, in_place=True)
        except Exception as error:
            record = failure(task, error)
            if not isinstance(error, AirtoolError | MemoryError) and self._retire(device):
                record = replace(record, message=f"{record.message}; {device.session.device} is left out from here on")
            else:
                self._free.put(device)
            saving.set_result(record)
        else:
            self._writers.submit(self._save, saving, task, Done(restored, opened.digest, opened.before, maps))
            self._free.put(device)

    def _retire(self, device: "_Device") -> bool:
        """Whether a device that failed is to get no more pictures."""
        if answers(device.session.device):
            return False
        with self._leaving:
            if self._left == 1:
                return False
            self._left -= 1
        return True


class _Device(Thread):
    """A session and the thread that it computes in, one picture after the other.

    compute: is called there with this device and what `take` got; raises nothing of its own.
    """

    def __init__(self, session: Session, compute: "Callable[[_Device, Task, Opened, Future[Record]], None]") -> None:
        # Not waited for at the end of the process: a GPU that hangs must not keep it.
        super().__init__(name=f"on {session.device}", daemon=True)
        self.session = session
        self._compute = compute
        self._given: SimpleQueue[tuple[Task, Opened, Future[Record]] | None] = SimpleQueue()

    def take(self, task: Task, opened: Opened, saving: Future[Record]) -> None:
        """Restore a picture; `saving` gets its record."""
        self._given.put((task, opened, saving))

    def stop(self, *, at_once: bool) -> None:
        """End the thread after its picture, or in the middle of it."""
        self._given.put(None)
        if at_once and self.ident is not None:
            # As Ctrl-C does in the main thread: the exception comes up between two instructions of Python.
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident), ctypes.py_object(SystemExit))

    def run(self) -> None:
        """What the thread does."""
        with contextlib.suppress(SystemExit):
            while (given := self._given.get()) is not None:
                self._compute(self, *given)
                del given  # a picture must not stay in memory until the next one comes
