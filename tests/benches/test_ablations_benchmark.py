"""The script of the ablations: figures from runs, and the page from figures."""

import json
import shutil
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from scripts import load_script
from skimage import data

from airtool.methods.objective import CEILING


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("ablations")


def test_runs_are_measured_on_the_same_pictures(
    script: ModuleType, one_network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = tmp_path / "data" / "train" / "BSDS500-clean" / "val"
    held.mkdir(parents=True)
    for number in range(2):
        cv2.imwrite(str(held / f"{number}.png"), data.astronaut()[100 * number : 100 * number + 80, 100:180])
    for row in ("ndr-ablation", "ndr-ablation-plain"):
        (tmp_path / "runs" / row).mkdir(parents=True)
        shutil.copy(one_network, tmp_path / "runs" / row / "weights.safetensors")
    monkeypatch.setattr(script, "PICTURES", 2)
    monkeypatch.setattr(script, "CROP", 64)
    out = tmp_path / "docs"
    words = ["--data", tmp_path / "data", "--runs", tmp_path / "runs", "--only", "ndr", "--out", out]
    assert script.main([str(word) for word in words]) == 0
    found = json.loads((out / "ablations" / "ndr.json").read_text())
    full, plain = found["rows"].values()
    assert full["figures"]["clean"] != plain["figures"]["clean"]
    assert found["input"]["clean"] == [CEILING] * 2
    assert all(
        after > before for after, before in zip(full["figures"]["low-light"], found["input"]["low-light"], strict=True)
    )
    assert "Not trained yet: `ndr-ablation-one-way`" in (out / "ablations.md").read_text()


def test_the_page_compares_each_picture_with_itself(script: ModuleType, tmp_path: Path) -> None:
    facts = {"parameters": 5, "sha256": "ab" * 32, "steps": 800, "batch": 6, "patch": 96, "optimiser": "muon"}
    full = {"noise": [30.0, 28.0], "rain": [25.0, 29.0], "clean": [50.0, 60.0]}
    less = {"noise": [29.0, 27.0], "rain": [25.0, 28.0], "clean": [40.0, 40.0]}
    rows = {key: {**facts, "figures": less} for key in script.FAMILIES["ndr"].rows}
    rows["ndr-ablation"] = {**facts, "figures": full}
    given = {"noise": [20.0, 20.0], "rain": [22.0, 24.0], "clean": [60.0, 60.0]}
    (tmp_path / "ablations").mkdir()
    text = json.dumps({"date": "2026-11-22", "torch": "2", "input": given, "rows": rows})
    (tmp_path / "ablations" / "ndr.json").write_text(text)
    assert script.main(["--write-only", "--out", str(tmp_path)]) == 0
    page = (tmp_path / "ablations.md").read_text()
    # Gains of the two pictures: 6.5 and 6.5, against 6 and 5.5; clean does not count.
    assert "| full | 5 | +6.50 |  | 29.00 | 27.00 | 55.00 |" in page
    assert "| 5 | +5.75 | -0.75 ± 0.25 | 28.00 | 26.50 | 40.00 |" in page
    assert np.allclose(script.gains(full, given), [6.5, 6.5])
    assert script.main(["--only", "ndr"]) == 2
