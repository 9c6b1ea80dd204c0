"""Ctrl-C while `airtool evaluate` measures: finished pictures are reported, and no earlier report is lost for them."""

import json
import math
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from airtool.benches import evaluate as referenced
from airtool.benches import unreferenced
from airtool.benches.evaluate import evaluate, task_of_results
from airtool.benches.scorers import Scorer
from airtool.benches.unreferenced import evaluate_unreferenced, find_pictures
from airtool.cli.app import main
from airtool.metrics.perceptual import PerceptualMetric, Traits
from airtool.metrics.protocols import Pixels, parse_protocols
from airtool.reports.gallery import Gallery
from airtool.reports.ranking import yardstick
from airtool.reports.record import Metric

OPTIONS = {"--json": "r.json", "--csv": "r.csv", "--csv-summary": "s.csv", "--markdown": "r.md", "--html": "r.html"}


def at(count: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, in whose so-manieth call Ctrl-C is pressed."""
    seen = []

    def interrupted(*arguments: Any) -> Any:
        seen.append(arguments)
        if len(seen) == count:
            signal.raise_signal(signal.SIGINT)
        return function(*arguments)

    return interrupted


def interrupt(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Press Ctrl-C while the so-manieth picture is measured."""
    monkeypatch.setattr(referenced, "_measure", at(count, referenced._measure))
    monkeypatch.setattr(unreferenced, "check_comparable", at(count, unreferenced.check_comparable))


@pytest.mark.parametrize("question", ["results", "no-reference", "bench"])
def test_reports_that_are_there_are_left_as_they_were(
    question: str, folders: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch
) -> None:
    lq, gt = folders
    monkeypatch.chdir(tmp_path)
    for index, path in enumerate(sorted(gt.glob("*.png")), 1):
        for place in (f"Rain100L/norain-{index:03}.png", f"Rain100L/rainy/rain-{index:03}.png"):
            Path(place).parent.mkdir(parents=True, exist_ok=True)
            Path(place).write_bytes(path.read_bytes())
    command = {
        "results": ["--results", str(lq), "--gt", str(gt), "--limit", "2"],
        "no-reference": ["--no-reference", str(lq), "--metric", "none-such", "--limit", "2"],
        "bench": ["--bench", "rain100l", "--data", ".", "--input-only"],
    }[question]
    command = ["evaluate", *command, "-q"]
    everywhere = [text for option in OPTIONS.items() for text in option]
    assert main([*command, *everywhere]) == (1 if question == "no-reference" else 0)  # a metric is missing
    before = {name: Path(name).read_bytes() for name in OPTIONS.values()}
    for measured in (0, 1):
        capfd.readouterr()
        with monkeypatch.context() as patch:
            interrupt(patch, measured + 1)
            assert main([*command, *everywhere]) == 130
        out, err = capfd.readouterr()
        left = "; ".join(f"{name} is left as it was" for name in OPTIONS.values())
        assert err.splitlines()[-1] == f"airtool: interrupted after {measured} of 2; {left}"
        assert {name: Path(name).read_bytes() for name in before} == before
        assert ("interrupted" in out) == (question != "bench" or measured == 1)
    # Of no picture there is no new file; of some there is, beside one that stays.
    for measured in (0, 1):
        with monkeypatch.context() as patch:
            interrupt(patch, measured + 1)
            assert main([*command, "--json", "new.json", "--csv", "r.csv"]) == 130
        assert capfd.readouterr().err.endswith(f"interrupted after {measured} of 2; r.csv is left as it was\n")
        assert Path("new.json").exists() == (measured == 1)
        assert Path("r.csv").read_bytes() == before["r.csv"]
    assert json.loads(Path("new.json").read_text())["measured"] == 1
    with monkeypatch.context() as patch:
        interrupt(patch, 1)
        assert main([*command, "--json", "-"]) == 130
    assert json.loads(capfd.readouterr().out)["interrupted"]


class Even(PerceptualMetric):
    """A metric that likes all pictures; Ctrl-C is pressed while it scores for the so-manieth time."""

    def __init__(self, interrupted: int = 0) -> None:
        super().__init__(Traits("even", lower_is_better=False, needs_ground_truth=False, library="none"), None)
        self._values = at(interrupted, lambda pictures: [1.0] * len(pictures))

    def scores(self, pictures: Sequence[Pixels], ground_truths: Sequence[Pixels] | None = None) -> list[float]:
        values: list[float] = self._values(pictures)
        return values

    def scorer(self) -> Scorer:
        return Scorer(Metric("even", "even", lower_is_better=False), self)


@pytest.mark.parametrize(("batch", "scored"), [(8, 0), (2, 2)])
@pytest.mark.parametrize("where", ["measuring", "scoring"])
def test_pictures_that_wait_for_their_metrics_are_reported(
    where: str, batch: int, scored: int, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    lq, gt = map(str, folders)
    expected = [1.0] * scored + [math.nan] * (3 - scored)
    if where == "measuring":
        expected.pop()  # it was being read
        interrupt(monkeypatch, 3)
    rounds = scored // batch + 1 if where == "scoring" else 0

    gallery = Gallery("restored", yardstick(["rgb"]))
    scorer = Even(rounds).scorer()
    done = evaluate(task_of_results(lq, gt), parse_protocols("rgb"), gallery=gallery, scorers=[scorer], batch=batch)
    assert done.interrupted
    assert str([result.metrics["restored"]["even"] for result in done.results]) == str(expected)
    assert all(result.scores["restored"]["rgb"].psnr > 15 for result in done.results)
    assert done.question.sample == f"a sample: interrupted after {len(expected)} of 3 pictures"

    question, sources, _ = find_pictures(lq)
    alone = evaluate_unreferenced(question, sources, [Even(rounds).scorer()], batch=batch)
    assert alone.interrupted
    assert str([result.metrics["given"]["even"] for result in alone.results]) == str(expected)
