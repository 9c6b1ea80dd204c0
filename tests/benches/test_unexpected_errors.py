"""Errors that nobody foresaw cost one picture, and one line: in every command that measures or degrades many."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from airtool.benches.evaluate import evaluate, task_of_pairs
from airtool.benches.scorers import Scorer
from airtool.benches.unreferenced import evaluate_unreferenced, find_pictures
from airtool.cli.app import main
from airtool.engine.session import Restored
from airtool.errors import OutputError
from airtool.images import decode
from airtool.images.picture import Picture
from airtool.metrics.perceptual import PerceptualMetric, Traits
from airtool.metrics.protocols import Pixels, parse_protocols
from airtool.reports.record import Metric

NARROW = 56
"""Width of the picture that is odd."""


@pytest.fixture
def pictures(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three pictures, whose second one makes the decoder fail as it never should."""
    _, folder = folders
    with Image.open(folder / "astronaut.png") as whole:
        whole.crop((0, 0, NARROW, 64)).save(folder / "astronaut.png")
    assemble = decode.assemble

    def stumbling(unpacked: decode.Unpacked) -> Picture:
        if unpacked.samples.shape[1] == NARROW:
            raise RuntimeError("an odd end\nand advice on it")
        return assemble(unpacked)

    monkeypatch.setattr(decode, "assemble", stumbling)
    return folder


def said_of(picture: Path) -> str:
    return f"{picture}: unexpected RuntimeError: an odd end"


def test_evaluate_measures_the_others(pictures: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = main(["evaluate", "--results", str(pictures), "--gt", str(pictures), "--json", "-", "-q"])
    out, err = capfd.readouterr()
    report = json.loads(out)
    assert code == 1
    assert err == f"airtool: {said_of(pictures / 'astronaut.png')}\n"
    assert [each["picture"] for each in report["pictures"]] == ["coffee", "animals/chelsea"]


def test_the_file_that_was_read_is_named(
    pictures: Path, folders: tuple[Path, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "--results", str(folders[0]), "--gt", str(pictures), "-q"]) == 1
    assert capfd.readouterr().err == f"airtool: {said_of(pictures / 'astronaut.png')}\n"


def test_check_looks_at_the_others(pictures: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for index, name in enumerate(("coffee", "astronaut", "animals/chelsea"), 1):
        for place in (f"Rain100L/norain-{index:03}.png", f"Rain100L/rainy/rain-{index:03}.png"):
            (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(pictures / f"{name}.png", tmp_path / place)
    code = main(["evaluate", "--check", str(tmp_path / "Rain100L"), "--bench", "rain100l", "-q", "--json", "-"])
    (facts,) = json.loads(capfd.readouterr().out)
    assert code == 1
    assert sorted(facts["unreadable"]) == [
        said_of(tmp_path / "Rain100L/norain-002.png"),
        said_of(tmp_path / "Rain100L/rainy/rain-002.png"),
    ]


def test_degrade_makes_the_others(pictures: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = main(["degrade", str(pictures), str(tmp_path / "out"), "--with", "noise:10", "-q"])
    err = capfd.readouterr().err
    assert code == 1
    assert f"airtool: {said_of(pictures / 'astronaut.png')}\n" in err
    assert sorted(path.stem for path in (tmp_path / "out").rglob("*.png")) == ["chelsea", "coffee"]


class Odd(PerceptualMetric):
    """A metric that fails on dark pictures as no metric should."""

    def __init__(self) -> None:
        super().__init__(Traits("odd", lower_is_better=False, needs_ground_truth=False, library="none"), None)

    def scores(self, pictures: Sequence[Pixels], ground_truths: Sequence[Pixels] | None = None) -> list[float]:
        if any(pixels.mean() < 0.1 for pixels in pictures):
            raise ZeroDivisionError("an odd end")
        return [1.0] * len(pictures)


@pytest.mark.parametrize("batch", [1, 4])
def test_metrics_score_the_others(pictures: Path, batch: int) -> None:
    with Image.open(pictures / "coffee.png") as whole:
        whole.point(lambda value: value // 16).save(pictures / "coffee.png")
    scorer = Scorer(Metric("odd", "odd", lower_is_better=False), Odd())
    evaluation = evaluate_unreferenced(*find_pictures(str(pictures))[:2], [scorer], batch=batch)
    scores = {result.picture: result.metrics["given"]["odd"] for result in evaluation.results}
    assert str(scores) == "{'coffee.png': nan, 'animals/chelsea.png': 1.0}"
    assert {failure.reason for failure in evaluation.failures} == {
        said_of(pictures / "astronaut.png"),
        f"{pictures / 'coffee.png'}: unexpected ZeroDivisionError: an odd end",
    }


def test_a_method_may_stumble_in_any_way_but_lost_output_ends_the_run(folders: tuple[Path, Path]) -> None:
    task = task_of_pairs(*map(str, folders))

    class Stumbling:
        def __init__(self, error: Exception) -> None:
            self.errors = [error]

        def restore(self, picture: Picture) -> Restored:
            if self.errors:
                raise self.errors.pop()
            return Restored(picture, picture.rgb.shape[:2], 0.0, ())

        def describe(self) -> Mapping[str, Any]:
            return {}

    evaluation = evaluate(task, parse_protocols("rgb"), Stumbling(RuntimeError("an odd end")))
    assert len(evaluation.results) == 2
    (failure,) = evaluation.failures
    assert failure.reason == said_of(folders[0] / f"{failure.picture}.webp")
    with pytest.raises(OutputError):
        evaluate(task, parse_protocols("rgb"), Stumbling(OutputError("cannot write to standard output")))
