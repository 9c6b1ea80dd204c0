"""`airtool evaluate`: how close pictures come to their ground truths."""

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from airtool.cli.console import say, warn
from airtool.cli.progress import track
from airtool.errors import UsageError

if TYPE_CHECKING:
    from airtool.benches.evaluate import Outcome, Restorer, Task
    from airtool.reports.record import Evaluation

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
    input_only: Annotated[
        bool, typer.Option("--input-only", help="Measure the inputs and restore nothing.", rich_help_panel=WHAT)
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Only the first N pictures: a sample.", rich_help_panel=WHAT),
    ] = None,
    method: Annotated[
        str | None, typer.Option(metavar="NAME", help="Method that restores (default: ndr).", rich_help_panel=HOW)
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Weights file (default: the embedded weights).", rich_help_panel=HOW),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which embedded weights (default: small).", rich_help_panel=HOW)
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
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Seed of --degrade and of the method (default: 0).", rich_help_panel=HOW),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Keep the restored pictures there as PNG files.", rich_help_panel=HOW),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(metavar="NAMES", help="One or several of rgb, y, promptir, ndr.", rich_help_panel=REPORT),
    ] = "rgb",
    json: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write everything as JSON (-: standard output).", rich_help_panel=REPORT),
    ] = None,
    csv: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write one row a picture (-: standard output).", rich_help_panel=REPORT),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress on standard error.", rich_help_panel=REPORT)
    ] = False,
) -> None:
    """Measure PSNR and SSIM against ground truths.

    Give --pairs LQ GT, or --results OUT --gt GT, or --gt GT --degrade STEPS. Pictures pair up by their names without
    extension, inside subfolders of the same name. The table goes to standard output, unless --json - or --csv - does.
    """
    from airtool.benches.evaluate import evaluate as measure
    from airtool.benches.evaluate import plan_kept
    from airtool.metrics.protocols import parse_protocols

    restoring: dict[str, object] = {"--method": method, "--weights": weights, "--preset": preset}
    restoring |= {"--device": device, "--precision": precision, "--tile": tile, "--keep": keep}
    if results is not None:
        _refuse({**restoring, "--input-only": input_only or None}, "with --results, which restores nothing")
    elif input_only:
        _refuse(restoring, "with --input-only, which restores nothing")
    if degrade is None and (results is not None or input_only):
        _refuse({"--seed": seed}, "here, where nothing is drawn")
    chosen = parse_protocols(protocol)
    _check_reports(json, csv)
    task = _task(pairs, results, gt, degrade, seed or 0, limit)
    kept = plan_kept(task, keep) if keep is not None else None
    restorer: Restorer | None = None
    if results is None and not input_only:
        restorer = _open(
            method or "ndr", weights, preset, device or "auto", precision or "auto", tile or "auto", seed or 0
        )

    def watch(outcomes: "Iterable[Outcome]", total: int) -> "Iterable[Outcome]":
        from airtool.reports.record import Failure

        for outcome in track(outcomes, total, "measured", quiet):
            if isinstance(outcome, Failure):
                warn(outcome.reason)
            yield outcome

    evaluation = measure(task, chosen, restorer, kept, watch)
    _report(evaluation, json, csv)
    if keep is not None:
        say(f"restored pictures are in {keep}", quiet)
    if evaluation.failures:
        raise typer.Exit(1)


def _task(
    pairs: tuple[str, str] | None,
    results: str | None,
    gt: str | None,
    degrade: str | None,
    seed: int,
    limit: int | None,
) -> "Task":
    """The one of the three questions that was asked. Raises UsageError for none, several or half a question."""
    from airtool.benches.evaluate import task_of_pairs, task_of_results, task_of_synthesis

    asked = {"--pairs": pairs, "--results": results, "--degrade": degrade}
    given = [option for option, value in asked.items() if value is not None]
    if len(given) != 1:
        what = f"not {' and '.join(given)} together" if given else "one of them is needed"
        raise UsageError(f"choose --pairs LQ GT, --results OUT --gt GT, or --gt GT --degrade STEPS: {what}")
    if pairs is not None:
        _refuse({"--gt": gt}, "with --pairs, which names the ground truths itself")
        return task_of_pairs(*pairs, limit)
    if gt is None:
        raise UsageError(f"{given[0]} needs the ground truths: add --gt GT")
    if results is not None:
        return task_of_results(results, gt, limit)
    assert degrade is not None
    return task_of_synthesis(gt, degrade, seed, limit)


def _refuse(options: Mapping[str, object], why: str) -> None:
    for option, value in options.items():
        if value is not None:
            raise UsageError(f"{option} has no effect {why}: leave it out")


def _check_reports(json: str | None, csv: str | None) -> None:
    from airtool.reports.writers import check_target

    if json is not None and json == csv:
        raise UsageError(f"--json and --csv cannot both write to {json}: name two targets")
    for option, target in (("--json", json), ("--csv", csv)):
        if target is not None:
            check_target(target, option)


def _open(
    method: str, weights: str | None, preset: str | None, device: str, precision: str, tile: str, seed: int
) -> "Restorer":
    from airtool.engine.settings import Settings, parse_precision, parse_tile
    from airtool.methods.registry import check_method

    # What is mistyped is found before torch is imported.
    check_method(method)
    settings = Settings(device=device, precision=parse_precision(precision), tile=parse_tile(tile), seed=seed)
    if weights is not None:
        _refuse({"--preset": preset}, "with --weights, whose file says what it is")
    from airtool.engine.session import open_session

    return open_session(
        method=method,
        weights=weights,
        preset=preset or "small",
        device=settings.device,
        precision=settings.precision,
        tile=settings.tile,
        seed=settings.seed,
    )


def _report(evaluation: "Evaluation", json: str | None, csv: str | None) -> None:
    from airtool.reports.record import csv_columns, csv_rows, payload
    from airtool.reports.writers import STDOUT, write_csv, write_json

    if STDOUT not in (json, csv):  # first, so that a report that cannot be written costs no figures
        from airtool.reports.tables import print_evaluation

        print_evaluation(evaluation, sys.stdout)
    if json is not None:
        write_json(json, payload(evaluation))
    if csv is not None:
        write_csv(csv, csv_columns(evaluation), csv_rows(evaluation))
