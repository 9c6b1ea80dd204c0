"""`airtool restore` and `detect` from and to stores."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from bucket import Bucket, installed, mounted
from commandline import Run

from airtool.images import stores
from airtool.images.remote import Remote
from airtool.images.stores import find, read

NAMES = ("a.jpg", "b.png", "tür/c.png")


@pytest.fixture
def bucket(tmp_path: Path, folder: Path) -> Iterator[Bucket]:
    """A store in which the pictures of `folder` lie in s3://in/pictures."""
    with mounted(tmp_path / "buckets") as found:
        for name in NAMES:
            found.pipe_file(f"in/pictures/{name}", (folder / name).read_bytes())
        found.asked.clear()
        yield found


@pytest.fixture
def plain(airtool: Run, folder: Path, weights: str, tmp_path: Path) -> dict[str, bytes]:
    """What a local run makes of the pictures."""
    code, _, _ = airtool("restore", folder, tmp_path / "plain", "--weights", weights, "-q")
    assert code == 0
    return {name: (tmp_path / "plain" / name).read_bytes() for name in NAMES}


def contents(url: str) -> dict[str, bytes]:
    """What a user sees in a store."""
    found = {file.key: read(file) or b"" for file in find(Remote(url))}
    return {key: data for key, data in found.items() if not key.startswith(".airtool/")}


def counts(report: str | bytes) -> tuple[int, ...]:
    said: dict[str, Any] = json.loads(report)
    return tuple(said[name] for name in ("restored", "failed", "kept", "unknown"))


