"""Decoding in other processes: the same pictures and the same words, and a process that dies costs one picture."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from airtool.errors import PictureError
from airtool.images import isolated
from airtool.images.isolated import IsolatedReader
from airtool.images.reader import Reader, open_reader


@pytest.fixture(scope="module")
def reader() -> Iterator[IsolatedReader]:
    with IsolatedReader(4_000_000) as opened:
        yield opened


def process(reader: IsolatedReader) -> subprocess.Popen[bytes]:
    """The only process that a reader has."""
    (worker,) = reader._all
    return worker._process


@pytest.mark.parametrize(
    ("format", "kind"),
    [
        ("PNG", "rgba"),
        ("PNG", "metadata"),
        ("PNG", "16"),
        ("JPEG", "metadata"),
        ("JPEG", "cmyk"),
        ("WEBP", "rgba"),
        ("TIFF", "rgba"),
        ("AVIF", "metadata"),
        ("JPEG2000", "rgb"),
        ("PPM", "grey"),
    ],
)
def test_pictures_are_the_same(
    reader: IsolatedReader,
    saved: Callable[..., bytes],
    photo: np.ndarray,
    rgba: np.ndarray,
    exif: Callable[..., bytes],
    icc: bytes,
    format: str,
    kind: str,
) -> None:
    from PIL import Image

    options = {"exif": exif(6), "icc_profile": icc, "dpi": (300, 200)} if kind == "metadata" else {}
    options |= {"comment": b"c" * 60_000} if (format, kind) == ("JPEG", "metadata") else {}
    image = {"rgba": rgba, "16": photo[..., 0].astype(np.uint16) * 257, "grey": photo[..., 0]}.get(kind, photo)
    whole = Image.fromarray(photo).convert("CMYK") if kind == "cmyk" else image
    data = saved(whole, format, **options)
    here, there = Reader().decode(data, "x"), reader.decode(data, "x")
    np.testing.assert_array_equal(here.rgb, there.rgb)
    np.testing.assert_equal(here.alpha, there.alpha)
    assert there.rgb.flags.writeable
    assert (here.depth, here.grey, here.format, here.metadata, here.lost, here.bits) == (
        there.depth,
        there.grey,
        there.format,
        there.metadata,
        there.lost,
        there.bits,
    )


def test_refusals_are_the_same(reader: IsolatedReader, saved: Callable[..., bytes], photo: np.ndarray) -> None:
    whole = saved(photo, "PNG")
    for data in (b"", b"hello", whole[:-30], whole[:100] + b"x" + whole[101:], saved(photo.repeat(60, 0), "PNG")):
        words = []
        for each in (Reader(100_000), reader):
            each.max_pixels = 100_000
            with pytest.raises(PictureError) as error:
                each.decode(data, "holiday/x\n.png")
            words.append(str(error.value))
        reader.max_pixels = 4_000_000
        assert words[0] == words[1]
        assert words[0].startswith("holiday/x\\n.png ")


@pytest.fixture
def ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has processes read the beginning of a file, tell its size, and then do what a line of shell says."""

    def end(line: str) -> None:
        script = tmp_path / "worker"
        script.write_text(f"#!/bin/sh\nhead -c 500 > /dev/null\necho '{{\"pixels\": 2400}}'\n{line}\n")
        script.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(script))

    return end


@pytest.mark.parametrize("cause", ["SIGSEGV", "SIGABRT", "SIGKILL"])
def test_a_crash_costs_one_picture(
    monkeypatch: pytest.MonkeyPatch,
    ending: Callable[[str], None],
    saved: Callable[..., bytes],
    photo: np.ndarray,
    cause: str,
) -> None:
    good = saved(photo, "PNG")
    ending(f"kill -{cause.removeprefix('SIG')} $$")
    with IsolatedReader() as reader:
        with pytest.raises(PictureError, match=rf"^bad\.png makes the decoder crash \({cause}\), .*intact copy"):
            reader.decode(good, "bad.png")
        monkeypatch.undo()
        assert reader.decode(good, "good.png").rgb.shape == photo.shape
        second = process(reader)
    assert second.poll() is not None


