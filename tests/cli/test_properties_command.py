"""`airtool restore` gives the same bytes by every way to it: folder, file, pipe, Python; hypothesis draws the files."""

import io
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import pytest
from drawn import Drawn, amounts, drawn, formats
from hypothesis import given
from hypothesis import settings as Amount
from hypothesis import strategies as st

from airtool.cli.app import main
from airtool.engine.session import open_session
from airtool.images.decode import decode
from airtool.images.encode import encode
from airtool.images.formats import FORMATS


def by_command(*args: object) -> None:
    assert main([str(arg) for arg in ("restore", *args, "--quiet")]) == 0


def by_pipe(data: bytes, *args: object) -> bytes:
    """The same through standard input and output of this process."""
    source, target = io.TextIOWrapper(io.BytesIO(data)), io.TextIOWrapper(io.BytesIO())
    with patch.object(sys, "stdin", source), patch.object(sys, "stdout", target):
        by_command("-", "-", *args)
    return target.buffer.getvalue()


@amounts(12, 300)
def test_every_way_gives_the_same_bytes(weights: str, amount: Amount) -> None:
    @amount
    @given(
        drawn(),
        st.none() | st.sampled_from(formats()),
        st.none() | st.integers(32, 100),
        st.integers(0, 2**40),
        st.integers(1, 100),
        st.integers(1, 4),
    )
    def holds(photo: Drawn, format: str | None, tile: int | None, seed: int, quality: int, workers: int) -> None:
        data, target = photo.file(), FORMATS[format or photo.format]
        common = ["--weights", weights, "--device", "cpu", "--tile", tile or "auto", "--seed", seed]
        common += ["--quality", quality] if target.lossy else []
        common += ["--format", format] if format else []
        session = open_session(weights=weights, device="cpu", tile=tile, seed=seed)
        made = encode(session.restore_picture(decode(data, "x")), format, quality if target.lossy else None)
        with TemporaryDirectory() as place:
            folder, suffix = Path(place), target.suffixes[0]
            one = folder / "in" / f"one{FORMATS[photo.format].suffixes[0]}"
            one.parent.mkdir()
            one.write_bytes(data)
            by_command(one.parent, folder / "by folder", "--workers", workers, *common)
            assert (folder / "by folder" / f"one{suffix}").read_bytes() == made
            by_command(one, folder / f"by file{suffix}", *common)
            assert (folder / f"by file{suffix}").read_bytes() == made
            by_command(str(one.parent / "o*"), folder / "by pattern", *common)
            assert (folder / "by pattern" / f"one{suffix}").read_bytes() == made
            assert one.read_bytes() == data
        assert by_pipe(data, *common) == made

    holds()


@amounts(6, 150)
def test_a_folder_gives_what_its_pictures_give_alone(weights: str, amount: Amount) -> None:
    """Whatever else it holds, how it is divided, and where a run before was cut off."""

    @amount
    @given(st.lists(drawn(most=40), min_size=2, max_size=4), st.data())
    def holds(photos: list[Drawn], data: st.DataObject) -> None:
        common = ["--weights", weights, "--device", "cpu"]
        with TemporaryDirectory() as place:
            folder = Path(place)
            for index, photo in enumerate(photos):
                name = f"{index % 2}/{index}{FORMATS[photo.format].suffixes[0]}"
                (folder / "in" / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / "in" / name).write_bytes(photo.file())
            alone = {}
            for path in sorted((folder / "in").rglob("*.*")):
                by_command(path, folder / "alone" / path.name, *common)
                alone[str(path.relative_to(folder / "in"))] = (folder / "alone" / path.name).read_bytes()

            def contents(name: str) -> dict[str, bytes]:
                files = [path for path in (folder / name).rglob("*.*") if path.parent.name in "01"]
                return {str(path.relative_to(folder / name)): path.read_bytes() for path in files}

            by_command(folder / "in", folder / "whole", "--workers", data.draw(st.integers(1, 4)), *common)
            assert contents("whole") == alone
            for part in data.draw(st.permutations(["1/2", "2/2"])):
                # A part may be left without any picture.
                by_command(folder / "in", folder / "parts", "--shard", part, *common)
            assert contents("parts") == alone
            for name in data.draw(st.sets(st.sampled_from(sorted(alone)))):
                (folder / "whole" / name).unlink()
            by_command(folder / "in", folder / "whole", "--resume", *common)
            assert contents("whole") == alone

    holds()


@pytest.mark.parametrize("format", ["png", "avif"])
def test_a_real_pipe_gives_what_a_file_gives(weights: str, tmp_path: Path, format: str) -> None:
    if format not in formats():
        pytest.skip(f"the installed OpenCV cannot write {format.upper()}")
    photo = Drawn("coffee.png", (40, 90), (51, 37), format, transparency="soft", orientation=6, profile=True)
    one = tmp_path / f"one.{format}"
    one.write_bytes(photo.file())
    by_command(one, tmp_path / f"made.{format}", "--weights", weights)
    command = [sys.executable, "-m", "airtool", "restore", "-", "-", "--weights", weights]
    done = subprocess.run(command, input=one.read_bytes(), capture_output=True, check=True)
    assert done.stdout == (tmp_path / f"made.{format}").read_bytes()
