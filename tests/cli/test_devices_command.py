"""`airtool restore --devices` from the outside, on parts of the processor."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commandline import Run


def restore(folder: Path, out: Path, weights: str, *more: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "airtool", "restore", str(folder), str(out), "--weights", weights, *more]
    # The number of threads decides the last bits, so one device gets what each of two gets.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*.[jp]*g")}


def test_two_parts_of_the_processor_do_what_one_does(folder: Path, weights: str, tmp_path: Path) -> None:
    for index in range(6):
        (folder / f"d{index}.png").write_bytes((folder / "b.png").read_bytes())
    (folder / "cut.png").write_bytes((folder / "b.png").read_bytes()[:900])
    one, two, report = tmp_path / "one", tmp_path / "two", tmp_path / "report.json"
    assert restore(folder, one, weights, "--device", "cpu").returncode == 1
    done = restore(folder, two, weights, "--devices", "cpu,cpu", "--report", str(report))
    assert (done.returncode, done.stdout) == (1, "")
    assert "on cpu,cpu in fp32" in done.stderr
    assert done.stderr.count("cut.png") == 1
    assert "9 of 10 restored" in done.stderr
    assert len(contents(one)) == 9
    assert contents(one) == contents(two)
    said = json.loads(report.read_text())
    assert said["restoration"]["device"] == "cpu,cpu"
    assert [Path(each["source"]).name for each in said["pictures"]] == sorted(
        (path.name for path in folder.rglob("*.[jp]*g")), key=lambda name: (name == "c.png", name)
    )

    # Each of the two takes up what the other began, and redoes nothing.
    (two / "d3.png").unlink()
    before = {path: path.stat().st_mtime_ns for path in two.rglob("*.[jp]*g")}
    (folder / "cut.png").unlink()
    again = restore(folder, two, weights, "--devices", "cpu,cpu", "--resume")
    assert again.returncode == 0, again.stderr
    assert "8 already there, kept" in again.stderr
    assert "1 of 1 restored" in again.stderr
    assert contents(one) == contents(two)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    alone = restore(folder, two, weights, "--device", "cpu", "--resume", "-q")
    assert (alone.returncode, alone.stderr) == (0, "")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--devices", "cpu,cpu", "--device", "cpu"], "--device and --devices exclude each other"),
        (["--devices", "cpu,cpu", "--engine", "ray"], "--engine ray shares pictures out itself"),
        (["--devices", "cuda:0,0"], "cuda:0 is named twice"),
        (["--devices", "9998,9999"], "--device cuda:9998: "),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(
    airtool: Run, folder: Path, weights: str, tmp_path: Path, more: list[str], said: str
) -> None:
    code, stdout, err = airtool("restore", folder, tmp_path / "out", "--weights", weights, *more)
    assert (code, stdout) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()
