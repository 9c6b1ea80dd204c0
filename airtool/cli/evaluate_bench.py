"""`airtool evaluate --bench`: every method on every benchmark set."""

import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from airtool.cli import completion
from airtool.cli.console import say, warn
from airtool.cli.evaluate_end import conclude
from airtool.cli.evaluate_methods import MethodRequest
from airtool.cli.evaluate_metrics import MetricRequest
from airtool.cli.evaluate_sets import PANEL
from airtool.cli.reports import Reports
from airtool.errors import AirtoolError, UsageError
from airtool.images.names import counted

if TYPE_CHECKING:
    from airtool.benches.evaluate import Restorer, Watch
    from airtool.benches.noise import NoiseProtocol
    from airtool.benches.run import Missing, Planned
    from airtool.benches.scorers import Scorer
    from airtool.images.reader import Reader
    from airtool.metrics.protocols import Protocol
    from airtool.reports.gallery import Gallery
    from airtool.reports.record import Evaluation, Stage
    from airtool.reports.several import Versus

BenchOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        autocompletion=completion.benches,
        help="Measure these benchmarks, e.g. rain100l,cbsd68-25.",
        rich_help_panel=PANEL,
    ),
]
DataOption = Annotated[
    str | None,
    typer.Option(
        metavar="DIR", help="Folder that holds the sets (default: the variable AIRTOOL_DATA).", rich_help_panel=PANEL
    ),
]
NoiseOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Synthesised noise: ndr keeps float values, promptir cuts them to 8 bits (default: ndr).",
        rich_help_panel=PANEL,
    ),
]


@dataclass(frozen=True)
class BenchRequest:
    """What --bench was asked to do."""

    names: str
    data: str | None
    protocol: str | None
    """None: those of each set."""
    noise: "NoiseProtocol | None"
    limit: int | None
    crop: bool
    keep: str | None
    metrics: MetricRequest
    reader: "Reader"
    quiet: bool


@dataclass(frozen=True, eq=False)  # each its own, as a key
class Job:
    """One method on one benchmark."""

    planned: "Planned"
    protocols: "tuple[Protocol, ...]"
    method: str | None
    """None: the inputs are measured."""
    folder: Path | None
    """Where restored pictures are kept."""
    targets: "Mapping[str, Path]"


def run_benches(request: BenchRequest, reports: Reports, methods: MethodRequest | None, watch: "Watch") -> None:
    """Measure every method on every benchmark, and print each table as soon as it is there.

    methods: None to measure the inputs alone. One method at a time is in memory, and of its pictures one. Raises
    typer.Exit(1) when a set, a metric or one of several methods was missing or a picture failed; the rest is measured.
    Raises typer.Exit(130) after an interruption; what was measured before is reported.
    """
    from airtool.benches.run import plan_benches
    from airtool.reports.several import differences, method_of
    from airtool.reports.tables import print_evaluation, print_several

    # A variable that is set to nothing names no folder; as a path it would be the one that the command runs in.
    data = request.data or os.environ.get("AIRTOOL_DATA")
    if not data:
        raise UsageError("--bench needs the folder that holds the sets: add --data DIR, or set AIRTOOL_DATA")
    planned, missing = plan_benches(request.names, data, request.noise, request.limit, request.crop)
    names: tuple[str | None, ...] = (None,) if methods is None else methods.names
    several = len(names) > 1
    work = {name: _jobs(request, reports, planned, name, several) for name in names}
    for each in missing:
        warn(each.reason)
    scorers = request.metrics.open() if planned else ()
    if methods is not None and planned and several:
        methods.check_device()
    measured: dict[Job, tuple[Evaluation, Gallery | None]] = {}
    interrupted = False
    try:
        for job, evaluation, gallery in _evaluations(request, reports, methods, work, scorers, watch, missing):
            interrupted = evaluation.interrupted
            if interrupted and not evaluation.results:
                break
            measured[job] = evaluation, gallery
            if not reports.to_stdout:
                mark = ": A SAMPLE, NOT THE BENCHMARK" if evaluation.question.sample else ""
                print(f"{evaluation.question.bench}{f', {method_of(evaluation)}' if several else ''}{mark}")
                print_evaluation(evaluation, sys.stdout)
            if interrupted:
                break
    except KeyboardInterrupt:  # between two sets
        interrupted = True
    if interrupted:
        missing += _not_reached(work, measured, missing)
    order = [each.bench.title for each in planned]
    found = sorted(measured.values(), key=lambda each: order.index(each[0].question.bench or ""))
    evaluations = [evaluation for evaluation, _ in found]
    compared = differences(evaluations)
    if len(evaluations) > 1 and not reports.to_stdout:
        print_several(evaluations, compared, sys.stdout)
    galleries = [gallery for _, gallery in found if gallery is not None]
    count = sum(len(evaluation.results) for evaluation in evaluations)
    written, left = reports.sparing(count) if interrupted else (reports, [])
    _write(written, evaluations, missing, compared, galleries, interrupted=interrupted)
    if request.keep is not None and evaluations:
        say(f"restored pictures are in {request.keep}", request.quiet)
    conclude(
        not missing and all(evaluation.complete for evaluation in evaluations),
        interrupted,
        count,
        sum(len(job.planned.task.pairs) for jobs in work.values() for job in jobs),
        restores=methods is not None,
        keep=request.keep is not None,
        left=left,
    )


