"""Standard streams of every kind: encodings that lack letters, disks that are full."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commandline import Run
from PIL import Image

FULL = "airtool: error: cannot write to standard output: no space left on device; send it elsewhere, or make room"

NOT_UTF8 = os.fsdecode(b"\xe9t.png")


def shell(script: str, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """A shell's command line in `cwd`, with $AIRTOOL for the command."""
    usual = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "LC_", "LANG"))}
    usual |= {"AIRTOOL": f"{sys.executable} -m airtool", "LC_ALL": "C.UTF-8", **environment}
    return subprocess.run(["bash", "-c", script], cwd=cwd, env=usual, capture_output=True, check=False)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with "in", three pictures whose names are in French, in Japanese, and in no UTF-8."""
    (tmp_path / "in").mkdir()
    for name in ("\u00e9.png", "\u65e5\u672c.png", NOT_UTF8):
        with open(tmp_path / "in" / name, "wb") as file:
            Image.new("RGB", (40, 30), (9, 99, 199)).save(file, "PNG")
    return tmp_path


DEGRADE, RESTORE = "degrade in out --with noise:25", "restore in out --compare both"


@pytest.mark.parametrize(
    ("command", "environment", "encoding", "french", "japanese"),
    [
        (RESTORE, {}, "utf-8", "\u00e9", "\u65e5\u672c"),
        (RESTORE, {"PYTHONIOENCODING": "utf-8:surrogateescape"}, "utf-8", "\u00e9", "\u65e5\u672c"),
        (DEGRADE, {"PYTHONIOENCODING": "latin-1:strict"}, "latin-1", "\u00e9", r"\u65e5\u672c"),
        (RESTORE, {"PYTHONIOENCODING": "ascii:strict"}, "ascii", r"\xe9", r"\u65e5\u672c"),
        (RESTORE, {"PYTHONIOENCODING": "ascii:strict", "PYTHONUNBUFFERED": "1"}, "ascii", r"\xe9", r"\u65e5\u672c"),
    ],
)
def test_every_name_is_shown_in_every_encoding(
    command: str, environment: dict[str, str], encoding: str, french: str, japanese: str, pictures: Path
) -> None:
    done = shell(f"$AIRTOOL {command} --dry-run | cat; exit ${{PIPESTATUS[0]}}", pictures, **environment)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
    lines = done.stdout.decode(encoding).splitlines()
    for name in (french, japanese, r"\udce9t"):
        assert f"in/{name}.png -> out/{name}.png" in lines
        if "--compare" in command:
            assert f"in/{name}.png -> both/{name}.png.jpg" in lines


def test_names_that_cannot_be_shown_cost_no_figures(pictures: Path) -> None:
    command = "$AIRTOOL evaluate --results in --gt in -q"
    done = shell(f"{command} | cat; exit ${{PIPESTATUS[0]}}", pictures, PYTHONIOENCODING="latin-1:strict")
    assert (done.returncode, done.stderr) == (0, b"")
    assert r"\u65e5\u672c" in done.stdout.decode("latin-1")
    assert "\u00e9" in done.stdout.decode("latin-1")
    assert "1.0000" in done.stdout.decode("latin-1")


def test_a_file_that_cannot_be_shown_is_named_all_the_same(pictures: Path) -> None:
    done = shell("$AIRTOOL restore \u65e5.png out", pictures, PYTHONIOENCODING="latin-1:strict")
    assert done.returncode == 2
    assert done.stderr.decode("ascii").startswith(r"airtool: error: \u65e5.png does not exist")
    # Nobody hears of these, and they end as they would otherwise.
    closed = {"restore \u65e5.png out 2>&-": 2, "degrade in out --with noise --dry-run -q >&-": 0}
    for command, code in closed.items():
        done = shell(f"$AIRTOOL {command}", pictures, PYTHONIOENCODING="latin-1:strict")
        assert (done.returncode, done.stdout, done.stderr) == (code, b"", b"")


def test_pictures_and_reports_are_bytes_whatever_the_encoding(pictures: Path) -> None:
    commands = "$AIRTOOL degrade in/*t.png - --with noise:25 -q; $AIRTOOL evaluate --results in --gt in --json - -q"
    plain, odd, unbuffered = (
        shell(commands, pictures, **environment)
        for environment in ({}, {"PYTHONIOENCODING": "ascii:strict"}, {"PYTHONUNBUFFERED": "1"})
    )
    assert plain.stdout.startswith(b"\x89PNG")
    assert "\u65e5\u672c".encode() in plain.stdout
    for other in (odd, unbuffered):
        assert (other.returncode, other.stderr) == (0, b"")
        # All of the picture, and as much of the report as knows no date.
        assert other.stdout.partition(b'"date"')[0] == plain.stdout.partition(b'"date"')[0]
        assert len(other.stdout) == len(plain.stdout)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device here is always full")
@pytest.mark.parametrize(
    ("command", "unbuffered"),
    [
        ("--version", ""),
        ("restore --help", ""),
        ("restore --help", "1"),
        ("degrade in/?.png - --with noise:25", ""),
        ("degrade in/?.png - --with noise:25", "1"),
        ("degrade in/?.png o.png --with noise:25 --record -", ""),
        ("degrade in out --with noise:25 --dry-run", "1"),
        ("degrade --list", ""),
        ("models verify", ""),
        ("models list", "1"),
        ("evaluate --list", ""),
        ("evaluate --list --json -", "1"),
        ("evaluate --results in --gt in", ""),
        ("evaluate --results in --gt in --json -", ""),
        ("restore in out --dry-run", ""),
    ],
)
def test_a_full_disk_behind_standard_output_is_one_line(command: str, unbuffered: str, pictures: Path) -> None:
    done = shell(f"$AIRTOOL {command} {'-q' * (' in' in command)} > /dev/full", pictures, PYTHONUNBUFFERED=unbuffered)
    assert (done.returncode, done.stderr.decode().splitlines()) == (1, [FULL])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device here is always full")
def test_a_full_disk_costs_no_restored_picture(pictures: Path, weights: str) -> None:
    command = f"$AIRTOOL restore --weights {weights} -q"
    done = shell(f"{command} in out --report - > /dev/full", pictures)
    assert (done.returncode, done.stderr.decode().splitlines()) == (1, [FULL])
    assert len(list((pictures / "out").glob("*.png"))) == 3
    done = shell(f"{command} in/?.png - > /dev/full", pictures)
    said, count = done.stderr.decode().splitlines()
    assert (done.returncode, count) == (1, "airtool: 1 of 1 failed")
    assert said == f"airtool: in/\u00e9.png: {FULL.partition('error: ')[2]}"


def test_a_disk_that_fills_up_in_the_middle(tmp_path: Path) -> None:
    # 1 KiB a file is allowed, and the list has more.
    done = shell("ulimit -f 1; $AIRTOOL evaluate --list --json - > list.json", tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("airtool: error: cannot write to standard output: file too large")
    assert (tmp_path / "list.json").stat().st_size == 1024


TWO_MISTAKES = """
import sys
from airtool.cli import app
from airtool.errors import UsageError

def command(*args, **options):
    print("a line that waits in a buffer")
    raise UsageError("also wrong")

app.app = command
sys.exit(app.main(["models"]))
"""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device here is always full")
def test_what_else_is_wrong_is_said_too(tmp_path: Path) -> None:
    (tmp_path / "two.py").write_text(TWO_MISTAKES)
    done = shell(f"{sys.executable} two.py > /dev/full", tmp_path)
    assert (done.returncode, done.stderr.decode().splitlines()) == (2, ["airtool: error: also wrong", FULL])


def test_lines_come_at_once_where_python_is_to_wait_for_nothing(tmp_path: Path) -> None:
    script = "from airtool.cli.streams import open_streams; open_streams(); print('x'); import os; os._exit(0)"
    for unbuffered, printed in (("1", b"x\n"), ("", b"")):
        done = shell(f'{sys.executable} -c "{script}" | cat', tmp_path, PYTHONUNBUFFERED=unbuffered)
        assert done.stdout == printed


def test_an_embedding_programs_own_output_is_left_to_it(airtool: Run) -> None:
    before = sys.stdout
    code, out, _ = airtool("models", "list", "--json")
    assert sys.stdout is before
    assert (code, json.loads(out)[0]["file"].endswith(".safetensors")) == (0, True)
