"""The loop over many pictures: read, restored step by step, measured, written, each on its own."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from airtool.engine.iterate import Course, Looker, Rules, Step, iterate
from airtool.engine.manifest import Journal
from airtool.engine.pipeline import Pipeline
from airtool.engine.records import Record
from airtool.engine.session import Restored, Session
from airtool.engine.sheet import Sheets, Strip, View, view
from airtool.engine.tasks import Task, beside
from airtool.errors import PictureError
from airtool.images.encode import encode
from airtool.images.files import write_atomic
from airtool.images.names import shown
from airtool.images.picture import Picture
from airtool.images.places import check_links
from airtool.images.plan import Job
from airtool.images.reader import Reader
from airtool.images.remote import Place, local
from airtool.methods.autodir.vocabulary import NOTHING
from airtool.metrics.protocols import RGB
from airtool.reports.record import Score

PROTOCOL = RGB
"""What steps are measured by where there is a ground truth."""


@dataclass(frozen=True)
class StepTask(Task):
    """One picture for the loop."""

    steps: tuple[Path, ...] = ()
    """Files of the results of the first step, the second and so on; empty: not wanted."""
    truth: Path | None = None
    """File of the ground truth."""

    @property
    def files(self) -> tuple[Place, ...]:
        return (*super().files, *self.steps)


@dataclass(frozen=True)
class Told:
    """What there is to tell about one picture that was iterated."""

    iteration: Course
    files: tuple[Path, ...]
    """Files of the steps, in order; empty: not wanted."""
    scores: tuple[Score, ...]
    """Of the input and then of every step by `PROTOCOL`; empty without a ground truth."""


def plan_steps(
    jobs: Sequence[Job], out: str, keep: str | None, max_steps: int, truths: Mapping[Job, Path], replace: bool
) -> list[StepTask]:
    """One task a job. keep: folder of the steps' pictures, NAME.step-1.png and so on. Raises as `plan_tasks` does."""
    check_links(Path(out), (job.target for job in jobs))
    endings = [f"step-{number}.png" for number in range(1, max_steps + 1)]
    files = [{}] * len(jobs) if keep is None else beside(jobs, "--keep-steps", keep, out, endings, replace)
    return [
        StepTask(job, steps=tuple(map(local, each.values())), truth=truths.get(job))
        for job, each in zip(jobs, files, strict=True)
    ]


class Iterations(Pipeline):
    """`Pipeline` that sends every picture through the loop. What it did is in `told`, by `Task.output`.

    detector, rules: as `airtool.engine.iterate.iterate` has them. sheets: where contact sheets go; None: not wanted.
    """

    def __init__(
        self,
        session: Session,
        detector: Looker,
        rules: Rules,
        tasks: Sequence[StepTask],
        *,
        sheets: Sheets | None = None,
        quality: int | None = None,
        overwrite: bool = False,
        workers: int = 2,
        journal: Journal | None = None,
        reader: Reader | None = None,
    ) -> None:
        super().__init__(
            session, tasks, quality=quality, overwrite=overwrite, workers=workers, journal=journal, reader=reader
        )
        self.told: dict[str, Told] = {}
        self._restorer, self._detector, self._rules, self._sheets = session, detector, rules, sheets
        self._replace = overwrite
        self._strips: dict[str, Strip] = {}

    def __iter__(self) -> Iterator[Record]:
        for record in super().__iter__():
            strip = self._strips.pop(record.target, None)
            if self._sheets is not None and strip is not None and record.status == "restored":
                self._sheets.add(strip)
            yield record

    def restore(self, task: Task, picture: Picture) -> Restored:
        work = cast(StepTask, task)
        measure = _against(work, picture, self._reader)
        scores = [measure(picture)] if measure else []
        views: list[View] = []

        def seen(step: Step, result: Picture) -> None:
            if measure is not None:
                scores.append(measure(result))
            if work.steps:
                # At once: a picture one of whose steps cannot be written fails, and --resume takes it up again.
                write_atomic(work.steps[step.number - 1], encode(result, "png"), overwrite=True)
            if self._sheets is not None:
                done = f"{step.number}: {step.decision.choice}" + ("" if step.objection is None else ", not kept")
                views.append(view(result.rgb, done, *_below(step.probabilities, scores)))

        iteration = iterate(picture, self._detector, self._restorer, self._rules, seen)
        files = work.steps[: len(iteration.steps)]
        if self._replace or task.job.replaces is not None:
            for stale in work.steps[len(files) :]:
                stale.unlink(missing_ok=True)  # a longer run's, which this one replaces
        self.told[task.output] = Told(iteration.course, files, tuple(scores))
        if self._sheets is not None:
            first = (iteration.steps[0].decision if iteration.steps else iteration.seen).probabilities
            kept = f"step {iteration.kept} kept" if iteration.kept else "left as it was"
            title = f"{work.job.source.relative.as_posix()}: {iteration.reason}, {kept}"
            start = view(picture.rgb, "input", *_below(first, scores[:1]))
            self._strips[task.output] = Strip(title, (start, *views))
        seconds = sum(step.seconds for step in iteration.steps)
        return Restored(iteration.picture, iteration.tile, seconds, iteration.notes)


def _against(task: StepTask, picture: Picture, reader: Reader) -> Callable[[Picture], Score] | None:
    """What measures a result against the ground truth, if there is one. Raises PictureError when it does not fit."""
    if task.truth is None:
        return None
    truth = reader.read(task.truth).rgb
    if truth.shape != picture.rgb.shape:
        ours, theirs = (f"{rgb.shape[1]}x{rgb.shape[0]}" for rgb in (picture.rgb, truth))
        raise PictureError(
            f"{shown(task.name)} has {ours} pixels, its ground truth {shown(task.truth)} {theirs}: only equal "
            "sizes can be measured"
        )
    return lambda result: Score(PROTOCOL.psnr(result.rgb, truth), PROTOCOL.ssim(result.rgb, truth))


def _below(probabilities: Mapping[str, float], scores: Sequence[Score]) -> tuple[str, ...]:
    """The lines below a view after the first: what the picture looks like, and how far it is from the truth."""
    name, share = max(probabilities.items(), key=lambda item: item[1])
    looks = f"looks {'clean' if name == NOTHING else name} {share:.2f}"
    return (looks, f"{scores[-1].psnr:.2f} dB") if scores else (looks,)