def _evaluations(
    request: BenchRequest,
    reports: Reports,
    methods: MethodRequest | None,
    work: "Mapping[str | None, Sequence[Job]]",
    scorers: "Sequence[Scorer]",
    watch: "Watch",
    missing: "list[Missing]",
) -> "Iterator[tuple[Job, Evaluation, Gallery | None]]":
    """What is measured, job by job; `missing` gets what cannot be."""
    from airtool.benches.run import Missing

    several = len(work) > 1
    for name, jobs in work.items():
        restorer = None
        try:
            if methods is not None and name is not None and jobs:
                restorer = methods.open(name)
        except AirtoolError as error:
            if not several:
                raise
            warn(f"{name}: {error}")
            missing += [Missing(job.planned.bench.name, str(error), name) for job in jobs]
            continue
        for job in jobs:
            gallery = _gallery(reports, job, len(jobs) * len(work) > 1)
            try:
                evaluation = _measured(job, restorer, scorers, gallery, watch, request)
            except AirtoolError as error:  # what is kept is of another run; no picture is the reason
                warn(error)
                missing.append(Missing(job.planned.bench.name, str(error), name))
                continue
            yield job, evaluation, gallery


def _not_reached(
    work: "Mapping[str | None, Sequence[Job]]", measured: "Collection[Job]", missing: "Sequence[Missing]"
) -> "list[Missing]":
    """The jobs of an interrupted run that have no figures."""
    from airtool.benches.run import Missing

    known = {(each.bench, each.method) for each in missing}
    known |= {(job.planned.bench.name, job.method) for job in measured}
    names = [(job.planned.bench.name, job.method) for jobs in work.values() for job in jobs]
    why = "interrupted before it was measured"
    return [
        Missing(bench, why if method else f"{bench}: {why}", method)
        for bench, method in names
        if (bench, method) not in known
    ]


def _jobs(
    request: BenchRequest, reports: Reports, planned: "list[Planned]", method: str | None, several: bool
) -> list[Job]:
    """What one method is to measure. Raises UsageError for protocols that do not exist and a --keep that cannot be."""
    from airtool.benches.kept import MANIFEST, plan_kept
    from airtool.images.discover import STDIN
    from airtool.metrics.protocols import parse_protocols

    jobs = []
    for each in planned:
        protocols = parse_protocols(request.protocol or ",".join(each.set.protocols))
        folder, targets = None, {}
        if request.keep is not None and method is not None:
            if request.keep == STDIN:
                raise UsageError("--keep takes a folder, not standard output: name one")
            folder = Path(request.keep, *([method] if several else []), each.bench.name)
            targets = plan_kept(each.task.pairs, str(folder))
            reports.check_apart([*targets.values(), folder / MANIFEST])
        jobs.append(Job(each, protocols, method, folder, targets))
    return jobs


def _measured(
    job: Job,
    restorer: "Restorer | None",
    scorers: "Sequence[Scorer]",
    gallery: "Gallery | None",
    watch: "Watch",
    request: BenchRequest,
) -> "Evaluation":
    """The evaluation of one job. Raises AirtoolError when the folder of kept pictures is not for this measurement."""
    from airtool.benches.evaluate import evaluate
    from airtool.benches.kept import Kept, identity
    from airtool.benches.run import judged, left_over

    bench = job.planned
    reuse = None
    if restorer is not None and job.folder is not None:
        made_with = identity(bench.bench.name, bench.task.question, restorer.describe())
        reuse = Kept(job.targets, job.folder, made_with, request.reader)
    by = "" if job.method is None else f", {job.method}"
    say(f"{bench.bench.name}{by}: {counted(len(bench.task.pairs))} in {bench.found.folder}", request.quiet)
    batch, reader = request.metrics.batch, request.reader
    done = evaluate(bench.task, job.protocols, restorer, watch, gallery, scorers, reuse, batch, reader)
    for failure in left_over(bench.found):
        warn(failure.reason)
    return judged(bench, done)


def _gallery(reports: Reports, job: Job, several: bool) -> "Gallery | None":
    """The previews for the page: few of each evaluation where there are several, since one page holds them all."""
    if reports.html is None:
        return None
    from airtool.reports.gallery import Gallery
    from airtool.reports.ranking import yardstick

    stage: Stage = "restored" if job.method is not None else "input"
    by = yardstick([job.protocols[0].name])
    return Gallery(stage, by, worst_count=3, best_count=1) if several else Gallery(stage, by)


def _write(
    reports: Reports,
    evaluations: "list[Evaluation]",
    missing: "list[Missing]",
    compared: "list[Versus]",
    galleries: "list[Gallery]",
    *,
    interrupted: bool,
) -> None:
    from airtool.benches.report import benches_csv, benches_markdown, benches_payload, benches_summary
    from airtool.reports.writers import write_csv, write_json, write_text

    if reports.json is not None:
        write_json(reports.json, benches_payload(evaluations, missing, compared, interrupted=interrupted))
    if reports.csv is not None:
        write_csv(reports.csv, *benches_csv(evaluations, missing))
    if reports.csv_summary is not None:
        write_csv(reports.csv_summary, *benches_summary(evaluations, compared))
    if reports.markdown is not None:
        write_text(reports.markdown, benches_markdown(evaluations, missing, compared))
    if reports.html is not None and evaluations:
        from airtool.reports.html import page, page_of_several

        if len(evaluations) == 1 and not missing:
            text = page(evaluations[0], galleries[0])
        else:
            text = page_of_several(evaluations, galleries, compared, [each.told for each in missing])
        write_text(reports.html, text)
