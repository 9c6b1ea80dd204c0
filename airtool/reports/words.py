"""What the reports for people say alike: figures, intervals, and sentences about a run."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from airtool.images.names import listing, shown
from airtool.metrics.aggregate import CONFIDENCE, FEWEST, RESAMPLES, Aggregate, Interval, Paired
from airtool.reports.record import (
    FLOAT_INPUTS,
    Comparison,
    Difference,
    Evaluation,
    Mean,
    Metric,
    seconds_per_megapixel,
    versions,
)

INTERVALS = (
    f"{100 * CONFIDENCE:.0f} % intervals of the means: percentile bootstrap over the pictures, {RESAMPLES} resamples "
    f"(Efron and Tibshirani, 1993, section 13.3); none for fewer than {FEWEST} pictures"
)
"""What the intervals in every report are."""

PSNR, SSIM, METRIC = ".2f", ".4f", ".4f"
"""Formats of the figures."""

PUBLISHED_SSIM = ".3f"
"""Papers print three digits: a fourth one would be ours."""


def number(value: float | None, form: str) -> str:
    """A figure, or a dash for one that is missing or not defined."""
    return "-" if value is None or math.isnan(value) else format(value, form)


def span(interval: Interval | None, form: str) -> str:
    """An interval, empty where there is none."""
    return "" if interval is None else f"[{interval.low:{form}}, {interval.high:{form}}]"


def summary_cells(evaluation: Evaluation) -> list[tuple[str, str, str, str, str, str]]:
    """The summary as text: protocol, measured, PSNR and its interval, SSIM and its interval."""
    cells = []
    for protocol, summary in evaluation.summary.items():
        rows: list[tuple[str, Mean | Difference]] = [*summary.means.items()]
        if summary.gain is not None:
            rows.append(("gain", summary.gain))
        for measured, score in rows:
            sign = "+" if isinstance(score, Difference) else ""
            psnr, ssim = sign + PSNR, sign + SSIM
            figures = number(score.psnr, psnr), span(score.psnr_interval, psnr)
            cells.append((protocol, measured, *figures, number(score.ssim, ssim), span(score.ssim_interval, ssim)))
    return cells


METRIC_HEADER = ("metric", "better", "measured", "mean", "95 %")
"""What the columns of `metric_cells` hold."""


def metric_cells(evaluation: Evaluation) -> list[tuple[str, str, str, str, str]]:
    """The means of further metrics as text; a dash for those that are missing."""
    cells = []
    for metric in evaluation.metrics:
        summary = evaluation.metric_summary[metric.name]
        rows: list[tuple[str, Aggregate | Paired]] = [*summary.means.items()]
        if summary.change is not None:
            rows.append(("change", summary.change))
        for measured, score in rows:
            form = f"+{METRIC}" if isinstance(score, Paired) else METRIC
            cells.append((metric.name, better(metric), measured, number(score.mean, form), span(score.interval, form)))
    return cells


def better(metric: Metric) -> str:
    """Which values of a metric are better ones."""
    return "-" if metric.lower_is_better is None else "lower" if metric.lower_is_better else "higher"


def title(evaluation: Evaluation) -> str:
    """What the report is about, in a few words."""
    question = evaluation.question
    what = question.bench or question.results or question.degraded or question.pictures or question.ground_truth
    method = (evaluation.restoration or {}).get("method")
    named = shown(what or "pictures")
    return f"{method} on {named}" if method else f"Evaluation of {named}"


def subject(evaluation: Evaluation) -> str:
    """What was measured, in one line."""
    question = evaluation.question
    given = question.results or question.degraded
    what = f"{len(evaluation.results)} picture{'s' if len(evaluation.results) != 1 else ''}"
    if question.pictures is not None:
        what += f" of {shown(question.pictures)}, without ground truths"
    elif given is not None:
        what += f" of {shown(given)} against {shown(question.ground_truth or '')}"
    else:
        what += f" of {shown(question.ground_truth or '')}"
    if question.pairing is not None:
        what += f", paired by {question.pairing}"
    return what + (f"; {len(evaluation.failures)} failed" if evaluation.failures else "")


def settings(values: Mapping[str, Any]) -> str:
    """Names and values of settings in one line, without those that say nothing."""
    parts = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            value = f"({settings(value)})"
        if not _says_nothing(value):
            parts.append(f"{key.replace('_', ' ')} {value}")
    return ", ".join(parts)


def _says_nothing(value: object) -> bool:
    return value is None or value in ("", [], ())


def facts(evaluation: Evaluation) -> list[tuple[str, str]]:
    """What a reader needs to repeat the run, as labels and texts."""
    told = [("Measured", subject(evaluation))]
    for key, value in (evaluation.restoration or {}).items():
        if not _says_nothing(value):
            text = settings(value) if isinstance(value, Mapping) else shown(str(value))
            told.append((key.replace("_", " ").capitalize() if key != "sha256" else "Weights sha256", text))
    pace = seconds_per_megapixel(evaluation)
    if pace is not None:
        told.append(("Time", f"{pace:.2f} s per megapixel"))
    told.append(("Date", evaluation.date))
    told.append(("Versions", settings(versions())))
    told += [(f"Protocol {name}", statement) for name, statement in evaluation.protocols.items()]
    told += [(f"Metric {metric.name}", metric.statement) for metric in evaluation.metrics]
    told.append(("Intervals", INTERVALS))
    return told


def notes(evaluation: Evaluation) -> list[str]:
    """What a reader must know to take the figures for what they are, one sentence each."""
    question = evaluation.question
    said: list[str] = []
    if question.sample is not None:
        said.append(question.sample)
    elif question.limit is not None and question.limit < question.available:
        said.append(f"a sample: the first {question.limit} of {question.available} pictures")
    if question.degradation is not None:
        stored = question.noise_protocol or FLOAT_INPUTS
        said.append(
            f"inputs synthesised from the ground truths by {question.degradation}, seed {question.seed}: {stored}"
        )
    if question.align is not None:
        said.append(question.align)
    if question.stored is not None:
        said.append(question.stored)
    treatments = [result.treatment for result in evaluation.results if result.treatment is not None]
    for note, times in Counter(note for treatment in treatments for note in treatment.notes).items():
        said.append(f"{times} of {len(treatments)}: {note}")
    for protocol, summary in evaluation.summary.items():
        for stage, mean in summary.means.items():
            if mean.identical:
                left_out = ", left out of the mean PSNR" if math.isfinite(mean.psnr) else ""
                said.append(
                    f"{protocol} {stage}: equal to the ground truth (infinite PSNR): {mean.identical}{left_out}"
                )
            if mean.undefined:
                said.append(f"{protocol} {stage}: too small for this protocol's SSIM: {mean.undefined}")
    for metric in evaluation.metrics:
        if metric.missing is not None:
            said.append(f"no figures: {metric.missing}")
            continue
        for stage, figures in evaluation.metric_summary[metric.name].means.items():
            if without := figures.undefined + figures.infinite:
                said.append(f"{metric.name} {stage}: pictures without a finite value, left out of the mean: {without}")
    return said


def comparison_lines(comparison: Comparison) -> list[str]:
    """How a run differs from an earlier one, one sentence a protocol, and what stands in the way of comparing them."""
    source = shown(comparison.source)
    said = []
    for protocol, by in comparison.differences.items():
        figures = [
            f"{name} {number(value, f'+{form}')}{unit}" + (f" {span(interval, f'+{form}')}" if interval else "")
            for name, value, interval, form, unit in (
                ("PSNR", by.psnr, by.psnr_interval, PSNR, " dB"),
                ("SSIM", by.ssim, by.ssim_interval, SSIM, ""),
            )
        ]
        said.append(
            f"{protocol}: {comparison.stage} minus {comparison.other_stage} of {source}: {', '.join(figures)} over "
            f"{by.pictures} pictures, {by.better} better, {by.worse} worse"
        )
    for name, change in comparison.metrics.items():
        interval = f" {span(change.interval, f'+{METRIC}')}" if change.interval else ""
        said.append(
            f"{name}: {comparison.stage} minus {comparison.other_stage} of {source}: "
            f"{number(change.mean, f'+{METRIC}')}{interval} over {change.pictures} pictures, {change.higher} higher, "
            f"{change.lower} lower"
        )
    for what, names in (
        ("only in this run", comparison.only_here),
        (f"only in {source}", comparison.only_there),
        ("of another size there, left out", comparison.resized),
        ("whose inputs scored differently there, so that the runs did not start alike", comparison.other_inputs),
    ):
        if names:
            said.append(f"{len(names)} {'pictures' if len(names) != 1 else 'picture'} {what}: {listing(names)}")
    if comparison.incomparable:
        measures = ", ".join(comparison.incomparable)
        said.append(f"protocols or metrics that only one of the two has, or that differ there: {measures}")
    return said
