"""What a run did, as plain records: the one source of every report about it."""

import math
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal

from airtool import __version__
from airtool.metrics.aggregate import Aggregate, Interval, Paired, aggregate, paired

Stage = Literal["input", "restored", "given"]
"""What figures are about: what was to be restored, what became of it, or pictures that have no ground truth."""

FLOAT_INPUTS = "float values clipped to [0, 1], not quantised to 8 bits before the method sees them"
"""How synthesised inputs reach the method unless a noise protocol says otherwise."""


@dataclass(frozen=True)
class Score:
    """How one picture compares to its ground truth under one protocol."""

    psnr: float
    """dB; infinite for identical pictures, NaN where the protocol leaves nothing to measure."""
    ssim: float
    """At most 1; NaN where the picture is smaller than the window."""


@dataclass(frozen=True)
class Metric:
    """A metric beside PSNR and SSIM that was asked for."""

    name: str
    statement: str
    """What exactly is computed; printed with every figure."""
    lower_is_better: bool | None
    """None where that is not known, as the library that would know is not there."""
    missing: str | None = None
    """Why there are no figures, in one line that says what to get and where; None when there are."""
    of_set: bool = False
    """Whether all pictures together have one value, and none of them its own."""


@dataclass(frozen=True)
class Treatment:
    """How one picture was restored."""

    tile: tuple[int, int] | None = None
    """(height, width) in pixels of the largest piece that went through the network at once."""
    degradation: tuple[str, ...] = ()
    """What the method was asked to remove; empty for blind and for prompted methods."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """The same for a prompted method: weights of the classes, which add up to 1."""
    guessed: bool = False
    """Whether that was worked out from the picture."""
    notes: tuple[str, ...] = ()
    """What did not go as planned, in words."""


@dataclass(frozen=True)
class PictureResult:
    """One picture that was measured."""

    picture: str
    """Its path below the folder, with `/` and without extension."""
    width: int
    height: int
    seconds: float | None
    """Time spent restoring; None where nothing was restored."""
    scores: Mapping[Stage, Mapping[str, Score]]
    """By stage, then by the protocol's name. Empty where there is no ground truth."""
    metrics: Mapping[Stage, Mapping[str, float]] = field(default_factory=dict)
    """Values of further metrics by stage, then by the metric's name; NaN where one is missing or not defined."""
    treatment: Treatment | None = None
    """None where nothing was restored."""


@dataclass(frozen=True)
class Failure:
    """One picture that could not be handled."""

    picture: str
    reason: str
    """One line that names the file and the remedy."""


@dataclass(frozen=True)
class Mean:
    """Means over all measured pictures."""

    psnr: float
    """dB, over the pictures with a finite PSNR; infinite when every picture equals its ground truth."""
    ssim: float
    """Over the pictures at least as large as the window."""
    identical: int
    """Pictures equal to their ground truth: infinite PSNR, left out of `psnr`."""
    undefined: int
    """Pictures too small for this protocol's SSIM (and PSNR, where its crop is empty)."""
    psnr_interval: Interval | None
    """95 %, by `airtool.metrics.aggregate.bootstrap_interval`; None where too few pictures have a finite PSNR."""
    ssim_interval: Interval | None


@dataclass(frozen=True)
class Difference:
    """Mean difference between two measurements of the same pictures, over those where both are finite."""

    psnr: float
    """dB; positive where the first is better. NaN when no picture has both."""
    ssim: float
    psnr_interval: Interval | None
    """95 %; the difference is more than the choice of pictures explains when 0 lies outside."""
    ssim_interval: Interval | None
    pictures: int
    """How many have both PSNR finite."""
    better: int
    """Pictures with a larger PSNR in the first measurement."""
    worse: int
    """Pictures with a smaller one."""


@dataclass(frozen=True)
class Summary:
    """Means under one protocol."""

    means: Mapping[Stage, Mean]
    gain: Difference | None
    """Restored minus input; None unless both were measured."""


