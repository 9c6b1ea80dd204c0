"""Atomic writing: complete or not at all, whatever goes wrong, and never over somebody else's file."""

import errno
import fcntl
import os
import stat
import threading

import pytest

from airtool.errors import PictureError
from airtool.images.files import sweep, write_atomic


def test_writes_into_new_folders_with_the_usual_permissions(tmp_path):
    umask = os.umask(0o022)
    try:
        write_atomic(tmp_path / "new" / "folder" / "-ü.png", b"data", overwrite=False)
    finally:
        os.umask(umask)
    path = tmp_path / "new" / "folder" / "-ü.png"
    assert path.read_bytes() == b"data"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(path.parent) == [path.name]


def test_overwrite_and_not(tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(b"old")
    with pytest.raises(PictureError, match=r"x\.png already exists: pass --overwrite"):
        write_atomic(path, b"new", overwrite=False)
    assert path.read_bytes() == b"old"
    write_atomic(path, b"new", overwrite=True)
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["x.png"]


def no_links(*_args, **_kwargs):
    raise OSError(errno.ENOTSUP, "links are not supported")


@pytest.mark.parametrize("locks", [True, False])
@pytest.mark.parametrize("links", [True, False])
def test_one_of_many_writers_wins_and_the_others_are_told(tmp_path, monkeypatch, links, locks):
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    if not locks:  # as on Windows
        monkeypatch.setattr("airtool.images.files.fcntl", None)
    path, barrier, outcomes = tmp_path / "x.png", threading.Barrier(8), []

    def write(number):
        barrier.wait()
        try:
            write_atomic(path, bytes([number]) * 100_000, overwrite=False)
            outcomes.append(number)
        except PictureError:
            outcomes.append(None)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = (number for number in outcomes if number is not None)
    assert path.read_bytes() == bytes([winner]) * 100_000
    assert os.listdir(tmp_path) == ["x.png"]


@pytest.mark.parametrize("existing", [True, False])
@pytest.mark.parametrize(
    ("call", "fault", "words"),
    [
        ("fsync", OSError(errno.ENOSPC, "no space"), "the disk is full"),
        ("fsync", OSError(errno.EIO, "I/O error"), "I/O error"),
        ("replace", OSError(errno.EACCES, "denied"), "permission denied"),
        ("replace", KeyboardInterrupt(), None),
        ("fsync", KeyboardInterrupt(), None),
    ],
)
def test_faults_leave_everything_as_it_was(tmp_path, monkeypatch, call, fault, words, existing):
    path = tmp_path / "x.png"
    if existing:
        path.write_bytes(b"old")

    def fail(*_args, **_kwargs):
        raise fault

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(PictureError if words else KeyboardInterrupt) as error:
        write_atomic(path, b"new", overwrite=True)
    if words:
        assert words in str(error.value)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)
    assert os.listdir(tmp_path) == (["x.png"] if existing else [])
    assert not existing or path.read_bytes() == b"old"


def test_a_fault_after_the_name_was_reserved_gives_it_back(tmp_path, monkeypatch):
    def interrupt(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "x.png", b"new", overwrite=False)
    assert os.listdir(tmp_path) == []


def test_places_that_cannot_be(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    for path, words in (
        (tmp_path / "file" / "x.png", "is a file, not a folder|name is in the way"),
        (tmp_path / "folder.png", "folder of that name is in the way"),
        (tmp_path / ("n" * 300 + ".png"), "too long"),
    ):
        for overwrite in (True, False):
            with pytest.raises(PictureError, match=words):
                write_atomic(path, b"data", overwrite)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.png"]


def test_what_a_dead_writer_left_is_swept_and_what_a_live_one_writes_is_not(tmp_path, monkeypatch):
    abandoned = tmp_path / f".airtool-{'0' * 16}.tmp"
    others = [tmp_path / name for name in (".airtool-0.tmp", "x.tmp", f".airtool-{'0' * 16}.tmp.png")]
    (tmp_path / f".airtool-{'1' * 16}.tmp").symlink_to(others[1])
    os.mkfifo(tmp_path / f".airtool-{'2' * 16}.tmp")
    for path in (abandoned, *others):
        path.write_bytes(b"half")
    kept = sorted(name for name in os.listdir(tmp_path) if name != abandoned.name)
    alive, rename = [], os.link

    def sweep_meanwhile(temporary, path):
        sweep([tmp_path, tmp_path / "missing"])
        alive.append(temporary.exists())
        rename(temporary, path)

    monkeypatch.setattr(os, "link", sweep_meanwhile)
    write_atomic(tmp_path / "a.png", b"whole", overwrite=False)
    assert alive == [True]
    assert (tmp_path / "a.png").read_bytes() == b"whole"
    assert sorted(os.listdir(tmp_path)) == sorted([*kept, "a.png"])


def test_a_file_that_is_swept_before_it_is_locked_is_begun_again(tmp_path, monkeypatch):
    lock, swept = fcntl.flock, []

    def late(file, how):
        if not swept:
            swept.append(True)
            monkeypatch.setattr(fcntl, "flock", lock)
            sweep([tmp_path])
            assert os.listdir(tmp_path) == []
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    write_atomic(tmp_path / "a.png", b"whole", overwrite=False)
    assert swept
    assert (tmp_path / "a.png").read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["a.png"]
