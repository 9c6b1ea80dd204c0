"""`airtool detect`: what is wrong with pictures."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from airtool.cli.console import say, warn
from airtool.cli.options import Isolate, MaxPixels
from airtool.cli.outputs import say_passed_over
from airtool.cli.progress import track
from airtool.errors import UsageError

if TYPE_CHECKING:
    from airtool.engine.detect import Detector, Finding, Verdict

HOW, REPORT = "How to look", "What to tell"

DIGITS = 4
"""Of probabilities in reports: the last bits differ between processors."""


def detect(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="IN", help="Pictures, folders, quoted patterns, URLs, or - for standard input.", show_default=False
        ),
    ],
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            min=0.0,
            max=1.0,
            help="Probability from which on a degradation is named; a picture without any is unsure (default: 0.3).",
            rich_help_panel=HOW,
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Tell the N most probable degradations, not those above the threshold.",
            rich_help_panel=HOW,
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Weights file (default: the embedded weights).", rich_help_panel=HOW),
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="auto, cpu, mps, cuda or cuda:N.", rich_help_panel=HOW)
    ] = "auto",
    workers: Annotated[
        int, typer.Option(metavar="N", min=1, max=64, help="Threads that read.", rich_help_panel=HOW)
    ] = 2,
    max_pixels: MaxPixels = None,
    isolate: Isolate = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON instead of a table.", rich_help_panel=REPORT)
    ] = False,
    csv: Annotated[
        bool, typer.Option("--csv", help="Print everything as CSV instead of a table.", rich_help_panel=REPORT)
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Only errors on standard error.", rich_help_panel=REPORT)
    ] = False,
) -> None:
    """Say what is wrong with pictures: noise, blur, rain, haze, low light, raindrops, low resolution, snow, JPEG.

    Each picture gets its dominant degradation with a probability, or "clean", or "unsure". Nothing is written.
    """
    if json and csv:
        raise UsageError("--json and --csv exclude each other: choose one")
    from airtool.engine.settings import Settings
    from airtool.images.discover import search
    from airtool.images.limits import parse_max_pixels

    pixels = parse_max_pixels(max_pixels)
    Settings(device=device)  # a mistyped device is found before the weights are loaded
    found = search(inputs)
    sources = found.sources
    say_passed_over(found.passed_over, quiet)
    from airtool.engine.detect import THRESHOLD, detect_files, judge, open_detector
    from airtool.images.reader import open_reader

    limit = THRESHOLD if threshold is None else threshold
    detector = open_detector(weights, device)
    say(f"weights {detector.origin['weights']}, on {detector.device}", quiet)
    judged: list[tuple[Finding, Verdict]] = []
    failed: list[Finding] = []
    interrupted = False
    try:
        with open_reader(pixels, isolate=isolate) as reader:
            findings = detect_files(detector, sources, workers, reader)
            for finding in track(findings, len(sources), "looked at", quiet):
                if finding.problem is None:
                    judged.append((finding, judge(finding.probabilities, limit, top)))
                else:
                    warn(finding.problem)
                    failed.append(finding)
    except KeyboardInterrupt:
        interrupted = True
    if json:
        _print_json(detector, limit, judged, failed, interrupted)
    elif csv:
        _print_csv(detector, judged, failed)
    elif judged:
        _print_table(judged)
    if failed:
        warn(f"{len(failed)} of {len(sources)} failed")
    if interrupted:
        warn(f"interrupted after {len(judged) + len(failed)} of {len(sources)}")
        raise typer.Exit(130)
    if failed:
        raise typer.Exit(1)


def _print_json(
    detector: "Detector",
    threshold: float,
    judged: "Sequence[tuple[Finding, Verdict]]",
    failed: "Sequence[Finding]",
    interrupted: bool,
) -> None:
    from airtool.reports.writers import STDOUT, write_json

    pictures = [
        {
            "picture": finding.picture,
            "verdict": verdict.verdict,
            "likeliest": verdict.likeliest,
            "probability": round(verdict.probability, DIGITS),
            "further": [{"name": name, "probability": round(share, DIGITS)} for name, share in verdict.further],
            "probabilities": {name: round(share, DIGITS) for name, share in finding.probabilities.items()},
        }
        for finding, verdict in judged
    ]
    failures = [{"picture": finding.picture, "message": finding.problem} for finding in failed]
    facts = {**detector.describe(), "threshold": threshold}
    run = {"command": "detect", "detector": facts, "interrupted": interrupted}
    write_json(STDOUT, {**run, "pictures": pictures, "failures": failures})


def _print_csv(detector: "Detector", judged: "Sequence[tuple[Finding, Verdict]]", failed: "Sequence[Finding]") -> None:
    from airtool.reports.writers import STDOUT, write_csv

    rows: list[dict[str, Any]] = [
        {
            "picture": finding.picture,
            "verdict": verdict.verdict,
            "probability": round(verdict.probability, DIGITS),
            **{name: round(share, DIGITS) for name, share in finding.probabilities.items()},
        }
        for finding, verdict in judged
    ]
    rows += [{"picture": finding.picture, "error": finding.problem} for finding in failed]
    write_csv(STDOUT, ["picture", "verdict", "probability", *detector.network.config.classes, "error"], rows)


def _print_table(judged: "Sequence[tuple[Finding, Verdict]]") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from airtool.images.names import shown

    table = Table(box=box.SIMPLE)
    table.add_column("picture", overflow="fold")
    table.add_column("dominant", no_wrap=True)
    table.add_column("probability", justify="right", no_wrap=True)
    table.add_column("further")
    for finding, verdict in judged:
        unsure = verdict.verdict != verdict.likeliest
        dominant = f"{verdict.verdict} ({verdict.likeliest}?)" if unsure else verdict.verdict
        further = ", ".join(f"{name} {share:.2f}" for name, share in verdict.further)
        table.add_row(shown(finding.picture), dominant, f"{verdict.probability:.2f}", further)
    # In a pipe nothing is cut off or wrapped.
    width = None if sys.stdout.isatty() else 1000
    Console(width=width, highlight=False, markup=False, emoji=False).print(table)
