"""What a run did, as plain records: the one source of its table, its JSON and its CSV."""

import math
import platform
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from airtool import __version__

Stage = Literal["input", "restored"]


@dataclass(frozen=True)
class Score:
    """How one picture compares to its ground truth under one protocol."""

    psnr: float
    """dB; infinite for identical pictures, NaN where the protocol leaves nothing to measure."""
    ssim: float
    """At most 1; NaN where the picture is smaller than the window."""


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
    """By stage, then by the protocol's name."""


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


@dataclass(frozen=True)
class Summary:
    """Means under one protocol."""

    means: Mapping[Stage, Mean]
    gain: Score | None
    """Mean of restored minus input over the pictures where both are finite; None unless both were measured."""


@dataclass(frozen=True)
class Question:
    """What was asked to be measured."""

    ground_truth: str
    """File or folder."""
    degraded: str | None = None
    """File or folder of the inputs; None when they are synthesised or unknown."""
    results: str | None = None
    """File or folder of restored pictures."""
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


@dataclass(frozen=True)
class Evaluation:
    """One finished run of ``airtool evaluate``."""

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


def versions() -> dict[str, str]:
    """Versions of airtool, Python and those libraries that this process has used."""
    found = {"airtool": __version__, "python": platform.python_version()}
    for name in ("numpy", "cv2", "torch"):
        if name in sys.modules:
            found[name] = str(sys.modules[name].__version__)
    return found


def summarise(evaluation: Evaluation) -> dict[str, Summary]:
    """Means by the protocol's name."""
    return {protocol: _summary(evaluation, protocol) for protocol in evaluation.protocols}


def notes(evaluation: Evaluation) -> list[str]:
    """What a reader must know to take the figures for what they are, one sentence each."""
    question, said = evaluation.question, []
    if question.limit is not None and question.limit < question.available:
        said.append(f"a sample: the first {question.limit} of {question.available} pictures")
    if question.degradation is not None:
        said.append(
            f"inputs synthesised from the ground truths by {question.degradation}, seed {question.seed}: "
            "float values clipped to [0, 1], not quantised to 8 bits before the method sees them"
        )
    for protocol, summary in summarise(evaluation).items():
        for stage, mean in summary.means.items():
            if mean.identical:
                left_out = ", left out of the mean PSNR" if math.isfinite(mean.psnr) else ""
                said.append(
                    f"{protocol} {stage}: equal to the ground truth (infinite PSNR): {mean.identical}{left_out}"
                )
            if mean.undefined:
                said.append(f"{protocol} {stage}: too small for this protocol's SSIM: {mean.undefined}")
    return said


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
            protocol: {**summary.means, "gain": summary.gain} for protocol, summary in summarise(evaluation).items()
        },
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


def _summary(evaluation: Evaluation, protocol: str) -> Summary:
    by_stage = {stage: [r.scores[stage][protocol] for r in evaluation.results] for stage in evaluation.stages}
    means = {stage: _mean(scores) for stage, scores in by_stage.items()}
    if len(by_stage) < 2:
        return Summary(means, None)
    pairs = list(zip(by_stage["input"], by_stage["restored"], strict=True))
    return Summary(means, Score(_mean_gain(pairs, lambda s: s.psnr), _mean_gain(pairs, lambda s: s.ssim)))


def _mean(scores: Sequence[Score]) -> Mean:
    identical = sum(math.isinf(score.psnr) for score in scores)
    finite = [score.psnr for score in scores if math.isfinite(score.psnr)]
    defined = [score.ssim for score in scores if not math.isnan(score.ssim)]
    psnr = average(finite) if finite or not identical else math.inf
    return Mean(psnr, average(defined), identical, undefined=len(scores) - len(defined))


def _mean_gain(pairs: Sequence[tuple[Score, Score]], value: Callable[[Score], float]) -> float:
    gains = [value(after) - value(before) for before, after in pairs]
    return average([gain for gain in gains if math.isfinite(gain)])


def average(values: Sequence[float]) -> float:
    """Arithmetic mean; NaN of nothing."""
    return math.fsum(values) / len(values) if values else math.nan
