"""Places by URL: names, listing, and what a store is left with when something goes wrong on the way."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

import fsspec
import pytest
from bucket import Bucket, mounted
from fsspec.registry import known_implementations

from airtool.errors import AirtoolError, PictureError, UsageError
from airtool.images import stores
from airtool.images.discover import discover, search
from airtool.images.files import TakenError, write_atomic
from airtool.images.plan import plan
from airtool.images.reader import Reader
from airtool.images.remote import Remote, place, without_root
from airtool.images.stores import find, lies_in, read, taken, write


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[Bucket]:
    with mounted(tmp_path / "buckets") as found:
        yield found


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that were waited for, without waiting."""
    waited: list[float] = []
    monkeypatch.setattr(stores.time, "sleep", waited.append)
    return waited


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    found = fsspec.filesystem("memory")
    found.store.clear()
    found.pseudo_dirs[:] = [""]
    yield found
    found.store.clear()
    found.pseudo_dirs[:] = [""]


def put(bucket: Bucket, *paths: str) -> None:
    for path in paths:
        bucket.pipe_file(path, path.encode())
    bucket.asked.clear()


def names(inputs: list[str]) -> list[str]:
    return [source.relative.as_posix() for source in discover(inputs)]


def test_what_is_typed() -> None:
    for text in ("in", "/a/b.png", "c:/x", "c://x", "a::b", "s3:/in", "./s3://", "C:\\x"):
        assert place(text) == Path(text)
    assert place("file:///a b/%20") == place("local:///a b/%20") == Path("/a b/%20")
    assert place("FILE://in") == Path("in")
    for text, path in (
        ("/C:/a b/%20", r"C:\a b\%20"),
        ("C:/a", r"C:\a"),
        ("/in/c", r"\in\c"),
        ("//host/in/c", r"\\host\in\c"),
    ):
        assert str(PureWindowsPath(without_root(text, PureWindowsPath))) == path
    assert place("file:///C:/a") == Path("/C:/a"), "a name like any other where there are no drives"
    for text in ("s3://in/deep", "memory://", "gs://in", "sftp://host/x"):
        assert str(place(text)) == str(place(f"{text}/")) == text
    for text in ("simplecache::s3://in", "zip://a.png::s3://in/a.zip"):
        with pytest.raises(UsageError, match="joined by '::' are not understood"):
            place(text)
    below = place("s3://in") / "tür" / "a.png"
    assert (str(below), below.name) == ("s3://in/tür/a.png", "a.png")
    assert isinstance(below, Remote)
    assert below.relative_to(Remote("s3://in")) == PurePosixPath("tür/a.png")
    assert str(place("sftp://me:secret@host/x")) == "sftp://***@host/x"
    assert str(place("https://host/a.png?X-Signature=secret")) == "https://host/a.png"


def test_a_folder_s_tree_is_mirrored_by_listing_alone(bucket: Bucket) -> None:
    put(bucket, *(f"in/many/{index}.png" for index in range(45)), "in/many/", "in/manyother/a.png")
    put(bucket, "in/many/deep/b.JPG", "in/many/notes.txt", "in/many/.airtool/c.png", "in/many/.hidden.png")
    put(bucket, "in/many/../../d.png", "in/many/x/../e.png", "in/many//abs/f.png", "in/many/deep/g.heic")
    found = search(["s3://in/many/"])
    sources = found.sources
    assert found.passed_over == {".heic": 1}
    expected = [*(f"{index}.png" for index in range(45)), "abs/f.png", "deep/b.JPG"]
    assert [source.relative.as_posix() for source in sources] == expected
    assert bucket.count("list") == 6
    assert len(bucket.asked) == 6, "no call for each object"
    assert {source.root for source in sources} == {Remote("s3://in/many")}
    strange = sources[45].path
    assert isinstance(strange, Remote)
    assert strange.size == len("in/many//abs/f.png")
    assert Reader().load(strange) == b"in/many//abs/f.png", "read by the name that it has in the store"
    assert names(["s3://in/many"]) == expected
    assert names(["s3://in/many/7.png", "s3://in/many/"])[:2] == ["7.png", "0.png"]
    assert len(names(["s3://in/many", "s3://in/many/"])) == 47


def test_patterns(bucket: Bucket) -> None:
    put(bucket, "in/a1.png", "in/a2.png", "in/b.png", "in/deep/a3.png", "in/deep/er/a4.jpg", "in/a[1].png")
    assert names(["s3://in/a?.png"]) == ["a1.png", "a2.png"]
    assert names(["s3://in/*/*.png"]) == ["deep/a3.png"]
    assert names(["s3://in/**/a*.*"]) == ["a1.png", "a2.png", "a[1].png", "deep/a3.png", "deep/er/a4.jpg"]
    assert names(["s3://in/a[1].png"]) == ["a[1].png"], "what is there by that name is no pattern"
    with pytest.raises(UsageError, match=r"s3://in/x\*.png does not exist and, as a pattern, matches no picture"):
        discover(["s3://in/x*.png"])


