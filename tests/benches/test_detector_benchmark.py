"""The script that measures the detector, on four small pictures with an untrained network."""

import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest
import torch
from PIL import Image
from scripts import FOLDER, load_script
from skimage import data

from airtool.degradations import DEGRADATIONS
from airtool.methods.autodir.detector import NAME, DetectorConfig, DetectorNet
from airtool.methods.weights import sha256_of, write_weights

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("detector")


def test_figures_by_hand(script: ModuleType) -> None:
    found = {"noise": Counter(noise=3, rain=1), "camera-noise": Counter(noise=2, unsure=2)}
    found |= {"clean": Counter(clean=2, unsure=1, haze=1)}
    assert script.accuracy(found) == pytest.approx(100 * 7 / 12)
    assert script.false_alarms(found) == 25.0
    table = script.confusion(found).splitlines()
    assert table[0] == "| done | noise | clean | unsure | right |"
    assert table[2:] == [
        "| noise | 3 |  |  | 75.0 % |",
        "| camera-noise | 2 |  | 2 | 50.0 % |",
        "| clean |  | 2 | 1 | 50.0 % |",
    ]
    real = {"RealRain/lq_nogt": Counter(rain=3, JPEG=2), "Nam/lq": Counter(noise=1), "Nam/gt": Counter(clean=1, blur=1)}
    assert script.named_right(real, clean=False) == (6, 4)
    assert script.named_right(real, clean=True) == (2, 1)
    assert "| RealRain/lq_nogt | 5 | rain | 3 | JPEG 2 |" in script.real_table(real)


def test_the_page_gets_its_figures(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    config = DetectorConfig(widths=(4, 4), blocks=(1, 1), hidden=8, embedding=8, text_width=8, text_buckets=64)
    weights = tmp_path / "untrained.safetensors"
    write_weights(weights, NAME, config, DetectorNet(config).state_dict(), {}, half=True)
    photograph = data.astronaut()
    for index, folder in enumerate(("CBSD68/gt", "Kodak24/gt", "RealRain/lq_nogt", "Nam/gt")):
        (tmp_path / "bench" / folder).mkdir(parents=True)
        Image.fromarray(photograph[60 * index : 60 * index + 48, 150:214]).save(tmp_path / "bench" / folder / "a.png")
    page = tmp_path / "page.md"
    page.write_text(f"# Head\n\n{script.BEGIN}\nSTALE\n{script.END}\nfoot\n")
    beside = ["--beside", f"one={weights}", f"two={weights}"]
    arguments = ["--data", tmp_path, "--weights", weights, *beside, "--limit", "1", "--page", page]
    monkeypatch.setattr(sys, "argv", ["detector.py", *map(str, arguments)])
    monkeypatch.setattr(script, "MEGAPIXEL", (96, 64))
    assert script.main() == 0
    text = page.read_text()
    assert text.startswith(f"# Head\n\n{script.BEGIN}\n")
    assert text.endswith(f"{script.END}\nfoot\n")
    assert "STALE" not in text
    assert sha256_of(weights) in text
    assert "A sample: the first 1 pictures" in text
    # Two tables with a line for every degradation and one for clean pictures, each of two pictures.
    lines = [line for line in text.splitlines() if line.startswith(tuple(f"| {name} |" for name in DEGRADATIONS))]
    assert len(lines) == 2 * len(DEGRADATIONS)
    same = [line.split("|")[2:5] for line in text.splitlines() if line.startswith("| named right")]
    assert len(same) == 4
    assert all(embedded == first == second for embedded, first, second in same)
    assert script.main() == 0, "the page can be written again"
    page.write_text("no place")
    assert script.main() == 2


def test_false_alarms_are_traded_for_misses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    script = load_script("caution")
    seen = [(truth, {"no": 1 - rain, "rain": rain}) for truth, rain in (("clean", 0.6), ("clean", 0.1), ("rain", 0.7))]
    assert script.counted(seen, 1.0) == (1, pytest.approx(2 / 3))
    assert script.counted(seen, 2.0) == (0, 1.0)
    assert script.counted(seen, 3.0) == (0, pytest.approx(2 / 3))
