"""Several devices: the bytes and the order of one, one that breaks stops nothing, and Ctrl-C stops all."""

import threading
import time
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import FakeMethod
from skimage import data
from torch import Tensor

from airtool.engine import devices as module
from airtool.engine.devices import DevicesPipeline, describe_shared
from airtool.engine.pipeline import Pipeline
from airtool.engine.records import Record
from airtool.engine.session import Session
from airtool.engine.settings import Settings, parse_devices
from airtool.engine.tasks import Task
from airtool.errors import UsageError
from airtool.images.discover import discover
from airtool.images.encode import encode
from airtool.images.picture import Metadata, Picture
from airtool.images.plan import plan
from airtool.methods.base import Request

COUNT = 12


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Cuts of a photograph, of different sizes; one file is no picture."""
    source = data.astronaut().astype(np.float32) / 255
    (tmp_path / "in").mkdir()
    for index in range(COUNT):
        rgb = np.ascontiguousarray(source[index * 20 : index * 20 + 50 + index, 100 : 180 - index])
        name = f"{index:02d}.png"
        (tmp_path / "in" / name).write_bytes(encode(Picture(rgb, None, 8, False, "png", Metadata())))
    (tmp_path / "in" / "05a.png").write_bytes(b"not a picture")
    return tmp_path / "in"


def tasks(folder: Path, out: Path) -> list[Task]:
    return [Task(job) for job in plan(discover([str(folder)]), out).jobs]


def session(method: FakeMethod) -> Session:
    return Session(method, Settings(device="cpu"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*.png")}


def noisy(pictures: Tensor, request: Request) -> Tensor:
    rng = np.random.default_rng(request.seeds[0])
    return pictures + 0.1 * Tensor(rng.standard_normal(tuple(pictures.shape)).astype(np.float32))


def facts(records: list[Record]) -> list[tuple[object, ...]]:
    return [(each.source, each.status, each.width, each.height, each.tile, each.message) for each in records]


def test_files_and_records_are_those_of_one_device(folder: Path, tmp_path: Path) -> None:
    with Pipeline(session(FakeMethod(multiple=2, hook=noisy)), tasks(folder, tmp_path / "one")) as pipeline:
        alone = list(pipeline)
    where: dict[int, int] = {}

    def hook(pictures: Tensor, request: Request) -> Tensor:
        thread = threading.get_ident()
        where[thread] = where.get(thread, 0) + 1
        # The one that is given the first picture keeps it until the others have done all the rest.
        while pictures.shape[2] == 50 and sum(where.values()) < COUNT:
            time.sleep(0.001)
        return noisy(pictures, request)

    sessions = [session(FakeMethod(multiple=2, hook=hook)) for _ in range(3)]
    with DevicesPipeline(sessions, tasks(folder, tmp_path / "three"), workers=1) as shared:
        together = list(shared)
    assert together == shared.records
    assert facts(together) == facts(alone)
    assert contents(tmp_path / "three") == contents(tmp_path / "one")
    assert len(contents(tmp_path / "one")) == COUNT
    # The first picture took as long as the eleven others, which did not wait for it.
    assert sum(where.values()) == COUNT
    assert min(where.values()) == 1
    assert not any(thread.name.startswith("on cpu") for thread in threading.enumerate())


def test_processors_share_the_threads(folder: Path, tmp_path: Path) -> None:
    seen: set[int] = set()

    def hook(pictures: Tensor, request: Request) -> None:
        seen.add(torch.get_num_threads())

    usual = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        sessions = [session(FakeMethod(hook=hook)) for _ in range(2)]
        with DevicesPipeline(sessions, tasks(folder, tmp_path / "out")) as pipeline:
            list(pipeline)
        assert torch.get_num_threads() == 4
        assert (describe_shared(sessions)["threads"], describe_shared(sessions[:1])["threads"]) == (2, 4)
    finally:
        torch.set_num_threads(usual)
    assert seen == {2}


def test_a_device_that_breaks_is_left_out(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, good = FakeMethod(), FakeMethod()

    def fall(pictures: Tensor, request: Request) -> None:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nFor debugging ...")

    def wait(pictures: Tensor, request: Request) -> None:
        while not broken.shapes:
            time.sleep(0.001)

    broken.hook, good.hook = fall, wait
    sessions = [session(broken), session(good)]
    # As a GPU after such an error: nothing works there any more.
    monkeypatch.setattr(module, "answers", lambda device: len(broken.shapes) == 0)
    with DevicesPipeline(sessions, tasks(folder, tmp_path / "out")) as pipeline:
        records = list(pipeline)
    failed = {Path(each.source).name: each.message or "" for each in records if each.status == "failed"}
    assert len(broken.shapes) == 1
    assert sorted(failed) == ["00.png", "05a.png"]
    assert failed["00.png"].endswith("an illegal memory access was encountered; cpu is left out from here on")
    assert len(contents(tmp_path / "out")) == COUNT - 1

    # When the last one breaks, every picture that is left fails, as with a single device.
    with DevicesPipeline([session(FakeMethod(hook=fall)) for _ in range(2)], tasks(folder, tmp_path / "no")) as none:
        records = list(none)
    assert [each.status for each in records] == ["failed"] * (COUNT + 1)
    assert sum("left out" in (each.message or "") for each in records) == 1


def test_an_error_of_one_picture_costs_no_device(folder: Path, tmp_path: Path) -> None:
    def hook(pictures: Tensor, request: Request) -> None:
        if pictures.shape[2] in (50, 52, 54):
            raise RuntimeError("a bug")

    sessions = [session(FakeMethod(multiple=2, hook=hook)) for _ in range(2)]
    with DevicesPipeline(sessions, tasks(folder, tmp_path / "out")) as pipeline:
        records = list(pipeline)
    failed = [Path(each.source).name for each in records if each.status == "failed"]
    assert failed == ["00.png", "01.png", "02.png", "03.png", "04.png", "05a.png"]
    assert not any("left out" in (each.message or "") for each in records)
    assert len(contents(tmp_path / "out")) == COUNT - 5


def test_leaving_early_stops_every_device_in_the_middle(folder: Path, tmp_path: Path) -> None:
    started, ended = threading.Semaphore(0), list[int]()

    def hook(pictures: Tensor, request: Request) -> None:
        started.release()
        try:
            while True:  # a picture that takes for ever
                time.sleep(0.001)
        finally:
            ended.append(threading.get_ident())

    pipeline = DevicesPipeline([session(FakeMethod(hook=hook)) for _ in range(2)], tasks(folder, tmp_path / "out"))

    def interrupted() -> None:
        with pipeline:
            for _ in range(2):
                pipeline._read_ahead()
                pipeline._restore_next()
            for _ in range(2):
                assert started.acquire(timeout=60)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(ended) == 2
    assert pipeline.records == []
    assert contents(tmp_path / "out") == {}


class Wavering(Future):
    """A picture that seems to finish whenever it is asked about: "no" and "yes" take turns from then on."""

    asked = 0

    def done(self) -> bool:
        self.asked += 1
        return super().done() and self.asked % 2 == 0


def test_pixels_are_given_back_once_whenever_a_picture_finishes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "Future", Wavering)
    sessions = [session(FakeMethod(multiple=2, hook=noisy)) for _ in range(2)]
    with DevicesPipeline(sessions, tasks(folder, tmp_path / "out"), workers=1) as pipeline:
        for _ in pipeline:
            assert pipeline._in_flight >= sum(pixels for pixels, _ in pipeline._active)
    assert len(pipeline.records) == COUNT + 1
    assert len(contents(tmp_path / "out")) == COUNT
    assert pipeline._in_flight == sum(pixels for pixels, _ in pipeline._active)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0,1", ("cuda:0", "cuda:1")),
        ("cuda:1,0", ("cuda:1", "cuda:0")),
        ("cuda", ("cuda:0",)),
        ("cpu,cpu,cpu", ("cpu", "cpu", "cpu")),
    ],
)
def test_names_of_devices(text: str, names: tuple[str, ...]) -> None:
    assert parse_devices(text) == names


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0,cuda:0", "cuda:0 is named twice"),
        ("cuda,0", "cuda:0 is named twice"),
        ("mps,mps", "mps is named twice"),
        ("cpu,0", "different kinds"),
        ("auto,cpu", "no device is called 'auto'"),
        ("0,,1", "no device is called ''"),
        ("0, 1", "no device is called ' 1'"),
        ("gpu", "no device is called 'gpu'"),
    ],
)
def test_names_that_make_no_sense(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_devices(text)
