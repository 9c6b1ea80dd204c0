"""Measures pictures against their ground truths: inputs, what a method makes of them, or files that already exist."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from airtool.benches.kept import Kept, Made
from airtool.benches.noise import NoiseProtocol
from airtool.benches.pairs import Pair, Pairing, pair_paths, pair_sources
from airtool.benches.scorers import Scorer
from airtool.benches.scoring import Measured, Scoring
from airtool.degradations.batch import degrade_picture
from airtool.degradations.compose import Step, parse_steps
from airtool.errors import AirtoolError, OutputError, PictureError, UsageError, reason
from airtool.images.discover import STDIN, Source, search
from airtool.images.names import shown
from airtool.images.picture import Picture
from airtool.images.reader import Reader
from airtool.images.remote import local
from airtool.metrics import protocols as metrics
from airtool.metrics.protocols import Pixels
from airtool.reports.gallery import Gallery
from airtool.reports.record import Evaluation, Failure, PictureResult, Question, Score, Stage, Treatment


@dataclass(frozen=True)
class Outcome:
    """What became of one picture."""

    picture: str
    """Its name, as in `PictureResult` and `Failure`."""
    result: PictureResult | None
    """None when it could not be measured."""
    failures: tuple[Failure, ...] = ()
    """What went wrong, before or after it was measured."""


Watch = Callable[[Iterable[Outcome], int], Iterable[Outcome]]
"""Passes on the outcomes as they come, of which there will be so many; may show them."""


class Restored(Protocol):
    """What became of a picture: an `airtool.engine.session.Restored`."""

    @property
    def picture(self) -> Picture:
        """With restored colours of the same shape, type and range."""
        ...

    @property
    def treatment(self) -> Treatment:
        """How it was restored."""
        ...


class Restorer(Protocol):
    """What can restore pictures and say how: an `airtool.engine.session.Session`."""

    def restore(self, picture: Picture) -> Restored:
        """Raises PictureError without a name."""
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
    noise: NoiseProtocol | None = None
    """How synthesised inputs are stored; None: as float values."""
    left: tuple[Failure, ...] = ()
    """Pictures without partner: they are failures, and the rest is measured."""
    crop: bool = False
    """Whether pictures of unequal size are cut to the middle that they share, instead of refused."""
    passed_over: Mapping[str, int] = field(default_factory=dict)
    """What `airtool.images.discover.search` has passed over."""


def task_of_pairs(degraded: str, ground_truth: str, limit: int | None = None) -> Task:
    """Measure the pictures of one folder (or a file) against those of another, and restore them first if wanted.

    limit: only the first so many pairs. Pictures without partner are `Task.left`. Raises UsageError as
    `airtool.benches.pairs.pair_paths` does.
    """
    refuse_stdin(degraded, ground_truth)
    pairing = pair_paths(degraded, ground_truth, complete=False)
    question = Question(ground_truth=ground_truth, degraded=degraded, pairing=pairing.rule.statement)
    return _limited(_task(question, pairing, "input"), limit)


def task_of_results(results: str, ground_truth: str, limit: int | None = None) -> Task:
    """Measure restored pictures that already exist. Otherwise as `task_of_pairs`."""
    refuse_stdin(results, ground_truth)
    pairing = pair_paths(results, ground_truth, complete=False)
    question = Question(ground_truth=ground_truth, results=results, pairing=pairing.rule.statement)
    return _limited(_task(question, pairing, "restored"), limit)


def _task(question: Question, pairing: Pairing, given: Stage) -> Task:
    return Task(question, pairing.pairs, given, left=_left(pairing), passed_over=pairing.passed_over)


def _left(pairing: Pairing) -> tuple[Failure, ...]:
    sides = ((pairing.degraded_left, "no ground truth"), (pairing.ground_truth_left, "no picture"))
    return tuple(
        Failure(
            source.relative.as_posix(),
            f"{shown(_path(source))}: {what} goes with it by {pairing.rule.statement}; complete or remove it",
        )
        for left, what in sides
        for source in left
    )


def task_of_synthesis(
    ground_truth: str, degradation: str, seed: int, limit: int | None = None, noise: NoiseProtocol | None = None
) -> Task:
    """Measure inputs that are synthesised from their ground truths.

    degradation: ordered steps such as ``"rain:0.6,noise:25"``. What is drawn for a picture depends on `seed` and on
    the picture alone. noise: how noisy pictures are stored. Raises UsageError for a degradation that does not exist,
    for `noise` with another degradation than noise alone, and as `task_of_pairs` does.
    """
    refuse_stdin(ground_truth)
    steps = parse_steps(degradation)
    if noise is not None and {step.name for step in steps} != {"noise"}:
        raise UsageError(f"--noise-protocol has no effect on {degradation}, which is not noise alone: leave it out")
    found = search([ground_truth])
    # Each with itself; refuses names that cannot be told apart.
    pairs = pair_sources(found.sources, found.sources).pairs
    stored = None if noise is None else noise.statement
    question = Question(ground_truth=ground_truth, degradation=degradation, seed=seed, noise_protocol=stored)
    task = Task(question, pairs, given="input", steps=steps, noise=noise, passed_over=found.passed_over)
    return _limited(task, limit)


CROPPED = "pictures of unequal size were cut to the middle that they share"


def cropping(task: Task) -> Task:
    """The same task with pictures of unequal size cut to the middle that they share, instead of refused."""
    return replace(task, question=replace(task.question, align=CROPPED), crop=True)


def evaluate(
    task: Task,
    protocols: Sequence[metrics.Protocol],
    restorer: Restorer | None = None,
    watch: Watch = lambda outcomes, total: outcomes,
    gallery: Gallery | None = None,
    scorers: Sequence[Scorer] = (),
    reuse: Kept | None = None,
    batch: int = 1,
    reader: Reader | None = None,
) -> Evaluation:
    """Measure every pair of a task under every protocol.

    restorer: restores each input; None: inputs (or existing results) are measured as they are. Restored values are
    measured as the float values that the method gives, clipped to [0, 1], and rounded only where a protocol says so.
    reuse: pictures kept from one run to the next; with it, restored pictures are measured as their files hold them. A
    picture that cannot be read, restored or measured becomes a `Failure`, and the rest is measured; one that cannot be
    kept, or has no value of one of the further metrics (`scorers`), has its figures and a `Failure`. gallery: is
    offered every measured picture, to keep previews of a few. batch: as for `airtool.benches.scoring.Scoring`.
    reader: what opens the pictures, within its limits. Ctrl-C ends it early without an exception: the evaluation then
    holds what was measured before, and says so; further metrics that were not computed by then are NaN.
    """
    scoring = Scoring(scorers, batch)
    work = _outcomes(task, protocols, restorer, gallery, scoring, reuse, reader or Reader())
    outcomes, interrupted = gathered(watch(work, len(task.pairs)), scoring, gallery)
    question = task.question if reuse is None else replace(task.question, stored=reuse.statement)
    return Evaluation(
        question=cut_short(question, outcomes, len(task.pairs)) if interrupted else question,
        protocols={protocol.name: protocol.statement for protocol in protocols},
        stages=(task.given,) if restorer is None else ("input", "restored"),
        restoration=None if restorer is None else restorer.describe(),
        results=tuple(outcome.result for outcome in outcomes if outcome.result is not None),
        failures=(*(failure for outcome in outcomes for failure in outcome.failures), *task.left),
        metrics=tuple(scorer.metric for scorer in scorers),
        of_sets=scoring.of_sets(),
        interrupted=interrupted,
    )


def gathered(outcomes: Iterable[Outcome], scoring: Scoring, gallery: Gallery | None) -> tuple[list[Outcome], bool]:
    """All outcomes, or those before Ctrl-C and True.

    Pictures that were measured by then, and wait for further metrics in `scoring`, are among them.
    """
    found: list[Outcome] = []
    try:
        for outcome in outcomes:
            found.append(outcome)  # noqa: PERF402 - those before an interruption are to be had
    except KeyboardInterrupt:
        found += finished(scoring.abandoned(), gallery)
        return found, True
    return found, False


def cut_short(question: Question, outcomes: Sequence[Outcome], total: int) -> Question:
    """The question of an interrupted run, which says that its figures are a sample. total: pictures asked for."""
    measured = sum(outcome.result is not None for outcome in outcomes)
    return replace(question, sample=f"a sample: interrupted after {measured} of {total} pictures")


def _outcomes(
    task: Task,
    protocols: Sequence[metrics.Protocol],
    restorer: Restorer | None,
    gallery: Gallery | None,
    scoring: Scoring,
    reuse: Kept | None,
    reader: Reader,
) -> Iterator[Outcome]:
    for pair in task.pairs:
        try:
            done = scoring.add(_measure(task, pair, protocols, restorer, reuse, reader))
        except OutputError:
            raise
        except Exception as error:
            files = (shown(_path(source)) for source in (pair.degraded, pair.ground_truth))
            failure = Failure(pair.name, reason(error, *files))
        else:
            yield from finished(done, gallery)
            continue
        yield from finished(scoring.rest(), gallery)
        yield Outcome(pair.name, None, (failure,))
    yield from finished(scoring.rest(), gallery)


def finished(done: Iterable[Measured], gallery: Gallery | None) -> Iterator[Outcome]:
    """What became of pictures that have all their values; the gallery is offered them."""
    for each in done:
        if gallery is not None:
            views: dict[str, Pixels] = {str(stage): pixels for stage, pixels in each.views.items()}
            gallery.offer(each.result, views if each.truth is None else views | {"ground truth": each.truth})
        name = each.result.picture
        yield Outcome(name, each.result, tuple(Failure(name, problem) for problem in each.problems))


def _measure(
    task: Task,
    pair: Pair,
    protocols: Sequence[metrics.Protocol],
    restorer: Restorer | None,
    reuse: Kept | None,
    reader: Reader,
) -> Measured:
    """The figures of one pair but for the further metrics."""
    ground_truth = _read(pair.ground_truth, reader).rgb
    given = _read(pair.degraded, reader)
    name = shown(_path(pair.degraded))
    if given.rgb.shape != ground_truth.shape and task.crop:
        given, ground_truth = _middle(given, ground_truth)
    remedy = "; --align crop measures the middle that they share" if given.rgb.shape != ground_truth.shape else ""
    with naming(name, remedy):
        metrics.check_comparable(given.rgb, ground_truth)
        if task.steps:
            given, _ = degrade_picture(given, task.steps, task.question.seed or 0)
            if task.noise is not None:
                given = given.with_rgb(task.noise.stored(given.rgb))
    scores = {task.given: _scores(given.rgb, ground_truth, protocols)}
    views = {task.given: given.rgb}
    height, width = ground_truth.shape[:2]
    result = PictureResult(pair.name, width, height, None, scores)
    problems: list[str] = []
    if restorer is not None:
        made, problems = _restored(pair.name, name, given, restorer, reuse)
        with naming(f"{name}, restored"):
            scores["restored"] = _scores(made.picture.rgb, ground_truth, protocols)
        views["restored"] = made.picture.rgb
        result = replace(result, seconds=made.seconds, treatment=made.treatment)
    return Measured(result, name, views, ground_truth, problems)


def _read(source: Source, reader: Reader) -> Picture:
    """Raises PictureError, which names the file, whatever goes wrong."""
    path = _path(source)
    try:
        return reader.read(path)
    except Exception as error:
        raise PictureError(reason(error, shown(path))) from error


def _restored(key: str, name: str, given: Picture, restorer: Restorer, reuse: Kept | None) -> tuple[Made, list[str]]:
    """A picture restored now or earlier, and why it could not be kept, if so."""
    if reuse is not None and (found := reuse.find(key, given)) is not None:
        return found, []
    start = time.perf_counter()
    with naming(name):
        restored = restorer.restore(given)
    made = Made(restored.picture, time.perf_counter() - start, restored.treatment)
    if reuse is None:
        return made, []
    with naming(f"{name}, restored"):
        return reuse.add(key, given, made)


def _middle(given: Picture, ground_truth: Pixels) -> tuple[Picture, Pixels]:
    """Both cut to the height and width of the smaller, around their middles."""
    height, width = (min(sides) for sides in zip(given.rgb.shape[:2], ground_truth.shape[:2], strict=True))
    crops = [
        np.s_[(top := (h - height) // 2) : top + height, (left := (w - width) // 2) : left + width]
        for h, w in (given.rgb.shape[:2], ground_truth.shape[:2])
    ]
    alpha = None if given.alpha is None else given.alpha[crops[0]]
    return replace(given, rgb=np.ascontiguousarray(given.rgb[crops[0]]), alpha=alpha), ground_truth[crops[1]]


def _scores(picture: Pixels, ground_truth: Pixels, protocols: Sequence[metrics.Protocol]) -> dict[str, Score]:
    return {
        protocol.name: Score(protocol.psnr(picture, ground_truth), protocol.ssim(picture, ground_truth))
        for protocol in protocols
    }


def _limited(task: Task, limit: int | None) -> Task:
    question = replace(task.question, available=len(task.pairs), limit=limit)
    return replace(task, question=question, pairs=task.pairs[:limit])


def refuse_stdin(*paths: str) -> None:
    """Raise UsageError where standard input is among the paths."""
    if STDIN in paths:
        raise UsageError("evaluate measures files and folders, not standard input: name a file or a folder")


def _path(source: Source) -> Path:
    if source.path is None:
        raise PictureError("standard input cannot be measured: name a file")
    return local(source.path)


@contextmanager
def naming(picture: str, remedy: str = "") -> Iterator[None]:
    """Put the name of a picture before the message of an error that does not know it, and a remedy after it."""
    try:
        yield
    except OutputError:
        raise
    except AirtoolError as error:
        raise PictureError(f"{picture}: {error}{remedy}") from error
