"""Batches of training samples by step number, made in worker processes."""

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from airtool.errors import AirtoolError
from airtool.images.opencv import cv2
from airtool.training.data import SampleMaker

Sample = tuple[Tensor, Tensor, str]
Batch = tuple[Tensor, Tensor, tuple[str, ...]]


class _Samples(Dataset[Sample | AirtoolError]):
    """Gives errors that a user can cause as samples: of those that are raised, PyTorch passes on a page of text."""

    def __init__(self, maker: SampleMaker) -> None:
        self.maker = maker

    def __getitem__(self, index: int) -> Sample | AirtoolError:
        try:
            degraded, clean, label = self.maker(index)
        except AirtoolError as error:
            return error
        return torch.from_numpy(degraded), torch.from_numpy(clean), label


def _collated(samples: Sequence[Sample | AirtoolError]) -> Batch | AirtoolError:
    for sample in samples:
        if isinstance(sample, AirtoolError):
            return sample
    degraded, clean, labels = default_collate(list(samples))
    return degraded, clean, tuple(labels)


def _checked(made: Iterator[Batch | AirtoolError]) -> Iterator[Batch]:
    """The batches; raises the error that came in the place of one."""
    for batch in made:
        if isinstance(batch, AirtoolError):
            del made  # which the error would keep alive, and with it the processes
            raise batch
        yield batch


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Processes that are started meanwhile never hear of Ctrl-C; this one does afterwards.

    One that died of it before it has read all that it is given would leave this one writing for ever: Python holds the
    other end of that pipe open, too.
    """
    if sys.platform == "win32":
        yield
        return
    resource_tracker.ensure_running()  # which would let Ctrl-C through again when it is started
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(_worker: int) -> None:
    # A terminal sends Ctrl-C to all; when a run ends is its main process's business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def batches(
    maker: SampleMaker, first_step: int, last_step: int, workers: int, process: int = 0, processes: int = 1
) -> Iterator[Batch]:
    """Degraded and clean batches, (batch / processes, 3, patch, patch), with labels, one a step
    from first_step up to, not including, last_step.

    Step s of process p of P takes the samples s * batch + p, s * batch + p + P, ...: all processes together see the
    same samples whatever their number. Iterating raises the AirtoolError, such as a UsageError, that a sample raised.
    """
    batch = maker.recipe.batch
    # A step's samples divide evenly among the processes, so each takes every so manieth of all: a range, which a long
    # run can have without a list of millions of numbers.
    indices = range(first_step * batch + process, last_step * batch, processes)
    loader = DataLoader(
        _Samples(maker),
        batch_size=batch // processes,
        sampler=indices,
        num_workers=workers,
        # Not forked: the thread pools of OpenCV and PyTorch do not survive a fork, and a worker would hang.
        multiprocessing_context="spawn" if workers else None,
        collate_fn=_collated,
        worker_init_fn=_start_worker,
        prefetch_factor=4 if workers else None,
        pin_memory=torch.cuda.is_available(),
    )
    if not workers:
        return _checked(iter(loader))
    with _deaf_children():
        return _checked(iter(loader))
