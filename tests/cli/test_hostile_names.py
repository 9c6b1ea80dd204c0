"""Hostile names, links and files through the real command line."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from commandline import Run
from PIL import Image, ImageOps

from airtool.images.decode import read

NAMES = (
    "new\nline.png",
    "quo'te\".png",
    "caf\u00e9 \U0001f600 \u202e.png",
    "-dash.png",
    "--overwrite.png",
    " space .png",
    "=HYPERLINK(1).png",
    "<script>.png",
    "[red]*?{}$(touch x).png",
    "%s%n\\x1b.png",
    "\x1b[31m.png",
    "x" * 251 + ".png",
    "Screenshot 1.23.45\u202fPM.png",
)

Shell = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Runs a command line in a process of its own, as a shell does, in `tmp_path`."""

    def run(*args: object, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        command = [sys.executable, "-m", "airtool", *(os.fsencode(str(arg)) for arg in args)]
        return subprocess.run(command, cwd=tmp_path, input=stdin, capture_output=True, check=False)

    return run


def make(folder: Path, *names: str, size: tuple[int, int] = (33, 21)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        with open(folder / name, "wb") as file:
            Image.new("RGB", size, (number * 9 % 256, 99, 199)).save(file, "PNG")


def test_every_name_is_restored_reported_and_shown_in_one_line(shell: Shell, weights: str, tmp_path: Path) -> None:
    make(tmp_path / "in", *NAMES, os.fsdecode(b"\xe9t\xe9.png"))
    (tmp_path / "in" / "bad\n\x1b[31m.png").write_bytes(b"bad")
    done = shell("restore", "in", "out", "--weights", weights, "--report", "r.json", "--quiet", "--isolate")
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        "airtool: in/bad\\n\\x1b[31m.png is not a picture in a format that airtool reads "
        "(JPEG, PNG, WEBP, TIFF, AVIF, BMP, PPM, JP2): remove it or convert it",
        "airtool: 1 of 15 failed",
    ]
    written = sorted(name for name in os.listdir(tmp_path / "out") if name != ".airtool")
    assert written == sorted([*NAMES, os.fsdecode(b"\xe9t\xe9.png")])
    report = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert (report["restored"], report["failed"]) == (14, 1)
    # For programs names are what they are, so that what a report names can be opened.
    listed = {record["source"] for record in report["pictures"]}
    assert listed == {f"in/{name}" for name in os.listdir(tmp_path / "in")}
    assert {record["target"] for record in report["pictures"]} == {f"out/{Path(name).name}" for name in listed}
    seen = shell("detect", "in", "--json", "--quiet")
    found = json.loads(seen.stdout.decode("utf-8"))
    assert {each["picture"] for each in (*found["pictures"], *found["failures"])} == listed
    planned = shell("restore", "in", "elsewhere", "--weights", weights, "--dry-run").stdout.decode("utf-8")
    assert "in/new\\nline.png -> elsewhere/new\\nline.png\n" in planned
    assert "in/Screenshot 1.23.45\u202fPM.png -> " in planned


def test_names_that_look_like_options(
    airtool: Run, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "-dash.png")
    assert airtool("restore", "--weights", weights, "-q", "./-dash.png", "one.png")[0] == 0
    assert airtool("restore", "--weights", weights, "-q", "--", "-dash.png", "two.png")[0] == 0
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    code, _, err = airtool("restore", "-dash.png", "three.png")
    assert code == 2
    assert err.count("\n") == 1


def test_a_name_that_gets_too_long(airtool: Run, weights: str, tmp_path: Path) -> None:
    make(tmp_path / "in", "x" * 251 + ".png", "short.png")
    code, _, err = airtool(
        "restore", tmp_path / "in", tmp_path / "out", "--weights", weights, "--compare", tmp_path / "c", "-q"
    )
    assert code == 1
    assert "file name is too long" in err
    assert len(err.splitlines()) == 2
    assert (tmp_path / "out" / "short.png").exists()


def test_names_in_tables_of_csv(airtool: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path, *NAMES[:9])
    code, out, _ = airtool("detect", "--csv", "-q", "--", *NAMES[:9])
    assert code == 0
    rows = list(csv.reader(io.StringIO(out, newline="")))
    assert len(rows) == 10
    assert all(len(row) == len(rows[0]) for row in rows)
    assert {"'=HYPERLINK(1).png", "'-dash.png", "'--overwrite.png"} <= {row[0] for row in rows}


def test_the_format_is_told_by_the_content(airtool: Run, weights: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.new("RGB", (40, 30), (9, 99, 199)).save(tmp_path / "in" / "liar.png", "JPEG")
    Image.new("RGB", (40, 30), (9, 99, 199)).save(tmp_path / "in" / "liar.jpg", "PNG")
    (tmp_path / "in" / "page.png").write_text("<html><script>alert(1)</script>")
    (tmp_path / "in" / "program.jpg").write_bytes(b"\x7fELF" + bytes(100))
    Image.new("P", (40, 30)).save(tmp_path / "in" / "gif.bmp", "GIF")
    code, _, err = airtool("restore", tmp_path / "in", tmp_path / "out", "--weights", weights, "-q")
    assert code == 1
    assert len(err.splitlines()) == 4
    assert read(tmp_path / "out" / "liar.png").format == "png"
    assert read(tmp_path / "out" / "liar.jpg").format == "jpeg"


@pytest.mark.parametrize("command", ["restore", "iterate", "detect", "degrade"])
def test_a_limit_on_pixels(airtool: Run, weights: str, tmp_path: Path, command: str) -> None:
    make(tmp_path / "in", "small.png")
    make(tmp_path / "in", "large.png", size=(200, 100))
    outputs = [] if command == "detect" else [tmp_path / "out"]
    more = {"restore": ["--weights", weights], "degrade": ["--with", "noise:5"]}.get(command, [])
    code, _, err = airtool(command, tmp_path / "in", *outputs, *more, "--max-pixels", "10k", "-q")
    assert code == 1
    line = next(line for line in err.splitlines() if "pixels" in line)
    assert "in/large.png has 200x100 pixels, and 10000 pixels are allowed" in line
    assert "--max-pixels" in line
    if outputs:
        assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == ["small.png"]
    code, _, err = airtool(command, tmp_path / "in", *outputs, *more, "--max-pixels", "huge", "-q", *more)
    assert code == 2
    assert "--max-pixels huge" in err


@pytest.mark.parametrize("command", ["iterate", "detect", "degrade"])
def test_isolation_gives_the_same(airtool: Run, folder: Path, tmp_path: Path, command: str) -> None:
    more = {"degrade": ["--with", "noise:5"], "detect": ["--json"], "iterate": ["--max-steps", 1]}[command]
    results = []
    for name, isolate in (("here", []), ("there", ["--isolate"])):
        outputs = [] if command == "detect" else [tmp_path / name]
        code, out, err = airtool(command, folder, *outputs, *more, *isolate, "-q")
        assert (code, err) == (0, "")
        files = {path.name: path.read_bytes() for path in sorted((tmp_path / name).rglob("*.png"))}
        results.append((out, files))
    assert results[0] == results[1]


def test_a_picture_from_standard_input_is_limited_and_isolated(
    airtool: Run, shell: Shell, weights: str, tmp_path: Path
) -> None:
    make(tmp_path, "a.png")
    data = (tmp_path / "a.png").read_bytes()
    assert airtool("restore", tmp_path / "a.png", tmp_path / "out.png", "--weights", weights, "-q")[0] == 0
    isolated = shell("restore", "-", "-", "--weights", weights, "-q", "--isolate", stdin=data)
    assert (isolated.returncode, isolated.stderr) == (0, b"")
    assert isolated.stdout == (tmp_path / "out.png").read_bytes()
    refused = shell("restore", "-", "-", "--weights", weights, "-q", "--max-pixels", 100, stdin=data)
    assert refused.returncode == 1
    assert refused.stdout == b""
    assert b"standard input has 33x21 pixels" in refused.stderr


@pytest.mark.parametrize("large", ["clean", "damaged"])
def test_an_example_pair_is_limited_too(airtool: Run, tmp_path: Path, large: str) -> None:
    make(tmp_path, "a.png")
    for name in ("clean", "damaged"):
        make(tmp_path, f"{name}.png", size=(200, 100) if name == large else (33, 33))
    command = ["restore", tmp_path / "a.png", tmp_path / "out", "--method", "defusion", "-q"]
    command += ["--instruction", tmp_path / "clean.png", tmp_path / "damaged.png"]
    code, _, err = airtool(*command, "--max-pixels", "10k")
    (line,) = err.splitlines()
    assert (code, f"{large}.png has 200x100 pixels, and 10000 pixels are allowed" in line) == (1, True)
    assert not list((tmp_path / "out").glob("*.png"))


def test_an_example_pair_is_isolated_too(airtool: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a.png")
    make(tmp_path, "clean.png", size=(64, 40))
    with Image.open(tmp_path / "clean.png") as picture:
        ImageOps.invert(picture).save(tmp_path / "damaged.png")
    command = ["restore", tmp_path / "a.png", "--method", "defusion", "--device", "cpu", "-q"]
    command += ["--instruction", tmp_path / "clean.png", tmp_path / "damaged.png"]
    assert airtool(*command, tmp_path / "here.png")[0] == 0
    monkeypatch.delattr("airtool.images.reader.decode")  # nothing is decoded in this process
    code, _, err = airtool(*command, tmp_path / "there.png", "--isolate")
    assert (code, err) == (0, "")
    assert (tmp_path / "there.png").read_bytes() == (tmp_path / "here.png").read_bytes()


def test_links_that_lead_nowhere_or_round_and_round(airtool: Run, weights: str, tmp_path: Path) -> None:
    make(tmp_path / "in", "a.png")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "self.png").symlink_to("self.png")
    (tmp_path / "in" / "ping.png").symlink_to("pong.png")
    (tmp_path / "in" / "pong.png").symlink_to("ping.png")
    (tmp_path / "in" / "gone.png").symlink_to("nowhere.png")
    code, _, err = airtool("restore", tmp_path / "in", tmp_path / "out", "--weights", weights, "-q")
    assert code == 1
    assert len(err.splitlines()) == 5
    assert err.count("too many levels of symbolic links") == 3
    assert [path.name for path in (tmp_path / "out").rglob("*.png")] == ["a.png"]


@pytest.mark.parametrize("command", ["restore", "iterate", "degrade"])
def test_no_link_leads_out_of_the_output_folder(airtool: Run, weights: str, tmp_path: Path, command: str) -> None:
    make(tmp_path / "in" / "sub", "a.png")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub").symlink_to(tmp_path / "elsewhere")
    more = ["--with", "noise:5"] if command == "degrade" else ["--weights", weights]
    more += ["--method-for-step", "ndr"] if command == "iterate" else []
    code, _, err = airtool(command, tmp_path / "in", tmp_path / "out", *more, "-q")
    assert code == 2
    assert err.count("\n") == 1
    assert "out/sub is a link that leads out of the folder" in err
    assert not list((tmp_path / "elsewhere").iterdir())
    # One that stays inside does no harm, and the folder itself may be a link: the user named it.
    (tmp_path / "out" / "sub").unlink()
    (tmp_path / "out" / "real").mkdir()
    (tmp_path / "out" / "sub").symlink_to("real")
    (tmp_path / "link").symlink_to("out")
    code, _, err = airtool(command, tmp_path / "in", tmp_path / "link", *more, "-q")
    assert (code, err) == (0, "")
    assert (tmp_path / "out" / "real" / "a.png").exists()


def test_companions_and_outputs_behind_links(airtool: Run, weights: str, tmp_path: Path) -> None:
    make(tmp_path / "in" / "sub", "a.png")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "sub").symlink_to(tmp_path / "elsewhere")
    args = ("restore", tmp_path / "in", tmp_path / "out", "--weights", weights, "-q")
    code, _, err = airtool(*args, "--compare", tmp_path / "both")
    assert code == 2
    assert "both/sub is a link that leads out" in err
    # An output that is a link is replaced itself.
    (tmp_path / "precious.png").write_bytes(b"precious")
    (tmp_path / "out" / "sub").mkdir(parents=True)
    (tmp_path / "out" / "sub" / "a.png").symlink_to(tmp_path / "precious.png")
    code, _, err = airtool(*args)
    assert code == 2
    assert "already there" in err
    code, _, err = airtool(*args, "--overwrite", "--report", tmp_path / "out" / "r.json")
    assert (code, err) == (0, "")
    assert not (tmp_path / "out" / "sub" / "a.png").is_symlink()
    assert (tmp_path / "precious.png").read_bytes() == b"precious"
    code, _, err = airtool(*args, "--overwrite", "--report", "/dev/null")
    assert code == 2
    assert "--report /dev/null: it is no file" in err