@dataclass(frozen=True)
class MetricSummary:
    """Means of one further metric."""

    means: Mapping[Stage, Aggregate]
    change: Paired | None
    """Restored minus input; None unless both were measured."""


@dataclass(frozen=True)
class Published:
    """A figure that somebody published about the same set."""

    method: str
    psnr: float | None
    """dB; None where it was not stated."""
    ssim: float | None
    protocol: str
    """The name of the protocol it was measured under, or what the source says about it."""
    source: str
    """Paper and table."""


@dataclass(frozen=True)
class Comparison:
    """This run against an earlier one over the same pictures."""

    source: str
    """The JSON report of the earlier run."""
    stage: Stage
    """What this run's figures are about."""
    other_stage: Stage
    """What the earlier run's figures are about."""
    restoration: Mapping[str, Any] | None
    """Method, weights and the like of the earlier run."""
    differences: Mapping[str, Difference]
    """This run minus the earlier one, by the protocol's name."""
    only_here: tuple[str, ...]
    """Pictures that the earlier run did not measure."""
    only_there: tuple[str, ...]
    """Pictures that this run did not measure."""
    resized: tuple[str, ...]
    """Pictures of another size in the earlier run, hence not the same ones: left out."""
    other_inputs: tuple[str, ...]
    """Pictures whose inputs scored differently: the two runs did not start from the same pixels."""
    incomparable: tuple[str, ...]
    """Protocols and metrics that only one run has, or that meant something else in the earlier one."""
    metrics: Mapping[str, Paired] = field(default_factory=dict)
    """This run minus the earlier one, by the name of a further metric."""


@dataclass(frozen=True)
class Question:
    """What was asked to be measured."""

    ground_truth: str | None
    """File or folder; None where there is none."""
    degraded: str | None = None
    """File or folder of the inputs; None when they are synthesised or unknown."""
    results: str | None = None
    """File or folder of restored pictures."""
    pictures: str | None = None
    """File or folder of pictures that are measured without ground truth."""
    pairing: str | None = None
    """The naming rule by which files were paired."""
    degradation: str | None = None
    """How inputs were synthesised from the ground truths, e.g. ``"noise:25"``."""
    seed: int | None = None
    """Seed of every random draw."""
    available: int = 0
    """Pictures there are; more than were measured when only a sample was asked for."""
    limit: int | None = None
    """Only the first so many were measured."""
    bench: str | None = None
    """Title of the benchmark whose pictures these are."""
    sample: str | None = None
    """Why these figures are not the benchmark's, or not of all pictures asked for, in one sentence; None when they are,
    or when there is no benchmark."""
    noise_protocol: str | None = None
    """How synthesised inputs were stored, in words; None: float, not quantised."""
    align: str | None = None
    """What was done about pairs of unequal size, in words."""
    stored: str | None = None
    """How restored pictures were stored before they were measured, in words; None: they were not."""


