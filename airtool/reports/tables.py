"""Reports for people: plain text for standard output, on a terminal or in a pipe."""

import math
from collections.abc import Mapping
from typing import IO, Any

from rich.console import Console
from rich.table import Table

from airtool.images.names import shown
from airtool.reports.record import Evaluation, Mean, Score, notes, summarise


def print_evaluation(evaluation: Evaluation, stream: IO[str]) -> None:
    """Write the means of an evaluation as a table, and below it all that is needed to read them rightly."""
    console = Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=True)
    console.print(evaluation_table(evaluation))
    console.print(_pictures(evaluation))
    for name, statement in evaluation.protocols.items():
        console.print(f"protocol {name}: {statement}")
    if evaluation.restoration is not None:
        console.print(f"restored by: {_settings(evaluation.restoration)}")
    for note in notes(evaluation):
        console.print(f"note: {note}")


def evaluation_table(evaluation: Evaluation) -> Table:
    """Mean PSNR and SSIM by protocol and stage, and what the restoration gained."""
    table = Table()
    table.add_column("protocol")
    table.add_column("measured")
    table.add_column("PSNR (dB)", justify="right")
    table.add_column("SSIM", justify="right")
    for protocol, summary in summarise(evaluation).items():
        rows: list[tuple[str, Mean | Score]] = [*summary.means.items()]
        if summary.gain is not None:
            rows.append(("gain", summary.gain))
        for index, (what, score) in enumerate(rows):
            sign = "+" if what == "gain" else ""
            table.add_row(
                "" if index else protocol,
                what,
                _number(score.psnr, f"{sign}.2f"),
                _number(score.ssim, f"{sign}.4f"),
                end_section=index == len(rows) - 1,
            )
    return table


def _number(value: float, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)


def _pictures(evaluation: Evaluation) -> str:
    question = evaluation.question
    given = question.results or question.degraded
    what = f"{len(evaluation.results)} picture{'s' if len(evaluation.results) != 1 else ''}"
    if given is not None:
        what += f" of {shown(given)} against {shown(question.ground_truth)}"
    else:
        what += f" of {shown(question.ground_truth)}"
    if question.pairing is not None:
        what += f", paired by {question.pairing}"
    return what + (f"; {len(evaluation.failures)} failed" if evaluation.failures else "")


def _settings(settings: Mapping[str, Any]) -> str:
    parts = []
    for key, value in settings.items():
        if isinstance(value, Mapping):
            value = f"({_settings(value)})"
        if value is not None and value != [] and value != ():
            parts.append(f"{key.replace('_', ' ')} {value}")
    return ", ".join(parts)
