"""The benchmark of Defusion's instructions: what its tables are made of."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = ROOT / "benchmarks" / "instructions.py"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_what_is_missing_is_said_in_one_line(tmp_path: Path) -> None:
    done = run("--data", tmp_path)
    assert (done.returncode, done.stderr) == (2, "name the folder that holds bench/ with --data or AIRTOOL_DATA\n")
    (tmp_path / "bench").mkdir()
    page = tmp_path / "page.md"
    page.write_text("nothing here\n")
    done = run("--data", tmp_path, "--page", page)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert str(page) in done.stderr
