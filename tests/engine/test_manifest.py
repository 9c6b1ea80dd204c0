"""The manifest: every output of ours is listed before it is there, and what is no line of ours does no harm."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from airtool.engine.identity import Identity, identify
from airtool.engine.manifest import Entry, Journal, check_place, read_manifest
from airtool.engine.settings import Settings
from airtool.errors import PictureError, UsageError

ONE, OTHER = Identity({"seed": 1}), Identity({"seed": 2})


def entry(identity: Identity, digest: str) -> Entry:
    return Entry(identity.key, "of the input", digest, 7)


def add(journal: Journal, path: Path, digest: str = "of the output") -> None:
    journal.add(path, digest, 7, "of the input")


@pytest.mark.parametrize("posix", [True, False])
def test_what_runs_write_down_is_read_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, posix: bool) -> None:
    if not posix:  # Windows opens no folders, and knows no O_DIRECTORY and the like
        monkeypatch.setattr(os, "supports_dir_fd", set())
        for name in ("O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK"):
            monkeypatch.delattr(os, name)
    names = ["a.png", "tür/ü.png", "new\nline.png", os.fsdecode(b"\xff.png")]
    with Journal(tmp_path, ONE) as first, Journal(tmp_path, OTHER) as second:
        assert not (tmp_path / ".airtool").exists()
        for name in names:
            add(first, tmp_path / name)
        add(second, tmp_path / "a.png", "another")
        found = read_manifest(tmp_path, names)
    assert len(os.listdir(tmp_path / ".airtool")) == 2
    assert found.entries.pop("a.png") == {entry(ONE, "of the output"), entry(OTHER, "another")}
    assert found.entries == {name: {entry(ONE, "of the output")} for name in names[1:]}
    assert found.facts == {ONE.key: {"seed": 1}, OTHER.key: {"seed": 2}}
    assert read_manifest(tmp_path, ["b.png"]).entries == {}
    assert read_manifest(tmp_path / "missing", names).entries == {}


def test_lines_that_make_no_sense_are_left_out(tmp_path: Path) -> None:
    with Journal(tmp_path, ONE) as journal:
        add(journal, tmp_path / "a.png")
    (file,) = (tmp_path / ".airtool").iterdir()
    whole = file.read_bytes()
    expected = read_manifest(tmp_path, ["a.png"])
    assert expected.entries == {"a.png": {entry(ONE, "of the output")}}
    for junk in (
        b"\xff\xfe\x00nothing\n",
        b"[" * 100_000 + b"\n",
        b'{"output": "a.png"}\n',
        b'{"output": "a.png", "sha256": 3, "size": "x", "input": null, "key": "k"}\n',
        b'"text"\n17\n\n{}\n',
    ):
        file.write_bytes(junk + whole + junk)
        assert read_manifest(tmp_path, ["a.png"]) == expected
    for length in range(len(whole) - 1):
        file.write_bytes(whole[:length])
        assert read_manifest(tmp_path, ["a.png"]).entries == {}
    (tmp_path / ".airtool" / "z.jsonl").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / ".airtool" / "pipe.jsonl")
    (tmp_path / ".airtool" / "folder.jsonl").mkdir()
    file.write_bytes(whole)
    assert read_manifest(tmp_path, ["a.png"]) == expected


def test_nothing_is_written_or_read_through_a_link(tmp_path: Path) -> None:
    elsewhere, out = tmp_path / "elsewhere", tmp_path / "out"
    with Journal(elsewhere, ONE) as journal:
        add(journal, elsewhere / "a.png")
    before = os.listdir(elsewhere / ".airtool")
    out.mkdir()
    place = out / ".airtool"
    blocks: tuple[Callable[[], None], ...] = (
        lambda: place.symlink_to(elsewhere / ".airtool"),
        lambda: place.symlink_to("nowhere"),
        lambda: place.write_text("mine"),
    )
    for block in blocks:
        block()
        with pytest.raises(UsageError, match="a link or a file where a folder belongs"):
            check_place(out)
        with Journal(out, ONE) as journal, pytest.raises(PictureError, match="a link or a file"):
            add(journal, out / "a.png")
        assert read_manifest(out, ["a.png"]).entries == {}
        place.unlink()
    assert os.listdir(elsewhere / ".airtool") == before
    check_place(out)
    check_place(out / "not there yet")


def test_an_error_in_the_middle_of_a_line_costs_that_line_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        if b"b.png" in data and len(data) > 10:
            return write(descriptor, data[:10])
        if len(data) > 10 and data[:1] != b"{" and data[:1] != b"\n":
            raise OSError(28, "No space left on device")
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", full)
    with Journal(tmp_path, ONE) as journal:
        add(journal, tmp_path / "a.png")
        with pytest.raises(PictureError, match=r"cannot write to .*\.airtool: the disk is full: free some space"):
            add(journal, tmp_path / "b.png")
        add(journal, tmp_path / "c.png")
    assert set(read_manifest(tmp_path, ["a.png", "b.png", "c.png"]).entries) == {"a.png", "c.png"}


def test_the_line_is_on_the_disk_before_the_call_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    write, flush = os.write, os.fsync
    monkeypatch.setattr(os, "write", lambda *args: (calls.append("write"), write(*args))[1])
    monkeypatch.setattr(os, "fsync", lambda number: (calls.append("flush"), flush(number))[1])
    with Journal(tmp_path, ONE) as journal:
        add(journal, tmp_path / "a.png")
        calls.clear()
        add(journal, tmp_path / "b.png")
        assert calls == ["write", "flush"]


def test_whatever_decides_the_bytes_decides_the_key(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.write_bytes(b"weights")
    other = tmp_path / "other"
    other.write_bytes(b"others")
    settings = Settings(degradation=("rain",))
    pair = tmp_path / "clean.png", tmp_path / "bad.png"
    for path in pair:
        path.write_bytes(path.name.encode())

    def key(*, loop: dict[str, object] | None = None, method: str = "autodir", **how: object) -> str:
        at = {"weights": weights, "quality": None} | {
            name: how.pop(name) for name in ("weights", "quality") if name in how
        }
        return identify(replace(settings, **how), method, **at, loop=loop).key  # type: ignore[arg-type]

    copy = tmp_path / "copy"
    copy.write_bytes(b"weights")
    plain = key()
    assert plain == key(weights=copy) == key(quality=95) == key(device="cpu")
    example = {"method": "defusion", "degradation": (), "instruction": (str(pair[0]), str(pair[1]))}
    keys = [
        plain,
        key(weights=other),
        key(method="dfpir"),
        key(method="defusion"),
        key(precision="fp32"),
        key(tile=0),
        key(tile=64),
        key(seed=1),
        key(degradation=("rain", "noise")),
        key(degradation=(), prompt="less rain"),
        key(degradation=(), prompt="less noise"),
        key(structure_weight=0.5),
        key(work_size=(0.5,)),
        key(self_ensemble=2),
        key(quality=90),
        key(**example),
        key(loop={"max steps": 5}),
        key(loop={"max steps": 6}),
        key(loop={"max steps": 5}, detector_weights=str(other)),
        key(degradation=()),
        key(degradation=(), detector_weights=str(other)),
    ]
    pair[1].write_bytes(b"other pixels")
    keys.append(key(**example))
    assert len(set(keys)) == len(keys)
    told = identify(replace(settings, degradation=()), "dfpir", weights)
    assert {"detector weights", "referee weights"} <= set(told.facts)
    assert identify(settings, "dfpir", weights).differing({**told.facts, "seed": 1}) == [
        "seed",
        "degradation",
        "detector weights",
        "referee weights",
    ]
    assert json.loads(json.dumps(told.facts)) == told.facts
    assert len(told.key) == len(hashlib.sha256().hexdigest())
