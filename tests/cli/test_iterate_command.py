"""`airtool iterate` from the outside."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from commandline import Run
from PIL import Image

from airtool.engine.detect import Views, crops
from airtool.images.decode import read
from airtool.images.encode import encode
from airtool.methods.autodir.detector import NAME, DetectorConfig, DetectorNet
from airtool.methods.autodir.vocabulary import CLASSES, NOTHING
from airtool.methods.weights import write_weights

NAMES = ("a.jpg", "b.png", "tür/c.png")


class Knowing:
    """A detector that knows the pictures of a folder: b.png is clean, the others are hazy until anything is done."""

    network = SimpleNamespace(side=192)

    def __init__(self, folder: Path) -> None:
        self.inputs = {crops(read(folder / name).rgb).tobytes(): name for name in NAMES}

    def probabilities_of(self, seen: Views) -> dict[str, float]:
        name = self.inputs.get(seen.near.tobytes())
        hazy = 0.9 if name in ("a.jpg", "tür/c.png") else 0.1
        return dict.fromkeys(CLASSES, 0.0) | {"haze": hazy, NOTHING: 1 - hazy}

    def describe(self) -> dict[str, Any]:
        return {"weights": "known", "sha256": "0" * 64, "device": "cpu", "threads": 1}


@pytest.fixture
def iterate(airtool: Run, folder: Path, weights: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`airtool iterate` with that detector and a tiny blind method."""
    knowing = Knowing(folder)
    monkeypatch.setattr("airtool.engine.detect.open_detector", lambda weights, device: knowing)

    def run(*arguments: object) -> tuple[int, str, str]:
        options = ["--method-for-step", "ndr", "--weights", weights, "--detector-weights", weights]
        return airtool("iterate", *arguments, *options)

    return run


@pytest.fixture
def truths(folder: Path, tmp_path: Path) -> Path:
    """Ground truths of the same stems: the inputs themselves, as PNG."""
    for name in NAMES:
        path = (tmp_path / "gt" / name).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(read(folder / name), "png"))
    return tmp_path / "gt"


def traced(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def test_what_is_wrong_is_removed_and_the_trace_tells(iterate: Run, folder: Path, truths: Path, tmp_path: Path) -> None:
    out, steps, trace, sheet = (tmp_path / name for name in ("out", "steps", "t.json", "sheet.jpg"))
    extra = ["--trace", trace, "--keep-steps", steps, "--gt", truths, "--sheet", sheet]
    code, stdout, err = iterate(folder, out, *extra)
    assert (code, stdout) == (0, "")
    assert "3 of 3 done" in err
    assert "2 steps kept; ended at: 3 clean" in err
    assert "mean PSNR" in err
    said = traced(trace)
    assert (said["command"], said["restored"], said["reasons"]) == ("iterate", 3, {"clean": 3})
    assert said["restoration"]["method"] == "ndr"
    assert len(said["restoration"]["sha256"]) == len(said["detector"]["sha256"]) == 64
    assert said["rules"]["max_steps"] == 5
    assert "log-odds" in said["rules"]["measure"]
    assert said["protocol"]["name"] == "rgb"
    hazy, clean, other = said["pictures"]
    assert [each["kept"] for each in said["pictures"]] == [1, 0, 1]
    (step,) = hazy["steps"]
    assert (step["step"], step["verdict"], step["choice"], step["kept"]) == (1, "haze", "haze", True)
    assert step["probabilities"]["haze"] == 0.9
    assert step["after"]["no"] == 0.9
    assert step["passed_over"] == {}
    assert step["seconds"] > 0
    assert step["score"] > 0
    assert hazy["input"] == {"psnr": "inf", "ssim": 1.0}
    assert step["psnr"] == pytest.approx(step["change_db"])
    assert 10 < step["psnr"] < 60
    assert step["file"] == str(steps / "a.jpg.step-1.png")
    assert read(steps / "a.jpg.step-1.png").rgb.shape == (45, 61, 3)
    assert (steps / "tür/c.png.step-1.png").read_bytes() == (out / "tür/c.png").read_bytes()
    assert hazy["left"]["verdict"] == "clean"
    assert hazy["left"]["choice"] is None
    assert (clean["steps"], clean["reason"]) == ([], "clean")
    assert np.array_equal(read(out / "b.png").rgb, read(folder / "b.png").rgb)
    assert not np.array_equal(read(out / "tür/c.png").rgb, read(folder / "tür/c.png").rgb)
    assert read(out / "a.jpg").format == "jpeg"
    assert said["means"]["input"]["identical"] == 3
    assert said["means"]["kept"]["identical"] == 1
    assert read(sheet).rgb.shape[1] == 10 + 3 * 210
    assert other["status"] == "restored"


def test_one_picture_is_as_in_a_folder(iterate: Run, folder: Path, tmp_path: Path) -> None:
    assert iterate(folder, tmp_path / "all", "-q", "--workers", 4)[0] == 0
    for name in NAMES:
        assert iterate(folder / name, tmp_path / "one" / name, "-q", "--workers", 1)[0] == 0
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "all" / name).read_bytes()


