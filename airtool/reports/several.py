"""Several evaluations side by side: one row a set and method, and the differences between methods of one set."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from airtool.metrics.aggregate import Paired, paired
from airtool.reports.record import Evaluation, seconds_per_megapixel
from airtool.reports.words import METRIC, PSNR, PUBLISHED_SSIM, SSIM, number, span


@dataclass(frozen=True)
class Versus:
    """How two methods differ over the pictures of one set that both measured: the first minus the second."""

    bench: str | None
    sample: str | None
    """Why the pictures are not the benchmark's, as in `airtool.reports.record.Question`."""
    method: str
    other: str
    psnr: Mapping[str, Paired]
    """dB, by the protocol's name."""
    ssim: Mapping[str, Paired]
    metrics: Mapping[str, Paired]
    """By the name of a further metric that has figures."""


def set_of(bench: str | None, sample: str | None) -> str:
    """The name of the set in a table of several."""
    return (bench or "") + (" (sample)" if sample else "")


def method_of(evaluation: Evaluation) -> str:
    """The method in a table of several; what was measured where nothing was restored."""
    return str((evaluation.restoration or {}).get("method") or evaluation.judged)


def by_set(evaluations: Iterable[Evaluation]) -> list[list[Evaluation]]:
    """Evaluations of the same set together, in the order in which the sets come."""
    groups: dict[str, list[Evaluation]] = {}
    for evaluation in evaluations:
        groups.setdefault(evaluation.question.bench or "", []).append(evaluation)
    return list(groups.values())


def differences(evaluations: Sequence[Evaluation]) -> list[Versus]:
    """Every two methods of each set, compared picture by picture; empty where each set has one method."""
    return [_versus(*two) for group in by_set(evaluations) for two in combinations(group, 2)]


def _versus(first: Evaluation, second: Evaluation) -> Versus:
    def scores(of: Evaluation, protocol: str, figure: str) -> dict[str, float]:
        return {each.picture: getattr(each.scores[of.judged][protocol], figure) for each in of.results}

    def values(of: Evaluation, metric: str) -> dict[str, float]:
        return {each.picture: each.metrics[of.judged][metric] for each in of.results}

    both = [name for name in first.protocols if name in second.protocols]
    psnr, ssim = (
        {name: paired(scores(first, name, figure), scores(second, name, figure)) for name in both}
        for figure in ("psnr", "ssim")
    )
    metrics = {
        metric.name: paired(values(first, metric.name), values(second, metric.name))
        for metric in first.picture_metrics
        if metric.missing is None
    }
    sample = first.question.sample or second.question.sample
    return Versus(first.question.bench, sample, method_of(first), method_of(second), psnr, ssim, metrics)


DIFFERENCES = "differences between methods, picture by picture, first minus second, with 95 % bootstrap intervals"
"""What the table of differences holds."""

DIFFERENCE_HEADER = ("set", "methods", "figure", "difference", "95 %", "pictures", "higher", "lower")


def difference_cells(compared: Iterable[Versus]) -> list[tuple[str, ...]]:
    """Differences as text under `DIFFERENCE_HEADER`."""
    cells: list[tuple[str, ...]] = []
    for each in compared:
        figures = [(f"PSNR {name}, dB", by, f"+{PSNR}") for name, by in each.psnr.items()]
        figures += [(f"SSIM {name}", by, f"+{SSIM}") for name, by in each.ssim.items()]
        figures += [(name, by, f"+{METRIC}") for name, by in each.metrics.items()]
        for figure, by, form in figures:
            counts = str(by.pictures), str(by.higher), str(by.lower)
            methods = f"{each.method} minus {each.other}"
            named = set_of(each.bench, each.sample)
            cells.append((named, methods, figure, number(by.mean, form), span(by.interval, form), *counts))
    return cells


def overview_header(evaluations: Sequence[Evaluation]) -> tuple[str, ...]:
    """What the columns of `overview_cells` hold."""
    metrics = dict.fromkeys(metric.name for evaluation in evaluations for metric in evaluation.metrics)
    return ("set", "method", "protocol", "PSNR dB", "95 %", "SSIM", "gain dB", "s/Mpx", *metrics)


def overview_cells(evaluations: Sequence[Evaluation], published: bool = True) -> list[tuple[str, ...]]:
    """One row a set and method under the first protocol of each; below each set what others published about it."""
    metrics = overview_header(evaluations)[8:]
    cells: list[tuple[str, ...]] = []
    for group in by_set(evaluations):
        cells += [_row(evaluation, metrics) for evaluation in group]
        if published:
            cells += [
                (
                    group[0].question.bench or "",
                    f"{row.method}, published",
                    row.protocol,
                    number(row.psnr, PSNR),
                    "",
                    number(row.ssim, PUBLISHED_SSIM),
                    *[""] * (2 + len(metrics)),
                )
                # A method that failed on a picture has none, as it did not measure the whole set.
                for row in next((each.published for each in group if each.published), ())
            ]
    return cells


def _row(evaluation: Evaluation, metrics: Sequence[str]) -> tuple[str, ...]:
    protocol = next(iter(evaluation.protocols))
    summary = evaluation.summary[protocol]
    mean = summary.means[evaluation.judged]
    values = [evaluation.metric_summary[name].means[evaluation.judged].mean for name in metrics]
    return (
        set_of(evaluation.question.bench, evaluation.question.sample),
        method_of(evaluation),
        protocol,
        number(mean.psnr, PSNR),
        span(mean.psnr_interval, PSNR),
        number(mean.ssim, SSIM),
        number(None if summary.gain is None else summary.gain.psnr, f"+{PSNR}"),
        number(seconds_per_megapixel(evaluation), PSNR),
        *(number(value, METRIC) for value in values),
    )
