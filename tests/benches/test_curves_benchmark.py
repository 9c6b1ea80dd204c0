"""The script of the learning curves: from a run's log to figures, a drawing and the page."""

import json
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest
from scripts import FOLDER, load_script

tensorboard = pytest.importorskip("torch.utils.tensorboard", reason="pip install -c constraints.txt '.[train]'")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    sys.path.insert(0, str(FOLDER))  # where Python looks when the script is run
    try:
        return load_script("curves")
    finally:
        sys.path.remove(str(FOLDER))


def part(folder: Path, start: float, losses: dict[int, float], noise: dict[int, float]) -> None:
    """One part of a run: its event file, half a second a step, an infinite figure for clean pictures."""
    writer = tensorboard.SummaryWriter(str(folder / "tensorboard"), filename_suffix=f".{start:.0f}")
    for step, loss in losses.items():
        writer.add_scalar("train/loss", loss, step, walltime=start + step / 2)
        writer.add_scalar("train/pictures_a_second", 16.0, step, walltime=start + step / 2)
    for step, psnr in noise.items():
        for name, value in (("noise", psnr), ("clean", float("inf")), ("mean_gain", psnr - 20)):
            writer.add_scalar(f"validation/{name}", value, step, walltime=start + step / 2)
    writer.close()
    (made,) = [path for path in (folder / "tensorboard").iterdir() if path.name.endswith(f".{start:.0f}")]
    made.rename(made.with_name(f"events.out.tfevents.{start:.0f}"))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that was resumed from step 100, after it had got to 150."""
    folder = tmp_path / "runs" / "tiny-small"
    part(folder, 1_000_000_000, {50: 4.0, 100: 3.0, 150: 99.0}, {100: 21.0})
    part(folder, 1_000_001_000, {150: 2.0, 200: 1.0, 400: 0.5}, {200: 24.0, 400: 26.5})
    return folder


def test_a_run_becomes_figures_a_drawing_and_a_page(script: ModuleType, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "docs"
    assert script.main([str(run), "--out", str(out), "--note", "A tiny one."]) == 0
    assert script.main([str(run), "--out", str(out)]) == 0
    found = json.loads((out / "curves/tiny-small.json").read_text())
    assert found["validation"] == {"steps": [100, 200, 400], "figures": {"noise": [21.0, 24.0, 26.5]}}
    assert dict(found["loss"]) == {50: 4.0, 100: 3.0, 150: 2.0, 200: 1.0, 400: 0.5}, "the later part counts"
    assert (found["steps"], found["seconds"], found["pictures_a_second"]) == (400, 200, 16.0)
    texts = {each.text for each in ElementTree.parse(out / "curves/tiny-small.svg").iter() if each.text}
    assert {"noise +5.50", "tiny-small: training loss"} <= texts
    page = (out / "training.md").read_text()
    assert "| dB | noise |\n|---|---|\n| half | 24.00 |\n| last | 26.50 |\n| brought | +2.50 |\n" in page
    assert "| 400 | 3 min | +2.50 dB | noise +2.50 dB | 1 | 0 | 0 | 400 steps more, 3 min |" in page
    assert "A tiny one." in page, "a note stays"


def test_a_folder_without_figures_is_refused(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main([str(tmp_path), "--out", str(tmp_path / "docs")]) == 1
    assert "name the folder of a run" in capsys.readouterr().err
    assert not (tmp_path / "docs").exists()


def test_half_of_the_steps_may_lie_between_two_validations(script: ModuleType) -> None:
    doubling = import_module("learning.doubling").doubling
    found = doubling([(100, 20.0), (400, 22.0), (900, 23.0), (1600, 23.5)])
    assert found.half == pytest.approx(22.855, abs=0.001)  # at 800: 22 + log(2) / log(2.25)
    assert (found.verdict("dB"), found.verdict("%")) == ("rising", "flat")
    assert doubling([(400, 22.0)]) is None
    assert doubling([(300, 22.0), (400, 23.0)]) is None


def test_a_stage_that_was_measured_at_its_start(script: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "short"
    part(folder, 1_000_000_000, {50: 4.0, 100: 3.0}, {0: 20.0, 100: 21.0})
    assert script.main([str(folder), "--out", str(tmp_path / "docs")]) == 0
    page = (tmp_path / "docs" / "training.md").read_text()
    assert "| dB | noise |\n|---|---|\n| half | 20.50 |\n| last | 21.00 |\n| brought | +0.50 |\n" in page
