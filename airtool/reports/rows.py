"""An evaluation as data: the object for its JSON, the rows for its CSV files."""

from collections.abc import Iterable
from typing import Any

from airtool.metrics.aggregate import Interval
from airtool.reports.record import Difference, Evaluation, Mean, notes, versions, worst
from airtool.reports.words import INTERVALS


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
        "measured": len(evaluation.results),
        "failed": len(evaluation.failures),
        "summary": {
            protocol: {**summary.means, "gain": summary.gain} for protocol, summary in evaluation.summary.items()
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
                **result.scores,
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
    return ["picture", "width", "height", "seconds", *scores, "error"]


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
)
"""The header of the summary for `airtool.reports.writers.write_csv`; the same for every run, so that files add up."""


def summary_rows(evaluation: Evaluation) -> Iterable[dict[str, Any]]:
    """One row a protocol and stage, one more for the gain, and one more for the difference to an earlier run."""
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
                    **_bounds("psnr", score.psnr_interval),
                    "ssim": score.ssim,
                    **_bounds("ssim", score.ssim_interval),
                }


def _bounds(name: str, interval: Interval | None) -> dict[str, float]:
    return {} if interval is None else {f"{name}_low": interval.low, f"{name}_high": interval.high}