def test_shards_are_the_whole_run(iterate: Run, folder: Path, tmp_path: Path) -> None:
    assert iterate(folder, tmp_path / "all", "-q")[0] == 0
    made = []
    for number in (1, 2, 3):
        trace = tmp_path / f"{number}.json"
        assert iterate(folder, tmp_path / "out", "--shard", f"{number}/3", "--trace", trace, "-q")[0] == 0
        made += [each["source"] for each in traced(trace)["pictures"]]
    assert sorted(made) == sorted(str(folder / name) for name in NAMES)
    for name in NAMES:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "all" / name).read_bytes()


def test_a_plan_writes_nothing(iterate: Run, folder: Path, tmp_path: Path) -> None:
    code, out, err = iterate(folder, tmp_path / "out", "--plan-only", "-q")
    assert (code, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines() if str(folder) in line]
    assert lines[0] == f"{folder / 'a.jpg'} haze 0.90 remove haze"
    assert lines[1] == f"{folder / 'b.png'} clean 0.90 none: clean"
    code, out, _ = iterate(folder, tmp_path / "out", "--plan-only", "--json", "-q")
    first, second, third = (json.loads(line) for line in out.splitlines())
    assert (first["choice"], first["reason"], first["output"]) == ("haze", None, str(tmp_path / "out" / "a.jpg"))
    assert (second["choice"], second["reason"], second["verdict"]) == (None, "clean", "clean")
    assert third["probabilities"]["haze"] == 0.9
    (folder / "bad.png").write_bytes(b"nothing")
    code, out, err = iterate(folder, tmp_path / "out", "--plan-only", "--json", "-q")
    assert code == 1
    assert "1 of 4 failed" in err
    assert "bad.png" in json.loads(out.splitlines()[2])["problem"]
    assert {path.name for path in tmp_path.iterdir()} == {"in"}


def test_resume_keeps_what_the_trace_says_and_overwrite_starts_anew(
    iterate: Run, folder: Path, truths: Path, tmp_path: Path
) -> None:
    out, trace = tmp_path / "out", tmp_path / "t.json"
    (folder / "tür" / "c.png").rename(tmp_path / "c.png")
    (tmp_path / "steps").mkdir()
    for picture in (tmp_path / "in" / ".." / "out" / "b.png", tmp_path / "in" / ".." / "steps" / "a.jpg.step-1.png"):
        code, _, err = iterate(folder, out, "--keep-steps", tmp_path / "steps", "--trace", picture)
        assert (code, f"--trace {picture} is also the name of an output" in err, out.exists()) == (2, True, False)
    assert iterate(folder, out, "--trace", trace, "-q")[0] == 0
    (tmp_path / "c.png").rename(folder / "tür" / "c.png")
    code, _, err = iterate(folder, out, "--trace", trace)
    assert code == 2
    assert "already there" in err
    code, _, err = iterate(folder, out, "--trace", trace, "--resume")
    assert code == 0
    assert "2 already there, kept" in err
    said = traced(trace)
    status = {Path(each["source"]).name: (each["status"], each.get("reason")) for each in said["pictures"]}
    assert status == {"c.png": ("restored", "clean"), "a.jpg": ("kept", "clean"), "b.png": ("kept", "clean")}
    assert (said["restored"], said["kept"], said["reasons"]) == (1, 2, {"clean": 3})
    before = trace.read_bytes()
    code, _, err = iterate(folder, out, "--trace", trace, "--resume", "--keep-steps", tmp_path / "steps")
    assert (code, trace.read_bytes()) == (0, before)
    assert "--keep-steps and --sheet: nothing for those 3, which are not made again\nnothing to do" in err
    (out / "b.png").unlink()
    code, _, err = iterate(folder, out, "--trace", trace, "--resume", "--threshold", "0.5", "-q")
    assert (code, trace.read_bytes()) == (2, before)
    assert "made with other settings (threshold)" in err
    # What was not measured alike does not stand in the same trace.
    assert iterate(folder, out, "--trace", trace, "--resume", "--gt", truths, "-q")[0] == 0
    reasons = {Path(each["source"]).name: each.get("reason") for each in traced(trace)["pictures"]}
    assert reasons == {"b.png": "clean", "a.jpg": None, "c.png": None}
    assert iterate(folder, out, "--trace", trace, "--overwrite", "-q")[0] == 0
    assert traced(trace)["restored"] == 3


