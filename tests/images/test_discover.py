"""Discovery: every picture that is meant, once, in an order that people expect."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airtool.errors import UsageError
from airtool.images.discover import discover, natural_key, search


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def relatives(*inputs):
    return [source.relative.as_posix() for source in discover([str(text) for text in inputs])]


def test_a_tree(tmp_path):
    make(
        tmp_path, "img10.png", "img2.PNG", "b/1.jpeg", "b/c/2.tif", "notes.txt", ".hidden.png", ".git/x.png", "gif.gif"
    )
    make(tmp_path, "-dash.webp", "new\nline.jpg", "ü 照.avif", "b.png/inside.bmp")
    found = relatives(tmp_path)
    assert found[:4] == ["-dash.webp", "img2.PNG", "img10.png", "new\nline.jpg"]
    assert sorted(found[4:]) == ["b.png/inside.bmp", "b/1.jpeg", "b/c/2.tif", "ü 照.avif"]
    source = discover([str(tmp_path)])[1]
    assert (source.path, source.root) == (tmp_path / "img2.PNG", tmp_path)


def test_pictures_of_formats_that_are_not_read_are_counted(tmp_path):
    make(tmp_path, "in/a.png", "in/b.gif", "in/sub/c.HEIC", "in/sub/d.heic", "in/.hidden.gif", "in/notes.txt", "e.nef")
    make(tmp_path, "in/dir.gif/f.jpg")
    os.mkfifo(tmp_path / "in" / "pipe.gif")
    found = search([str(tmp_path / "in"), str(tmp_path / "in" / "*")])
    assert [source.relative.name for source in found.sources] == ["a.png", "f.jpg"]
    assert found.passed_over == {".gif": 1, ".heic": 2}
    assert search([str(tmp_path / "in" / "**" / "*.png")]).passed_over == {}
    assert search([str(tmp_path / "in" / "**" / "?.*")]).passed_over == {".gif": 1, ".heic": 2}
    # Whoever names a file means it: reading it says what it is.
    assert search([str(tmp_path / "e.nef")]).passed_over == {}
    assert relatives(tmp_path / "e.nef") == ["e.nef"]
    with pytest.raises(
        UsageError, match=r"\*\.heic matches only pictures that airtool does not read \(\.heic\): convert"
    ):
        search([str(tmp_path / "in" / "**" / "*.heic")])
    with pytest.raises(UsageError, match=r"no pictures \(.jpg .*\), only some that airtool does not read \(.heic\)"):
        search([str(tmp_path / "in" / "sub")])


def test_natural_order():
    names = ["b", "a10", "a2", "²", "A1", "a1", "a01", "10", "9", "1b", "a"]
    assert sorted(names, key=natural_key) == ["1b", "9", "10", "a", "A1", "a01", "a1", "a2", "a10", "b", "²"]


def test_files_are_taken_whatever_they_are_called(tmp_path):
    make(tmp_path, "scan", "x.png", "[1].png", ".hidden.png")
    names = ["scan", "[1].png", ".hidden.png"]
    assert relatives(*(tmp_path / name for name in names)) == names
    assert discover([str(tmp_path / "x.png")])[0].root is None


def test_each_picture_once(tmp_path):
    make(tmp_path, "in/a.png", "in/b/c.png")
    assert relatives(tmp_path / "in", tmp_path / "in" / "a.png", tmp_path / "in") == ["a.png", "b/c.png"]
    # A folder inside another one, in whatever order, as a shell expands in/** and through a link.
    (tmp_path / "linked").symlink_to(tmp_path / "in" / "b")
    folder, inner, picture = tmp_path / "in", tmp_path / "in" / "b", tmp_path / "in" / "b" / "c.png"
    assert relatives(folder, inner) == relatives(folder, tmp_path / "linked") == ["a.png", "b/c.png"]
    assert relatives(folder, folder / "a.png", inner, picture) == ["a.png", "b/c.png"]
    assert relatives(picture, inner, folder) == ["b/c.png", "a.png"]
    assert relatives(folder / "a.png", inner) == ["a.png", "c.png"]
    # What a folder was searched for stays out of bounds for outputs, also where a file was named before.
    assert {source.root for source in discover([str(folder / "a.png"), str(inner), str(folder)])} == {folder}
    # Links that lie beside pictures are pictures of their own.
    (folder / "z.png").symlink_to(folder / "a.png")
    assert relatives(folder, folder / "z.png") == ["a.png", "z.png", "b/c.png"]


def test_patterns(tmp_path, monkeypatch):
    make(tmp_path, "in/a10.png", "in/a9.png", "in/b.jpg", "in/notes.txt", "in/sub/c.png", "in/sub/deep/d.png")
    assert relatives(tmp_path / "in" / "*.png") == ["a9.png", "a10.png"]
    assert relatives(tmp_path / "in" / "*") == ["a9.png", "a10.png", "b.jpg"]
    assert relatives(tmp_path / "in" / "**" / "*.png") == ["a9.png", "a10.png", "sub/c.png", "sub/deep/d.png"]
    assert relatives(tmp_path / "in" / "**") == ["a9.png", "a10.png", "b.jpg", "sub/c.png", "sub/deep/d.png"]
    assert relatives(tmp_path / "in" / "**" / "deep" / "?.png") == ["sub/deep/d.png"]
    assert relatives(tmp_path / "*" / "a9.png") == ["in/a9.png"]
    monkeypatch.chdir(tmp_path / "in")
    assert relatives("[ab]*") == ["a9.png", "a10.png", "b.jpg"]


def test_links_are_followed_and_loops_end(tmp_path):
    make(tmp_path, "in/a.png", "elsewhere/b.png")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert relatives(tmp_path / "in") == ["a.png", "gone.png", "out/b.png"]
    assert relatives(tmp_path / "in" / "**" / "*.png") == ["a.png", "gone.png", "out/b.png"]


def test_pipes_in_folders_are_left_alone(tmp_path):
    make(tmp_path, "a.png")
    os.mkfifo(tmp_path / "pipe.png")
    assert relatives(tmp_path) == ["a.png"]


def test_standard_input():
    (source,) = discover(["-"])
    assert (source.path, source.relative) == (None, Path("stdin"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("missing", "does not exist"),
        ("missing/*.png", "matches no picture"),
        ("empty", "no pictures"),
        ("", "empty name"),
        ("trip*", r"trip\* matches no picture but folders, such as trip1: add /\*\* for what lies"),
    ],
)
def test_inputs_that_mean_nothing(tmp_path, monkeypatch, text, words):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "empty/notes.txt", "trip1/a.png", "trip2/b.png")
    assert relatives("trip*/**") == ["trip1/a.png", "trip2/b.png"]
    with pytest.raises(UsageError, match=words) as error:
        discover([text])
    assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match="no input"):
        discover([])


def test_a_folder_that_cannot_be_listed(tmp_path, monkeypatch):
    make(tmp_path, "a.png", "locked/b.png")
    scandir = os.scandir

    def deny(folder):
        if Path(folder).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", deny)
    with pytest.raises(UsageError, match=r"cannot list folder .*locked: Permission denied; change its permissions"):
        discover([str(tmp_path)])


def test_planning_imports_nothing_heavy():
    code = "import sys, airtool.images.plan; print([m for m in ('torch', 'cv2', 'numpy') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
