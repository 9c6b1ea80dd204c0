"""The script of the scoreboard: its classical rivals, what it keeps of a measurement, and the page."""

import json
import sys
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from scripts import FOLDER, load_script

from airtool.images.decode import read
from airtool.methods.weights import embedded
from airtool.metrics.protocols import RGB

pytestmark = pytest.mark.usefixtures("one_thread")

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
DARK = "Kodak24 low-light"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    sys.path.insert(0, str(FOLDER))  # where Python looks when the script is run
    try:
        for name in ("rivals", "columns", "page"):
            import_module(f"scoring.{name}")
        return load_script("scoreboard")
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def choosing(script: ModuleType) -> ModuleType:
    return load_script("choose_rivals")


@pytest.fixture
def coffee() -> np.ndarray:
    return read(GOLDEN / "coffee.png").rgb


@pytest.fixture
def data(tmp_path: Path, coffee: np.ndarray) -> Path:
    """Two tiny pictures in the place of Kodak24's and of the validation photographs."""
    for folder in ("bench/Kodak24/gt", "train/BSDS500-clean/val"):
        (tmp_path / folder).mkdir(parents=True)
        for index in (1, 2):
            part = np.rint(coffee[40 * index : 40 * index + 40, 30:86, ::-1] * 255).astype(np.uint8)
            assert cv2.imwrite(str(tmp_path / folder / f"kodim0{index}.png"), part)
    return tmp_path


def test_dark_channel_removes_haze_of_a_known_kind(script: ModuleType, coffee: np.ndarray) -> None:
    channel = import_module("scoring.dark_channel")
    light = np.array([0.9, 0.93, 0.96], np.float32)
    t = np.linspace(0.35, 0.8, coffee.shape[0], dtype=np.float32)[:, None].repeat(coffee.shape[1], axis=1)
    t[:12] = 0.02  # the horizon, which shows the airlight
    hazy = light + (coffee - light) * t[..., None]
    assert np.abs(channel.airlight(hazy, 15) - light).max() < 0.05
    found = channel.transmission(hazy, light, 15, 0.95, 40, 1e-3)
    assert np.abs(found - t)[40:].mean() < 0.15
    seen = np.s_[40:]
    restored = channel.dehaze(hazy)
    assert RGB.psnr(restored[seen], coffee[seen]) > RGB.psnr(hazy[seen], coffee[seen]) + 4


def test_guided_filter_keeps_edges_of_its_guide(script: ModuleType) -> None:
    guided = import_module("scoring.dark_channel").guided_filter
    rng = np.random.default_rng(0)
    guide = np.where(np.arange(60) < 30, 0.2, 0.8).astype(np.float32)[None].repeat(50, axis=0)
    noisy = guide + rng.normal(0, 0.1, guide.shape).astype(np.float32)
    filtered = guided(guide, noisy, 8, 1e-4)
    assert np.abs(filtered - guide).max() < 0.06, "noise goes, the edge stays"
    np.testing.assert_allclose(guided(guide, np.full_like(guide, 0.3), 8, 1e-4), 0.3, atol=1e-6)


def test_noise_level_of_white_noise(script: ModuleType) -> None:
    noise = np.random.default_rng(0).normal(0, 25 / 255, (101, 100, 3)).astype(np.float32)
    assert import_module("scoring.classical").noise_level(0.5 + noise) == pytest.approx(25, rel=0.05)


def every_rival() -> list[str]:
    return ["bm3d", "nlm", "dark-channel", "gamma", "clahe", "unsharp", "median", "bilateral"]


@pytest.mark.parametrize("name", every_rival())
def test_rivals_keep_size_type_and_range(script: ModuleType, coffee: np.ndarray, name: str) -> None:
    rivals, rows = import_module("scoring.rivals"), import_module("scoring.rows")
    assert list(rivals.RIVALS) == every_rival()
    if name == "bm3d" and find_spec("bm3d") is None:
        pytest.skip("bm3d is not installed: pip install -c constraints.txt '.[bench]'")
    picture = read(GOLDEN / "coffee.png")
    noise = np.random.default_rng(0).normal(0, 0.1, (51, 63, 3)).astype(np.float32)
    picture = replace(picture, rgb=np.clip(0.6 * coffee[:51, :63] + 0.35 + noise, 0, 1))
    (row, *_) = [row for row in rows.ROWS if rivals.is_for(name, row)]
    restored = rivals.rival_for(name, row).restore_picture(picture).rgb
    assert (restored.shape, restored.dtype) == (picture.rgb.shape, np.float32)
    assert restored.min() >= 0
    assert restored.max() <= 1
    assert np.abs(restored - picture.rgb).max() > 0.01, "a rival that does nothing is none"


def test_every_degraded_row_has_a_rival_with_parameters(script: ModuleType) -> None:
    rivals, rows = import_module("scoring.rivals"), import_module("scoring.rows").ROWS
    names = {name for rival in rivals.RIVALS.values() for name in rival.rows}
    assert names <= {row.name for row in rows}
    for row in rows:
        its = [name for name in rivals.RIVALS if rivals.is_for(name, row)]
        assert its or row.name.endswith("clean")
        for name in its:
            assert rivals.chosen(name, row)


def run(script: ModuleType, data: Path, *words: str) -> dict[str, Any]:
    """Figures of gamma after a run of the script, by row and picture."""
    out = data / "docs"
    told = ["--data", str(data), "--out", str(out), "--columns", "gamma", "--only", DARK, *words]
    assert script.main(told) == 0
    return json.loads((out / "scoreboard/gamma.json").read_text())[DARK]["pictures"]