def test_a_trace_is_written_also_where_nothing_is_to_do(
    iterate: Run, airtool: Run, folder: Path, weights: str, tmp_path: Path
) -> None:
    out, trace = tmp_path / "out", tmp_path / "t.json"
    assert iterate(folder, out, "-q")[0] == 0
    # All of it is there, but for the trace.
    code, _, err = iterate(folder, out, "--resume", "--trace", trace)
    assert code == 0
    assert "nothing to do" in err
    said = traced(trace)
    assert (said["command"], said["restored"], said["kept"], said["failed"]) == ("iterate", 0, 3, 0)
    assert [each["status"] for each in said["pictures"]] == ["kept"] * 3
    code, printed, err = iterate(folder, out, "--resume", "--trace", "-", "-q")
    assert (code, err) == (0, "")
    assert json.loads(printed) | {"date": ""} == said | {"date": ""}
    # A later run takes over nothing from it: nobody knows how these were made.
    (out / "b.png").unlink()
    assert iterate(folder, out, "--resume", "--trace", trace, "-q")[0] == 0
    assert {Path(each["source"]).name: each.get("reason") for each in traced(trace)["pictures"]} == {
        "b.png": "clean",
        "a.jpg": None,
        "c.png": None,
    }
    # More parts than pictures: some have none.
    for command, option in ((iterate, "--trace"), (airtool, "--report")):
        counts = []
        for number in range(1, 9):
            target = tmp_path / f"{option}{number}.json"
            args = (folder, tmp_path / f"out{option}", "--shard", f"{number}/8", option, target, "-q")
            start = () if command is iterate else ("restore",)
            assert command(*start, *args, *(["--weights", weights] if start else [])) == (0, "", "")
            counts.append((traced(target)["restored"], len(traced(target)["pictures"])))
        assert sum(restored for restored, _ in counts) == 3
        assert (0, 0) in counts
        assert all(restored == listed for restored, listed in counts)


def test_a_bad_picture_stops_nothing(iterate: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "bad.png").write_bytes(b"nothing")
    code, out, err = iterate(folder, tmp_path / "out", "--trace", "-", "-q")
    assert code == 1
    assert err.splitlines()[-1] == "airtool: 1 of 4 failed"
    said = json.loads(out)
    failed = next(each for each in said["pictures"] if each["status"] == "failed")
    assert "bad.png" in failed["message"]
    assert "steps" not in failed
    assert {path.name for path in (tmp_path / "out").rglob("*.[jp]*g")} == {"a.jpg", "b.png", "c.png"}


def test_a_ground_truth_is_missing(iterate: Run, folder: Path, truths: Path, tmp_path: Path) -> None:
    (truths / "a.png").unlink()
    code, _, err = iterate(folder, tmp_path / "out", "--gt", truths, "--trace", tmp_path / "t.json")
    assert code == 2
    assert "1 without ground truth: a.jpg" in err
    assert not (tmp_path / "out").exists()
    code, _, err = iterate(folder / "a.jpg", tmp_path / "o.png", "--gt", truths / "b.png", "--trace", "-", "-q")
    assert (code, err) == (0, ""), "single files pair whatever their names"


