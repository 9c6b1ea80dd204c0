"""`airtool evaluate --bench`: benchmark sets, one after the other."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from airtool.cli.console import say, warn
from airtool.cli.evaluate_metrics import MetricRequest
from airtool.cli.evaluate_sets import PANEL
from airtool.cli.reports import Reports
from airtool.errors import UsageError

if TYPE_CHECKING:
    from airtool.benches.evaluate import Restorer, Watch
    from airtool.benches.noise import NoiseProtocol
    from airtool.benches.run import Missing
    from airtool.reports.record import Evaluation

BenchOption = Annotated[
    str | None,
    typer.Option(metavar="NAMES", help="Measure these benchmarks, e.g. rain100l,cbsd68-25.", rich_help_panel=PANEL),
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
    quiet: bool


def run_benches(
    request: BenchRequest, reports: Reports, open_restorer: "Callable[[], Restorer | None]", watch: "Watch"
) -> None:
    """Measure benchmarks one after the other, and print each table as soon as it is there.

    Raises typer.Exit(1) when a set or a metric was missing or a picture failed; the rest is measured.
    """
    from airtool.benches.evaluate import evaluate, plan_kept
    from airtool.benches.run import judged, left_over, plan_benches
    from airtool.metrics.protocols import parse_protocols
    from airtool.reports.writers import STDOUT

    data = request.data or os.environ.get("AIRTOOL_DATA")
    if data is None:
        raise UsageError("--bench needs the folder that holds the sets: add --data DIR, or set AIRTOOL_DATA")
    planned, missing = plan_benches(request.names, data, request.noise, request.limit, request.crop)
    if reports.html is not None and len(planned) + len(missing) > 1:
        raise UsageError("--html takes one benchmark: name one after --bench")
    protocols = [parse_protocols(request.protocol or ",".join(each.set.protocols)) for each in planned]
    kept = [plan_kept(each.task, str(Path(request.keep, each.bench.name))) if request.keep else {} for each in planned]
    for each in missing:
        warn(each.reason)
    scorers = request.metrics.open() if planned else ()
    restorer = open_restorer() if planned else None
    gallery = _gallery(reports, restorer is not None, protocols[0][0].name) if planned else None
    evaluations = []
    for bench, chosen, targets in zip(planned, protocols, kept, strict=True):
        say(f"{bench.bench.name}: {len(bench.task.pairs)} pictures in {bench.found.folder}", request.quiet)
        evaluation = judged(bench, evaluate(bench.task, chosen, restorer, targets, watch, gallery, scorers))
        for failure in left_over(bench.found):
            warn(failure.reason)
        evaluations.append(evaluation)
        if STDOUT not in (reports.json, reports.csv, reports.csv_summary, reports.markdown, reports.html):
            from airtool.reports.tables import print_evaluation

            mark = ": A SAMPLE, NOT THE BENCHMARK" if evaluation.question.sample else ""
            print(f"{evaluation.question.bench}{mark}")
            print_evaluation(evaluation, sys.stdout)
    _write(reports, evaluations, missing, gallery)
    if request.keep is not None and evaluations:
        say(f"restored pictures are in {request.keep}", request.quiet)
    if missing or not all(evaluation.complete for evaluation in evaluations):
        raise typer.Exit(1)


def _gallery(reports: Reports, restoring: bool, protocol: str) -> Any:
    from airtool.reports.gallery import Gallery
    from airtool.reports.ranking import yardstick

    return Gallery("restored" if restoring else "input", yardstick([protocol])) if reports.html is not None else None


def _write(reports: Reports, evaluations: "list[Evaluation]", missing: "list[Missing]", gallery: Any) -> None:
    from airtool.benches.run import benches_csv, benches_payload, benches_summary
    from airtool.reports.writers import write_csv, write_json, write_text

    if reports.json is not None:
        write_json(reports.json, benches_payload(evaluations, missing))
    if reports.csv is not None:
        write_csv(reports.csv, *benches_csv(evaluations, missing))
    if reports.csv_summary is not None:
        write_csv(reports.csv_summary, *benches_summary(evaluations))
    if reports.markdown is not None:
        from airtool.reports.markdown import markdown

        write_text(reports.markdown, "\n".join(markdown(evaluation) for evaluation in evaluations))
    if reports.html is not None and evaluations:
        from airtool.reports.html import page

        write_text(reports.html, page(evaluations[0], gallery))
