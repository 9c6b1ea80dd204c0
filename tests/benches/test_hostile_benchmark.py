"""A few hundred cases of benchmarks/hostile_files.py, and that it would notice what it looks for."""

import random
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scripts import load_script

from airtool.images.decode import decode


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("hostile_files")


def test_the_corpus_has_every_kind(script: ModuleType) -> None:
    files = script.corpus()
    assert len(files) >= 80
    wanted = """
        jpeg/cmyk jpeg/ycck jpeg/progressive jpeg/arithmetic jpeg/restart png/interlaced png/palette png/rgba-16
        tiff/tiled tiff/float tiff/pages tiff/big tiff/rgb-jpeg webp/animated avif/12-bit gif/animated jp2/codestream
    """
    assert set(wanted.split()) <= set(files)
    refused = set()
    for name, data in files.items():
        outcome, _ = script.tried(data)
        assert outcome in ("decoded", "refused")
        if outcome == "refused":
            refused.add(name)
        for mutation in script.MUTATIONS:
            assert any(script.damaged(data, mutation, random.Random(seed)) != data for seed in range(5))
    assert {name.partition("/")[2] for name in refused} == {"animated", "still", "pages", "float"}
    assert decode(files["jpeg/arithmetic"], "x").rgb.shape == decode(files["png/interlaced"], "x").rgb.shape


def test_hundreds_of_damaged_files(script: ModuleType) -> None:
    files = script.all_files(None)
    found: Counter[str] = Counter()
    for case, name, mutation, data in script.cases(files, 7, 0, 500):
        outcome, message = script.tried(data, files[name] if mutation == "truncation" else None)
        assert outcome in ("decoded", "refused"), (case, name, mutation, message)
        found[outcome] += 1
    assert min(found["decoded"], found["refused"]) > 50
    again = list(script.cases(files, 7, 100, 103))
    assert [data for *_, data in again] == [data for *_, data in script.cases(files, 7, 0, 103)][100:]


def test_cases_in_a_process_of_their_own(script: ModuleType) -> None:
    results = list(script.campaign(7, 10, 60, None, batch=30))
    assert [result.case for result in results] == list(range(10, 60))
    assert {result.outcome for result in results} == {"decoded", "refused"}
    assert all(0 <= result.memory < script.MEMORY and 0 < result.seconds < script.SECONDS for result in results)


@pytest.mark.parametrize(("ending", "outcome"), [("kill -SEGV $$", "crash"), ("sleep 60", "hang")])
def test_what_kills_a_process_is_counted(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, outcome: str
) -> None:
    worker = tmp_path / "worker"
    worker.write_text(f"#!/bin/sh\necho $3\n{'exec ' if outcome == 'hang' else ''}{ending}\n")
    worker.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(worker))
    monkeypatch.setattr(script, "SILENCE", 0.3 if outcome == "hang" else 60)
    assert [result.outcome for result in script.campaign(0, 0, 2, None)] == [outcome] * 2


def test_what_is_no_refusal_is_a_fault(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    from airtool.errors import PictureError

    pictures = [decode(script.corpus()["png/rgb"], "x") for _ in range(2)]
    other = pictures[1].with_rgb(pictures[1].rgb + np.float32(0.1))
    for answers, expected in (
        ([PictureError("case.bin is bad: remove it")], "refused"),
        ([PictureError("bad")], "fault"),
        ([PictureError("case.bin is\nbad: remove it")], "fault"),
        ([PictureError("case.bin does not fit into memory: scale it down")], "memory"),
        ([ZeroDivisionError()], "fault"),
        ([MemoryError()], "memory"),
        ([pictures[0], pictures[0]], "decoded"),
        ([pictures[0], other], "fault"),
        ([pictures[0], pictures[0], other], "fault"),
    ):
        waiting = list(answers)

        def answer(*_: object) -> object:
            first = waiting.pop(0)  # noqa: B023
            if isinstance(first, Exception):
                raise first
            return first

        monkeypatch.setattr(script, "decode", answer)
        assert script.tried(b"", b"whole" if len(answers) == 3 else None)[0] == expected
