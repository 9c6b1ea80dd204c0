"""Degrading picture files, each by its own chance, whatever the order and the number of workers."""

import sys
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from airtool.degradations.compose import Step, compose, picture_rng
from airtool.errors import AirtoolError, OutputError, PictureError, reason
from airtool.images.encode import encode, lossy_changes
from airtool.images.files import write_atomic
from airtool.images.names import shown
from airtool.images.picture import Picture
from airtool.images.plan import Job
from airtool.images.reader import Reader


@dataclass(frozen=True)
class Degraded:
    """A job that was done."""

    job: Job
    height: int
    """Pixels, upright."""
    width: int
    applied: tuple[dict, ...]
    """One record a step, in order: its name, its amount and everything that was drawn."""
    lost: tuple[str, ...]
    """What the output's format cannot carry, in words."""


@dataclass(frozen=True)
class Failed:
    """A job that could not be done."""

    job: Job
    reason: str
    """One line that names the file."""


Outcome = Degraded | Failed


def source_name(job: Job) -> str:
    """The input as the user knows it."""
    return "standard input" if job.source.path is None else shown(job.source.path)


def degrade_picture(picture: Picture, steps: Sequence[Step], seed: int) -> tuple[Picture, list[dict]]:
    """The picture after the steps, with everything else that its file held, and one record a step.

    A grey picture stays grey: it takes the green channel of the result, so that noise keeps its sigma instead of
    being averaged over three channels. Raises UsageError for an unknown step or an amount out of range, AirtoolError
    where a degradation cannot take a picture of this size.
    """
    rgb, records = compose(picture.rgb, tuple(steps), picture_rng(seed, picture.rgb))
    if picture.grey:
        rgb = np.repeat(rgb[..., 1:2], 3, axis=2)
    return picture.with_rgb(rgb), records


def degrade_files(
    jobs: Sequence[Job],
    steps: Sequence[Step],
    seed: int,
    *,
    quality: int | None,
    overwrite: bool,
    workers: int,
    finished: Callable[[Outcome], None],
    reader: Reader | None = None,
) -> Generator[Outcome, None, None]:
    """Carry out the jobs on `workers` threads and yield what became of them, in the order of the jobs.

    `finished` is called from the threads, once for every job that ended; when the caller stops early (Ctrl-C), the
    pictures under way are still completed and reported to it, so it knows every file that was written. A picture that
    fails is reported and stops nothing, unless it is standard output that cannot be written: raises OutputError.
    quality: of lossy formats, 1 to 100, None for the encoder's default.
    reader: what opens the pictures, within its limits.
    """
    opened = reader or Reader()

    def run(job: Job) -> Outcome:
        outcome = _attempt(opened, job, standard_input, steps, seed, quality, overwrite)
        finished(outcome)
        return outcome

    # Read here: a thread that waits for a pipe or a keyboard could not be stopped by Ctrl-C.
    standard_input = opened.load_stream(sys.stdin.buffer) if any(job.source.path is None for job in jobs) else b""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="degrade")
    try:
        for future in [pool.submit(run, job) for job in jobs]:
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _attempt(
    reader: Reader,
    job: Job,
    standard_input: bytes,
    steps: Sequence[Step],
    seed: int,
    quality: int | None,
    overwrite: bool,
) -> Outcome:
    try:
        return _degrade(reader, job, standard_input, steps, seed, quality, overwrite)
    except (OutputError, BrokenPipeError):
        raise
    except MemoryError:
        return Failed(job, f"{source_name(job)}: not enough memory; try --workers 1")
    except cv2.error as error:
        return Failed(job, f"{source_name(job)}: OpenCV cannot handle it ({error.err})")
    except Exception as error:
        return Failed(job, reason(error, source_name(job), shown(job.target or "standard output")))


def _degrade(
    reader: Reader,
    job: Job,
    standard_input: bytes,
    steps: Sequence[Step],
    seed: int,
    quality: int | None,
    overwrite: bool,
) -> Degraded:
    name = source_name(job)
    picture = reader.decode(standard_input, name) if job.source.path is None else reader.read(job.source.path)
    try:
        degraded, records = degrade_picture(picture, steps, seed)
    except AirtoolError as error:
        raise PictureError(f"{name}: {error}") from None
    data = encode(degraded, job.format, quality)
    if job.target is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        write_atomic(job.target, data, overwrite)
    height, width = picture.rgb.shape[:2]
    return Degraded(job, height, width, tuple(records), lossy_changes(picture, job.format))
