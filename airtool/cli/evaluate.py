"""`airtool evaluate`: how close pictures come to their ground truths."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from airtool.cli import completion
from airtool.cli.console import say, warn
from airtool.cli.evaluate_bench import BenchOption, BenchRequest, DataOption, NoiseOption, run_benches
from airtool.cli.evaluate_end import conclude
from airtool.cli.evaluate_methods import parse_methods
from airtool.cli.evaluate_metrics import (
    MetricBatchOption,
    MetricDeviceOption,
    MetricOption,
    MetricWeightsOption,
    NoReferenceOption,
    parse_metric_request,
    run_unreferenced,
)
from airtool.cli.evaluate_sets import CheckOption, ListOption, check_data, list_benches
from airtool.cli.options import DetectorWeights, MaxPixels
from airtool.cli.outputs import say_passed_over
from airtool.cli.progress import track
from airtool.cli.reports import Reports
from airtool.errors import UsageError

if TYPE_CHECKING:
    from airtool.benches.evaluate import Outcome, Task
    from airtool.benches.noise import NoiseProtocol
    from airtool.metrics.protocols import Protocol
    from airtool.reports.compare import Earlier
    from airtool.reports.record import Metric

WHAT, HOW, REPORT = "What to measure", "How to restore", "Figures and reports"


def evaluate(
    pairs: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="LQ GT",
            help="Restore the pictures of LQ (file or folder); measure them before and after against those of GT.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    results: Annotated[
        str | None,
        typer.Option(metavar="OUT", help="Measure existing pictures against --gt.", rich_help_panel=WHAT),
    ] = None,
    gt: Annotated[
        str | None,
        typer.Option(
            metavar="GT", help="Ground truths (file or folder) for --results or --degrade.", rich_help_panel=WHAT
        ),
    ] = None,
    degrade: Annotated[
        str | None,
        typer.Option(
            metavar="STEPS",
            help='Make the inputs out of --gt, e.g. "noise:25" or "rain:0.6,noise:25".',
            rich_help_panel=WHAT,
        ),
    ] = None,
    no_reference: NoReferenceOption = None,
    input_only: Annotated[
        bool, typer.Option("--input-only", help="Measure the inputs and restore nothing.", rich_help_panel=WHAT)
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Only the first N pictures: a sample.", rich_help_panel=WHAT),
    ] = None,
    align: Annotated[
        str | None,
        typer.Option(metavar="crop", help="Cut pairs of unequal size to their shared middle.", rich_help_panel=WHAT),
    ] = None,
    max_pixels: MaxPixels = None,
    bench: BenchOption = None,
    data: DataOption = None,
    list_sets: ListOption = False,
    check: CheckOption = None,
    noise_protocol: NoiseOption = None,
    metric: MetricOption = None,
    metric_weights: MetricWeightsOption = None,
    metric_device: MetricDeviceOption = None,
    metric_batch: MetricBatchOption = None,
    method: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            autocompletion=completion.methods,
            help="Method that restores (default: that of --weights, or autodir); with --bench also ndr,dfpir.",
            rich_help_panel=HOW,
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Weights file (default: the embedded weights); of several methods METHOD=FILE,METHOD=FILE.",
            rich_help_panel=HOW,
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which embedded weights (default: small).", rich_help_panel=HOW)
    ] = None,
    detector_weights: DetectorWeights = None,
    degradation: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[:AMOUNT]",
            autocompletion=completion.degradations,
            help="What a method that has to be told is told (default: it works it out).",
            rich_help_panel=HOW,
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="auto, cpu, mps, cuda or cuda:N (default: auto).", rich_help_panel=HOW),
    ] = None,
    precision: Annotated[
        str | None, typer.Option(metavar="NAME", help="auto, bf16 or fp32 (default: auto).", rich_help_panel=HOW)
    ] = None,
    tile: Annotated[
        str | None,
        typer.Option(
            metavar="auto|N|off", help="Side of a tile in pixels (default: auto, by memory).", rich_help_panel=HOW
        ),
    ] = None,
    self_ensemble: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Average the results of 2 or 4 mirrored versions (default: 1).", rich_help_panel=HOW
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Seed of --degrade and of the method (default: 0).", rich_help_panel=HOW),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Keep the restored pictures there as PNG files, which the next run reuses.",
            rich_help_panel=HOW,
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="One or several of rgb, y, promptir, ndr (default: rgb; with --bench those of each set).",
            rich_help_panel=REPORT,
        ),
    ] = None,
    json: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write everything as JSON (-: standard output).", rich_help_panel=REPORT),
    ] = None,
    csv: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write one row a picture (-: standard output).", rich_help_panel=REPORT),
    ] = None,
    csv_summary: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write one row a mean (-: standard output).", rich_help_panel=REPORT),
    ] = None,
    markdown: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write everything as Markdown (-: standard output).", rich_help_panel=REPORT),
    ] = None,
    html: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write one page with plots and pictures.", rich_help_panel=REPORT),
    ] = None,
    compare_with: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="Compare with the --json of an earlier run.", rich_help_panel=REPORT),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress on standard error.", rich_help_panel=REPORT)
    ] = False,
) -> None:
    """Measure PSNR and SSIM against ground truths, and further metrics where asked.

    Give --pairs LQ GT, or --results OUT --gt GT, or --gt GT --degrade STEPS, or --bench NAMES, or --no-reference DIR.
    Pictures pair up by their names without extension, inside subfolders of the same name; those of a benchmark by its
    own rule. The table goes to standard output, unless a report with - does.
    """
    from airtool.benches.evaluate import cropping
    from airtool.benches.evaluate import evaluate as measure
    from airtool.benches.kept import MANIFEST, Kept, identity, plan_kept
    from airtool.benches.noise import parse_noise_protocol
    from airtool.benches.pairs import LISTED
    from airtool.engine.settings import Settings, parse_precision, parse_tile
    from airtool.images.limits import parse_max_pixels
    from airtool.images.reader import Reader
    from airtool.metrics.protocols import parse_protocols
    from airtool.reports.compare import compare
    from airtool.reports.gallery import Gallery
    from airtool.reports.ranking import yardstick

    restoring: dict[str, object] = {"--method": method, "--weights": weights, "--preset": preset}
    restoring |= {"--device": device, "--precision": precision, "--tile": tile, "--keep": keep}
    restoring |= {"--degradation": degradation, "--self-ensemble": self_ensemble}
    restoring |= {"--detector-weights": detector_weights}
    if results is not None:
        _refuse({**restoring, "--input-only": input_only or None}, "with --results, which restores nothing")
    elif input_only:
        _refuse(restoring, "with --input-only, which restores nothing")
    if degrade is None and (results is not None or input_only):
        _refuse({"--seed": seed}, "here, where nothing is drawn")
    chosen = parse_protocols(protocol or "rgb")
    reader = Reader(parse_max_pixels(max_pixels))
    reports = Reports(json, csv, csv_summary, markdown, html)
    reports.check(compare_with)
    asked = {"--pairs": pairs, "--results": results, "--degrade": degrade}
    others: dict[str, object] = {**asked, "--gt": gt}
    referenced = {**restoring, "--data": data, "--noise-protocol": noise_protocol, "--align": align}
    referenced |= {"--protocol": protocol, "--seed": seed, "--input-only": input_only or None}
    further = parse_metric_request(metric, metric_weights, metric_device, metric_batch, no_reference is None)
    if list_sets or check is not None:
        others |= {**referenced, "--limit": limit, "--compare-with": compare_with, "--no-reference": no_reference}
        others |= {"--metric": metric or None}
        if check is not None:
            _refuse({**others, "--list": list_sets or None}, "with --check, which only looks")
            check_data(check, bench, reports, quiet, reader)
        else:
            _refuse({**others, "--bench": bench, "--max-pixels": max_pixels}, "with --list, which only lists")
            list_benches(reports)
        return
    if align not in (None, "crop"):
        raise UsageError(f"--align '{align}' is not known: leave it out, or say crop")
    noise = None if noise_protocol is None else parse_noise_protocol(noise_protocol)

    def watch(outcomes: "Iterable[Outcome]", total: int) -> "Iterable[Outcome]":
        for outcome in track(outcomes, total, "measured", quiet):
            for failure in outcome.failures:
                warn(failure.reason)
            yield outcome

    if no_reference is not None:
        _refuse({**others, "--bench": bench, **referenced}, "with --no-reference, which only scores pictures")
        run_unreferenced(no_reference, further, limit, reports, compare_with, watch, reader, quiet)
        return
    methods = None
    if results is None and not input_only:
        side = parse_tile(tile or "auto")
        how = Settings(
            device or "auto",
            parse_precision(precision or "auto"),
            side,
            seed or 0,
            self_ensemble=1 if self_ensemble is None else self_ensemble,
            may_shrink=side != 0,  # figures said to be of whole pictures are of nothing else
            detector_weights=detector_weights,
        )
        methods = parse_methods(method, weights, preset, how, degradation)
    if bench is not None:
        _refuse({**others, "--compare-with": compare_with}, "with --bench")
        request = BenchRequest(bench, data, protocol, noise, limit, align is not None, keep, further, reader, quiet)
        run_benches(request, reports, methods, watch)
        return
    if methods is not None and len(methods.names) > 1:
        raise UsageError("several methods are compared on benchmarks: add --bench NAMES, or name one after --method")
    _refuse({"--data": data}, "without --bench")
    if degrade is None:
        _refuse({"--noise-protocol": noise_protocol}, "here, where no noise is synthesised")
    task = _task(pairs, results, gt, degrade, seed or 0, limit, noise)
    say_passed_over(task.passed_over, quiet)
    if align is not None:
        task = cropping(task)
    for failure in task.left[:LISTED]:
        warn(failure.reason)
    if (more := len(task.left) - LISTED) > 0:
        warn(f"{more} more pictures without partner; the reports name them all")
    targets = plan_kept(task.pairs, keep) if keep is not None else {}
    if keep is not None:
        reports.check_apart([*targets.values(), Path(keep, MANIFEST)])
    by = yardstick([chosen[0].name])
    gallery = Gallery("input" if input_only else "restored", by) if html is not None else None
    scorers = further.open()
    earlier = _earlier(compare_with, chosen, [scorer.metric for scorer in scorers])
    restorer = None if methods is None else methods.open(methods.names[0])
    kept = None
    if keep is not None and restorer is not None:
        kept = Kept(targets, Path(keep), identity(None, task.question, restorer.describe()), reader)
    evaluation = measure(task, chosen, restorer, watch, gallery, scorers, kept, further.batch, reader)
    if earlier is not None:
        evaluation = replace(evaluation, comparison=compare(evaluation, earlier))
    left = reports.write(evaluation, gallery)
    if keep is not None:
        say(f"restored pictures are in {keep}", quiet)
    conclude(
        evaluation.complete,
        evaluation.interrupted,
        len(evaluation.results),
        len(task.pairs),
        restores=restorer is not None,
        keep=keep is not None,
        left=left,
    )


def _task(
    pairs: tuple[str, str] | None,
    results: str | None,
    gt: str | None,
    degrade: str | None,
    seed: int,
    limit: int | None,
    noise: "NoiseProtocol | None",
) -> "Task":
    """The one of the three questions that was asked. Raises UsageError for none, several or half a question."""
    from airtool.benches.evaluate import task_of_pairs, task_of_results, task_of_synthesis

    asked = {"--pairs": pairs, "--results": results, "--degrade": degrade}
    given = [option for option, value in asked.items() if value is not None]
    if len(given) != 1:
        what = f"not {' and '.join(given)} together" if given else "one of them is needed"
        raise UsageError(
            "choose --pairs LQ GT, --results OUT --gt GT, --gt GT --degrade STEPS, --bench NAMES, or --no-reference "
            f"DIR: {what}"
        )
    if pairs is not None:
        _refuse({"--gt": gt}, "with --pairs, which names the ground truths itself")
        return task_of_pairs(*pairs, limit)
    if gt is None:
        raise UsageError(f"{given[0]} needs the ground truths: add --gt GT")
    if results is not None:
        return task_of_results(results, gt, limit)
    assert degrade is not None
    return task_of_synthesis(gt, degrade, seed, limit, noise)


def _refuse(options: Mapping[str, object], why: str) -> None:
    for option, value in options.items():
        if value is not None:
            raise UsageError(f"{option} has no effect {why}: leave it out")


def _earlier(report: str | None, protocols: Sequence["Protocol"], metrics: Sequence["Metric"]) -> "Earlier | None":
    """The run to compare with, read before any work starts."""
    from airtool.reports.compare import read_earlier

    if report is None:
        return None
    return read_earlier(report, {protocol.name: protocol.statement for protocol in protocols}, metrics)
