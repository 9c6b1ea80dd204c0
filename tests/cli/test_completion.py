"""A shell that asks what may follow is answered, and quickly."""

import os
import subprocess
import sys

import pytest

from airtool.degradations import DEGRADATIONS
from airtool.methods.registry import METHODS
from airtool.training.recipe import shipped


def offered(line: str) -> list[str]:
    """What bash would show after Tab at the end of a line."""
    words = line.split(" ")
    env = os.environ | {
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "_AIRTOOL_COMPLETE": "complete_bash",
    }
    command = [sys.executable, "-c", "from airtool.cli.app import main; main()"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("airtool rest", ["restore"]),
        ("airtool restore --self", ["--self-ensemble"]),
        ("airtool restore in out --method ", list(METHODS)),
        ("airtool evaluate --method ndr,d", ["ndr,dfpir", "ndr,defusion"]),
        ("airtool iterate --method-for-step up", ["up-restorer"]),
        ("airtool restore --degradation low", ["low-light"]),
        ("airtool degrade in out --with rain,noi", ["rain,noise"]),
        ("airtool grounds out --degradation ", list(DEGRADATIONS)),
        ("airtool evaluate --bench cbsd68-2", ["cbsd68-25"]),
        ("airtool train --recipe detect-t", [name for name in shipped() if name.startswith("detect-t")]),
    ],
)
def test_what_may_follow(line: str, expected: list[str]) -> None:
    assert offered(line) == expected
