"""`airtool evaluate --bench` with several methods, and with pictures that are kept from one run to the next."""

import csv
import hashlib
import json
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from airtool.cli.app import main
from airtool.engine.session import Restored
from airtool.engine.settings import Settings
from airtool.errors import UsageError
from airtool.images.picture import Picture

Run = Callable[..., tuple[int, str, str]]


class Smoother:
    """Blurs: `strength` is all its weights."""

    restored = 0

    def __init__(self, name: str, strength: float, settings: Settings) -> None:
        self.name, self.strength, self.settings = name, strength, settings

    def restore(self, picture: Picture) -> Restored:
        Smoother.restored += 1
        blurred = picture.with_rgb(cv2.GaussianBlur(picture.rgb, (5, 5), self.strength))
        return Restored(blurred, picture.rgb.shape[:2], 0.0, ())

    def describe(self) -> Mapping[str, Any]:
        sha256 = hashlib.sha256(str(self.strength).encode()).hexdigest()
        told = {"degradation": list(self.settings.degradation), "threads": Smoother.restored}
        return {"method": self.name, "sha256": sha256, "seed": self.settings.seed, **told}


STRENGTHS = {"ndr": 0.8, "dfpir": 1.6}


@pytest.fixture
def methods(monkeypatch: pytest.MonkeyPatch) -> None:
    """Smoothers in place of networks; up-restorer has no weights."""

    def open_with(settings: Settings, method: str, weights: str | None, preset: str) -> Smoother:
        if method not in STRENGTHS:
            raise UsageError(f"no weights are embedded for {method} {preset}: give a file with --weights")
        return Smoother(method, float(weights or STRENGTHS[method]), settings)

    monkeypatch.setattr("airtool.engine.session.open_with", open_with)
    monkeypatch.setattr(Smoother, "restored", 0)


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """Six pairs of Rain100L and two pictures of CBSD68."""
    root = tmp_path / "sets"
    rng = np.random.default_rng(0)
    for index in range(1, 7):
        clean = np.roll(data.astronaut()[40:88, 180:236], 7 * index, axis=0)
        rainy = np.clip(np.rint(clean + rng.normal(0, 18, clean.shape)), 0, 255).astype(np.uint8)
        for path, pixels in ((f"norain-{index:03}", clean), (f"rainy/rain-{index:03}", rainy)):
            (root / "Rain100L/rainy").mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / f"Rain100L/{path}.png")
    (root / "CBSD68").mkdir()
    Image.fromarray(data.coffee()[150:198, 250:306]).save(root / "CBSD68/101085.png")
    Image.fromarray(data.chelsea()[80:128, 200:256]).save(root / "CBSD68/101087.png")
    return root


@pytest.fixture
def evaluate(sets: Path, capfd: pytest.CaptureFixture[str], methods: None) -> Run:
    def run(*arguments: object) -> tuple[int, str, str]:
        code = main(["evaluate", "--data", str(sets), "-q", *map(str, arguments)])
        return code, *capfd.readouterr()

    return run


