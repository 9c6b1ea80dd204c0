"""An evaluation as Markdown, for a pull request, an issue or a lab book."""

import re
from collections.abc import Iterable, Sequence

from airtool.images.names import shown
from airtool.reports import words
from airtool.reports.ranking import worst, yardstick_of
from airtool.reports.record import Evaluation, PictureResult, Stage
from airtool.reports.words import METRIC, PSNR, PUBLISHED_SSIM, SSIM, notes, number

SPECIAL = re.compile(r"([\\`*_\[\]<>|~&$#!{}])")
"""What CommonMark, its tables or mathematics in them would take for more than a character."""


def markdown(evaluation: Evaluation) -> str:
    """The whole run as CommonMark with tables (GitHub's extension).

    Names of files and all other text from outside are escaped, so that they show as they are and form no markup.
    """
    parts = [
        f"# {escaped(words.title(evaluation))}",
        _list(f"**{escaped(label)}**: {escaped(text)}" for label, text in words.facts(evaluation)),
        _list(f"Note: {escaped(note)}" for note in notes(evaluation)),
    ]
    if evaluation.protocols:
        header: tuple[str, ...] = ("protocol", "measured", "PSNR (dB)", "95 %", "SSIM", "95 %")
        parts.append(markdown_table(header, words.summary_cells(evaluation), right=(2, 4)))
    if evaluation.metrics:
        parts.append(markdown_table(words.METRIC_HEADER, words.metric_cells(evaluation), right=(3,)))
    if evaluation.published:
        rows = [
            (row.method, row.protocol, number(row.psnr, PSNR), number(row.ssim, PUBLISHED_SSIM), row.source)
            for row in evaluation.published
        ]
        header = ("method", "protocol", "PSNR (dB)", "SSIM", "source")
        parts += ["## Published", markdown_table(header, rows, right=(2, 3))]
    if evaluation.comparison is not None:
        lines = words.comparison_lines(evaluation.comparison)
        parts += [f"## Compared with {escaped(shown(evaluation.comparison.source))}", _list(map(escaped, lines))]
    if evaluation.results:
        by = yardstick_of(evaluation)
        parts += [
            f"## {by.worst_end.capitalize()} {escaped(by.figure)} ({escaped(by.about(evaluation.judged))})",
            _pictures(evaluation, worst(evaluation)),
            "## Every picture",
            _pictures(evaluation, evaluation.results),
        ]
    if evaluation.failures:
        failed = [(shown(failure.picture), shown(failure.reason)) for failure in evaluation.failures]
        parts += ["## Failed", markdown_table(("picture", "reason"), failed)]
    return "\n\n".join(part for part in parts if part) + "\n"


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, in one line."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split("\n")))


def _pictures(evaluation: Evaluation, results: Sequence[PictureResult]) -> str:
    columns: list[tuple[Stage, str]] = [(stage, name) for name in evaluation.protocols for stage in evaluation.stages]
    header = ["picture", "size"]
    for stage, protocol in columns:
        header += [f"{stage} PSNR ({protocol})", f"{stage} SSIM ({protocol})"]
    header += [f"{stage} {metric.name}" for metric in evaluation.picture_metrics for stage in evaluation.stages]
    rows = []
    for result in results:
        row = [shown(result.picture), f"{result.width}x{result.height}"]
        for stage, protocol in columns:
            score = result.scores[stage][protocol]
            row += [number(score.psnr, PSNR), number(score.ssim, SSIM)]
        for metric in evaluation.picture_metrics:
            row += [number(result.metrics[stage][metric.name], METRIC) for stage in evaluation.stages]
        rows.append(row)
    return markdown_table(header, rows, right=range(2, len(header)))


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> str:
    """A table of text, which is escaped; the columns `right` are set to the right."""
    aligned = set(right)
    rule = ["---:" if index in aligned else "---" for index in range(len(header))]
    lines = [[escaped(cell) for cell in header], rule, *([escaped(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
