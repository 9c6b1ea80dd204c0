"""Measures pictures against their ground truths: inputs, what a method makes of them, or files that already exist."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from airtool.benches.pairs import Pair, pair_paths, pair_sources
from airtool.degradations.batch import degrade_picture
from airtool.degradations.compose import Step, parse_steps
from airtool.errors import AirtoolError, PictureError, UsageError
from airtool.images.decode import read
from airtool.images.discover import STDIN, Source, discover
from airtool.images.encode import encode
from airtool.images.files import write_atomic
from airtool.images.names import listing, shown
from airtool.images.picture import Picture
from airtool.images.plan import plan
from airtool.metrics import protocols as metrics
from airtool.metrics.protocols import Pixels
from airtool.reports.record import Evaluation, Failure, PictureResult, Question, Score, Stage

Outcome = PictureResult | Failure
Watch = Callable[[Iterable[Outcome], int], Iterable[Outcome]]
"""Passes on the outcomes as they come, of which there will be so many; may show them."""


class Restorer(Protocol):
    """What can restore pictures and say how: an `airtool.engine.session.Session`."""

    def restore_picture(self, picture: Picture) -> Picture:
        """The picture with restored colours of the same shape, type and range; raises PictureError without a name."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """Method, weights, device and the like, as a report can hold them."""
        ...


@dataclass(frozen=True)
class Task:
    """Which pictures to measure, found and checked before any work starts."""

    question: Question
    pairs: tuple[Pair, ...]
    given: Stage
    """What the first picture of each pair is: something to restore, or the result of a restoration."""
    steps: tuple[Step, ...] = ()
    """Degradations that make the input out of the first picture of each pair; empty: it is the input."""


def task_of_pairs(degraded: str, ground_truth: str, limit: int | None = None) -> Task:
    """Measure the pictures of one folder (or a file) against those of another, and restore them first if wanted.

    limit: only the first so many pairs. Raises UsageError as `airtool.benches.pairs.pair_paths` does.
    """
    _refuse_stdin(degraded, ground_truth)
    pairing = pair_paths(degraded, ground_truth)
    question = Question(ground_truth=ground_truth, degraded=degraded, pairing=pairing.rule.statement)
    return _limited(Task(question, pairing.pairs, given="input"), limit)


def task_of_results(results: str, ground_truth: str, limit: int | None = None) -> Task:
    """Measure restored pictures that already exist. Otherwise as `task_of_pairs`."""
    _refuse_stdin(results, ground_truth)
    pairing = pair_paths(results, ground_truth)
    question = Question(ground_truth=ground_truth, results=results, pairing=pairing.rule.statement)
    return _limited(Task(question, pairing.pairs, given="restored"), limit)


def task_of_synthesis(ground_truth: str, degradation: str, seed: int, limit: int | None = None) -> Task:
    """Measure inputs that are synthesised from their ground truths.

    degradation: ordered steps such as ``"rain:0.6,noise:25"``. What is drawn for a picture depends on `seed` and on
    the picture alone. Raises UsageError for a degradation that does not exist and as `task_of_pairs` does.
    """
    _refuse_stdin(ground_truth)
    steps = parse_steps(degradation)
    sources = discover([ground_truth])
    pairs = pair_sources(sources, sources).pairs  # each with itself; refuses names that cannot be told apart
    question = Question(ground_truth=ground_truth, degradation=degradation, seed=seed)
    return _limited(Task(question, pairs, given="input", steps=steps), limit)


def plan_kept(task: Task, folder: str) -> dict[str, Path]:
    """Where each restored picture of a task goes: PNG files that mirror the tree of the inputs, by `Pair.name`.

    Raises UsageError as `airtool.images.plan.plan` does, also when one of the files exists already or when they would
    come to lie among the ground truths.
    """
    if folder == STDIN:
        raise UsageError("--keep takes a folder, not standard output: name one")
    planned = plan([pair.degraded for pair in task.pairs], folder, format="png", existing="resume")
    if planned.skipped:
        names = listing([str(job.target) for job in planned.skipped])
        raise UsageError(f"already there: {names}; name an empty folder after --keep, or remove them")
    for root in {pair.ground_truth.root for pair in task.pairs} - {None}:
        if root is not None and Path(folder).resolve().is_relative_to(root.resolve()):
            raise UsageError(f"--keep {shown(folder)} lies inside the ground truths {shown(root)}: name another folder")
    targets = {job.source: job.target for job in planned.jobs}
    return {pair.name: target for pair in task.pairs if (target := targets[pair.degraded]) is not None}


def evaluate(
    task: Task,
    protocols: Sequence[metrics.Protocol],
    restorer: Restorer | None = None,
    kept: Mapping[str, Path] | None = None,
    watch: Watch = lambda outcomes, total: outcomes,
) -> Evaluation:
    """Measure every pair of a task under every protocol.

    restorer: restores each input; None: inputs (or existing results) are measured as they are. Restored values are
    measured as the float values that the method gives, clipped to [0, 1], and rounded only where a protocol says so.
    kept: the file for each restored picture, from `plan_kept`. A picture that cannot be read, restored or measured
    becomes a `Failure`, and the rest is measured; one that cannot be kept has its figures and a `Failure`.
    """
    outcomes = list(watch(_outcomes(task, protocols, restorer, kept or {}), len(task.pairs)))
    return Evaluation(
        question=task.question,
        protocols={protocol.name: protocol.statement for protocol in protocols},
        stages=(task.given,) if restorer is None else ("input", "restored"),
        restoration=None if restorer is None else restorer.describe(),
        results=tuple(outcome for outcome in outcomes if isinstance(outcome, PictureResult)),
        failures=tuple(outcome for outcome in outcomes if isinstance(outcome, Failure)),
    )


def _outcomes(
    task: Task, protocols: Sequence[metrics.Protocol], restorer: Restorer | None, kept: Mapping[str, Path]
) -> Iterator[Outcome]:
    for pair in task.pairs:
        try:
            result, restored = _measure(task, pair, protocols, restorer)
            yield result
            if restored is not None and pair.name in kept:
                # What was measured stays measured when this fails.
                write_atomic(kept[pair.name], encode(restored, format="png"), overwrite=False)
        except AirtoolError as error:
            yield Failure(pair.name, str(error))
        except MemoryError:
            yield Failure(
                pair.name, f"{shown(_path(pair.degraded))}: not enough memory to measure it; close other programs"
            )


def _measure(
    task: Task, pair: Pair, protocols: Sequence[metrics.Protocol], restorer: Restorer | None
) -> tuple[PictureResult, Picture | None]:
    """The figures of one pair, and the restored picture if there was a restorer."""
    ground_truth = read(_path(pair.ground_truth)).rgb
    given = read(_path(pair.degraded))
    name = shown(_path(pair.degraded))
    with _naming(name):
        metrics.check_comparable(given.rgb, ground_truth)
        if task.steps:
            given, _ = degrade_picture(given, task.steps, task.question.seed or 0)
    scores = {task.given: _scores(given.rgb, ground_truth, protocols)}
    restored, seconds = None, None
    if restorer is not None:
        start = time.perf_counter()
        with _naming(name):
            restored = restorer.restore_picture(given)
        seconds = time.perf_counter() - start
        with _naming(f"{name}, restored"):
            scores["restored"] = _scores(restored.rgb, ground_truth, protocols)
    height, width = ground_truth.shape[:2]
    return PictureResult(pair.name, width, height, seconds, scores), restored


def _scores(picture: Pixels, ground_truth: Pixels, protocols: Sequence[metrics.Protocol]) -> dict[str, Score]:
    return {
        protocol.name: Score(protocol.psnr(picture, ground_truth), protocol.ssim(picture, ground_truth))
        for protocol in protocols
    }


def _limited(task: Task, limit: int | None) -> Task:
    question = replace(task.question, available=len(task.pairs), limit=limit)
    return replace(task, question=question, pairs=task.pairs[:limit])


def _refuse_stdin(*paths: str) -> None:
    if STDIN in paths:
        raise UsageError("evaluate measures files and folders, not standard input: name a file or a folder")


def _path(source: Source) -> Path:
    if source.path is None:
        raise PictureError("standard input cannot be measured: name a file")
    return source.path


@contextmanager
def _naming(picture: str) -> Iterator[None]:
    """Put the name of a picture before the message of an error that does not know it."""
    try:
        yield
    except AirtoolError as error:
        raise PictureError(f"{picture}: {error}") from error