def test_rows_are_measured_in_pieces(script: ModuleType, data: Path) -> None:
    first = run(script, data, "--limit", "1")
    assert list(first) == ["kodim01"]
    assert first["kodim01"][2] > first["kodim01"][0] + 2
    path = data / "docs/scoreboard/gamma.json"
    path.write_text(path.read_text().replace(str(first["kodim01"][2]), "12.345"))
    both = run(script, data)
    assert list(both) == ["kodim01", "kodim02"]
    assert both["kodim01"][2] == 12.345, "what is kept is not measured again"
    assert run(script, data, "--again")["kodim01"] == first["kodim01"]
    text = (data / "docs/scoreboard.md").read_text()
    assert f"gamma {np.mean([each[2] for each in run(script, data).values()]):.2f} / " in text
    assert "2 of 24" in text
    path.write_text(path.read_text().replace('"exponent": ', '"exponent": 9'))
    assert script.main(["--write-only", "--out", str(data / "docs")]) == 0
    assert DARK not in (data / "docs/scoreboard.md").read_text().split("## Methods")[0], "of other parameters"


def test_a_method_is_measured(script: ModuleType, data: Path) -> None:
    told = ["--data", str(data), "--out", str(data / "docs"), "--columns", "ndr", "--limit", "1"]
    assert script.main([*told, "--only", "Kodak24 clean,Kodak24 noise 25"]) == 0
    found = json.loads((data / "docs/scoreboard/ndr.json").read_text())
    clean, noisy = (found[name]["pictures"]["kodim01"] for name in ("Kodak24 clean", "Kodak24 noise 25"))
    assert clean[0] is None
    assert clean[2] > 25
    assert noisy[2] > noisy[0] + 3


def test_what_cannot_be_measured_is_refused(script: ModuleType, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        (["--columns", "magic"], "no column 'magic'"),
        (["--only", "Kodak25"], "no row begins with 'Kodak25'"),
        (["--data", str(data / "nothing")], "bench/"),
    ):
        assert script.main(["--data", str(data), "--out", str(data / "docs"), *words]) == 2
        assert message in capsys.readouterr().err


def put(folder: Path, column: str, row: str, by: dict[str, Any], pictures: dict[str, Any]) -> None:
    kept = import_module("scoring.kept")
    made = {"date": "2026-01-02T03:04:05", "device": "cpu", "airtool": "1"}
    kept.Kept(folder / "scoreboard").put(column, row, kept.Record(by, None, made, pictures))


def test_the_page_says_who_is_ahead(script: ModuleType, tmp_path: Path) -> None:
    rivals, rows = import_module("scoring.rivals"), {row.name: row for row in import_module("scoring.rows").ROWS}
    shas = {record.method: record.sha256 for record in embedded()}
    inputs = {f"kodim{index:02}": (10.0, 0.5) for index in range(1, 25)}

    def restored(psnr: float, count: int) -> dict[str, Any]:
        return {name: (*before, psnr, 0.8) for name, before in list(inputs.items())[:count]}

    for name, psnr, count in (("ndr", 22.0, 24), ("dfpir", 19.0, 3), ("autodir", 30.0, 24)):
        sha = "of earlier weights" if name == "autodir" else shas[name]
        put(
            tmp_path,
            name,
            DARK,
            {"sha256": sha, "precision": "fp32", "seed": 0, "detector": None},
            restored(psnr, count),
        )
    for name, psnr in (("gamma", 20.0), ("clahe", 15.0)):
        put(tmp_path, name, DARK, {"parameters": rivals.chosen(name, rows[DARK])}, restored(psnr, 24))
    assert script.main(["--write-only", "--out", str(tmp_path)]) == 0
    text = (tmp_path / "scoreboard.md").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {DARK}")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1:4] == ["24", "10.00 / 0.500", "**22.00 / 0.800 (+12.00)**"]
    assert "19.00 / 0.800 (+9.00), 3 of 24" in cells
    assert "30.00" not in line, "of earlier weights"
    assert cells[-2] == "gamma 20.00 / 0.800 (+10.00)<br>CLAHE 15.00 / 0.800 (+5.00)"
    assert cells[-1] == "1 of 2: `ndr` +2.00 (gamma), `dfpir` -1.00 (gamma on 3)"
    assert "1 rows of earlier weights" in text
    assert "†" not in text

    changed = dict.fromkeys(inputs, (11.0, 0.5, 21.0, 0.8))
    put(tmp_path, "gamma", DARK, {"parameters": rivals.chosen("gamma", rows[DARK])}, changed)
    assert script.main(["--write-only", "--out", str(tmp_path)]) == 0
    assert "†: measured before" in (tmp_path / "scoreboard.md").read_text()


def test_parameters_are_chosen_on_validation_pictures(choosing: ModuleType, data: Path) -> None:
    out = data / "chosen.json"
    assert choosing.main(["--data", str(data), "--rivals", "gamma", "--pictures", "2", "--out", str(out)]) == 0
    found = json.loads(out.read_text())["gamma"][DARK]
    best = max(found["tried"], key=lambda each: each["psnr"])
    assert found["chosen"] == {"exponent": best["exponent"]}
    assert best["psnr"] > found["input"]
    assert found["on"] == "2 pictures of up to 56 x 40"
