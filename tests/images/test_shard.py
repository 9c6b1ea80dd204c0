"""Shards: every picture belongs to exactly one of them, whoever lists it."""

import os
import subprocess
import sys
from pathlib import Path, PureWindowsPath

import pytest

from airtool.errors import UsageError
from airtool.images.discover import discover
from airtool.images.plan import plan
from airtool.images.shard import Shard, parse_shard


def test_every_name_belongs_to_one_shard_and_they_are_about_equal() -> None:
    names = [Path(f"folder {index % 7}", f"picture-{index}.png") for index in range(3000)]
    shares = [[name for name in names if Shard(number, 4).holds(name)] for number in (1, 2, 3, 4)]
    assert sorted(name for share in shares for name in share) == sorted(names)
    assert all(650 < len(share) < 850 for share in shares)
    assert all(Shard(1, 1).holds(name) for name in names)


def test_the_share_follows_from_the_name_on_every_system() -> None:
    # Written down: a shard that was begun by one version has to be finished by the next.
    held = [
        next(number for number in range(1, 8) if Shard(number, 7).holds(Path(f"a/{name}.png"))) for name in "abcdef"
    ]
    assert held == [4, 2, 7, 6, 1, 6]
    for name in ("a/tür.png", "\udc80\udcff.png", "x\n.png"):
        (number,) = (number for number in range(1, 100) if Shard(number, 99).holds(Path(name)))
        assert Shard(number, 99).holds(PureWindowsPath(name.replace("/", "\\")))
        assert Shard(number, 99).holds(Path(name.replace("ü", "u\u0308")))


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names of files are Unicode there")
def test_the_share_does_not_depend_on_the_locale(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for index in range(12):
        Path(os.fsdecode(bytes(tmp_path) + b"/in/t\xc3\xbcr-\xff-%d.png" % index)).write_bytes(b"x")
    code = (
        "import os, sys; from airtool.images.discover import discover; from airtool.images.plan import plan\n"
        "from airtool.images.shard import Shard\n"
        "for job in plan(discover(['in']), 'out', shard=Shard(1, 3)).jobs: print(ascii(os.fsencode(job.target.name)))\n"
        "print(sys.getfilesystemencoding(), file=sys.stderr)"
    )
    shares, encodings = [], []
    for variables in ({"PYTHONUTF8": "1"}, {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}):
        command, environment = [sys.executable, "-c", code], {**os.environ, **variables}
        run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        shares.append(run.stdout)
        encodings.append(run.stderr.strip())
    assert encodings == ["utf-8", "ascii"]
    assert shares[0] == shares[1]
    assert 0 < shares[0].count("\n") < 12


@pytest.mark.parametrize("text", ["0/4", "5/4", "2", "a/b", "-1/4", "1/0", "1/4/", "1/999999", "", "١/٢"])
def test_mistakes_are_one_line(text: str) -> None:
    with pytest.raises(UsageError, match="--shard") as caught:
        parse_shard(text)
    assert "\n" not in str(caught.value)


def test_a_plan_checks_all_and_keeps_its_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for index in range(20):
        Path(f"in/{index}.png").write_bytes(b"x")
    sources = discover(["in"])
    parts = [plan(sources, "out", shard=parse_shard(f"{number}/3")).jobs for number in (1, 2, 3)]
    assert {job for part in parts for job in part} == set(plan(sources, "out").jobs)
    assert sum(map(len, parts)) == 20
    # What another shard has written is none of this one's business, but its mistakes are.
    done = parts[0][0].target
    assert done is not None
    done.parent.mkdir()
    done.write_bytes(b"done")
    assert plan(sources, "out", shard=Shard(2, 3)).jobs == parts[1]
    with pytest.raises(UsageError, match="already there"):
        plan(sources, "out", shard=Shard(1, 3))
    Path("in/0.jpg").write_bytes(b"x")
    for number in (1, 2, 3):
        with pytest.raises(UsageError, match="would both become"):
            plan(discover(["in"]), "other", format="png", shard=Shard(number, 3))
    for out in ("one.png", "-"):
        with pytest.raises(UsageError, match="--shard shares the pictures of a folder"):
            plan(discover(["in/1.png"]), out, shard=Shard(1, 3))
