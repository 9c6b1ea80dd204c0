"""The manifest in a store: a line is there before its picture, whatever other threads add and whatever fails."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from bucket import Bucket, mounted

from airtool.engine import pages
from airtool.engine.identity import Identity
from airtool.engine.manifest import Entry, Journal, check_place, digest_of, read_manifest
from airtool.errors import AirtoolError, PictureError
from airtool.images import stores
from airtool.images.remote import Remote
from airtool.images.stores import find, read

OURS = Identity({"seed": 1})
OUT = Remote("s3://out/x")


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setattr(stores, "PAUSES", ())
    monkeypatch.setattr(pages, "LINES", 10)
    with mounted(tmp_path / "buckets") as found:
        yield found


def names(count: int) -> list[str]:
    return [f"tür/{index}.png" for index in range(count)]


def add(journal: Journal, name: str) -> None:
    journal.add(OUT / name, "of the output", 7, "of the input")


def listed() -> set[str]:
    return set(read_manifest(OUT, names(100)).entries)


def test_every_line_is_in_the_store_when_the_call_returns(bucket: Bucket) -> None:
    check_place(OUT)
    assert read_manifest(OUT, names(1)).entries == {}
    with Journal(OUT, OURS) as journal:
        assert len(find(OUT)) == 1, "whether it may be written is known before the work"
        for index, name in enumerate(names(25)):
            add(journal, name)
            assert listed() == set(names(index + 1))
    files = sorted(find(OUT), key=str)
    assert len(files) == 3
    for file in files:
        head, *lines = (json.loads(line) for line in (read(file) or b"").splitlines())
        assert head == {"settings": {"seed": 1}, "key": OURS.key}
        assert len(lines) <= 10
    found = read_manifest(OUT, names(1))
    assert found.entries == {"tür/0.png": {Entry(OURS.key, "of the input", "of the output", 7)}}
    assert found.facts == {OURS.key: {"seed": 1}}


def test_lines_of_many_threads_go_together(bucket: Bucket) -> None:
    first, waiting = threading.Event(), threading.Event()

    def slow(what: str, path: str, times: int) -> None:
        if what == "put" and not first.is_set():
            first.set()
            waiting.wait(60)

    with Journal(OUT, OURS) as journal:
        Bucket.before = slow
        bucket.asked.clear()
        threads = [threading.Thread(target=add, args=(journal, name)) for name in names(8)]
        threads[0].start()
        assert first.wait(60)
        for thread in threads[1:]:
            thread.start()
        assert journal._pages is not None
        while journal._pages._added < len(threads):
            threading.Event().wait(0.01)
        waiting.set()
        for thread in threads:
            thread.join()
        assert bucket.count("put") == 2, "seven lines that waited for the first went at once"
    Bucket.before = None
    assert listed() == set(names(8))


def test_a_store_that_fails_costs_its_pictures_only(bucket: Bucket) -> None:
    def down(what: str, path: str, times: int) -> None:
        raise ConnectionError("gone")

    Bucket.before = down
    with pytest.raises(PictureError, match=r"cannot write s3://out/x/\.airtool/.*: gone"), Journal(OUT, OURS):
        pass
    Bucket.before = None
    with Journal(OUT, OURS) as journal:
        add(journal, names(2)[0])
        Bucket.before = down
        with pytest.raises(PictureError, match="gone"):
            add(journal, "lost.png")
        assert digest_of(OUT / "a.png") is None
        with pytest.raises(AirtoolError, match=r"cannot list s3://out/x/\.airtool: gone"):
            listed()
        Bucket.before = None
        add(journal, names(2)[1])
    assert listed() == set(names(2))
