"""The loop over folders: no picture knows of another; steps, figures and contact sheets lie beside."""

import errno
import gc
import math
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch.nn.functional as F
from fakes import FakeMethod
from loop_scripts import photograph, said
from torch import Tensor

from airtool.engine.detect import Views
from airtool.engine.iterate import Rules
from airtool.engine.iterate_files import Iterations, StepTask, plan_steps
from airtool.engine.session import Session
from airtool.engine.settings import Settings
from airtool.engine.sheet import ROWS, VIEW, Sheets, Strip, drawn, plan_sheets, view
from airtool.errors import UsageError
from airtool.images.decode import read
from airtool.images.discover import discover
from airtool.images.encode import encode
from airtool.images.picture import Picture
from airtool.images.plan import Job, plan
from airtool.methods.base import Request


class Roughness:
    """A detector that sees noise where neighbours differ."""

    network = SimpleNamespace(side=192)

    def probabilities_of(self, seen: Views) -> dict[str, float]:
        rough = min(0.94, 12 * float(np.abs(np.diff(seen.near, axis=2)).mean()))
        return said(noise=rough, blur=0.05)


def smoothing(pictures: Tensor, request: Request) -> Tensor:
    """A method that takes away two thirds of the noise and adds a little of its own draw."""
    rng = np.random.default_rng(request.seeds[0])
    drawn = Tensor(rng.standard_normal(tuple(pictures.shape)).astype(np.float32))
    smooth = F.avg_pool2d(F.pad(pictures, (2, 2, 2, 2), mode="reflect"), 5, 1)
    return (pictures + 2 * smooth) / 3 + 0.004 * drawn


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five pictures with more and more noise, in two folders; the first has none."""
    for index in range(5):
        rng = np.random.default_rng(index)
        picture = photograph(40 + 8 * index, 64)
        rgb = np.clip(picture.rgb + 0.04 * index * rng.standard_normal(picture.rgb.shape), 0, 1).astype(np.float32)
        path = tmp_path / "in" / ("deep" if index % 2 else "") / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(picture.with_rgb(rgb)))
    return tmp_path / "in"


def jobs_of(folder: Path, out: Path) -> tuple[Job, ...]:
    return plan(discover([str(folder)]), out, existing="overwrite").jobs


def loop_over(tasks: Sequence[StepTask], workers: int = 2, sheets: Sheets | None = None, **how: bool) -> Iterations:
    session = Session(FakeMethod(hook=smoothing), Settings(device="cpu"))
    with Iterations(session, Roughness(), Rules(), tasks, workers=workers, sheets=sheets, **how) as loop:
        assert list(loop) == loop.records
    return loop


def test_a_step_that_finds_the_disk_full_rests_the_network(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("airtool.images.files.os.fsync", full)
    out = tmp_path / "out"
    tasks = plan_steps(jobs_of(folder, out), str(out), str(tmp_path / "steps"), 5, {}, replace=False)
    records = loop_over(tasks[-1:] * 12, workers=1).records
    # Those that were being read meanwhile still went through.
    begun = [record for record in records if "not begun, as the disk is full" not in (record.message or "")]
    assert {record.status for record in records} == {"failed"}
    assert len(begun) < 6


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


def test_a_folder_gives_the_bytes_of_single_runs(folder: Path, tmp_path: Path) -> None:
    def tasks(run: str, source: Path = folder) -> list[StepTask]:
        below = source.parent.relative_to(folder) if source != folder else Path()
        out, keep = tmp_path / run / below, tmp_path / f"{run}-steps" / below
        return plan_steps(jobs_of(source, out), str(out), str(keep), 5, {}, replace=True)

    loop = loop_over(tasks("all"))
    reasons = {Path(name).name: told.iteration.reason for name, told in loop.told.items()}
    assert reasons["0.png"] == "clean"
    assert any(told.iteration.kept > 1 for told in loop.told.values()), "the loop has something to do"
    loop_over(tasks("back")[::-1], workers=5)
    for path in sorted(folder.rglob("*.png")):
        loop_over(tasks("one", path))
    everything = contents(tmp_path / "all")
    assert everything == contents(tmp_path / "back") == contents(tmp_path / "one")
    assert contents(tmp_path / "all-steps") == contents(tmp_path / "back-steps") == contents(tmp_path / "one-steps")
    assert np.array_equal(read(tmp_path / "all" / "0.png").rgb, read(folder / "0.png").rgb)


def test_steps_lie_beside_and_old_ones_go(folder: Path, tmp_path: Path) -> None:
    out, steps = tmp_path / "out", tmp_path / "steps"
    stale = steps / "4.png.step-5.png"
    stale.parent.mkdir()
    stale.write_bytes(b"of a longer run")
    with pytest.raises(UsageError, match=r"already there: .*4.png.step-5.png"):
        plan_steps(jobs_of(folder, out), str(out), str(steps), 5, {}, replace=False)
    with pytest.raises(UsageError, match=r"--keep-steps .* lies inside the input folder"):
        plan_steps(jobs_of(folder, out), str(out), str(folder / "steps"), 5, {}, replace=False)
    loop = loop_over(plan_steps(jobs_of(folder, out), str(out), str(steps), 5, {}, replace=True), overwrite=True)
    told = loop.told[str(out / "4.png")]
    assert 1 <= len(told.files) == len(told.iteration.steps) < 5
    assert sorted(contents(steps)) == sorted(str(f.relative_to(steps)) for t in loop.told.values() for f in t.files)
    assert not stale.exists()
    kept = told.files[told.iteration.kept - 1]
    assert kept.read_bytes() == (out / "4.png").read_bytes()


def test_figures_and_a_ground_truth_of_another_size(folder: Path, tmp_path: Path) -> None:
    jobs = jobs_of(folder, tmp_path / "out")
    truths = {}
    for job in jobs:
        assert job.source.path is not None
        size = read(job.source.path).rgb.shape[:2]
        truth = tmp_path / "gt" / job.source.relative.name
        truth.parent.mkdir(exist_ok=True)
        truth.write_bytes(encode(photograph(size[0] + (job.source.relative.name == "2.png"), size[1])))
        truths[job] = truth
    loop = loop_over(plan_steps(jobs, str(tmp_path / "out"), None, 5, truths, replace=False))
    failed = [record for record in loop.records if record.status == "failed"]
    assert [Path(record.source).name for record in failed] == ["2.png"]
    assert "its ground truth" in (failed[0].message or "")
    told = loop.told[str(tmp_path / "out" / "4.png")]
    assert len(told.scores) == 1 + len(told.iteration.steps)
    assert told.scores[1].psnr > told.scores[0].psnr
    assert loop.told[str(tmp_path / "out" / "0.png")].scores[0].psnr == math.inf


def test_contact_sheets(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airtool.engine.sheet.ROWS", 2)
    (folder / "1.png").write_bytes(b"no picture")
    jobs = jobs_of(folder, tmp_path / "out")
    files = plan_sheets(str(tmp_path / "sheet.png"), jobs, [], replace=False)
    assert [file.name for file in files] == ["sheet.png", "sheet-2.png", "sheet-3.png"]
    sheets = Sheets(files)
    loop = loop_over(plan_steps(jobs, str(tmp_path / "out"), None, 5, {}, replace=False), sheets=sheets)
    sheets.finish()
    assert len([record for record in loop.records if record.status == "restored"]) == 5
    assert sheets.written == files
    assert sheets.problems == []
    columns = max(3, *(1 + len(told.iteration.steps) for told in loop.told.values()))
    assert read(files[0]).rgb.shape[1] in {10 + count * (VIEW + 10) for count in range(3, columns + 1)}
    blocked = Sheets([tmp_path / "out"])
    blocked.add(Strip("a", (view(photograph().rgb, "input"),)))
    blocked.finish()
    assert len(blocked.problems) == 1


def test_a_sheet_shows_every_step_and_its_captions() -> None:
    rgb = np.zeros((400, 300, 3), np.float32)
    rgb[..., 0] = 1.0
    small = view(rgb, "input", "looks rain 0.61")
    assert small.pixels.shape == (VIEW, 150, 3)
    page = drawn([Strip("tür/ü\n.png", (small, view(1 - rgb, "1: rain" * 50, "clean"))), Strip("b", (small,))])
    row = page.shape[0] // 2
    assert page.shape[1] == 10 + 3 * (VIEW + 10)
    top = 10 + 17 + 10
    assert np.array_equal(page[top + 5, 15], [1, 0, 0])
    assert np.array_equal(page[top + 5, 10 + VIEW + 10 + 5], [0, 1, 1])
    assert np.array_equal(page[row + top + 5, 15], [1, 0, 0])
    captions = page[top + VIEW : row - 10]
    assert captions[:, : 10 + VIEW].min() < 0.5, "there is text"
    assert captions[:, 10 + 2 * (VIEW + 10) - 10 :].min() == 1.0, "long text does not run into its neighbour"


def test_sheets_that_cannot_be(folder: Path, tmp_path: Path) -> None:
    jobs = jobs_of(folder, tmp_path / "out")
    (tmp_path / "there.png").write_text("")
    for target, words in (
        ("sheet.txt", "no name of a picture"),
        ("none/sheet.png", "does not exist"),
        ("in/sheet.png", "inside the input folder"),
        ("there.png", "already there"),
        ("out.png", "also an input or output"),
        ("OUT.png", "also an input or output"),
    ):
        with pytest.raises(UsageError, match=words):
            plan_sheets(str(tmp_path / target), jobs, [tmp_path / "out.png"], replace=False)
    assert plan_sheets(str(tmp_path / "there.png"), jobs, [], replace=True) == [tmp_path / "there.png"]
    many = list(jobs) * ROWS
    assert len(plan_sheets(str(tmp_path / "s.png"), many, [], replace=False)) == len(jobs)


def test_what_there_is_to_tell_holds_no_pictures(folder: Path, tmp_path: Path) -> None:
    def alive() -> int:
        gc.collect()
        return sum(type(each) is Picture for each in gc.get_objects())

    before = alive()
    loop = loop_over(plan_steps(jobs_of(folder, tmp_path / "out"), str(tmp_path / "out"), None, 5, {}, replace=False))
    assert len(loop.told) == 5
    assert alive() == before
