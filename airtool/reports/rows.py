"""An evaluation as data: the object for its JSON, the rows for its CSV files."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from airtool.metrics.aggregate import Aggregate, Interval, Paired
from airtool.reports.ranking import worst
from airtool.reports.record import Difference, Evaluation, Mean, versions
from airtool.reports.words import INTERVALS, better, notes


def payload(evaluation: Evaluation) -> dict[str, Any]:
    """The whole run for `airtool.reports.writers.write_json`."""
    return {
        "command": "evaluate",
        "date": evaluation.date,
        "versions": versions(),
        "settings": evaluation.question,
        "restoration": evaluation.restoration,
        "protocols": evaluation.protocols,
        "notes": notes(evaluation),
        "interrupted": evaluation.interrupted,
        "measured": len(evaluation.results),
        "failed": len(evaluation.failures),
        "summary": {
            protocol: {**summary.means, "gain": summary.gain} for protocol, summary in evaluation.summary.items()
        },
        "metrics": {
            metric.name: {
                "statement": metric.statement,
                "lower_is_better": metric.lower_is_better,
                "missing": metric.missing,
                "of_set": metric.of_set,
                **evaluation.metric_summary[metric.name].means,
                "change": evaluation.metric_summary[metric.name].change,
            }
            for metric in evaluation.metrics
        },
        "intervals": INTERVALS,
        "published": evaluation.published,
        "comparison": evaluation.comparison,
        "worst": [result.picture for result in worst(evaluation)],
        "pictures": [
            {
                "picture": result.picture,
                "width": result.width,
                "height": result.height,
                "seconds": result.seconds,
                **({} if result.treatment is None else asdict(result.treatment)),
                **result.scores,
                **({"metrics": result.metrics} if evaluation.picture_metrics else {}),
            }
            for result in evaluation.results
        ],
        "failures": evaluation.failures,
    }


def csv_columns(evaluation: Evaluation) -> list[str]:
    """The header for `airtool.reports.writers.write_csv`."""
    scores = [
        f"{stage}_{protocol}_{metric}"
        for stage in evaluation.stages
        for protocol in evaluation.protocols
        for metric in ("psnr", "ssim")
    ]
    metrics = [f"{stage}_{metric.name}" for stage in evaluation.stages for metric in evaluation.picture_metrics]
    return ["picture", "width", "height", "seconds", *scores, *metrics, "error"]


def csv_rows(evaluation: Evaluation) -> Iterable[dict[str, Any]]:
    """One row a picture: those measured, then those that failed, with the reason under ``error``."""
    for result in evaluation.results:
        row: dict[str, Any] = {
            "picture": result.picture,
            "width": result.width,
            "height": result.height,
            "seconds": result.seconds,
        }
        for stage, by_protocol in result.scores.items():
            for protocol, score in by_protocol.items():
                row[f"{stage}_{protocol}_psnr"] = score.psnr
                row[f"{stage}_{protocol}_ssim"] = score.ssim
        for stage, by_metric in result.metrics.items():
            row |= {f"{stage}_{metric}": value for metric, value in by_metric.items()}
        yield row
    for failure in evaluation.failures:
        yield {"picture": failure.picture, "error": failure.reason}


SUMMARY_COLUMNS = (
    "date",
    "method",
    "sha256",
    "protocol",
    "measured",
    "pictures",
    "psnr",
    "psnr_low",
    "psnr_high",
    "ssim",
    "ssim_low",
    "ssim_high",
    "metric",
    "better",
    "mean",
    "mean_low",
    "mean_high",
)
"""The header of the summary for `airtool.reports.writers.write_csv`; the same for every run, so that files add up."""


def summary_rows(evaluation: Evaluation) -> Iterable[dict[str, Any]]:
    """One row a protocol and stage, one more for the gain, and one more for the difference to an earlier run.

    Rows of further metrics have no protocol, but a name, and say which values are better ones.
    """
    restoration = evaluation.restoration or {}
    run = {key: restoration.get(key) for key in ("method", "sha256")}
    compared = evaluation.comparison.differences if evaluation.comparison is not None else {}
    for protocol, summary in evaluation.summary.items():
        scores: list[tuple[str, Mean | Difference | None]] = [*summary.means.items()]
        scores += [("gain", summary.gain), ("difference", compared.get(protocol))]
        for measured, score in scores:
            if score is not None:
                yield {
                    "date": evaluation.date,
                    **run,
                    "protocol": protocol,
                    "measured": measured,
                    "pictures": score.pictures if isinstance(score, Difference) else len(evaluation.results),
                    "psnr": score.psnr,
                    **bounds("psnr", score.psnr_interval),
                    "ssim": score.ssim,
                    **bounds("ssim", score.ssim_interval),
                }
    for metric in evaluation.metrics:
        means = evaluation.metric_summary[metric.name]
        differences = evaluation.comparison.metrics if evaluation.comparison is not None else {}
        values: list[tuple[str, Aggregate | Paired | None]] = [*means.means.items()]
        values += [("change", means.change), ("difference", differences.get(metric.name))]
        for measured, value in values:
            if value is not None:
                yield {
                    "date": evaluation.date,
                    **run,
                    "measured": measured,
                    "pictures": value.pictures if isinstance(value, Paired) else value.finite,
                    "metric": metric.name,
                    "better": better(metric),
                    "mean": value.mean,
                    **bounds("mean", value.interval),
                }


def bounds(name: str, interval: Interval | None) -> dict[str, float]:
    """The two ends of an interval as columns of the summary; nothing without interval."""
    return {} if interval is None else {f"{name}_low": interval.low, f"{name}_high": interval.high}