def test_a_hang_ends(
    monkeypatch: pytest.MonkeyPatch, ending: Callable[[str], None], saved: Callable[..., bytes], photo: np.ndarray
) -> None:
    good = saved(photo, "PNG")
    ending("exec sleep 600")
    monkeypatch.setattr(isolated, "most_seconds", lambda pixels: 0.1)
    with IsolatedReader() as reader:
        with pytest.raises(PictureError, match=r"^bad\.png takes too long to decode"):
            reader.decode(good, "bad.png")
        monkeypatch.undo()
        assert reader.decode(good, "good.png").rgb.shape == photo.shape


def test_an_answer_that_finds_no_memory_leaves_no_process_behind(
    monkeypatch: pytest.MonkeyPatch, saved: Callable[..., bytes], photo: np.ndarray
) -> None:
    def none(*_: object) -> np.ndarray:
        raise MemoryError

    good = saved(photo, "PNG")
    with IsolatedReader() as reader:
        reader.decode(good, "good.png")
        first = process(reader)
        monkeypatch.setattr("airtool.images.isolated.np.empty", none)
        with pytest.raises(PictureError, match=r"^large\.png does not fit into memory"):
            reader.decode(good, "large.png")
        monkeypatch.undo()
        assert first.poll() is not None
        assert reader.decode(good, "good.png").rgb.shape == photo.shape


def test_nonsense_from_a_process_is_not_believed(
    saved: Callable[..., bytes], photo: np.ndarray, tmp_path: Path
) -> None:
    lines = [
        b'{"pixels": 5}\n{"shape": [100000, 100000, 3], "depth": 8, "format": "png", "facts": {}, "blocks": []}\n',
        b'{"pixels": 5}\n{"shape": [2, 2, 3], "depth": 8, "format": "exe", "facts": {}, "blocks": [0, 0, 0]}\n',
        b"x" * 100_000,
        b"\xff\xfe\n",
    ]
    for line in lines:
        with IsolatedReader() as reader:
            worker = reader._take("x")
            answers = tmp_path / "answers"
            answers.write_bytes(line)
            assert worker._process.stdout is not None
            worker._process.stdout.close()
            worker._process.stdout = answers.open("rb")
            reader._idle.append(worker)
            with pytest.raises(PictureError, match=r"^x\.png makes the decoder crash"):
                reader.decode(saved(photo, "PNG"), "x.png")


def test_threads_get_processes_of_their_own(saved: Callable[..., bytes], photo: np.ndarray) -> None:
    data = saved(photo, "PNG")
    with IsolatedReader() as reader:
        found: list[tuple[int, ...]] = []
        threads = [threading.Thread(target=lambda: found.append(reader.decode(data, "x").rgb.shape)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [photo.shape] * 3
        assert 1 <= len(reader._all) <= 3
        workers = [worker._process for worker in reader._all]
    assert all(worker.poll() is not None for worker in workers)
    with pytest.raises(PictureError, match="the run has ended"):
        reader.decode(data, "x")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="address space is limited on Linux only")
def test_memory_and_time_are_limited_while_a_picture_is_decoded() -> None:
    code = (
        "import numpy\nfrom airtool.images.worker import _limited\n"
        "with _limited(1 << 26, 60):\n    small = numpy.ones(1 << 22, numpy.uint8)\n"
        "    try:\n        numpy.ones(1 << 28, numpy.uint8)\n    except MemoryError:\n        print('refused')\n"
        "print(numpy.ones(1 << 28, numpy.uint8).nbytes, flush=True)\n"
        "with _limited(1 << 26, 0.1):\n    while True:\n        pass\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["refused", str(1 << 28)]
    assert done.returncode == -signal.SIGXCPU


def test_the_process_imports_neither_torch_nor_what_lies_beside_the_pictures(
    tmp_path: Path, saved: Callable[..., bytes], photo: np.ndarray
) -> None:
    for name in ("numpy.py", "cv2.py", "airtool.py", "json.py"):
        (tmp_path / name).write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\nraise SystemExit\n")
    (tmp_path / "a.png").write_bytes(saved(photo, "PNG"))
    code = (
        "import pathlib, sys, airtool.images.worker\n"
        "from airtool.images.reader import open_reader\n"
        "with open_reader(isolate=True) as reader:\n"
        "    print(reader.read(pathlib.Path('a.png')).rgb.shape, 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(40, 60, 3) False"
    assert not (tmp_path / "executed").exists()


def test_without_isolation_it_is_this_process() -> None:
    assert type(open_reader(5)) is Reader
    assert open_reader(5).max_pixels == 5
