"""`airtool degrade` as its users run it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from airtool.cli.app import main
from airtool.degradations.compose import compose, parse_steps, picture_rng

AIRTOOL = [sys.executable, "-c", "import sys; from airtool.cli.app import main; sys.exit(main())"]


@pytest.fixture
def airtool(capfdbinary):
    """Runs a command line in this process."""

    def run(*args):
        capfdbinary.readouterr()
        code = main([str(arg) for arg in args])
        return subprocess.CompletedProcess(args, code, *capfdbinary.readouterr())

    return run


def save(path, rgb):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(rgb * 255).astype(np.uint8).squeeze()).save(path)
    return path


def pixels(path):
    return np.asarray(Image.open(path))


@pytest.fixture
def folder(tmp_path, photo):
    """Three pictures, one in a subfolder."""
    save(tmp_path / "in" / "b.png", photo[:100, :120])
    save(tmp_path / "in" / "a.png", photo[50:, 90:])
    save(tmp_path / "in" / "sub" / "größe.png", photo[::2, ::2])
    return tmp_path / "in"


def test_a_folder_with_its_record(airtool, folder, tmp_path):
    out = tmp_path / "out"
    run = airtool("degrade", folder, out, "--with", "rain:0.6,noise:25", "--seed", 3)
    assert run.returncode == 0, run.stderr.decode()
    assert run.stdout == b""
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*.*")) == [
        "a.png", "b.png", "degradations.json", "sub/größe.png",
    ]  # fmt: skip
    record = json.loads((out / "degradations.json").read_text(encoding="utf-8"))
    assert [entry["output"] for entry in record["pictures"]] == ["a.png", "b.png", "sub/größe.png"]
    assert record["failures"] == []
    for entry in record["pictures"]:
        # The library gives the same picture and the same draws, from the input alone.
        clean = pixels(folder / entry["output"]).astype(np.float32) / np.float32(255)
        expected, applied = compose(clean, parse_steps("rain:0.6,noise:25"), picture_rng(3, clean))
        np.testing.assert_array_equal(pixels(out / entry["output"]), np.rint(expected * 255).astype(np.uint8))
        assert entry["applied"] == applied
        assert (entry["seed"], entry["with"]) == (3, "rain:0.6,noise:25.0")
        assert (entry["height"], entry["width"]) == clean.shape[:2]


def test_workers_and_company_change_no_byte(airtool, folder, tmp_path):
    together, alone = tmp_path / "together", tmp_path / "alone"
    assert airtool("degrade", folder, together, "--with", "snow,low-light", "--workers", 3).returncode == 0
    one = airtool("degrade", folder / "b.png", folder / "a.png", alone, "--with", "snow,low-light", "--workers", 1)
    assert one.returncode == 0
    for name in ("a.png", "b.png"):
        assert (alone / name).read_bytes() == (together / name).read_bytes()
    again = tmp_path / "again"
    assert airtool("degrade", folder, again, "--with", "snow,low-light").returncode == 0
    assert (again / "degradations.json").read_bytes() == (together / "degradations.json").read_bytes()
    other = tmp_path / "other"
    assert airtool("degrade", folder / "a.png", other, "--with", "snow,low-light", "--seed", 1).returncode == 0
    assert (other / "a.png").read_bytes() != (together / "a.png").read_bytes()


def test_a_bad_picture_stops_nothing_and_is_recorded(airtool, folder, tmp_path):
    (folder / "broken.png").write_text("no picture")
    out = tmp_path / "out"
    run = airtool("degrade", folder, out, "--with", "noise:10", "--quiet")
    assert run.returncode == 1
    lines = run.stderr.decode().splitlines()
    assert any("broken.png" in line for line in lines)
    assert "Traceback" not in run.stderr.decode()
    assert len(list(out.rglob("*.png"))) == 3
    record = json.loads((out / "degradations.json").read_text(encoding="utf-8"))
    assert len(record["pictures"]) == 3
    assert [Path(failure["input"]).name for failure in record["failures"]] == ["broken.png"]


def test_pipes(airtool, photo, tmp_path):
    source = save(tmp_path / "a.png", photo)
    command = [*AIRTOOL, "degrade", "-", "-", "--with", "noise:25"]
    run = subprocess.run(command, input=source.read_bytes(), capture_output=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr.decode()
    piped = cv2.imdecode(np.frombuffer(run.stdout, np.uint8), cv2.IMREAD_COLOR_RGB)
    named = tmp_path / "b.png"
    record = airtool("degrade", source, named, "--with", "noise:25", "--record", "-", "--quiet")
    np.testing.assert_array_equal(piped, pixels(named))
    assert json.loads(record.stdout)["pictures"][0]["applied"] == [{"name": "noise", "amount": 25.0}]
    assert record.stderr == b""
    assert not (tmp_path / "degradations.json").exists()


def test_a_grey_picture_stays_grey_and_its_noise_keeps_its_sigma(airtool, tmp_path):
    source = save(tmp_path / "grey.png", np.full((200, 200), 0.5, np.float32))
    assert airtool("degrade", source, tmp_path / "out.png", "--with", "noise:20").returncode == 0
    noisy = Image.open(tmp_path / "out.png")
    assert noisy.mode == "L"
    assert np.asarray(noisy, dtype=float).std() == pytest.approx(20, rel=0.03)


def test_existing_outputs_resume_and_overwrite(airtool, folder, tmp_path):
    out = tmp_path / "out"
    assert airtool("degrade", folder / "a.png", out, "--with", "haze").returncode == 0
    first = (out / "a.png").read_bytes()

    refused = airtool("degrade", folder, out, "--with", "haze")
    assert refused.returncode == 2
    assert sorted(p.name for p in out.iterdir()) == ["a.png", "degradations.json"]

    # Another picture in the same folder would need the same record.
    assert airtool("degrade", folder / "b.png", out, "--with", "haze").returncode == 2

    mixed = airtool("degrade", folder, out, "--with", "snow", "--resume")
    assert mixed.returncode == 2
    assert b"--with haze:1.2 --seed 0" in mixed.stderr

    assert airtool("degrade", folder, out, "--with", "haze", "--resume").returncode == 0
    assert (out / "a.png").read_bytes() == first
    record = json.loads((out / "degradations.json").read_text(encoding="utf-8"))
    assert [entry["output"] for entry in record["pictures"]] == ["a.png", "b.png", "sub/größe.png"]

    assert airtool("degrade", folder / "a.png", out, "--with", "snow", "--overwrite").returncode == 0
    assert (out / "a.png").read_bytes() != first
    record = json.loads((out / "degradations.json").read_text(encoding="utf-8"))
    assert [entry["with"] for entry in record["pictures"]] == ["snow:0.5", "haze:1.2", "haze:1.2"]


def test_a_foreign_file_is_no_record(airtool, folder, tmp_path):
    mine = tmp_path / "mine.json"
    mine.write_text('{"notes": 1}')
    run = airtool("degrade", folder, tmp_path / "out", "--with", "haze", "--record", mine, "--overwrite")
    assert run.returncode == 2
    assert mine.read_text() == '{"notes": 1}'
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["IN", "OUT"], "--with"),
        (["IN", "OUT", "--with", "fog"], "unknown degradation 'fog'"),
        (["IN", "OUT", "--with", "noise:900"], "0 to 100"),
        (["nowhere", "OUT", "--with", "noise"], "nowhere"),
        (["IN", "OUT", "--with", "noise", "--quality", "50"], "--quality has no effect"),
        (["IN", "OUT", "--with", "noise", "--overwrite", "--resume"], "choose one"),
        (["IN", "OUT", "--with", "noise", "--record", "no/such/folder.json"], "does not exist"),
        (["IN/a.png", "-", "--with", "noise", "--record", "-"], "standard output"),
        (["IN/a.png", "OUT/a.png", "--with", "noise", "--record", "OUT/a.png"], "also the name of an output"),
        (["IN", "OUT", "--with", "noise", "--record", "IN/../out/a.png"], "also the name of an output"),
    ],
)
def test_usage_errors_come_first_and_on_one_line(airtool, args, words, folder, tmp_path):
    out = tmp_path / "out"
    named = [arg.replace("IN", str(folder)).replace("OUT", str(out)) for arg in args]
    run = airtool("degrade", *named)
    assert run.returncode == 2
    assert words in run.stderr.decode()
    assert len(run.stderr.decode().strip().splitlines()) == 1
    assert run.stdout == b""
    assert not out.exists()


def test_dry_run_lists_and_writes_nothing(airtool, folder, tmp_path):
    run = airtool("degrade", folder, tmp_path / "out", "--with", "noise", "--dry-run", "--quiet")
    assert run.returncode == 0
    lines = run.stdout.decode().splitlines()
    assert lines[0] == f"{folder / 'a.png'} -> {tmp_path / 'out' / 'a.png'}"
    assert len(lines) == 3
    assert not (tmp_path / "out").exists()


def test_list_names_every_degradation(airtool):
    run = airtool("degrade", "--list")
    assert run.returncode == 0
    for name in ("noise", "camera-noise", "rain", "haze", "low-light", "jpeg"):
        assert f"\n{name} " in "\n" + run.stdout.decode()


def test_torch_is_never_imported(folder, tmp_path):
    code = (
        "import sys; from airtool.cli.app import main; code = main(); "
        "sys.exit(code or ('torch' in sys.modules and 99) or 0)"
    )
    args = ["degrade", str(folder), str(tmp_path / "out"), "--with", "haze,jpeg:30", "--quiet"]
    run = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr.decode()


def test_a_record_on_another_drive(folder, tmp_path, monkeypatch):
    def relpath(path, start):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")  # what Windows says

    monkeypatch.setattr(os.path, "relpath", relpath)
    out, record = tmp_path / "out", tmp_path / "record.json"
    command = ["degrade", str(folder), str(out), "--with", "noise:20", "--record", str(record), "--quiet"]
    names = sorted((out / name).as_posix() for name in ("a.png", "b.png", "sub/größe.png"))
    for again in ((), ("--resume",)):
        assert main([*command, *again]) == 0
        assert [entry["output"] for entry in json.loads(record.read_bytes())["pictures"]] == names
    assert main([*command[:4], "noise:30", *command[5:], "--resume"]) == 2


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT to a child")
def test_ctrl_c_leaves_whole_pictures_and_a_record_of_them(photo, tmp_path):
    large = save(tmp_path / "in" / "00.png", cv2.resize(photo, (900, 600)))
    for index in range(1, 40):
        shutil.copy(large, tmp_path / "in" / f"{index:02}.png")
    out = tmp_path / "out"
    command = [*AIRTOOL, "degrade", str(tmp_path / "in"), str(out), "--with", "raindrop:0.5,noise:20", "--quiet"]
    process = subprocess.Popen([*command, "--workers", "2"], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 300
    while not list(out.glob("*.png")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 130, stderr.decode()
    written = sorted(path.name for path in out.iterdir())
    made = [name for name in written if name.endswith(".png")]
    assert 1 <= len(made) < 40
    assert written == [*made, "degradations.json"]  # no temporary file either
    record = json.loads((out / "degradations.json").read_text(encoding="utf-8"))
    assert [entry["output"] for entry in record["pictures"]] == made
    for name in made:
        assert pixels(out / name).shape == (600, 900, 3)
