"""Resuming: what is finished is known by its bytes, and what is not ours is not touched."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeMethod
from torch import Tensor

from airtool.engine.identity import Identity
from airtool.engine.manifest import Journal
from airtool.engine.pipeline import Pipeline
from airtool.engine.records import Record
from airtool.engine.resume import Settled, judge, settle
from airtool.engine.session import Session
from airtool.engine.settings import Settings
from airtool.engine.tasks import Task
from airtool.errors import UsageError
from airtool.images.discover import discover
from airtool.images.encode import encode
from airtool.images.picture import Metadata, Picture
from airtool.images.plan import plan
from airtool.methods.base import Request

OURS = Identity({"seed": 1, "weights": "a"})


@dataclass
class Place:
    """A folder of five pictures, and runs over it."""

    folder: Path
    out: Path

    def draw(self, index: int, seed: int = 0) -> None:
        rgb = np.random.default_rng((index, seed)).random((40, 48, 3)).astype(np.float32)
        path = self.folder / ("deep" if index % 2 else "") / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(Picture(rgb, None, 8, False, "png", Metadata())))

    def settled(self, identity: Identity = OURS) -> Settled:
        planned = plan(discover([str(self.folder)]), self.out, existing="resume")
        return settle(planned.jobs, list(judge(planned.skipped, planned.folder, identity)))

    def resume(self, identity: Identity = OURS, method: FakeMethod | None = None) -> list[Record]:
        settled = self.settled(identity)
        session, tasks = Session(method or FakeMethod(), Settings(device="cpu")), [Task(job) for job in settled.jobs]
        with Journal(self.out, identity) as journal, Pipeline(session, tasks, journal=journal) as pipeline:
            list(pipeline)
        return [*pipeline.records, *settled.kept]

    def status(self, records: list[Record]) -> dict[str, str]:
        return {Path(record.target).name: record.status for record in records}

    def contents(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.out.rglob("*.png")}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path / "in", tmp_path / "out")
    for index in range(5):
        place.draw(index)
    return place


def test_a_finished_folder_is_kept_whatever_its_times(place: Place) -> None:
    assert set(place.status(place.resume()).values()) == {"restored"}
    before = place.contents()
    for index, path in enumerate([*place.out.rglob("*"), *place.folder.rglob("*")]):
        os.utime(path, (index * 1e9, index * 1e9))
    method = FakeMethod()
    assert set(place.status(place.resume(method=method)).values()) == {"kept"}
    assert method.shapes == []
    assert place.contents() == before
    assert len(os.listdir(place.out / ".airtool")) == 1, "a run that writes nothing lists nothing"


def test_what_is_missing_changed_or_not_ours(place: Place) -> None:
    place.resume()
    before = place.contents()
    (place.out / "0.png").unlink()
    place.draw(1, seed=1)
    (place.out / "2.png").write_bytes(b"edited")
    same_length = bytearray(before["3.png"])
    same_length[-20] ^= 1
    (place.out / "deep" / "3.png").write_bytes(same_length)
    settled = place.settled()
    assert settled.again == 1
    status = place.status(place.resume())
    assert status == {"0.png": "restored", "1.png": "restored", "2.png": "unknown", "3.png": "unknown", "4.png": "kept"}
    after = place.contents()
    assert after["0.png"] == before["0.png"]
    assert after["1.png"] != before["1.png"]
    assert after["2.png"] == b"edited"
    assert after["3.png"] == same_length
    assert after["4.png"] == before["4.png"]
    # The old input is back: what it became is made again, and known.
    place.draw(1)
    assert place.status(place.resume())["1.png"] == "restored"
    assert place.contents()["1.png"] == before["1.png"]


def test_outputs_without_a_manifest_are_kept(place: Place) -> None:
    place.resume()
    before = place.contents()
    for file in (place.out / ".airtool").iterdir():
        file.unlink()
    assert set(place.status(place.resume()).values()) == {"unknown"}
    assert place.contents() == before


def test_another_run_s_outputs_are_neither_taken_nor_replaced(place: Place) -> None:
    place.resume(Identity({"seed": 2, "weights": "a"}))
    before = place.contents()
    with pytest.raises(
        UsageError, match=r"made with other settings \(seed\): .*0.png, .*name another folder"
    ) as caught:
        place.resume()
    assert "\n" not in str(caught.value)
    assert place.contents() == before
    # The same bytes listed by a run of ours are ours, whoever else made them too.
    with Journal(place.out, OURS) as journal:
        session = Session(FakeMethod(), Settings(device="cpu"))
        tasks = [Task(job) for job in plan(discover([str(place.folder)]), place.out, existing="overwrite").jobs]
        with Pipeline(session, tasks, overwrite=True, journal=journal) as pipeline:
            list(pipeline)
    assert place.contents() == before
    assert set(place.status(place.resume()).values()) == {"kept"}
    assert set(place.status(place.resume(Identity({"seed": 2, "weights": "a"}))).values()) == {"kept"}


def test_a_name_that_was_taken_for_a_file_that_never_came(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.resume()
    before = place.contents()
    (place.out / "0.png").write_bytes(b"")
    assert place.settled().again == 0
    assert place.status(place.resume())["0.png"] == "restored"
    assert place.contents() == before
    place.draw(6)
    (place.out / "6.png").write_bytes(b"")
    assert place.status(place.resume())["6.png"] == "unknown", "an empty file that no run was about to write"


def test_an_output_that_somebody_changes_during_the_run_is_kept(place: Place) -> None:
    place.resume()
    place.draw(0, seed=1)

    def hook(pictures: Tensor, request: Request) -> None:
        (place.out / "0.png").write_bytes(b"edited meanwhile")

    records = place.resume(method=FakeMethod(hook=hook))
    assert place.status(records)["0.png"] == "failed"
    assert any("changed by somebody else meanwhile" in (record.message or "") for record in records)
    assert place.contents()["0.png"] == b"edited meanwhile"


def test_two_runs_at_once_agree(place: Place) -> None:
    first: list[Record] = []

    def hook(pictures: Tensor, request: Request) -> None:
        if not first:
            first.extend(place.resume())

    second = place.resume(method=FakeMethod(hook=hook))
    assert set(place.status(first).values()) == {"restored"}
    assert set(place.status(second).values()) == {"kept"}, "the very same files were there already"
    assert set(place.status(place.resume()).values()) == {"kept"}


def test_a_manifest_that_cannot_be_written_fails_the_picture(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    (place.out / ".airtool").mkdir(parents=True)
    (place.out / ".airtool").rmdir()
    (place.out / ".airtool").write_text("in the way")
    records = place.resume()
    assert set(place.status(records).values()) == {"failed"}
    assert all("a link or a file where a folder belongs" in (record.message or "") for record in records)
    assert place.contents() == {}