@dataclass(frozen=True)
class Evaluation:
    """One run of ``airtool evaluate``."""

    question: Question
    protocols: Mapping[str, str]
    """Names and statements of the protocols, in the order asked for."""
    stages: tuple[Stage, ...]
    """What was measured of each picture."""
    restoration: Mapping[str, Any] | None
    """Method, weights, device and the like; None when nothing was restored."""
    results: tuple[PictureResult, ...]
    failures: tuple[Failure, ...]
    date: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    """UTC, ISO 8601."""
    published: tuple[Published, ...] = ()
    """What others published about the same set, to stand beside these figures."""
    comparison: Comparison | None = None
    """How this run differs from an earlier one, if that was asked for."""
    metrics: tuple[Metric, ...] = ()
    """Further metrics, in the order asked for."""
    of_sets: Mapping[str, Mapping[Stage, Aggregate]] = field(default_factory=dict)
    """The value of all pictures together as `Aggregate.mean`, by metric and stage, for metrics that have such."""
    interrupted: bool = False
    """Whether Ctrl-C or SIGTERM ended it early: then these are the figures so far."""

    @property
    def judged(self) -> Stage:
        """The stage that the run is about: what was restored, otherwise what there is."""
        return self.stages[-1]

    @cached_property
    def summary(self) -> Mapping[str, Summary]:
        """Means by the protocol's name. Kept, as the intervals of a large set take seconds."""
        return {protocol: _summary(self, protocol) for protocol in self.protocols}

    @cached_property
    def metric_summary(self) -> Mapping[str, MetricSummary]:
        """Means of the further metrics by their names; kept likewise."""
        return {
            metric.name: _set_summary(self, metric.name) if metric.of_set else _metric_summary(self, metric.name)
            for metric in self.metrics
        }

    @property
    def picture_metrics(self) -> tuple[Metric, ...]:
        """Those of the further metrics that every picture has a value of."""
        return tuple(metric for metric in self.metrics if not metric.of_set)

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for has been measured."""
        return not self.failures and all(metric.missing is None for metric in self.metrics)


def versions() -> dict[str, str]:
    """Versions of airtool, Python and those libraries that this process has used."""
    found = {"airtool": __version__, "python": platform.python_version()}
    for name in ("numpy", "cv2", "torch", "torchvision", "pyiqa"):
        if (module := sys.modules.get(name)) is not None:
            found[name] = str(module.__version__)
    return found


def difference(psnr: tuple[Mapping[str, float], ...], ssim: tuple[Mapping[str, float], ...]) -> Difference:
    """The mean difference of two measurements.

    psnr, ssim: values by picture of the first and of the second measurement.
    """
    by_psnr, by_ssim = paired(*psnr), paired(*ssim)
    return Difference(
        psnr=by_psnr.mean,
        ssim=by_ssim.mean,
        psnr_interval=by_psnr.interval,
        ssim_interval=by_ssim.interval,
        pictures=by_psnr.pictures,
        better=by_psnr.higher,
        worse=by_psnr.lower,
    )


def seconds_per_megapixel(evaluation: Evaluation) -> float | None:
    """Time spent restoring over pixels restored; None where nothing was."""
    timed = [result for result in evaluation.results if result.seconds is not None]
    megapixels = sum(result.width * result.height for result in timed) / 1e6
    return sum(result.seconds or 0.0 for result in timed) / megapixels if megapixels else None


def _summary(evaluation: Evaluation, protocol: str) -> Summary:
    def values(stage: Stage, value: Callable[[Score], float]) -> dict[str, float]:
        return {result.picture: value(result.scores[stage][protocol]) for result in evaluation.results}

    psnr = {stage: values(stage, lambda score: score.psnr) for stage in evaluation.stages}
    ssim = {stage: values(stage, lambda score: score.ssim) for stage in evaluation.stages}
    means = {stage: _mean(psnr[stage], ssim[stage]) for stage in evaluation.stages}
    if len(means) < 2:
        return Summary(means, None)
    return Summary(means, difference((psnr["restored"], psnr["input"]), (ssim["restored"], ssim["input"])))


def _metric_summary(evaluation: Evaluation, metric: str) -> MetricSummary:
    values = {
        stage: {result.picture: result.metrics[stage][metric] for result in evaluation.results}
        for stage in evaluation.stages
    }
    means = {stage: aggregate(values[stage].values()) for stage in evaluation.stages}
    return MetricSummary(means, paired(values["restored"], values["input"]) if len(means) > 1 else None)


def _set_summary(evaluation: Evaluation, metric: str) -> MetricSummary:
    nothing = Aggregate(math.nan, None, finite=0, infinite=0, undefined=len(evaluation.results))
    found = evaluation.of_sets.get(metric, {})
    return MetricSummary({stage: found.get(stage, nothing) for stage in evaluation.stages}, change=None)


def _mean(psnr: Mapping[str, float], ssim: Mapping[str, float]) -> Mean:
    by_psnr, by_ssim = aggregate(psnr.values()), aggregate(ssim.values())
    return Mean(
        psnr=by_psnr.mean,
        ssim=by_ssim.mean,
        identical=by_psnr.infinite,
        undefined=by_ssim.undefined,
        psnr_interval=by_psnr.interval,
        ssim_interval=by_ssim.interval,
    )
