"""`airtool restore` from the outside."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from commandline import Run
from PIL import Image

from airtool.engine.pipeline import Pipeline
from airtool.engine.records import Record
from airtool.images.decode import read


def test_folder_to_folder(airtool: Run, folder: Path, weights: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = tmp_path / "report.json"
    code, stdout, err = airtool("restore", folder, out, "--weights", weights, "--report", report)
    assert (code, stdout) == (0, "")
    assert "3 of 3 restored" in err
    for name in ("a.jpg", "b.png", "tür/c.png"):
        before, after = read(folder / name), read(out / name)
        assert after.format == before.format
        assert after.rgb.shape == before.rgb.shape
        assert not np.array_equal(after.rgb, before.rgb)
    said = json.loads(report.read_text())
    counts = [said[name] for name in ("restored", "failed", "kept", "unknown", "interrupted")]
    assert counts == [3, 0, 0, 0, False]
    assert said["restoration"]["method"] == "ndr"
    assert len(said["restoration"]["sha256"]) == 64
    assert [picture["status"] for picture in said["pictures"]] == ["restored"] * 3
    assert said["pictures"][0]["width"] == 61
    documented = (Path(__file__).parents[2] / "docs" / "reports.md").read_text("utf-8")
    keys = {*said, *said["restoration"], *said["pictures"][0]}
    assert {key for key in keys if f"`{key}`" not in documented} == set()
    assert said["pictures"][0]["seconds"] > 0


def test_pictures_that_are_not_read_are_counted(airtool: Run, folder: Path, weights: str, tmp_path: Path) -> None:
    for name in ("x.heic", "tür/raw.NEF", "h.gif", "g.gif"):
        (folder / name).write_bytes(b"x")
    said = "4 files passed over, whose formats airtool does not read: .gif .heic .nef\n"
    report = tmp_path / "report.json"
    code, _, err = airtool("restore", folder, tmp_path / "out", "--weights", weights, "--report", report)
    assert (code, said in err, "3 of 3 restored" in err) == (0, True, True)
    assert json.loads(report.read_text())["passed_over"] == {".gif": 2, ".heic": 1, ".nef": 1}
    code, _, err = airtool("restore", folder, tmp_path / "quiet", "--weights", weights, "--quiet")
    assert (code, err) == (0, "")
    code, _, err = airtool("evaluate", "--pairs", folder, folder, "--input-only")
    assert (code, "4 files passed over" in err) == (0, True)
    (folder / "tür" / "raw.NEF").unlink()
    code, _, err = airtool("detect", folder / "tür" / "..", "--json")
    assert (code, "3 files passed over, whose formats" in err) == (0, True)


def test_a_jpeg_2000_file_stops_nothing(airtool: Run, folder: Path, weights: str, tmp_path: Path) -> None:
    with Image.open(folder / "b.png") as picture:
        picture.save(folder / "x.jp2")
    report = tmp_path / "report.json"
    code, _, err = airtool("restore", folder, tmp_path / "out", "--weights", weights, "--report", report)
    note = "JP2 cannot be written and becomes PNG"
    assert (code, f"1 of 4: {note}\n" in err, "4 of 4 restored" in err) == (0, True, True)
    notes = {Path(each["target"]).name: each["notes"] for each in json.loads(report.read_text())["pictures"]}
    assert notes == {"a.jpg": [], "b.png": [], "c.png": [], "x.png": [note]}
    assert read(tmp_path / "out" / "x.png").format == "png"
    command = [sys.executable, "-m", "airtool", "restore", "-", "-", "--weights", weights, "--device", "cpu"]
    run = subprocess.run(command, input=(folder / "x.jp2").read_bytes(), capture_output=True, check=False)
    assert (run.returncode, run.stdout[:4]) == (0, b"\x89PNG")
    assert note in run.stderr.decode()


def test_a_self_ensemble_decides_the_bytes_and_stands_in_the_report(
    airtool: Run, folder: Path, weights: str, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    for out, versions in (("plain", ()), ("four", ("--self-ensemble", "4"))):
        code, _, err = airtool("restore", folder, tmp_path / out, "--weights", weights, "--report", report, *versions)
        assert code == 0, err
    assert json.loads(report.read_text())["restoration"]["self_ensemble"] == 4
    assert (tmp_path / "plain" / "b.png").read_bytes() != (tmp_path / "four" / "b.png").read_bytes()
    code, _, err = airtool("restore", folder, tmp_path / "four", "--weights", weights, "--resume", "--quiet")
    assert (code, "self-ensemble" in err) == (2, True)
    code, _, err = airtool("restore", folder, tmp_path / "no", "--weights", weights, "--self-ensemble", "3")
    assert (code, err) == (2, "airtool: error: a self-ensemble of 3 is not known: choose 1, 2 or 4\n")


def test_a_work_size_decides_the_bytes_and_stands_in_the_report(
    airtool: Run, folder: Path, weights: str, tmp_path: Path
) -> None:
    Image.effect_noise((320, 240), 60).convert("RGB").save(folder / "large.png")
    report = tmp_path / "report.json"
    for out, size in (("plain", ()), ("sized", ("--work-size", "0.01,0.04"))):
        code, _, err = airtool("restore", folder, tmp_path / out, "--weights", weights, "--report", report, *size)
        assert code == 0, err
    assert json.loads(report.read_text())["restoration"]["work_size"] == [0.01, 0.04]
    same = {
        name: (tmp_path / "plain" / name).read_bytes() == (tmp_path / "sized" / name).read_bytes()
        for name in ("a.jpg", "b.png", "large.png")
    }
    assert same == {"a.jpg": True, "b.png": True, "large.png": False}
    code, _, err = airtool("restore", folder, tmp_path / "sized", "--weights", weights, "--resume", "--quiet")
    assert (code, "work size" in err) == (2, True)
    code, _, err = airtool("restore", folder, tmp_path / "no", "--weights", weights, "--work-size", "big")
    assert (code, err) == (2, "airtool: error: --work-size big: give megapixels, such as 0.5, or several with commas\n")


def test_same_bytes_again_and_with_other_workers(airtool: Run, folder: Path, weights: str, tmp_path: Path) -> None:
    for out, workers in (("one", 1), ("two", 4)):
        code, _, err = airtool("restore", folder, tmp_path / out, "--weights", weights, "--workers", workers, "--quiet")
        assert (code, err) == (0, "")
    for name in ("a.jpg", "b.png", "tür/c.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_bad_pictures_are_named_and_the_rest_is_done(airtool: Run, folder: Path, weights: str, tmp_path: Path) -> None:
    (folder / "zero.png").write_bytes(b"")
    (folder / "text.png").write_text("hello")
    whole = (folder / "b.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) * 2 // 3])
    for name, size in (("point.png", (1, 1)), ("line.png", (5000, 1))):
        Image.new("RGB", size, (200, 100, 50)).save(folder / name)
    code, stdout, err = airtool("restore", folder, tmp_path / "out", "--weights", weights, "--quiet")
    assert (code, stdout) == (1, "")
    lines = err.splitlines()
    assert lines[-1] == "airtool: 3 of 8 failed"
    assert len(lines) == 4
    for name in ("zero.png", "text.png", "cut.png"):
        assert sum(name in line for line in lines) == 1
        assert not (tmp_path / "out" / name).exists()
    assert read(tmp_path / "out" / "point.png").rgb.shape == (1, 1, 3)
    assert read(tmp_path / "out" / "line.png").rgb.shape == (1, 5000, 3)
    assert len(list((tmp_path / "out").rglob("*.[jp]*g"))) == 5


def test_resume_and_overwrite(airtool: Run, folder: Path, weights: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "b.png").write_bytes(b"mine")
    code, _, err = airtool("restore", folder, out, "--weights", weights)
    assert code == 2
    assert "b.png" in err
    assert len(list(out.iterdir())) == 1
    code, stdout, _ = airtool("restore", folder, out, "--weights", weights, "--resume", "--report", "-")
    assert code == 0
    assert json.loads(stdout)["unknown"] == 1
    assert (out / "b.png").read_bytes() == b"mine"
    assert read(out / "a.jpg").format == "jpeg"
    # Everything is there: nothing to do, and nothing to load.
    code, stdout, err = airtool("restore", folder, out, "--weights", weights, "--resume", "--report", "-")
    assert code == 0
    said = json.loads(stdout)
    assert (said["restoration"], said["restored"], said["kept"], said["unknown"]) == (None, 0, 2, 1)
    assert "2 already there, kept\n1 kept that airtool's record does not know\n" in err
    code, _, _ = airtool("restore", folder, out, "--weights", weights, "--overwrite", "--quiet")
    assert code == 0
    assert read(out / "b.png").format == "png"


def test_formats_quality_and_comparison(airtool: Run, folder: Path, weights: str, tmp_path: Path) -> None:
    sizes = []
    for quality in (95, 20):
        out = tmp_path / f"q{quality}"
        code, _, err = airtool(
            "restore",
            folder,
            out,
            "--weights",
            weights,
            "--format",
            "webp",
            "--quality",
            quality,
            "--compare",
            tmp_path / f"both{quality}",
            "--tile",
            32,
        )
        assert code == 0, err
        sizes.append((out / "tür" / "c.webp").stat().st_size)
        assert read(tmp_path / f"both{quality}" / "tür" / "c.png.jpg").rgb.shape == (45, 2 * 61 + 4, 3)
    assert sizes[1] < sizes[0] / 2


def test_one_file_to_one_file(airtool: Run, folder: Path, weights: str, tmp_path: Path) -> None:
    code, _, _ = airtool("restore", folder / "a.jpg", tmp_path / "new" / "clean.tif", "--weights", weights, "-q")
    assert code == 0
    assert read(tmp_path / "new" / "clean.tif").format == "tiff"


def test_alpha_depth_and_grey_survive(airtool: Run, weights: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    rgba = rng.integers(0, 256, (20, 24, 4), np.uint8)
    Image.fromarray(rgba).save(tmp_path / "in" / "alpha.png")
    grey = rng.integers(0, 65536, (20, 24), np.uint16)
    Image.fromarray(grey).save(tmp_path / "in" / "grey.png")
    assert airtool("restore", tmp_path / "in", tmp_path / "out", "--weights", weights, "-q")[0] == 0
    with Image.open(tmp_path / "out" / "alpha.png") as image:
        assert image.mode == "RGBA"
        assert np.array_equal(np.asarray(image)[..., 3], rgba[..., 3])
    with Image.open(tmp_path / "out" / "grey.png") as image:
        assert image.mode == "I;16"


def test_corrupt_weights(airtool: Run, folder: Path, weights: str, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.safetensors"
    whole = Path(weights).read_bytes()
    for content in (b"", b"nonsense", whole[: len(whole) // 2]):
        damaged.write_bytes(content)
        code, stdout, err = airtool("restore", folder, tmp_path / "out", "--weights", damaged)
        assert (code, stdout) == (1, "")
        assert err.startswith("airtool: error: ")
        assert "damaged.safetensors" in err
        assert err.count("\n") == 1
    code, _, err = airtool("restore", folder, tmp_path / "out", "--weights", tmp_path / "missing")
    assert code == 2
    assert "does not exist" in err
    assert not (tmp_path / "out").exists()


def test_output_that_cannot_be_a_folder(airtool: Run, folder: Path, weights: str, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    code, _, err = airtool("restore", folder, tmp_path / "out", "--weights", weights)
    assert code == 2
    assert "not a folder" in err
    assert err.count("\n") == 1


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_output_without_write_permission(airtool: Run, folder: Path, weights: str, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o555)
    code, _, err = airtool("restore", folder, tmp_path / "locked" / "out", "--weights", weights)
    assert code == 1
    assert "permission" in err


def test_pipes_carry_the_picture_and_nothing_else(folder: Path, weights: str) -> None:
    command = [sys.executable, "-m", "airtool", "restore", "-", "-", "--weights", weights]
    done = subprocess.run(command, input=(folder / "a.jpg").read_bytes(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    with Image.open(io.BytesIO(done.stdout)) as image:
        assert (image.format, image.size) == ("JPEG", (61, 45))
    assert b"1 of 1 restored" in done.stderr
    done = subprocess.run([*command, "-q"], input=b"no picture", capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode().splitlines()[0].startswith("airtool: standard input is not a picture")


def test_ctrl_c_leaves_whole_files(weights: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (150, 200, 3), np.uint8)
    for index in range(200):
        Image.fromarray(noise).save(tmp_path / "in" / f"{index}.png")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "airtool", "restore", "in", "out", "--weights", weights, "--report", "r.json"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 300
        while not (out.is_dir() and any(out.glob("*.png"))) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    written = sorted(out.glob("*.png"))
    assert 0 < len(written) < 200
    assert all(path.suffix == ".png" and read(path).rgb.shape == (150, 200, 3) for path in written)
    assert f"interrupted after {len(written)} of 200" in err
    assert "Traceback" not in err
    said = json.loads((tmp_path / "r.json").read_text())
    assert (said["interrupted"], said["restored"]) == (True, len(written))


@pytest.mark.parametrize("command", ["restore", "iterate"])
def test_an_interrupted_overwrite_goes_on_with_both_options(
    airtool: Run, folder: Path, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def interrupted(self: Pipeline) -> Record:
        raise KeyboardInterrupt

    def made(out: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in out.rglob("*.[jp]*g")}

    out, fresh = tmp_path / "out", tmp_path / "fresh"
    call = (command, folder, out, "--weights", weights)
    with monkeypatch.context() as patched:
        patched.setattr(Pipeline, "_finish_next", interrupted)
        code, _, err = airtool(command, folder, tmp_path / "stopped", "--weights", weights, "--overwrite")
        assert (code, "of 3; the others are as they were; go on with --overwrite --resume" in err) == (130, True), err
    assert airtool(*call, "--tile", 64, "-q")[0] == 0
    (out / "tür" / "c.png").write_bytes(b"edited")
    # As far as a run may come that is stopped.
    assert airtool(command, folder / "a.jpg", out, "--weights", weights, "--overwrite", "-q")[0] == 0
    code, _, err = airtool(*call, "--overwrite", "--resume")
    assert code == 0, err
    assert "1 already there, kept\n2 replaced, which are not what this run would make\n" in err
    assert "2 of 2" in err
    assert airtool(command, folder, fresh, "--weights", weights, "-q")[0] == 0
    assert made(out) == made(fresh)
    code, _, err = airtool(*call, "--overwrite", "--resume")
    assert (code, "3 already there, kept" in err) == (0, True)
    # A single file has no record, so nothing is known to be finished.
    one = (command, folder / "b.png", tmp_path / "b.png", "--weights", weights)
    (tmp_path / "b.png").write_bytes(b"old")
    code, _, err = airtool(*one, "--overwrite", "--resume")
    assert (code, (tmp_path / "b.png").read_bytes() == made(fresh)["b.png"]) == (0, True), err


def test_a_folder_that_is_closed_to_comparisons_is_found_before_the_work(
    airtool: Run, folder: Path, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "locked").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "locked")
    out, look = tmp_path / "out", tmp_path / "locked" / "look"
    code, _, err = airtool("restore", folder, out, "--weights", weights, "--compare", look)
    assert (code, err.count("\n"), out.exists()) == (1, 1, False)
    assert f"no permission to write in {look.parent}: choose another folder for --compare" in err