def test_what_is_not_there_or_cannot_be_reached(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    put(bucket, "in/notes/a.txt")
    for url, error, words in (
        ("s3://in/a.png", UsageError, "s3://in/a.png does not exist"),
        ("s3://in/notes", UsageError, "s3://in/notes holds no pictures"),
        ("s3://nobucket/", AirtoolError, "s3://nobucket: there is no such bucket"),
        ("nostore://in", UsageError, "fsspec knows no nostore://"),
    ):
        with pytest.raises(error, match=words):
            discover([url])
    entry = {"class": "nostorefs.core.Store", "err": "Install nostorefs to access no store"}
    monkeypatch.setitem(known_implementations, "nostore", entry)
    with pytest.raises(AirtoolError, match="nostore://in: Install nostorefs to access no store"):
        discover(["nostore://in"])
    assert pauses == []

    def down(what: str, path: str, times: int) -> None:
        raise OSError(5, f"Could not connect to https://me:secret@host/in?key=secret\n{path}")

    Bucket.before = down
    with pytest.raises(AirtoolError, match=r"^cannot list s3://in: .*host/in \(tried 4 times\)$") as caught:
        discover(["s3://in/"])
    assert "secret" not in str(caught.value)
    assert pauses == [0.5, 1.0, 2.0]
    stores._connect.cache_clear()
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(AirtoolError, match=r"URLs need fsspec: .*constraints.txt '.\[remote\]'"):
        discover(["s3://in/"])


def test_a_server_that_does_not_answer_is_one_line_for_outputs_too(tmp_path: Path, pauses: list[float]) -> None:
    (tmp_path / "a.png").write_bytes(b"never read")
    # This kind connects as soon as it is named, before anything is looked for.
    with pytest.raises(AirtoolError, match=r"^cannot reach ftp://127.0.0.1:1/out/a.png: .*refused \(tried 4 times\)$"):
        plan(discover([str(tmp_path / "a.png")]), "ftp://127.0.0.1:1/out")
    assert pauses == [0.5, 1.0, 2.0]


def test_local_paths_need_no_fsspec(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"")
    code = f"""
import sys
from airtool.cli.app import main
assert main(["--help"]) == 0
assert main(["restore", {str(tmp_path / "in")!r}, "file://{tmp_path / "out"}", "--dry-run"]) == 0
assert not [name for name in sys.modules if name.startswith("fsspec")]
"""
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_a_plan_over_a_store(bucket: Bucket, tmp_path: Path) -> None:
    put(bucket, *(f"in/{index}.png" for index in range(25)), "out/mirror/3.png", "out/mirror/3.png.txt")
    sources = discover(["s3://in/"])
    bucket.asked.clear()
    with pytest.raises(UsageError, match=r"already there: s3://out/mirror/3.png; pass --overwrite"):
        plan(sources, "s3://out/mirror")
    assert [what for what, _ in bucket.asked] == ["list"], "one listing, no call for each output"
    planned = plan(sources, "s3://out/mirror", existing="resume")
    (kept,) = planned.skipped
    assert (len(planned.jobs), kept.target) == (24, Remote("s3://out/mirror", "3.png"))
    assert isinstance(kept.target, Remote)
    assert kept.target.size == len("out/mirror/3.png")
    assert str(plan(sources[:1], "s3://out/one.jpg").jobs[0].target) == "s3://out/one.jpg"
    assert plan(sources[:1], "s3://out/mirror").folder == Remote("s3://out/mirror")
    assert plan(sources, tmp_path / "out").jobs[-1].target == tmp_path / "out" / "24.png"
    for out in ("s3://in", "s3://in/", "s3://in/below"):
        with pytest.raises(UsageError, match="lies inside the input folder s3://in"):
            plan(sources, out)
    with pytest.raises(UsageError, match=r"output s3://in/0\.png is one of the inputs"):
        plan(discover(["s3://in/0.png"]), "s3://in/", existing="overwrite")
    with pytest.raises(AirtoolError, match="s3://nobucket/x: there is no such bucket"):
        plan(sources, "s3://nobucket/x")
    with pytest.raises(UsageError, match="http:// is only read"):
        plan(sources, "http://host/out")


def test_an_object_is_created_once_and_replaced_only_when_asked(bucket: Bucket, pauses: list[float]) -> None:
    target = Remote("s3://out", "a.png")
    write_atomic(target, b"first", overwrite=False)
    with pytest.raises(TakenError, match=r"s3://out/a\.png already exists"):
        write_atomic(target, b"second", overwrite=False)
    assert read(target) == b"first"
    write_atomic(target, b"second", overwrite=True)
    assert read(target) == b"second"
    assert taken([target, Remote("s3://out", "b.png")]) == {target: target}
    with pytest.raises(PictureError, match=r"cannot write s3://nobucket/a\.png: there is no such bucket"):
        write_atomic(Remote("s3://nobucket", "a.png"), b"x", overwrite=False)
    assert pauses == []


def test_a_store_that_cannot_create_exclusively_is_looked_at_first(bucket: Bucket) -> None:
    class Plain(Bucket):
        protocol = "oss"

        def pipe_file(self, path: str, value: bytes) -> None:  # type: ignore[override]
            super().pipe_file(path, value)

    fsspec.register_implementation("oss", Plain, clobber=True)
    target = Remote("oss://out", "a.png")
    assert write(target, b"first", overwrite=False)
    assert not write(target, b"second", overwrite=False)
    assert read(Remote("s3://out", "a.png")) == b"first"
    assert write(target, b"second", overwrite=True)
    assert read(target) == b"second"


def test_what_may_pass_is_tried_again(bucket: Bucket, pauses: list[float]) -> None:
    target = Remote("s3://out", "a.png")

    def twice(what: str, path: str, times: int) -> None:
        if times < 2:
            raise ConnectionResetError(104, "Connection reset by peer")

    Bucket.before = twice
    write_atomic(target, b"data", overwrite=False)
    assert read(target) == b"data"
    assert pauses == [0.5, 1.0, 0.5, 1.0]

    def lost(what: str, path: str, times: int) -> None:
        if times == 0:
            raise TimeoutError("the answer got lost")

    bucket.asked.clear()
    Bucket.before, Bucket.after = None, lost
    write_atomic(Remote("s3://out", "b.png"), b"data", overwrite=False)
    assert bucket.count("put") == 2, "the second attempt found the object of the first"
    Bucket.after = None
    with pytest.raises(TakenError):
        write_atomic(Remote("s3://out", "b.png"), b"data", overwrite=False)


def test_what_does_not_pass_fails_in_one_line_and_leaves_nothing(bucket: Bucket, pauses: list[float]) -> None:
    target = Remote("s3://out", "a.png")
    for error, words, waits in (
        (PermissionError("Access Denied"), "permission denied: check your credentials", 0),
        (OSError(5, "Please reduce your request rate\nand more"), r"request rate \(tried 4 times\)", 3),
        (UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates"), "bytes outside UTF-8: rename the file", 0),
        (type("NoCredentialsError", (Exception,), {})("Unable to locate"), "no credentials: Unable to locate", 0),
    ):
        pauses.clear()

        def refuse(what: str, path: str, times: int, error: Exception = error) -> None:
            raise error

        Bucket.before = refuse
        with pytest.raises(PictureError, match=f"^cannot write s3://out/a.png: .*{words}") as caught:
            write_atomic(target, b"data", overwrite=True)
        with pytest.raises(PictureError, match=f"^cannot read s3://out/a.png: .*{words}"):
            Reader().load(target)
        assert "\n" not in str(caught.value)
        assert len(pauses) == 2 * waits
    Bucket.before = None
    assert find(Remote("s3://out")) == []
    with pytest.raises(PictureError, match=r"cannot read s3://out/a\.png: it is not there"):
        Reader().load(target)


def test_too_large_an_object_is_not_fetched(bucket: Bucket) -> None:
    put(bucket, "in/a.png")
    (listed,) = find(Remote("s3://in"))
    assert read(listed, 5) is None
    assert bucket.count("get") == 0
    assert read(listed, 8) == b"in/a.png"


def test_a_store_that_renames_shows_only_whole_files(
    memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    target = place("memory://out") / "deep[1]" / "a.png"
    assert isinstance(target, Remote)
    pipe = type(memory).pipe_file
    seen: list[str] = []

    def slowly(self: fsspec.AbstractFileSystem, path: str, value: bytes, **more: str) -> None:
        pipe(self, path, value[:2], **more)
        seen.extend(self.find("/out"))
        pipe(self, path, value, **more)

    monkeypatch.setattr(type(memory), "pipe_file", slowly)
    assert write(target, b"data", overwrite=False)
    assert len(seen) == 1
    assert PurePosixPath(seen[0]).name.startswith(".airtool-")
    assert memory.find("/out") == ["/out/deep[1]/a.png"]
    assert memory.cat_file("/out/deep[1]/a.png") == b"data"
    assert not write(target, b"other", overwrite=False)
    assert memory.find("/out") == ["/out/deep[1]/a.png"], "nothing is left beside it"
    assert write(target, b"other", overwrite=True)
    assert read(target) == b"other"

    def fails(self: fsspec.AbstractFileSystem, path: str, value: bytes, **more: str) -> None:
        pipe(self, path, value[:2], **more)
        raise ConnectionError("gone")

    monkeypatch.setattr(type(memory), "pipe_file", fails)
    with pytest.raises(PictureError, match=r"cannot write memory://out/deep\[1\]/a.png: gone \(tried 4 times\)"):
        write_atomic(target, b"third", overwrite=True)
    assert memory.find("/out") == ["/out/deep[1]/a.png"]
    assert read(target) == b"other"


def test_one_place_by_two_names(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    assert lies_in(place("memory:///in/a"), place("memory://in"))
    assert not lies_in(place("memory://inn"), place("memory://in"))
    assert not lies_in(place("memory://in"), tmp_path)
    memory.pipe_file("/in/a.png", b"x")
    assert names(["memory://in", "memory:///in/"]) == ["a.png"]
    with pytest.raises(UsageError, match="lies inside the input folder"):
        plan(discover(["memory://in"]), "memory:///in/out")
