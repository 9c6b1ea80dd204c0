"""The script that measures the loop, on two small pictures with untrained networks."""

import json
import math
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from PIL import Image
from scripts import load_script
from skimage import data

from airtool.methods.autodir.detector import NAME, DetectorConfig, DetectorNet
from airtool.methods.ndr.method import NDRMethod
from airtool.methods.ndr.network import NDRConfig
from airtool.methods.weights import sha256_of, write_weights

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("iterate")


def test_every_order_of_two_and_three(script: ModuleType) -> None:
    mixtures = script.mixtures()
    assert len(mixtures) == len(set(mixtures)) == 20 + 60
    assert ("noise", "rain") in mixtures
    assert ("rain", "noise") in mixtures
    names = [f"{index}" for index in range(5)]
    assert list(script.chosen(names, 2, 0)) + list(script.chosen(names, 2, 1)) == ["0", "1", "2", "3"]
    assert list(script.chosen(names, 2, 2)) == ["4", "0"]
    assert sorted(script.chosen(names, 9, 3)) == names


def test_figures_by_hand(script: ModuleType) -> None:
    rows = [
        script.Looped(20.0, 22.0, 24.0, 2, "clean", "noise", 1.0),
        script.Looped(20.0, 25.0, 24.0, 1, "limit", "rain", 3.0),
        script.Looped(math.inf, 41.0, math.inf, 0, "clean", "clean", 0.0),
        script.Looped(30.0, 30.0, 29.0, 1, "no gain", "rain", 0.0),
    ]
    found = script.summary(rows)
    assert [found[key] for key in ("input", "blind", "loop")] == [pytest.approx(70 / 3), 29.5, pytest.approx(77 / 3)]
    assert (found["better_than_input"], found["worse_than_input"], found["better_than_blind"]) == (2, 1, 2)
    assert (found["identical"], found["untouched"], found["worst"], found["steps"]) == (1, 1, 24.0, 1.0)
    assert found["reasons"] == {"clean": 2, "limit": 1, "no gain": 1}
    assert script.row_of(found) == "23.33 | 29.50 | 25.67 | +2.33 | -3.83 | 1.0"


def test_the_page_gets_its_figures(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    small = DetectorConfig(widths=(4, 4), blocks=(1, 1), hidden=8, embedding=8, text_width=8, text_buckets=64)
    detector, method = tmp_path / "detector.safetensors", tmp_path / "method.safetensors"
    write_weights(detector, NAME, small, DetectorNet(small).state_dict(), {}, half=True)
    sizes = {"dim": 8, "atom_dim": 8, "feature_dim": 8, "rank": 2}
    config = NDRConfig(blocks=(1, 1, 1, 1), refinement_blocks=1, block="nafnet", residual=True, **sizes)
    write_weights(method, "ndr", config, NDRMethod(config).network.state_dict(), {}, half=True)
    (tmp_path / "bench/Kodak24/gt").mkdir(parents=True)
    for index in range(2):
        cut = data.astronaut()[60 * index : 60 * index + 48, 150:214]
        Image.fromarray(cut).save(tmp_path / f"bench/Kodak24/gt/{index}.png")
    page = tmp_path / "iterate.md"
    page.write_text(f"# Head\n\n{script.BEGIN}\nSTALE\n{script.END}\nfoot\n")
    arguments = ["--data", tmp_path, "--method", "ndr", "--weights", method, "--detector-weights", detector]
    arguments += ["--pictures", "1", "--out", tmp_path]
    monkeypatch.setattr(sys, "argv", ["iterate.py", *map(str, arguments)])
    monkeypatch.setattr(script, "MIXED", ("noise", "haze", "jpeg"))
    assert script.main() == 0
    text = page.read_text()
    assert text.startswith(f"# Head\n\n{script.BEGIN}\n")
    assert text.endswith(f"{script.END}\nfoot\n")
    assert "STALE" not in text
    assert sha256_of(detector) in text
    assert sha256_of(method) in text
    figures = json.loads((tmp_path / "iterate-measured.json").read_text())["ndr"]
    assert (figures["two"]["pictures"], figures["three"]["pictures"], figures["clean"]["pictures"]) == (6, 6, 2)
    assert len([line for line in text.splitlines() if line.startswith(("| noise,", "| haze,", "| jpeg,"))]) == 12
    assert figures["mixtures"]["noise,haze"]["input"] != figures["mixtures"]["haze,noise"]["input"]
    monkeypatch.setattr(sys, "argv", ["iterate.py", "--write-only", "--out", str(tmp_path)])
    assert script.main() == 0
    assert page.read_text() == text, "the page can be written again from what is kept"
    page.write_text("no place")
    assert script.main() == 2
