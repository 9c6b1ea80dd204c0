"""The same batch on a Ray cluster: actors that load the method once and restore their share of the pictures.

The driver plans, checks and reports as it does without Ray; only the middle is handed over. Each actor runs the local
pipeline over a few pictures at a time and keeps its own file of the manifest, so the outputs are those of the local
engine, and `--resume` does not care which of the two made them. When an actor dies, Ray starts another one, which is
given the same pictures again and passes over those that the first one had finished; with `--overwrite` it makes them
again, as nobody can tell them from those of an earlier run.
"""

import contextlib
import logging
import os
import pickle
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from airtool.engine.identity import Identity
from airtool.engine.records import Record
from airtool.engine.settings import Settings
from airtool.engine.tasks import Task
from airtool.errors import AirtoolError, missing_extra
from airtool.images.limits import MAX_PIXELS
from airtool.images.remote import Place

if TYPE_CHECKING:
    import numpy as np

PATIENCE = 10.0
"""Seconds that a cluster may take to answer."""

CHUNK = 16
"""Pictures at most that an actor is given at once: few enough to share a folder out evenly and to repeat little after
a death, enough for reading and writing beside the network."""


@dataclass(frozen=True)
class Order:
    """Everything that an actor needs to know, apart from the pictures."""

    settings: Settings
    method: str
    weights: str | None
    """A weights file; None takes the embedded weights of `preset`."""
    preset: str
    folder: Place
    """The output folder, which has the manifest."""
    identity: Identity
    here: str
    """The folder that relative paths start from."""
    quality: int | None = None
    overwrite: bool = False
    workers: int = 2
    """Threads that read, and as many that write, in each actor."""
    max_pixels: int = MAX_PIXELS
    isolate: bool = False
    threads: int = 1
    """Processors of an actor on the CPU."""


class Restorer:
    """What an actor runs: made once, called with chunk after chunk."""

    def __init__(self, order: Order) -> None:
        import torch

        from airtool.engine.session import open_with
        from airtool.images.reader import open_reader

        os.chdir(order.here)
        torch.set_num_threads(order.threads)
        self._order = order
        with open_reader(order.max_pixels, isolate=order.isolate) as reader:
            self._session = open_with(order.settings, order.method, order.weights, order.preset, reader=reader)

    def __call__(self, batch: "Mapping[str, np.ndarray]") -> dict[str, list[bytes]]:
        """In "task" pickled (index, `Task`); in what it returns "record", pickled (index, `Record`), in any order."""
        from airtool.engine.manifest import Journal
        from airtool.engine.pipeline import Pipeline
        from airtool.engine.resume import judge
        from airtool.images.reader import open_reader
        from airtool.images.stores import taken

        order = self._order
        chunk: list[tuple[int, Task]] = [pickle.loads(each) for each in batch["task"]]
        # Only what a predecessor of this actor finished can be there as this very run makes it, unless the run is to
        # replace what an equal one left.
        targets = [task.job.target for _, task in chunk if task.job.target is not None]
        written = {} if order.overwrite else taken(targets)
        there = [task.job for _, task in chunk if task.job.target in written]
        finished = {each.job for each in judge(there, order.folder, order.identity) if each.verdict == "finished"}
        done = [(index, Record(task.name, task.output, "kept")) for index, task in chunk if task.job in finished]
        left = [(index, task) for index, task in chunk if task.job not in finished]
        with (
            Journal(order.folder, order.identity) as journal,
            open_reader(order.max_pixels, isolate=order.isolate) as reader,
            Pipeline(
                self._session,
                [task for _, task in left],
                quality=order.quality,
                overwrite=order.overwrite,
                workers=order.workers,
                journal=journal,
                reader=reader,
            ) as pipeline,
        ):
            # The pipeline keeps the order.
            done += [(index, record) for (index, _), record in zip(left, pipeline, strict=True)]
        return {"record": [pickle.dumps(each) for each in done]}