def test_every_method_on_every_set_and_their_differences(evaluate: Run, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("r.json", "r.csv", "s.csv", "r.md", "r.html")]
    code, out, err = evaluate(
        "--bench", "rain100l,cbsd68-25", "--method", "ndr,up-restorer,dfpir", "--json", files[0], "--csv", files[1],
        "--csv-summary", files[2], "--markdown", files[3], "--html", files[4], "--degradation", "noise:25",
    )  # fmt: skip
    assert code == 1
    assert err == "airtool: up-restorer: no weights are embedded for up-restorer small: give a file with --weights\n"
    report = json.loads(files[0].read_text())
    order = [(each["settings"]["bench"], each["restoration"]["method"]) for each in report["benches"]]
    rain, noise = "Rain100L", "CBSD68, noise 25"
    assert order == [(rain, "ndr"), (rain, "dfpir"), (noise, "ndr"), (noise, "dfpir")]
    # Only the method that has to be told is told.
    assert [each["restoration"]["degradation"] for each in report["benches"]] == [[], ["noise:25"]] * 2
    assert [(each["bench"], each["method"]) for each in report["missing"]] == [
        ("rain100l", "up-restorer"),
        ("cbsd68-25", "up-restorer"),
    ]
    ndr, dfpir = report["benches"][:2]
    gaps = [
        one["restored"]["y"]["psnr"] - other["restored"]["y"]["psnr"]
        for one, other in zip(ndr["pictures"], dfpir["pictures"], strict=True)
    ]
    versus = report["differences"][0]
    assert (versus["bench"], versus["method"], versus["other"]) == (rain, "ndr", "dfpir")
    compared = versus["psnr"]["y"]
    assert compared["mean"] == pytest.approx(np.mean(gaps))
    assert compared["interval"]["low"] <= compared["mean"] <= compared["interval"]["high"]
    assert (compared["pictures"], compared["higher"]) == (6, sum(gap > 0 for gap in gaps))
    too_few = next(iter(report["differences"][1]["psnr"].values()))
    assert (too_few["pictures"], too_few["interval"]) == (2, None)

    with files[1].open(newline="") as file:
        rows = [(row["bench"], row["method"], row["picture"]) for row in csv.DictReader(file)]
    assert rows[0] == (rain, "ndr", "rain-001")
    assert len(rows) == 2 * 6 + 2 * 2 + 2
    with files[2].open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["against"] and row["protocol"] == "y")
    assert (row["method"], row["against"], row["measured"]) == ("ndr", "dfpir", "difference")
    assert float(row["psnr"]) == pytest.approx(np.mean(gaps))

    mean = ndr["summary"]["promptir"]["restored"]["psnr"]
    overview = out[out.index("s/Mpx") : out.index("ndr minus dfpir")].splitlines()
    rows_of = [line.split() for line in overview if "promptir" in line]
    assert rows_of[0][:2] == ["Rain100L", "(sample)"]
    assert f"{mean:.2f}" in rows_of[0]
    assert sum("ndr" in row or "dfpir" in row for row in map(str.split, overview)) == 4
    text = files[3].read_text()
    assert text.startswith("# Overview")
    assert "| Rain100L (sample) | dfpir |" in text
    assert "Not measured: cbsd68-25, up-restorer: no weights" in text
    page = files[4].read_text()
    for index in range(1, 5):
        assert f'href="#run-{index}"' in page
        assert page.count(f'id="run-{index}"') == 1
    assert "PSNR against time" in page
    assert "Not measured: rain100l, up-restorer: no weights" in page
    assert 'id="run-5"' not in page


