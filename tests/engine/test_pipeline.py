"""A batch: the same bytes in any order, one bad picture stops nothing, and nothing is half-written."""

import errno
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeMethod
from skimage import data
from torch import Tensor

from airtool.engine import pipeline as module
from airtool.engine.pipeline import Pipeline
from airtool.engine.records import Record
from airtool.engine.session import Session
from airtool.engine.settings import Settings
from airtool.engine.tasks import Task, plan_tasks
from airtool.errors import UsageError
from airtool.images.decode import read
from airtool.images.discover import discover
from airtool.images.encode import encode
from airtool.images.picture import Metadata, Picture
from airtool.images.plan import plan
from airtool.methods.base import Request


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six cuts of a photograph, of different sizes, in two folders."""
    source = data.astronaut().astype(np.float32) / 255
    for index in range(6):
        rgb = np.ascontiguousarray(source[index * 60 : index * 60 + 50 + index, 100 : 180 - index])
        path = tmp_path / "in" / ("deep" if index % 2 else "") / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(Picture(rgb, None, 8, False, "png", Metadata())))
    return tmp_path / "in"


def tasks(folder: Path, out: Path) -> list[Task]:
    return [Task(job) for job in plan(discover([str(folder)]), out).jobs]


def noisy(pictures: Tensor, request: Request) -> Tensor:
    """A method that draws: its noise follows from the request's seed alone."""
    rng = np.random.default_rng(request.seeds[0])
    return pictures + 0.1 * Tensor(rng.standard_normal(tuple(pictures.shape)).astype(np.float32))


def session(method: FakeMethod | None = None, seed: int = 0) -> Session:
    return Session(method or FakeMethod(), Settings(device="cpu", seed=seed))


def run(work: list[Task], workers: int = 2, method: FakeMethod | None = None, seed: int = 0) -> list[Record]:
    with Pipeline(session(method, seed), work, workers=workers) as pipeline:
        yielded = list(pipeline)
    assert yielded == pipeline.records
    return yielded


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_same_bytes_whatever_workers_and_order(folder: Path, tmp_path: Path) -> None:
    records = run(tasks(folder, tmp_path / "one"), 1, FakeMethod(hook=noisy))
    assert [record.status for record in records] == ["restored"] * 6
    run(tasks(folder, tmp_path / "many")[::-1], 5, FakeMethod(hook=noisy))
    run(tasks(folder, tmp_path / "other"), 2, FakeMethod(hook=noisy), seed=1)
    one = contents(tmp_path / "one")
    assert sorted(one) == sorted(contents(folder))
    assert one == contents(tmp_path / "many")
    other = contents(tmp_path / "other")
    assert all(one[name] != other[name] for name in one)


def test_records_come_in_order_and_say_what_happened(folder: Path, tmp_path: Path) -> None:
    work = tasks(folder, tmp_path / "out")
    records = run(work)
    assert [record.source for record in records] == [task.name for task in work]
    first = read(folder / "0.png").rgb
    assert (records[0].height, records[0].width) == first.shape[:2] == records[0].tile
    assert records[0].seconds is not None
    assert records[0].seconds > 0
    assert records[0].message is None