def test_shards_share_the_ground_truths(iterate: Run, folder: Path, truths: Path, tmp_path: Path) -> None:
    measured: list[str] = []
    for number in range(1, 9):  # more parts than pictures: some have none
        trace = tmp_path / f"{number}.json"
        extra = ["--shard", f"{number}/8", "--gt", truths, "--trace", trace, "-q"]
        assert iterate(folder, tmp_path / "out", *extra) == (0, "", "")
        measured += [Path(each["source"]).name for each in traced(trace)["pictures"] if each["input"]]
    assert sorted(measured) == ["a.jpg", "b.png", "c.png"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--max-steps", "0"], "'--max-steps'"),
        (["--max-steps", "19"], "'--max-steps'"),
        (["--threshold", "2"], "'--threshold'"),
        (["--json"], "--json goes with --plan-only"),
        (["--plan-only", "--trace", "t.json"], "leave --trace out"),
        (["--gt", "gt"], "--gt has nowhere to put its figures"),
        (["--sheet", "sheet.txt"], "no name of a picture"),
        (["--trace", "no/folder/t.json"], "does not exist; create it first"),
        (["--keep-steps", "out"], "also the output folder"),
        (["--trace", "./out"], "--trace ./out is also the output folder"),
        (["--device", "tpu"], "no device is called 'tpu'"),
        (["--quality", "3", "--format", "png"], "no effect on a lossless format"),
    ],
)
def test_mistakes_are_one_line(
    iterate: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = iterate(folder, "out", *arguments)
    assert (code, out) == (2, ""), err
    assert len(err.strip().splitlines()) == 1
    assert words in err
    assert {path.name for path in tmp_path.iterdir()} == {"in"}


def test_weights_say_which_method_makes_the_steps(airtool: Run, folder: Path, weights: str, tmp_path: Path) -> None:
    trace = tmp_path / "t.json"
    code, _, err = airtool("iterate", folder / "a.jpg", tmp_path / "a.jpg", "--weights", weights, "--trace", trace)
    assert (code, err.splitlines()[0].split(",")[0]) == (0, "ndr"), err
    assert traced(trace)["restoration"]["method"] == "ndr"
    command = ["iterate", folder / "b.png", tmp_path / "b.png", "--weights", weights]
    code, _, err = airtool(*command, "--method-for-step", "dfpir")
    assert code == 1
    assert "dfpir" in err
    assert "ndr" in err


def test_an_unknown_method_and_files_that_are_not_there(airtool: Run, folder: Path, tmp_path: Path) -> None:
    code, _, err = airtool("iterate", folder, tmp_path / "out", "--method-for-step", "magic")
    assert code == 2
    assert "unknown method 'magic'" in err
    code, _, err = airtool(
        "iterate", folder, tmp_path / "out", "--method-for-step", "ndr", "--detector-weights", "none"
    )
    assert code == 2
    assert "--detector-weights: file none does not exist" in err
    code, _, err = airtool("iterate", folder / "a.jpg", "-", "--method-for-step", "ndr", "--trace", "-")
    assert code == 2
    assert "cannot both go to standard output" in err


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a detector that says something, whatever it means."""
    torch.manual_seed(3)
    config = DetectorConfig(widths=(8, 8), blocks=(1, 1), hidden=16, embedding=8, text_width=8, text_buckets=256)
    net = DetectorNet(config)
    net.logit_scale.data.fill_(4.0)
    path = tmp_path_factory.mktemp("weights") / "detector.safetensors"
    write_weights(path, NAME, config, net.state_dict(), {}, half=False)
    return path


def test_pipes_and_files_as_a_shell_has_them(folder: Path, weights: str, untrained: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "airtool", "iterate", "-", "-", "--method-for-step", "ndr", "--weights", weights]
    command += ["--detector-weights", str(untrained), "--trace", "t.json", "--threshold", "0", "--keep-steps", "steps"]
    content = (folder / "a.jpg").read_bytes()
    done = subprocess.run(command, input=content, capture_output=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with Image.open(io.BytesIO(done.stdout)) as image:
        assert (image.format, image.size) == ("JPEG", (61, 45))
    assert b"1 of 1 done" in done.stderr
    said = traced(tmp_path / "t.json")
    (picture,) = said["pictures"]
    assert (picture["source"], picture["target"]) == ("standard input", "standard output")
    assert picture["reason"] in said["reasons"]
    assert 0 <= picture["kept"] <= len(picture["steps"]) <= 5
    for number, step in enumerate(picture["steps"], 1):
        assert set(step["probabilities"]) == set(step["after"]) == set(CLASSES)
        assert sum(step["after"].values()) == pytest.approx(1, abs=1e-4)
        assert (tmp_path / step["file"]).name == f"stdin.step-{number}.png"
        assert (tmp_path / step["file"]).is_file()
        assert step["kept"] == (number <= picture["kept"])


def test_a_plan_as_json_is_utf8_whatever_the_terminal_shows(
    folder: Path, weights: str, untrained: Path, tmp_path: Path
) -> None:
    (folder / "b.png").rename(folder / "\U0001f600 \u65e5.png")
    command = [sys.executable, "-m", "airtool", "iterate", "in", "out", "--plan-only", "--json", "-q"]
    command += ["--method-for-step", "ndr", "--weights", weights, "--detector-weights", str(untrained)]
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii:strict"}
    done = subprocess.run(command, capture_output=True, check=False, cwd=tmp_path, env=ascii_only)
    assert (done.returncode, done.stderr) == (0, b"")
    named = [json.loads(line)["picture"] for line in done.stdout.decode("utf-8").splitlines()]
    assert sorted(named) == ["in/a.jpg", "in/t\u00fcr/c.png", "in/\U0001f600 \u65e5.png"]


def test_help_imports_neither_torch_nor_opencv() -> None:
    probe = "import sys; from airtool.cli.app import main; main(['iterate', '--help'])\n"
    probe += "sys.exit(any(name in sys.modules for name in ('torch', 'cv2')))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--plan-only" in done.stdout
