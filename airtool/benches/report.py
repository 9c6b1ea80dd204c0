"""Several evaluations of benches as data and as text: the object for JSON, the rows for CSV, Markdown."""

from collections.abc import Iterable, Sequence
from typing import Any

from airtool.benches.run import Missing
from airtool.reports.markdown import escaped, markdown, markdown_table
from airtool.reports.record import Evaluation
from airtool.reports.rows import SUMMARY_COLUMNS, bounds, csv_columns, csv_rows, payload, summary_rows
from airtool.reports.several import (
    DIFFERENCE_HEADER,
    DIFFERENCES,
    Versus,
    difference_cells,
    overview_cells,
    overview_header,
)
from airtool.reports.words import better


def benches_payload(
    evaluations: Sequence[Evaluation],
    missing: Sequence[Missing],
    compared: Sequence[Versus],
    *,
    interrupted: bool = False,
) -> dict[str, Any]:
    """Several evaluations for `airtool.reports.writers.write_json`; a single one as by `payload`."""
    if len(evaluations) == 1 and not missing:
        return payload(evaluations[0])
    return {
        "command": "evaluate",
        "interrupted": interrupted,
        "benches": [payload(evaluation) for evaluation in evaluations],
        "differences": compared,
        "missing": missing,
    }


def benches_csv(
    evaluations: Sequence[Evaluation], missing: Sequence[Missing]
) -> tuple[list[str], Iterable[dict[str, Any]]]:
    """Header and rows of several evaluations for `airtool.reports.writers.write_csv`.

    The column ``sample`` says why the figures of a row are no benchmark's; where it is empty, they are.
    """
    columns = dict.fromkeys(column for evaluation in evaluations for column in csv_columns(evaluation))
    header = ["bench", "method", "sample", *(column for column in columns if column != "error"), "error"]
    rows = [{**_run(evaluation), **row} for evaluation in evaluations for row in csv_rows(evaluation)]
    return header, [*rows, *({"bench": each.bench, "method": each.method, "error": each.reason} for each in missing)]


def benches_summary(
    evaluations: Sequence[Evaluation], compared: Sequence[Versus]
) -> tuple[list[str], Iterable[dict[str, Any]]]:
    """The means of several evaluations for `airtool.reports.writers.write_csv`, with ``sample`` as in `benches_csv`.

    Rows whose ``measured`` is ``difference`` are ``method`` minus ``against``, picture by picture.
    """
    rows = [{**_run(evaluation), **row} for evaluation in evaluations for row in summary_rows(evaluation)]
    directions = {metric.name: better(metric) for evaluation in evaluations for metric in evaluation.metrics}
    for each in compared:
        run = {"bench": each.bench, "sample": each.sample, "method": each.method, "against": each.other}
        run["measured"] = "difference"
        rows += [
            {
                **run,
                "protocol": protocol,
                "pictures": by.pictures,
                "psnr": by.mean,
                **bounds("psnr", by.interval),
                "ssim": each.ssim[protocol].mean,
                **bounds("ssim", each.ssim[protocol].interval),
            }
            for protocol, by in each.psnr.items()
        ]
        rows += [
            {
                **run,
                "pictures": by.pictures,
                "metric": metric,
                "better": directions[metric],
                "mean": by.mean,
                **bounds("mean", by.interval),
            }
            for metric, by in each.metrics.items()
        ]
    return ["bench", "sample", *SUMMARY_COLUMNS, "against"], rows


def benches_markdown(evaluations: Sequence[Evaluation], missing: Sequence[Missing], compared: Sequence[Versus]) -> str:
    """Several evaluations as Markdown: the table of all, the differences, then each; a single one alone."""
    parts = []
    if len(evaluations) > 1:
        header = overview_header(evaluations)
        right = range(3, len(header))
        parts += ["# Overview", markdown_table(header, overview_cells(evaluations), right)]
        if compared:
            rows = difference_cells(compared)
            parts += [f"{DIFFERENCES.capitalize()}:", markdown_table(DIFFERENCE_HEADER, rows, (3, 5, 6, 7))]
    if missing:
        parts.append("\n".join(f"- Not measured: {escaped(each.told)}" for each in missing))
    return "\n\n".join([*parts, *(markdown(evaluation) for evaluation in evaluations)])


def _run(evaluation: Evaluation) -> dict[str, Any]:
    question = evaluation.question
    return {"bench": question.bench, "method": (evaluation.restoration or {}).get("method"), "sample": question.sample}
