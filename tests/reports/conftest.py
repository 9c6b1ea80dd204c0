"""Runs whose names and messages try to break every report."""

import math

import numpy as np
import pytest
from hostile import HOSTILE

from airtool.reports.gallery import Gallery
from airtool.reports.ranking import yardstick
from airtool.reports.record import Evaluation, Failure, PictureResult, Published, Question, Score


def result(name: str, before: tuple[float, float], after: tuple[float, float]) -> PictureResult:
    scores = {"input": {"rgb": Score(*before)}, "restored": {"rgb": Score(*after)}}
    return PictureResult(name, 40, 30, 0.25, scores)  # type: ignore[arg-type]


@pytest.fixture
def run() -> Evaluation:
    """Six pictures with hostile names, one equal to its ground truth, one too small, one failure."""
    results = [result(name, (20.0 + i, 0.5), (26.0 - 2 * i, 0.6 + i / 20)) for i, name in enumerate(HOSTILE)]
    results += [result("equal", (math.inf, 1.0), (50.0, 0.99)), result("small", (20.0, math.nan), (24.0, math.nan))]
    return Evaluation(
        question=Question('clean"<b>', degraded="dirty|<i>", pairing="equal stems", available=9, limit=8),
        protocols={"rgb": "values <of> [0, 1] | rounded"},
        stages=("input", "restored"),
        restoration={"method": "ndr", "weights": "w.safetensors", "sha256": "ab12", "tile": None, "degradation": []},
        results=tuple(results),
        failures=(Failure("broken<br>", "broken<br>.png: is | truncated"),),
        date="2031-01-02T03:04:05+00:00",
        published=(Published("Other & Co", 31.25, None, "y", "A. <Author>, 2024, table 1"),),
    )


@pytest.fixture
def gallery(run: Evaluation) -> Gallery:
    """Previews of the pictures of `run`."""
    collected = Gallery("restored", yardstick(["rgb"]), worst_count=4, best_count=2)
    pixels = np.random.default_rng(0).random((30, 40, 3), np.float32)
    for measured in run.results:
        collected.offer(measured, {"input": pixels, "restored": pixels * 0.5, "ground truth": pixels * 0.25})
    return collected
