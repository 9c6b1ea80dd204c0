"""Reports for people: plain text for standard output, on a terminal or in a pipe."""

from collections.abc import Container, Sequence
from typing import IO

from rich.console import Console
from rich.table import Table

from airtool.images.names import shown
from airtool.reports import words
from airtool.reports.ranking import worst, yardstick_of
from airtool.reports.record import Evaluation
from airtool.reports.several import (
    DIFFERENCE_HEADER,
    DIFFERENCES,
    Versus,
    difference_cells,
    overview_cells,
    overview_header,
)

PIPED = 200
"""Columns of a table that no terminal limits: none of its cells is folded."""


def _console(stream: IO[str]) -> Console:
    width = None if stream.isatty() else PIPED
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False, soft_wrap=True)


def print_several(evaluations: Sequence[Evaluation], compared: Sequence[Versus], stream: IO[str]) -> None:
    """Write several evaluations as one table, a row a set and method, and how the methods of each set differ."""
    console = _console(stream)
    console.print()
    header = overview_header(evaluations)
    console.print(_plain_table(header, overview_cells(evaluations, published=False), range(3, len(header))))
    if compared:
        console.print()
        console.print(_plain_table(DIFFERENCE_HEADER, difference_cells(compared), (3, 5, 6, 7)))
        console.print(DIFFERENCES)


def _plain_table(header: Sequence[str], cells: Sequence[Sequence[str]], right: Container[int]) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    for index, column in enumerate(header):
        table.add_column(column, justify="right" if index in right else "left")
    _add_grouped(table, cells, shared=1)
    return table


def print_evaluation(evaluation: Evaluation, stream: IO[str]) -> None:
    """Write the means of an evaluation as a table, and below it all that is needed to read them rightly."""
    console = _console(stream)
    if evaluation.protocols:
        console.print(evaluation_table(evaluation))
    if evaluation.protocols and evaluation.metrics:
        console.print()
    if evaluation.metrics:
        console.print(metric_table(evaluation))
    if evaluation.published:
        console.print(published_table(evaluation))
    console.print(words.subject(evaluation))
    for name, statement in evaluation.protocols.items():
        console.print(f"protocol {name}: {statement}")
    for metric in evaluation.metrics:
        console.print(f"metric {metric.name}: {metric.statement}")
    spans = [row[3] for row in words.summary_cells(evaluation)] + [row[4] for row in words.metric_cells(evaluation)]
    if any(spans):
        console.print(words.INTERVALS)
    if evaluation.restoration is not None:
        console.print(f"restored by: {words.settings(evaluation.restoration)}")
    if len(evaluation.results) > 1:
        console.print(_worst(evaluation))
    if evaluation.comparison is not None:
        for line in words.comparison_lines(evaluation.comparison):
            console.print(f"compared: {line}")
    for note in words.notes(evaluation):
        console.print(f"note: {note}")


def evaluation_table(evaluation: Evaluation) -> Table:
    """Mean PSNR and SSIM by protocol and stage with their intervals, and what the restoration gained."""
    table = Table(show_edge=False, pad_edge=False)  # 80 columns must do
    table.add_column("protocol")
    table.add_column("measured")
    for metric in ("PSNR dB", "SSIM"):
        table.add_column(metric, justify="right")
        table.add_column("95 %")
    _add_grouped(table, words.summary_cells(evaluation), shared=1)
    return table


def metric_table(evaluation: Evaluation) -> Table:
    """Means of further metrics by stage with their intervals, and which values are better ones."""
    table = Table(show_edge=False, pad_edge=False)
    for column in words.METRIC_HEADER:
        table.add_column(column, justify="right" if column == "mean" else "left")
    _add_grouped(table, words.metric_cells(evaluation), shared=2)
    return table


def _add_grouped(table: Table, cells: Sequence[Sequence[str]], shared: int) -> None:
    """Add rows in groups of equal first cells; the first `shared` ones are written once a group."""
    for index, row in enumerate(cells):
        first = index == 0 or cells[index - 1][0] != row[0]
        last = index == len(cells) - 1 or cells[index + 1][0] != row[0]
        table.add_row(*(row[:shared] if first else [""] * shared), *row[shared:], end_section=last)


def published_table(evaluation: Evaluation) -> Table:
    """What others published about the same set."""
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("published")
    table.add_column("protocol")
    table.add_column("PSNR dB", justify="right")
    table.add_column("SSIM", justify="right")
    table.add_column("source")
    for row in evaluation.published:
        figures = words.number(row.psnr, words.PSNR), words.number(row.ssim, words.PUBLISHED_SSIM)
        table.add_row(row.method, row.protocol, *figures, row.source)
    return table


def _worst(evaluation: Evaluation) -> str:
    stage, by = evaluation.judged, yardstick_of(evaluation)
    listed = [
        f"{shown(result.picture)} {words.number(by.value(result, stage), by.form)}" for result in worst(evaluation)
    ]
    return f"{by.worst_end} {by.figure} ({by.about(stage)}): {', '.join(listed) or '-'}"
