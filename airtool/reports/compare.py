"""Compares a run with the JSON report of an earlier one, picture by picture."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airtool.errors import UsageError
from airtool.images.names import shown
from airtool.metrics.aggregate import paired
from airtool.reports.record import Comparison, Evaluation, Metric, PictureResult, Score, Stage, difference

SAME_DB = 1e-6
"""Inputs whose PSNR differ by more than this are not the same pictures; the same ones differ by rounding errors."""

STAGES: tuple[Stage, ...] = ("restored", "input", "given")
"""What the figures of an earlier run may be about; the first that all its pictures have is what is compared."""


@dataclass(frozen=True)
class Earlier:
    """What an earlier run measured."""

    source: str
    """The file it was read from."""
    protocols: Mapping[str, str]
    """Names and statements."""
    stage: Stage
    """What its figures are about."""
    restoration: Mapping[str, Any] | None
    pictures: Mapping[str, PictureResult]
    """By name."""
    metrics: Mapping[str, str] = field(default_factory=dict)
    """Names and statements of further metrics that have figures."""


def read_earlier(path: str, protocols: Mapping[str, str], metrics: Sequence[Metric] = ()) -> Earlier:
    """Read a JSON report of ``airtool evaluate`` to compare with a run under `protocols` (statements by name).

    metrics: what else the run measures. Raises UsageError when the file cannot be read, is no such report, holds no
    picture, or shares neither protocol nor metric with the run.
    """
    try:
        report = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise UsageError(f"--compare-with {shown(path)} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--compare-with {shown(path)} is not JSON: name what --json wrote") from error
    try:
        earlier = _earlier(path, report)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise UsageError(
            f"--compare-with {shown(path)} is no report of airtool evaluate: name a file that its --json wrote"
        ) from error
    if not earlier.pictures:
        raise UsageError(f"--compare-with {shown(path)} holds no measured picture: name another report")
    statements = {metric.name: metric.statement for metric in metrics}
    if not (
        any(_same(earlier.protocols, protocols, name) for name in protocols)
        or any(_same(earlier.metrics, statements, name) for name in statements)
    ):
        measured = ", ".join([*earlier.protocols, *earlier.metrics]) or "nothing that can be compared"
        option = "--protocol" if protocols else "--metric"
        raise UsageError(f"--compare-with {shown(path)} was measured under {measured}: choose {option} accordingly")
    return earlier


def compare(evaluation: Evaluation, earlier: Earlier) -> Comparison:
    """How a run differs from an earlier one, over the pictures of the same name and size that both measured.

    What was restored is compared with what was restored; where a run restored nothing, what it measured instead.
    """
    here = {result.picture: result for result in evaluation.results}
    there = earlier.pictures
    both = [name for name in here if name in there]
    resized = [name for name in both if _size(here[name]) != _size(there[name])]
    shared = [name for name in both if _size(here[name]) == _size(there[name])]
    comparable = [name for name in evaluation.protocols if _same(evaluation.protocols, earlier.protocols, name)]
    every = [*evaluation.protocols, *(name for name in earlier.protocols if name not in evaluation.protocols)]
    statements = {metric.name: metric.statement for metric in evaluation.picture_metrics if metric.missing is None}
    alike = [name for name in statements if _same(statements, earlier.metrics, name)]
    every_metric = dict.fromkeys([*statements, *earlier.metrics])
    return Comparison(
        source=earlier.source,
        stage=evaluation.judged,
        other_stage=earlier.stage,
        restoration=earlier.restoration,
        differences={
            protocol: difference(
                (
                    {name: here[name].scores[evaluation.judged][protocol].psnr for name in shared},
                    {name: there[name].scores[earlier.stage][protocol].psnr for name in shared},
                ),
                (
                    {name: here[name].scores[evaluation.judged][protocol].ssim for name in shared},
                    {name: there[name].scores[earlier.stage][protocol].ssim for name in shared},
                ),
            )
            for protocol in comparable
        },
        only_here=tuple(name for name in here if name not in there),
        only_there=tuple(name for name in there if name not in here),
        resized=tuple(resized),
        other_inputs=tuple(
            name for name in shared if any(_other_input(here[name], there[name], by) for by in comparable)
        ),
        incomparable=(
            *(name for name in every if name not in comparable),
            *(name for name in every_metric if name not in alike),
        ),
        metrics={
            metric: paired(
                {name: here[name].metrics[evaluation.judged][metric] for name in shared},
                {name: there[name].metrics[earlier.stage][metric] for name in shared},
            )
            for metric in alike
        },
    )


def _earlier(path: str, report: Mapping[str, Any]) -> Earlier:
    if report["command"] != "evaluate":
        raise ValueError(report["command"])
    protocols = {str(name): str(statement) for name, statement in report["protocols"].items()}
    # Reports of earlier versions have no metrics.
    metrics = {
        str(name): str(metric["statement"])
        for name, metric in report.get("metrics", {}).items()
        if metric["missing"] is None and not metric.get("of_set")
    }
    pictures = {entry["picture"]: _result(entry, protocols, metrics) for entry in report["pictures"]}
    for stage in STAGES:
        if all(
            (not protocols or stage in result.scores) and (not metrics or stage in result.metrics)
            for result in pictures.values()
        ):
            return Earlier(path, protocols, stage, report["restoration"], pictures, metrics)
    raise KeyError("input")


def _result(entry: Mapping[str, Any], protocols: Mapping[str, str], metrics: Mapping[str, str]) -> PictureResult:
    scores = {
        stage: {
            name: Score(_value(entry[stage][name]["psnr"]), _value(entry[stage][name]["ssim"])) for name in protocols
        }
        for stage in STAGES
        if stage in entry
    }
    measured = entry.get("metrics", {})
    values = {stage: {name: _value(measured[stage][name]) for name in metrics} for stage in STAGES if stage in measured}
    return PictureResult(str(entry["picture"]), int(entry["width"]), int(entry["height"]), None, scores, values)


def _value(value: float | str | None) -> float:
    """A number as `airtool.reports.writers.write_json` writes it: ``"inf"`` for infinity, null for NaN."""
    return math.nan if value is None else float(value)


def _same(ours: Mapping[str, str], theirs: Mapping[str, str], name: str) -> bool:
    return name in ours and ours[name] == theirs.get(name)


def _size(result: PictureResult) -> tuple[int, int]:
    return result.width, result.height


def _other_input(here: PictureResult, there: PictureResult, protocol: str) -> bool:
    if "input" not in here.scores or "input" not in there.scores:
        return False
    ours, theirs = here.scores["input"][protocol].psnr, there.scores["input"][protocol].psnr
    return ours != theirs and abs(ours - theirs) > SAME_DB