def test_a_second_run_reuses_what_is_kept_and_gives_the_same_figures(evaluate: Run, sets: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    # The float protocol would see the rounding of the kept files, if they were not what is measured.
    command = ["--bench", "rain100l,cbsd68-25", "--method", "ndr,dfpir", "--protocol", "ndr", "--keep", kept]
    command += ["--json", "-"]
    reports = []
    for _ in range(2):
        code, out, _ = evaluate(*command)
        assert code == 0
        reports.append(json.loads(out)["benches"])
    assert Smoother.restored == 2 * (6 + 2)
    first, second = ([each["pictures"] for each in report] for report in reports)
    assert first == second  # seconds too: they are those of the first run
    assert "6 of them were restored, and timed, in an earlier run" in str(reports[1][0]["notes"])
    assert "as their kept PNG files hold them" in str(reports[0][0]["notes"])
    code, out, _ = evaluate(*command[:-4], "--json", "-")
    assert json.loads(out)["benches"][0]["pictures"] != first[0]  # measured as float values
    png = kept / "dfpir/rain100l/rain-003.png"
    clean = np.asarray(Image.open(sets / "Rain100L/norain-003.png")) / 255
    error = np.mean((np.asarray(Image.open(png)) / 255 - clean) ** 2)
    measured = next(each for each in first[1] if each["picture"] == "rain-003")
    assert measured["restored"]["ndr"]["psnr"] == pytest.approx(-10 * np.log10(error), abs=1e-4)

    # What is missing, was changed, got another input or was cut off in the middle is restored again, and only that.
    # What was changed is not replaced.
    Smoother.restored = 0
    (kept / "ndr/rain100l/rain-001.png").unlink()
    png.write_bytes(b"changed")
    Image.open(sets / "Rain100L/rainy/rain-006.png").rotate(180).save(sets / "Rain100L/rainy/rain-006.png")
    manifest = kept / "ndr/cbsd68-25/kept.jsonl"
    manifest.write_bytes(manifest.read_bytes()[:-9])
    code, out, err = evaluate(*command)
    assert (code, Smoother.restored) == (1, 1 + 1 + 2 + 1)
    assert err == f"airtool: {png} was not made by airtool, or was changed since: remove it\n"
    assert png.read_bytes() == b"changed"
    again = json.loads(out)["benches"]
    assert again[0]["pictures"][0]["restored"] == first[0][0]["restored"]
    assert [each["restored"] for each in again[1]["pictures"]][:5] == [each["restored"] for each in first[1]][:5]
    png.unlink()
    code, _, _ = evaluate(*command)
    assert (code, Smoother.restored) == (0, 6)
    code, _, _ = evaluate(*command)
    assert (code, Smoother.restored) == (0, 6)


def test_what_another_run_kept_is_never_taken_for_this_one(evaluate: Run, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    command = ["--bench", "rain100l,cbsd68-25", "--method", "ndr", "--keep", kept, "--json", "-"]
    assert evaluate(*command, "--bench", "rain100l")[0] == 0
    header = json.loads((kept / "rain100l/kept.jsonl").read_text().splitlines()[0])
    assert (header["bench"], header["restoration"]["method"], header["restoration"]["seed"]) == ("rain100l", "ndr", 0)
    files = {path: path.read_bytes() for path in kept.rglob("*.*")}
    code, out, err = evaluate(*command, "--weights", "2.5", "--seed", "4")
    assert code == 1
    assert err == (
        f"airtool: {kept}/rain100l holds pictures of another run (other sha256, seed): name another folder after "
        "--keep, or remove this one\n"
    )
    report = json.loads(out)
    assert [each["settings"]["bench"] for each in report["benches"]] == ["CBSD68, noise 25"]
    assert [each["bench"] for each in report["missing"]] == ["rain100l"]
    assert {path: path.read_bytes() for path in files} == files
    (kept / "rain100l/kept.jsonl").unlink()
    code, _, err = evaluate(*command, "--bench", "rain100l")
    assert code == 1
    assert "already there, with no kept.jsonl that tells what made them" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--bench", "rain100l", "--method", "ndr,ndr"], "names ndr twice"),
        (["--bench", "rain100l", "--method", "ndr,ndx"], "unknown method 'ndx'"),
        (["--bench", "rain100l", "--method", "ndr,dfpir", "--weights", "a.safetensors"], "as in ndr=FILE"),
        (["--bench", "rain100l", "--method", "ndr,dfpir", "--weights", "nd=a"], "the methods are ndr, dfpir"),
        (["--bench", "rain100l", "--weights", "a", "--preset", "small"], "--preset has no effect with --weights"),
        (["--bench", "rain100l", "--method", "ndr,dfpir", "--keep", "-"], "--keep takes a folder"),
    ],
)
def test_contradictions_are_one_line(evaluate: Run, arguments: list[str], said: str) -> None:
    code, out, err = evaluate(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err


def test_several_methods_need_benchmarks(sets: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = str(sets / "CBSD68")
    assert main(["evaluate", "--gt", folder, "--degrade", "noise:25", "--method", "ndr,dfpir"]) == 2
    assert "add --bench NAMES" in capfd.readouterr().err


def test_an_interrupted_run_keeps_finished_sets(evaluate: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    restore, files = Smoother.restore, [tmp_path / "r.json", tmp_path / "r.html"]

    def interrupted(self: Smoother, picture: Picture) -> Restored:
        if Smoother.restored == 10:  # 6 and 2 by ndr, then 2 by dfpir
            signal.raise_signal(signal.SIGTERM)
        return restore(self, picture)

    monkeypatch.setattr(Smoother, "restore", interrupted)
    command = ["--bench", "rain100l,cbsd68-25", "--method", "ndr,dfpir", "--json", files[0], "--html", files[1]]
    code, out, err = evaluate(*command)
    assert (code, err) == (143, "airtool: interrupted after 10 of 16; with --keep the same command goes on\n")
    report = json.loads(files[0].read_text())
    assert report["interrupted"]
    done = [(each["restoration"]["method"], each["measured"], each["interrupted"]) for each in report["benches"]]
    assert done == [("ndr", 6, False), ("dfpir", 2, True), ("ndr", 2, False)]
    assert "the run was interrupted" in report["benches"][1]["settings"]["sample"]
    (left,) = report["missing"]
    assert left == {"bench": "cbsd68-25", "reason": "interrupted before it was measured", "method": "dfpir"}
    assert "interrupted before it was measured" in files[1].read_text()
    assert out.count("SAMPLE") == 3
