"""The command line starts quickly, and a mistake costs one line."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from commandline import Run

from airtool import __version__
from airtool.cli.progress import track
from airtool.cli.signals import endable
from airtool.errors import AirtoolError
from airtool.images.decode import decode, read
from airtool.images.encode import encode
from airtool.images.picture import Metadata, Picture

COMMANDS = ("restore", "iterate", "detect", "evaluate", "degrade", "grounds", "train", "models")

PROBE = """
import sys
from airtool.cli.app import main
assert main(sys.argv[1:]) == int({code}), "exit code"
print(sorted(name for name in ("torch", "cv2") if name in sys.modules), file=sys.stderr)
"""


def probe(code: int, *args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A command line in its own process, which tells on the last line of stderr what it has imported."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(code=code), *args], capture_output=True, text=True, cwd=cwd, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


HELP = """
import sys
from airtool.cli.app import main
for args in (["--version"], ["--help"], [], *([name, "--help"] for name in sys.argv[1:])):
    assert main(args) == 0, args
    print(args, sorted(name for name in ("torch", "cv2") if name in sys.modules), file=sys.stderr)
"""


def test_help_and_version_import_neither_torch_nor_opencv() -> None:
    done = subprocess.run([sys.executable, "-c", HELP, *COMMANDS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 3 + len(COMMANDS)
    assert all(line.endswith("] []") for line in lines), lines
    assert done.stdout.startswith(f"airtool {__version__}\n")
    assert done.stdout.count("Usage: ") == 2 + len(COMMANDS)
    assert all(f"airtool {name} " in done.stdout for name in COMMANDS)


def test_help_costs_little_more_than_the_packages_that_print_it() -> None:
    """In the processor's time, of which a busy machine takes hardly more."""

    def best(*args: str) -> float:
        times = []
        for _ in range(3):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, *args], capture_output=True, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return min(times)

    assert best("-m", "airtool", "--help") < 4 * best("-c", "import rich.console, rich.table, typer")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["restore", "nowhere", "out"], "nowhere"),
        (["restore", "empty", "out"], "holds no pictures"),
        (["restore", "in"], "IN and OUT are both needed"),
        (["iterate", "in", "--plan-only"], "IN and OUT are both needed"),
        (["restore", "-dash.jpg", "in", "out"], "-dash.jpg is a file here, but its name begins as an option does"),
        (["restore", "-dusk.jpg", "in", "out"], "No such option: -d"),
        (["restore", "in", "in/sub"], "inside the input folder"),
        (["restore", "in", "taken"], "--overwrite"),
        (["restore", "in", "out", "--method", "magic"], "unknown method 'magic'"),
        (["restore", "in", "out", "--tile", "7"], "--tile 7"),
        (["restore", "in", "out", "--tile", "big"], "--tile big"),
        (["restore", "in", "out", "--device", "gpu"], "cuda"),
        (["restore", "in", "out", "--precision", "fp8"], "bf16"),
        (["restore", "in", "out", "--quality", "80"], "lossless"),
        (["restore", "in", "out", "--quality", "101"], "--quality"),
        (["restore", "in", "out", "--format", "gif"], "gif"),
        (["restore", "in", "out", "--report", "nowhere/report.json"], "--report"),
        (["restore", "in", "out", "--report", "./out"], "--report ./out is also the output folder"),
        (["restore", "in", "there", "--report", "there/old.png"], "is a picture that is already there"),
        (["restore", "-", "out", "--format", "png", "--engine", "ray"], "standard input reaches no other machine"),
        (["restore", "in", "out", "--dry-run", "--report", "r.json"], "leave --report out"),
        (["restore", "in", "out", "--dry-run", "--report", "-"], "leave --report out"),
        (["restore", "in", "out", "--compare", "out"], "--compare"),
        (["restore", "in", "out", "--compare", "in/a.png/x"], "in/a.png is not a folder: choose another folder for"),
        (["iterate", "in", "out", "--keep-steps", "in/a.png/x"], "in/a.png is not a folder: choose another folder for"),
        (["restore", "in", "out", "--compare", "OUT"], "is also the output folder"),
        (["restore", "in/a.png", "A.PNG.JPG", "--compare", "."], "a.png.jpg is also an input or output"),
        (["restore", "-", "-", "--report", "-"], "--report"),
        (["restore", "in", "out", "--speed", "9"], "--speed"),
        (["restor", "in", "out"], "restore"),
        (["restore", "in", ""], "an empty text stands after in: is a variable unset?"),
        (["restore", "in", "out", "--compare", ""], "an empty text stands after --compare"),
        (["evaluate", "--pairs", "in", "there", "--keep="], "an empty text stands after --keep"),
        (["grounds", ""], "an empty text stands after grounds"),
        (["models"], "models --help"),
        (["evaluate", "--pairs", "in"], "requires 2 arguments. (see: airtool evaluate --help)"),
        (["models", "import", "models"], "(see: airtool models import --help)"),
        (["--speed", "restore"], "(see: airtool --help)"),
        (["models", "import", "a.pth", "b.bin"], ".safetensors"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_usage_errors_are_one_line_and_exit_code_2(
    args: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, airtool: Run
) -> None:
    for name in ("in/a.png", "taken/a.png", "there/old.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"never read")
    (tmp_path / "empty").mkdir()
    (tmp_path / "-dash.jpg").write_bytes(b"never read")
    monkeypatch.chdir(tmp_path)
    code, out, err = airtool(*args)
    assert (code, out) == (2, "")
    assert err.startswith("airtool: error: ")
    assert err.count("\n") == 1
    assert words in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["-dash.jpg", "empty", "in", "taken", "there"]


def test_planning_and_dry_run_do_not_import_torch(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"never read")
    done = probe(0, "restore", "in", "out", "--dry-run", "--compare", "both", cwd=tmp_path)
    assert done.stdout.splitlines() == ["in/a.png -> out/a.png", "in/a.png -> both/a.png.jpg"]
    assert "torch" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]
    assert "torch" not in probe(2, "restore", "in", "in/out", cwd=tmp_path).stderr
    assert "torch" not in probe(2, "restore", "in", "out", "--method", "magic", cwd=tmp_path).stderr
    blind = probe(2, "restore", "in", "out", "--dry-run", "--method", "ndr", "--degradation", "rain", cwd=tmp_path)
    assert "ndr finds out itself what to remove" in blind.stderr
    assert "torch" not in blind.stderr


@pytest.mark.parametrize(
    ("arguments", "closed", "code", "printed", "words"),
    [
        ("--version", ">&-", 0, "", ""),
        ("degrade a.png - --with noise:25", ">&-", 2, "", "standard output is closed"),
        ("degrade a.png - --with noise:25", "2>&-", 0, "picture", ""),
        ("degrade nothing.png - --with noise:25", "2>&-", 2, "", ""),
        ("degrade - b.png --with noise:25", "<&-", 1, "", "standard input"),
        ("degrade a.png b.png --with noise:25", "<&- >&- 2>&-", 0, "", ""),
    ],
)
def test_streams_may_be_closed(
    arguments: str, closed: str, code: int, printed: str, words: str, tmp_path: Path
) -> None:
    picture = Picture(np.full((16, 16, 3), 0.5, np.float32), None, 8, False, "png", Metadata())
    (tmp_path / "a.png").write_bytes(encode(picture))
    script = f"{sys.executable} -m airtool {arguments} {closed}"
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == code, done.stderr
    assert b"Traceback" not in done.stderr
    assert words in done.stderr.decode()
    if printed:
        assert decode(done.stdout, "printed").rgb.shape == (16, 16, 3)
        assert done.stdout.startswith(b"\x89PNG"), "messages must not get into it"
    else:
        assert done.stdout == b""
    if " b.png" in arguments and code == 0:
        assert read(tmp_path / "b.png").rgb.shape == (16, 16, 3)


def test_output_that_nobody_reads_is_no_traceback() -> None:
    command = f"{sys.executable} -m airtool restore --help"
    script = f"{command} | true; {command} | head -c 1 >/dev/null"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.stderr == ""


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize(
    "swallowed", [None, AirtoolError("weights.safetensors is not readable"), ImportError("no numpy")]
)
def test_being_asked_to_end_is_no_error_whatever_a_library_makes_of_it(
    number: int, expected: int, swallowed: Exception | None, monkeypatch: pytest.MonkeyPatch, airtool: Run
) -> None:
    def asked(*_: object, **__: object) -> None:
        try:
            os.kill(os.getpid(), number)
            time.sleep(5)
        except KeyboardInterrupt:
            if swallowed is None:
                raise
        raise swallowed

    before = signal.getsignal(number)
    monkeypatch.setattr("airtool.images.discover.search", asked)
    assert airtool("restore", "in", "out") == (expected, "", "")
    assert signal.getsignal(number) == before


def test_being_asked_to_end_is_not_forgotten_where_python_swallows_it(capfd: pytest.CaptureFixture[str]) -> None:
    class Last:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)

    seen = []

    def work() -> None:
        for number in track(range(9), 9, "done", quiet=True):
            seen.append(number)
            if number == 4:
                Last()

    with endable() as asked:
        assert list(track(range(3), 3, "done", quiet=True)) == [0, 1, 2]
        with pytest.raises(KeyboardInterrupt):
            work()
        assert asked == [143]
    assert seen == [0, 1, 2, 3, 4]
    assert capfd.readouterr() == ("", "")
    assert list(track(range(3), 3, "done", quiet=True)) == [0, 1, 2]