def test_bad_pictures_stop_nothing(folder: Path, tmp_path: Path) -> None:
    (folder / "1a.png").write_bytes(b"")
    (folder / "2a.png").write_text("not a picture")
    whole = (folder / "2.png").read_bytes()
    (folder / "3a.png").write_bytes(whole[: len(whole) // 2])
    out = tmp_path / "out"
    work = tasks(folder, out)
    # A file where a folder is needed: writing the pictures of "deep" fails.
    out.mkdir()
    (out / "deep").write_text("")
    records = run(work)
    failed = {Path(record.source).name: record.message or "" for record in records if record.status == "failed"}
    assert sorted(failed) == ["1.png", "1a.png", "2a.png", "3.png", "3a.png", "5.png"]
    assert all("\n" not in message for message in failed.values())
    assert all(name in message for name, message in failed.items())
    assert sorted(contents(out)) == ["0.png", "2.png", "4.png", "deep"]


def test_a_picture_that_the_network_refuses_stops_nothing(folder: Path, tmp_path: Path) -> None:
    def hook(pictures: Tensor, request: Request) -> Tensor | None:
        if len(method.shapes) == 2:
            raise RuntimeError("a bug")
        return pictures * float("nan") if len(method.shapes) == 3 else None

    method = FakeMethod(hook=hook)
    records = run(tasks(folder, tmp_path / "out"), method=method)
    assert [record.status for record in records] == ["restored", "failed", "failed", *["restored"] * 3]
    assert "unexpected RuntimeError: a bug" in (records[1].message or "")
    assert (records[2].message or "").startswith(records[2].source)


def test_existing_outputs_are_kept_unless_told_otherwise(folder: Path, tmp_path: Path) -> None:
    work = tasks(folder, tmp_path / "out")
    target = work[0].job.target
    assert target is not None
    target.parent.mkdir()
    target.write_bytes(b"appeared after planning")
    records = run(work)
    assert records[0].status == "failed"
    assert "already exists" in (records[0].message or "")
    assert target.read_bytes() == b"appeared after planning"
    with Pipeline(session(), work[:1], overwrite=True) as pipeline:
        assert [record.status for record in pipeline] == ["restored"]
    assert read(target).rgb.shape == read(folder / "0.png").rgb.shape


def test_full_disk_fails_the_picture(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("airtool.images.files.os.fsync", full)
    records = run(tasks(folder, tmp_path / "out"))
    assert [record.status for record in records] == ["failed"] * 6
    assert all("disk is full" in (record.message or "") for record in records)
    assert contents(tmp_path / "out") == {}


def test_once_the_disk_is_full_the_network_rests(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrote = threading.Event()

    def full(_descriptor: int) -> None:
        wrote.set()
        raise OSError(errno.ENOSPC, "No space left on device")

    def hook(_pictures: Tensor, _request: Request) -> None:
        # From the second picture on the first one's failure to be written is known.
        if len(method.shapes) > 1:
            assert wrote.wait(60)

    monkeypatch.setattr("airtool.images.files.os.fsync", full)
    method = FakeMethod(hook=hook)
    many = [task for _ in range(5) for task in tasks(folder, tmp_path / "out")]
    with Pipeline(session(method), many, overwrite=True, workers=1) as pipeline:
        records = list(pipeline)
    assert [record.status for record in records] == ["failed"] * len(many)
    # Those that were being read meanwhile still went through.
    assert len(method.shapes) < 12
    assert "cannot write" in (records[0].message or "")
    last = records[-1]
    assert last.message == f"{last.source}: not begun, as the disk is full: free some space, then --resume"


def test_interrupt_leaves_whole_files_and_tells_how_many(folder: Path, tmp_path: Path) -> None:
    def hook(pictures: Tensor, request: Request) -> None:
        if len(method.shapes) == 4:
            raise KeyboardInterrupt

    method = FakeMethod(hook=hook)
    pipeline = Pipeline(session(method), tasks(folder, tmp_path / "out"), workers=2)
    with pytest.raises(KeyboardInterrupt), pipeline:
        for _ in pipeline:
            pass
    written = contents(tmp_path / "out")
    assert 0 < len(written) <= 3
    assert sorted(str(tmp_path / "out" / name) for name in written) == sorted(r.target for r in pipeline.records)
    assert all(read(tmp_path / "out" / name).rgb.size for name in written)
    assert len(method.shapes) == 4


def test_an_interrupt_while_a_writer_starts_forgets_no_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread may have written its first file before the thread that started it goes on."""
    start, out = threading.Thread.start, tmp_path / "out"

    def slowly(thread: threading.Thread) -> None:
        start(thread)
        if thread.name.startswith("write"):
            while not list(out.rglob("*.png")):
                time.sleep(0.01)
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt), Pipeline(session(), tasks(folder, out)) as pipeline:
        monkeypatch.setattr(threading.Thread, "start", slowly)
        for _ in pipeline:
            pass
    assert sorted(str(out / name) for name in contents(out)) == sorted(r.target for r in pipeline.records) != []


def test_few_pictures_are_in_memory_at_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, most = 0, 0
    original = Pipeline._open

    def counting(pipeline: Pipeline, task: Task, content: bytes | None) -> module.Opened:
        nonlocal opened
        opened += 1
        return original(pipeline, task, content)

    monkeypatch.setattr(Pipeline, "_open", counting)
    monkeypatch.setattr(module, "PIXELS_AHEAD", {"cpu": 5000})

    def hook(pictures: Tensor, request: Request) -> None:
        nonlocal most
        most = max(most, opened - len(method.shapes) + 1)

    method = FakeMethod(hook=hook)
    # Each picture has some 4000 pixels, so the limit allows no second one.
    run(tasks(folder, tmp_path / "out"), workers=4, method=method)
    assert most == 1
    monkeypatch.setattr(module, "PIXELS_AHEAD", {"cpu": 10**9})
    opened = 0
    method = FakeMethod(hook=hook)
    run(tasks(folder, tmp_path / "roomy"), workers=4, method=method)
    assert most > 1


def test_comparisons_show_both(folder: Path, tmp_path: Path) -> None:
    jobs = plan(discover([str(folder)]), tmp_path / "out").jobs
    work = plan_tasks(jobs, str(tmp_path / "out"), compare=str(tmp_path / "both"), replace=False)
    method = FakeMethod(hook=lambda pictures, request: pictures * 0)
    assert {record.status for record in run(work, method=method)} == {"restored"}
    shown = read(tmp_path / "both" / "deep" / "1.png.jpg").rgb
    before = read(folder / "deep" / "1.png").rgb
    height, width = before.shape[:2]
    assert shown.shape == (height, 2 * width + 4, 3)
    assert np.abs(shown[:, : width - 4] - before[:, :-4]).mean() < 0.02
    assert shown[:, width + 1 : width + 3].mean() > 0.9
    assert shown[:, width + 12 :].mean() < 0.02


def test_explanations_lie_beside(folder: Path, tmp_path: Path) -> None:
    jobs = plan(discover([str(folder)]), tmp_path / "out").jobs
    maps = ("negative", "grey")
    work = plan_tasks(jobs, str(tmp_path / "out"), explain=str(tmp_path / "seen"), maps=maps, replace=False)
    records = run(work, method=FakeMethod(explains=maps))
    assert {record.status for record in records} == {"restored"}
    before, negative = read(folder / "deep" / "1.png").rgb, read(tmp_path / "seen" / "deep" / "1.png.negative.png").rgb
    assert np.abs(negative - (1 - before)).max() < 1 / 255
    assert (tmp_path / "seen" / "deep" / "1.png.grey.png").is_file()


def test_comparisons_must_not_meet_inputs_or_outputs(folder: Path, tmp_path: Path) -> None:
    jobs = plan(discover([str(folder)]), tmp_path / "out").jobs

    def refused(where: Path) -> Iterator[str]:
        with pytest.raises(UsageError) as caught:
            plan_tasks(jobs, str(tmp_path / "out"), compare=str(where), replace=False)
        yield str(caught.value)

    assert "output folder" in next(refused(tmp_path / "out"))
    assert "input folder" in next(refused(folder / "both"))
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "0.png.jpg").write_text("")
    assert "already there" in next(refused(tmp_path / "both"))
    (tmp_path / "file").write_text("")
    assert "is a file" in next(refused(tmp_path / "file"))