def child(*args: object, **more: Any) -> tuple[int, tuple[int, ...], str]:
    """A command line in a process of its own: exit code, counts of its report, standard error."""
    command = [sys.executable, "-m", "airtool", *map(str, args), "--report", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    assert done.stdout, done.stderr
    return done.returncode, counts(done.stdout), done.stderr


def test_file_urls_are_the_local_disk(
    airtool: Run, folder: Path, weights: str, tmp_path: Path, plain: dict[str, bytes]
) -> None:
    (folder / "bad.png").write_bytes(b"nothing")
    out = tmp_path / "out"
    command = ("restore", f"file://{folder}", f"file://{out}", "--weights", weights)
    code, told, err = child(*command)
    assert (code, told) == (1, (3, 1, 0, 0))
    assert err.count("bad.png") == 1
    assert {name: (out / name).read_bytes() for name in NAMES} == plain
    code, _, _ = airtool(*command, "--resume", "--report", f"file://{tmp_path}/report.json")
    assert code == 1
    assert counts((tmp_path / "report.json").read_text()) == (0, 1, 3, 0)
    assert {name: (out / name).read_bytes() for name in NAMES} == plain


def test_a_bucket_from_another_process_and_from_this_one(
    airtool: Run, bucket: Bucket, weights: str, tmp_path: Path, plain: dict[str, bytes], folder: Path
) -> None:
    command = ("restore", "s3://in/pictures", "s3://out/x", "--weights", weights)

    def resume() -> tuple[int, tuple[int, ...], str]:
        code, out, err = airtool(*command, "--resume", "--report", "-")
        return code, counts(out), err

    bucket.pipe_file("in/pictures/bad.png", b"nothing")
    environment = installed(tmp_path / "site")
    code, told, err = child(*command, "--compare", "s3://out/both", env=environment, cwd=tmp_path)
    assert (code, told) == (1, (3, 1, 0, 0))
    assert sum("s3://in/pictures/bad.png" in line for line in err.splitlines()) == 1
    assert contents("s3://out/x") == plain
    assert sorted(contents("s3://out/both")) == sorted(f"{name}.jpg" for name in NAMES)
    code, told, err = resume()
    assert (code, told) == (1, (0, 1, 3, 0))
    assert "3 already there, kept" in err
    bucket.pipe_file("in/pictures/b.png", (folder / "tür" / "c.png").read_bytes())
    bucket._file("out/x/a.jpg").unlink()
    bucket.pipe_file("out/x/tür/c.png", b"edited")
    code, told, err = resume()
    assert (code, told) == (1, (2, 1, 0, 1))
    assert "1 made again, because their inputs have changed" in err
    assert contents("s3://out/x") == plain | {"b.png": plain["tür/c.png"], "tür/c.png": b"edited"}
    assert list(tmp_path.glob("s3*")) == []


def test_memory_and_mixed(
    airtool: Run, folder: Path, weights: str, tmp_path: Path, plain: dict[str, bytes], bucket: Bucket
) -> None:
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    more = ("--weights", weights, "-q")
    assert airtool("restore", folder, "memory://first", *more) == (0, "", "")
    assert contents("memory://first") == plain
    assert airtool("restore", "s3://in/pictures/", tmp_path / "second", *more) == (0, "", "")
    assert {name: (tmp_path / "second" / name).read_bytes() for name in NAMES} == plain
    code, _, err = airtool("restore", folder, "memory://first", *more)
    assert (code, err.startswith("airtool: error: already there: memory://first/a.jpg, ")) == (2, True)
    code, out, _ = airtool("restore", folder, "memory://first", "--resume", "--report", "-", *more)
    assert (code, counts(out)) == (0, (0, 0, 3, 0))
    # A run with other settings is told apart by the record, which lies in the store.
    code, _, err = airtool("restore", folder, "memory://first", "--resume", "--seed", 1, *more)
    assert (code, "made with other settings (seed): memory://first/" in err) == (2, True)
    assert airtool("restore", folder, "memory://first", "--overwrite", "--seed", 1, *more) == (0, "", "")
    halves = [airtool("restore", folder, "memory://third", "--shard", f"{i}/2", *more)[0] for i in (1, 2)]
    assert (halves, contents("memory://third")) == ([0, 0], plain)
    one = airtool("restore", "s3://in/pictures/b.png", "memory://one.png", "--report", "memory://r.json", *more)
    assert one == (0, "", "")
    assert memory.cat_file("/one.png") == plain["b.png"]
    assert counts(memory.cat_file("/r.json")) == (1, 0, 0, 0)
    assert not [name for name in memory.find("/") if ".tmp" in name]
    memory.store.clear()


def test_a_dry_run_writes_nothing_and_says_what_would_become_what(airtool: Run, bucket: Bucket) -> None:
    code, out, _ = airtool("restore", "s3://in/pictures/**/*.png", "s3://out/x", "--dry-run", "--format", "jpeg")
    assert code == 0
    assert out.splitlines() == [
        "s3://in/pictures/b.png -> s3://out/x/b.jpg",
        "s3://in/pictures/tür/c.png -> s3://out/x/tür/c.jpg",
    ]
    assert bucket.count("put") == bucket.count("get") == 0


def test_trouble_with_one_object_stops_no_other(
    airtool: Run, bucket: Bucket, weights: str, plain: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "PAUSES", (0.0, 0.0))
    vanished = bucket._file("in/pictures/a.jpg")

    def trouble(what: str, path: str, times: int) -> None:
        vanished.unlink(missing_ok=True)
        if path.endswith("b.png") and what == "get" and times < 2:
            raise TimeoutError("slow")
        if path.endswith("c.png") and what == "put":
            raise OSError(5, "Slow Down")

    listed = airtool("restore", "s3://in/pictures", "s3://out/x", "--weights", weights, "--dry-run")
    assert listed[0] == 0
    find_all = stores.find

    def then_trouble(folder: Remote, depth: int | None = None) -> list[Remote]:
        found = find_all(folder, depth)
        Bucket.before = trouble
        return found

    monkeypatch.setattr("airtool.images.discover.find", then_trouble)
    code, out, err = airtool("restore", "s3://in/pictures", "s3://out/x", "--weights", weights, "-q")
    assert (code, out) == (1, "")
    assert sorted(err.splitlines()) == [
        "airtool: 2 of 3 failed",
        "airtool: cannot read s3://in/pictures/a.jpg: it is not there",
        "airtool: cannot write s3://out/x/tür/c.png: Slow Down (tried 3 times)",
    ]
    Bucket.before = None
    assert contents("s3://out/x") == {"b.png": plain["b.png"]}


def test_a_store_that_refuses_is_found_out_before_the_work(
    airtool: Run, bucket: Bucket, folder: Path, weights: str
) -> None:
    def refuse(what: str, path: str, times: int) -> None:
        if what == "put":
            raise PermissionError("Access Denied")

    Bucket.before = refuse
    code, out, err = airtool("restore", folder, "s3://out/x", "--weights", weights, "-q")
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith("airtool: error: cannot write s3://out/x/.airtool/")
    assert "permission denied: check your credentials" in line


def test_detect_reads_urls_and_the_others_say_what_to_do(airtool: Run, bucket: Bucket, folder: Path) -> None:
    code, out, _ = airtool("detect", "s3://in/pictures/", "--json", "-q")
    assert code == 0
    local = json.loads(airtool("detect", folder, "--json", "-q")[1])
    found = json.loads(out)["pictures"]
    assert [each["picture"] for each in found] == [f"s3://in/pictures/{name}" for name in NAMES]
    assert [each["probabilities"] for each in found] == [each["probabilities"] for each in local["pictures"]]
    for args, what in (
        (("iterate", folder, "s3://out/x"), "airtool iterate takes local files, not s3://out/x: copy it here first"),
        (("evaluate", "--gt=s3://in/gt", "--results", folder), "airtool evaluate takes local files, not s3://in/gt"),
        (("degrade", f"file://{folder}", "out", "--with", "rain"), f"takes paths, not URLs: write {folder}"),
        (("restore", folder, "out", "--weights", "s3://in/w"), "--weights takes local files, not s3://in/w"),
        (("restore", folder, "https://host/out"), "https:// is only read: name a local folder, or a bucket"),
        (("restore", folder, "memory://x", "--engine", "ray"), "the workers of --engine ray do not: leave --engine"),
    ):
        code, out, err = airtool(*args)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert what in err