class RayPipeline:
    """Restores tasks on a cluster, as `airtool.engine.pipeline.Pipeline` does in this process.

    address: of a running cluster, as Ray has it; None starts one on this machine, which ends with the context. actors:
    how many restore; None takes one for each GPU, or as many as the processors give `order.threads` to. Every task has
    an output file. Raises AirtoolError when Ray is not installed, does not answer, or gives up.
    """

    def __init__(
        self, order: Order, tasks: Sequence[Task], *, address: str | None = None, actors: int | None = None
    ) -> None:
        self.records: list[Record] = []
        """What is finished so far; in the order of the tasks once the context is left."""
        self._order, self._tasks = order, tasks
        self._address, self._actors = address, actors
        self._done: dict[int, Record] = {}
        self._started = False

    def __enter__(self) -> Self:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        try:
            import ray
        except ImportError:
            raise AirtoolError(missing_extra("--engine ray needs Ray", "ray")) from None
        if not ray.is_initialized():
            try:
                _knock(self._address)
                with _silence():
                    ray.init(
                        address=self._address,
                        include_dashboard=False,
                        log_to_driver=False,
                        logging_level=logging.CRITICAL,
                    )
            except (OSError, ValueError, RuntimeError) as error:  # ConnectionError is an OSError
                raise AirtoolError(f"no Ray cluster answers at {self._address}: {_first_line(error)}") from None
            self._started = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.records = [record for _, record in sorted(self._done.items(), key=lambda item: item[0])]
        if self._started:
            import ray

            with contextlib.redirect_stdout(sys.stderr):
                ray.shutdown()

    def __iter__(self) -> Iterator[Record]:
        import ray
        from ray.exceptions import RayError

        rows = iter(self._dataset(ray))
        while True:
            try:
                # What Ray has to say must not mix with results.
                with contextlib.redirect_stdout(sys.stderr):
                    row = next(rows, None)
            except RayError as error:
                raise AirtoolError(f"the Ray cluster gave up: {_first_line(error.__cause__ or error)}") from error
            if row is None:
                return
            index, record = pickle.loads(row["record"])
            if index not in self._done:
                self._done[index] = record
                self.records.append(record)
                yield record

    def _dataset(self, ray: Any) -> Iterator[Mapping[str, Any]]:
        """Rows with one record each, as they come."""
        import ray.data

        logging.getLogger("ray.data").setLevel(logging.ERROR)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        cluster = ray.cluster_resources()
        gpus = int(cluster.get("GPU", 0)) if self._order.settings.device in ("auto", "cuda") else 0
        actors = self._actors or gpus or max(1, int(cluster.get("CPU", 1)) // self._order.threads)
        chunk = max(1, min(CHUNK, len(self._tasks) // (2 * actors)))
        rows = [{"task": pickle.dumps(each)} for each in enumerate(self._tasks)]
        each = {"num_gpus": 1} if gpus else {"num_cpus": self._order.threads}
        restored = ray.data.from_items(rows, override_num_blocks=max(1, len(rows) // chunk)).map_batches(
            Restorer,
            fn_constructor_args=(self._order,),
            batch_size=chunk,
            compute=ray.data.ActorPoolStrategy(size=min(actors, -(-len(rows) // chunk))),
            **each,
        )
        return iter(restored.iter_rows())


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Nothing gets through to standard output and standard error, not even from C++; errors come as exceptions."""
    saved = os.dup(1), os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for stream in (1, 2):
            os.dup2(nowhere, stream)
        yield
    finally:
        for stream, original in zip((1, 2), saved, strict=True):
            os.dup2(original, stream)
            os.close(original)
        os.close(nowhere)


def _knock(address: str | None) -> None:
    """Raises OSError when nobody listens at "host:port": Ray itself would go on trying for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()


def _first_line(error: BaseException) -> str:
    words = (error.strerror or "") if isinstance(error, OSError) else str(error).strip()
    return words.splitlines()[0] if words else type(error).__name__
