"""Reads what a training run has logged for TensorBoard, and keeps the part of it that shows how it learned."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from airtool.errors import AirtoolError

Points = list[tuple[int, float]]
"""Step and value, in the order of steps."""

LOSSES = 24
"""Points of the loss that are kept: means over as many stretches of equal length."""

VALIDATION, LOSS, RATE = "validation/", "train/loss", "train/pictures_a_second"

SCORES = ("mean", "mean_gain")
"""What `airtool train` logs beside the figures of each kind of degradation."""


@dataclass(frozen=True)
class Curve:
    """One run, as docs/curves/NAME.json holds it."""

    run: str
    unit: str
    """Of the validation figures: dB (RGB PSNR), or % named or understood right."""
    started: str
    """UTC, ISO 8601."""
    steps: int
    seconds: float
    """Of all steps, validation included, pauses between two resumed parts not."""
    pictures_a_second: float
    """Median over the run."""
    validation: dict[str, Points]
    """By kind of degradation."""
    score: Points
    """Mean over the kinds: of the gain over the input where the figures are PSNR and the run knows it."""
    loss: Points
    note: str = ""
    """What a reader must know of this run."""

    def text(self) -> str:
        """JSON, a line for each thing; validations that all kinds have share their steps."""
        kept = asdict(self)
        steps = sorted({step for points in self.validation.values() for step, _ in points})
        figures = {kind: [dict(points).get(step) for step in steps] for kind, points in self.validation.items()}
        kept["validation"] = {"steps": steps, "figures": figures}
        parts = [f" {json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" for key, value in kept.items()]
        return "{\n" + ",\n".join(parts) + "\n}\n"

    @classmethod
    def from_text(cls, text: str) -> "Curve":
        kept = json.loads(text)
        steps, figures = kept["validation"]["steps"], kept["validation"]["figures"]
        kept["validation"] = {
            kind: [(step, value) for step, value in zip(steps, values, strict=True) if value is not None]
            for kind, values in figures.items()
        }
        for name in ("score", "loss"):
            kept[name] = [(step, value) for step, value in kept[name]]
        return cls(**kept)


def curve_of(tensorboard: Path, run: str, unit: str, note: str = "") -> Curve:
    """Read a folder of event files. Raises AirtoolError when it holds no figures of a training."""
    found: dict[str, list[tuple[int, float, float]]] = {}
    # The names begin with the time at which a part of the run started.
    for path in sorted(tensorboard.glob("events.out.tfevents.*")):
        part = _scalars(path)
        first = min((step for rows in part.values() for step, _, _ in rows), default=math.inf)
        # Steps after the checkpoint from which a run goes on were taken anew.
        for tag in {*found, *part}:
            found[tag] = [row for row in found.get(tag, []) if row[0] < first] + part.get(tag, [])
    if not found.get(LOSS):
        raise AirtoolError(f"{tensorboard} holds no figures of a training: name the folder of a run of `airtool train`")
    validation = {
        tag.removeprefix(VALIDATION): _points(rows)
        for tag, rows in sorted(found.items())
        if tag.startswith(VALIDATION) and tag.removeprefix(VALIDATION) not in SCORES
    }
    score = next((_points(found[VALIDATION + name]) for name in reversed(SCORES) if VALIDATION + name in found), [])
    steps = found[LOSS][-1][0]
    rates = sorted(value for _, value, _ in found.get(RATE, []) if math.isfinite(value))
    return Curve(
        run=run,
        unit=unit,
        started=datetime.fromtimestamp(found[LOSS][0][2], UTC).isoformat(timespec="seconds"),
        steps=steps,
        seconds=round(steps * _seconds_a_step(found[LOSS])),
        pictures_a_second=round(rates[len(rates) // 2], 1) if rates else math.nan,
        validation={kind: points for kind, points in validation.items() if points},
        score=score,
        loss=_thinned(_points(found[LOSS], digits=4)),
        note=note,
    )


def _scalars(path: Path) -> dict[str, list[tuple[int, float, float]]]:
    """Step, value and time in seconds of every scalar of a file, by tag."""
    found: dict[str, list[tuple[int, float, float]]] = {}
    for event in EventFileLoader(str(path)).Load():
        for value in event.summary.value:
            if value.HasField("tensor") and len(value.tensor.float_val) == 1:
                found.setdefault(value.tag, []).append((event.step, value.tensor.float_val[0], event.wall_time))
    return found


def _points(rows: Sequence[tuple[int, float, float]], digits: int = 2) -> Points:
    """Those with finite values: pictures that come back identical have an infinite PSNR."""
    return [(step, round(value, digits)) for step, value, _ in rows if math.isfinite(value)]


def _seconds_a_step(rows: Sequence[tuple[int, float, float]]) -> float:
    """Over the parts of a run between which it did not pause: neighbours ten times the usual distance are no part."""
    each = [((late - early) / (step - before)) for (before, _, early), (step, _, late) in pairwise(rows)]
    usual = sorted(each)[len(each) // 2] if each else 0.0
    kept = [seconds for seconds in each if 0 <= seconds <= 10 * usual]
    return math.fsum(kept) / len(kept) if kept else 0.0


def _thinned(points: Points) -> Points:
    """Means over stretches of steps of equal length, at their last steps."""
    if not points:
        return points
    last = points[-1][0]
    stretches: dict[int, Points] = {}
    for step, value in points:
        stretches.setdefault(math.ceil(step * LOSSES / last), []).append((step, value))
    return [(each[-1][0], round(math.fsum(value for _, value in each) / len(each), 4)) for each in stretches.values()]
