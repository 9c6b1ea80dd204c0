"""`--resume` and `--shard` from the outside."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from commandline import Run
from PIL import Image

from airtool.images.discover import discover
from airtool.methods.ndr.method import NDRMethod
from airtool.methods.ndr.network import NDRConfig
from airtool.methods.weights import read_weights, write_weights

FAULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "faults.py"


def contents(folder: Path) -> dict[str, bytes]:
    """What a user sees."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.[jp]*g")}


def counts(report: str) -> tuple[int, ...]:
    said = json.loads(report)
    assert len(said["pictures"]) == sum(said[name] for name in ("restored", "failed", "kept", "unknown"))
    return tuple(said[name] for name in ("restored", "failed", "kept", "unknown"))


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Twelve small pictures in two folders."""
    for index in range(12):
        path = tmp_path / "many" / ("deep" if index % 3 else "") / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(index).integers(0, 256, (24, 32, 3), np.uint8)
        Image.fromarray(noise).save(path)
    return tmp_path / "many"


def test_resume_does_what_is_left(airtool: Run, folder: Path, weights: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("restore", folder, out, "--weights", weights, "--resume", "--report", "-")
    code, report, _ = airtool(*command)
    assert (code, counts(report)) == (0, (3, 0, 0, 0))
    before = contents(out)
    (out / "tür" / "c.png").unlink()
    shutil.copy(folder / "b.png", tmp_path / "b.png")
    shutil.copy(folder / "tür" / "c.png", folder / "b.png")
    (folder / "bad.png").write_bytes(b"nothing")
    code, report, err = airtool(*command)
    assert (code, counts(report)) == (1, (2, 1, 1, 0))
    assert "1 already there, kept\n1 made again, because their inputs have changed\n" in err
    assert contents(out) == before | {"b.png": before["tür/c.png"]}
    # Another machine's clock, and as many threads as it has.
    (folder / "bad.png").unlink()
    for path in [*out.rglob("*"), *folder.rglob("*")]:
        os.utime(path, (4e9, 4e9))
    code, report, _ = airtool(*command, "--workers", 5)
    assert (code, counts(report)) == (0, (0, 0, 3, 0))
    code, out_text, _ = airtool("restore", folder, out, "--weights", weights, "--resume", "--dry-run")
    assert (code, out_text) == (0, "")
    code, _, err = airtool(*command, "--compare", tmp_path / "look")
    assert (code, contents(tmp_path / "look")) == (0, {})
    assert "--compare and --explain: nothing for those 3, which are not made again" in err


def test_other_settings_or_weights_need_another_folder(
    airtool: Run, folder: Path, weights: str, tmp_path: Path
) -> None:
    out, others = tmp_path / "out", tmp_path / "others.safetensors"
    found = read_weights(Path(weights))
    config = NDRMethod.config_from(found.header["config"])
    assert isinstance(config, NDRConfig)
    write_weights(others, "ndr", config, {key: 1.01 * each for key, each in found.tensors.items()}, {}, half=True)
    assert airtool("restore", folder, out, "--weights", weights, "-q")[0] == 0
    before = contents(out)
    for options, words in (
        (["--weights", others], "(weights)"),
        (["--weights", weights, "--tile", "64", "--quality", "50"], "(tile, quality)"),
    ):
        code, _, err = airtool("restore", folder, out, *options, "--resume")
        assert code == 2
        assert f"made with other settings {words}: " in err
        assert "--overwrite" in err
        assert err.splitlines()[-1].startswith("airtool: error: ")
    assert contents(out) == before
    shutil.copy(weights, tmp_path / "renamed.safetensors")
    assert airtool("restore", folder, out, "--weights", tmp_path / "renamed.safetensors", "--resume", "-q")[0] == 0
    code, _, _ = airtool("restore", folder, out, "--weights", others, "--overwrite", "-q")
    assert code == 0
    assert contents(out) != before
    code, report, _ = airtool("restore", folder, out, "--weights", others, "--resume", "--report", "-")
    assert (code, counts(report)) == (0, (0, 0, 3, 0))


def test_shards_are_the_whole_run(airtool: Run, many: Path, weights: str, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert airtool("restore", many, whole, "--weights", weights, "-q")[0] == 0
    done: list[str] = []
    for number in (2, 1, 3):
        command = ("restore", many, out, "--weights", weights, "--shard", f"{number}/3", "--report", "-")
        code, report, _ = airtool(*command)
        assert code == 0
        said = json.loads(report)
        assert said["shard"] == f"{number}/3"
        assert 0 < said["restored"] == len(said["pictures"]) < 12
        done += [picture["source"] for picture in said["pictures"]]
        code, report, _ = airtool(*command, "--resume")
        assert (code, counts(report)) == (0, (0, 0, said["restored"], 0))
    assert len(done) == len(set(done)) == 12
    assert contents(out) == contents(whole)
    assert len(os.listdir(out / ".airtool")) == 3
    code, report, _ = airtool("restore", many, out, "--weights", weights, "--resume", "--report", "-")
    assert (code, counts(report)) == (0, (0, 0, 12, 0))
    for command in ("restore", "iterate"):
        code, _, err = airtool(command, many, tmp_path / "no", "--shard", "4/3")
        assert (code, err.count("\n")) == (2, 1)
        assert "--shard 4/3" in err


def test_a_quality_fits_all_shards_or_none(airtool: Run, weights: str, tmp_path: Path) -> None:
    """Also the one to which no JPEG falls."""
    (tmp_path / "in").mkdir()
    Image.new("RGB", (30, 20), (9, 99, 199)).save(tmp_path / "in" / "a.jpg")
    for number in (1, 2):
        command = ("restore", tmp_path / "in", tmp_path / "out", "--weights", weights, "--shard", f"{number}/2")
        assert airtool(*command, "--quality", 90, "-q")[0] == 0
    assert (tmp_path / "out" / "a.jpg").exists()


def test_the_manifest_is_no_input_and_no_way_out(airtool: Run, folder: Path, weights: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert airtool("restore", folder, out, "--weights", weights, "-q")[0] == 0
    shutil.copy(folder / "b.png", out / ".airtool" / "b.png")
    for text in ("out", "out/*", "out/**", "out/**/*.png", "o*/*/*.png"):
        found = discover([str(tmp_path / text)])
        assert not any(".airtool" in str(source.path) for source in found)
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / ".airtool").symlink_to(out / ".airtool")
    before = sorted((out / ".airtool").iterdir())
    code, _, err = airtool("restore", folder, linked, "--weights", weights)
    assert code == 2
    assert "a link or a file where a folder belongs" in err
    assert sorted((out / ".airtool").iterdir()) == before
    assert contents(linked) == {}
    # A single file, and a pipe, need no manifest.
    assert airtool("restore", folder / "b.png", tmp_path / "one" / "b.png", "--weights", weights, "-q")[0] == 0
    assert os.listdir(tmp_path / "one") == ["b.png"]
    code, _, err = airtool("restore", folder / "b.png", tmp_path / "one" / "b.png", "--weights", weights, "--resume")
    assert code == 0
    assert "1 kept that airtool's record does not know" in err


def test_a_report_does_not_replace_an_output(airtool: Run, folder: Path, weights: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("restore", folder, out, "--weights", weights, "-q")
    assert airtool(*command)[0] == 0
    before = contents(out)
    code, _, err = airtool(*command, "--resume", "--report", out / "b.png")
    assert code == 2
    assert "also the name of an output" in err
    assert contents(out) == before
    # However it is spelt, also when nothing is there yet; what would have been lost are restored pictures.
    linked, look = tmp_path / "linked", tmp_path / "look"
    linked.symlink_to("new", target_is_directory=True)
    for other in ("new", "look"):
        (tmp_path / other).mkdir()
    command = ("restore", folder, tmp_path / "new", "--weights", weights, "-q", "--compare", look)
    for report in (linked / "b.png", tmp_path / "in" / ".." / "new" / "b.png", look / "b.png.jpg"):
        code, _, err = airtool(*command, "--report", report)
        assert (code, err.count("\n"), contents(tmp_path / "new")) == (2, 1, {})
        assert f"--report {report} is also the name of an output" in err


def test_sigterm_ends_like_ctrl_c(many: Path, weights: str, tmp_path: Path) -> None:
    for index in range(12, 150):
        shutil.copy(many / "0.png", many / f"{index}.png")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "airtool", "restore", "many", "out", "--weights", weights, "--report", "r.json"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 300
        while not (out.is_dir() and any(out.glob("*.png"))) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 143, err
    said = json.loads((tmp_path / "r.json").read_text())
    assert said["interrupted"]
    assert 0 < said["restored"] == len(contents(out)) < 150
    assert f"interrupted after {said['restored']} of 150; go on with --resume" in err
    assert "Traceback" not in err
    assert not [name for name in os.listdir(out) if name.startswith(".airtool-")]
    (out / f".airtool-{'0' * 16}.tmp").write_bytes(b"left by a run that was killed")
    done = subprocess.run([*command, "--resume", "-q"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    again = json.loads((tmp_path / "r.json").read_text())
    assert (again["restored"], again["kept"]) == (150 - said["restored"], said["restored"])
    assert len(contents(out)) == 150
    assert not [name for name in os.listdir(out) if name.startswith(".airtool-")]


def test_every_command_that_writes_clears_up_after_a_killed_one(
    airtool: Run, folder: Path, weights: str, tmp_path: Path
) -> None:
    left = f".airtool-{'0' * 16}.tmp"
    truths = shutil.copytree(folder, tmp_path / "gt")
    measured = ["--pairs", folder, truths, "--weights", weights]
    for command in (
        ["grounds", "OUT", "--count", 1, "--side", 64],
        ["degrade", folder, "OUT", "--with", "noise:9"],
        ["restore", folder, "OUT", "--weights", weights],
        ["iterate", folder, "OUT", "--weights", weights, "--max-steps", 1],
        ["evaluate", *measured, "--keep", "OUT"],
    ):
        out = tmp_path / f"out-{command[0]}"
        out.mkdir()
        (out / left).write_bytes(b"half a picture")
        code, _, err = airtool(*(out if part == "OUT" else part for part in command), "-q")
        assert code == 0, (command, err)
        assert left not in os.listdir(out), command
        assert len(contents(out)) > 0, command


def faults(*parts: str, pictures: int = 4) -> None:
    arguments = [argument for part in parts for argument in ("--part", part)]
    command = [sys.executable, FAULTS, "--pictures", str(pictures), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [part.partition("=")[0] for part in parts]


def test_a_few_faults() -> None:
    faults("kills=2", "points=2", "inputs=1")


@pytest.mark.heavy
def test_many_faults() -> None:
    faults("kills=60", "points=60", "full-disk=3", "read-only=2", "inputs=5", "together=4", "clocks=3", pictures=8)
