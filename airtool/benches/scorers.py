"""Metrics beside PSNR and SSIM, as they were asked for: those that are ready, and those that are missing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from airtool.errors import UsageError
from airtool.metrics.frechet import STATEMENT, InceptionFeatures
from airtool.metrics.perceptual import (
    MissingMetricError,
    PerceptualMetric,
    Traits,
    UnknownMetricError,
    find_metric,
    open_inception,
    open_metric,
)
from airtool.reports.record import Metric

ALWAYS = ("psnr", "ssim")
"""What is measured whether or not it is asked for, wherever there are ground truths."""


@dataclass(frozen=True)
class Scorer:
    """A metric that was asked for: what reports say about it, and what computes it."""

    metric: Metric
    compute: PerceptualMetric | InceptionFeatures | None
    """None when it is missing; what has one value for all pictures is computed from features of each."""


def parse_metrics(names: Sequence[str], referenced: bool = True) -> tuple[str, ...]:
    """The metrics to look up of those that were asked for, each of which may be a list with commas.

    referenced: whether there are ground truths. Raises UsageError for a name that is empty or repeated, and for PSNR
    or SSIM where there are none.
    """
    asked = [name.strip() for text in names for name in text.split(",")]
    if not all(asked) or len({name.casefold() for name in asked}) < len(asked):
        raise UsageError(f"--metric {' '.join(names)}: name each metric once")
    always = [name for name in asked if name.casefold() in ALWAYS]
    if always and not referenced:
        raise UsageError(f"{always[0]} needs ground truths, which --no-reference does without: leave it out")
    return tuple(name for name in asked if name not in always)


def open_scorers(
    names: Sequence[str], weights: str | None = None, device: str = "cpu", referenced: bool = True
) -> tuple[Scorer, ...]:
    """Make metrics ready, as far as they can be; the others say why they are missing.

    names: from `parse_metrics`. weights: the folder with metric files, None for PyTorch's own. device: as PyTorch calls
    it. Raises UsageError for a metric that compares with ground truths where there are none (`referenced` False), and a
    folder that does not exist.
    """
    folder = None if weights is None else Path(weights)
    if folder is not None and not folder.is_dir():
        raise UsageError(f"--metric-weights {weights} is no folder: name the one that holds checkpoints/ and pyiqa/")
    # Every name is looked up before the first metric takes its time to load.
    found = [_found(name) for name in names]
    for each in found:
        if isinstance(each, Traits) and each.needs_ground_truth and not referenced:
            raise UsageError(f"{each.name} needs ground truths, which --no-reference does without: leave it out")
    return tuple(_open(each, folder, device) for each in found)


def _found(name: str) -> Traits | Metric:
    try:
        return find_metric(name)
    except MissingMetricError as error:
        missing = str(error) if isinstance(error, UnknownMetricError) else f"{name}: {error}"
        return Metric(name, "not computed", lower_is_better=None, missing=missing)


def _open(found: Traits | Metric, weights: Path | None, device: str) -> Scorer:
    if isinstance(found, Metric):
        return Scorer(found, None)
    against = "against the ground truth" if found.needs_ground_truth else "without ground truth"
    better = "lower" if found.lower_is_better else "higher"
    what = STATEMENT if found.of_set else against
    statement = (
        f"{found.name} of {found.library}, {what}: RGB values rounded to 8 bits, whole picture; {better} is better"
    )
    metric = Metric(found.name, statement, found.lower_is_better, of_set=found.of_set)
    opened = open_inception if found.of_set else open_metric
    try:
        return Scorer(metric, opened(found.name, weights, device))
    except MissingMetricError as error:
        return Scorer(replace(metric, missing=str(error)), None)
