"""Planning: whatever stands in the way is found before any work starts."""

import os
from pathlib import Path

import pytest

from airtool.errors import AirtoolError, UsageError
from airtool.images.discover import discover
from airtool.images.plan import check_apart, plan


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with pictures in `in`."""
    monkeypatch.chdir(tmp_path)
    for name in ("in/a.jpg", "in/sub/b.PNG", "in/sub/c.jpeg"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"x")
    return tmp_path


def planned(inputs, out, **options):
    return [(job.target.as_posix(), job.format) for job in plan(discover(inputs), out, **options).jobs]


def refused(words, inputs, out, **options):
    with pytest.raises(UsageError, match=words) as error:
        plan(discover(inputs), out, **options)
    assert "\n" not in str(error.value)


def test_the_tree_is_mirrored(here):
    assert planned(["in"], "out") == [("out/a.jpg", "jpeg"), ("out/sub/b.PNG", "png"), ("out/sub/c.jpeg", "jpeg")]
    assert not Path("out").exists()


def test_another_format_changes_only_other_suffixes(here):
    assert planned(["in"], "out", format="PNG") == [
        ("out/a.png", "png"),
        ("out/sub/b.PNG", "png"),
        ("out/sub/c.png", "png"),
    ]
    assert planned(["in/sub/c.jpeg"], "out", format="jpg") == [("out/c.jpeg", "jpeg")]
    refused("choose one of jpeg, png", ["in"], "out", format="gif")


def test_one_file(here):
    assert planned(["in/a.jpg"], "new.png") == [("new.png", "png")]
    assert planned(["in/a.jpg"], "new") == [("new/a.jpg", "jpeg")]
    Path("folder.png").mkdir()
    assert planned(["in/a.jpg"], "folder.png") == [("folder.png/a.jpg", "jpeg")]
    refused("disagree", ["in/a.jpg"], "new.png", format="webp")
    refused("3 pictures cannot become the one file", ["in"], "new.png")


def test_files_of_a_pattern_that_the_shell_expanded(here):
    for name in ("in/a.xmp", "in/b.HEIC"):
        Path(name).write_bytes(b"x")
    refused(r"in/b\.HEIC: airtool does not read HEIC files: convert it to PNG", ["in/b.HEIC"], "out")
    refused(r"which format in/a\.xmp has: add --format png", ["in/a.xmp"], "out")
    # What a shell makes of in/*.
    everything = sorted(f"in/{name}" for name in os.listdir("in"))
    refused(r"have: in/a\.xmp, in/b\.HEIC; leave them out, by naming the folder or a pattern", everything, "out")
    assert len(planned(everything, "out", format="png")) == 5


@pytest.mark.parametrize(
    "name",
    ["better.gif", "better.HEIC", "sub/better.jxl", "better.nef", "better.jp2", "better.jgp", "x.JEPG", "x.pngg"],
)
def test_a_file_that_cannot_be_written_is_no_folder(here, name):
    kind = Path(name).suffix[1:].upper()
    refused(f"^{name}: {kind} is not a format that airtool writes: choose one of .jpg .png .*slash", ["in/a.jpg"], name)
    assert planned(["in/a.jpg"], f"{name}/") == [(f"{name}/a.jpg", "jpeg")]
    Path(name).mkdir(parents=True)
    assert planned(["in/a.jpg"], name) == [(f"{name}/a.jpg", "jpeg")]


@pytest.mark.parametrize(
    "name", ["out.v2", "2026.11", "out.web", "out.diff", "out.tmp", "out.pkg", "out.jpgs", "jgp", "o."]
)
def test_a_dot_makes_no_file_of_a_folder(here, name):
    assert planned(["in/a.jpg"], name) == [(f"{name}/a.jpg", "jpeg")]


def test_a_slash_marks_a_folder(here):
    assert planned(["in/a.jpg"], "new.png/") == [("new.png/a.jpg", "jpeg")]
    assert planned(["in"], "new.png/", format="png")[0] == ("new.png/a.png", "png")
    assert planned(["in/a.jpg"], f"file://{here}/new.png/") == [(f"{here}/new.png/a.jpg", "jpeg")]
    pytest.importorskip("fsspec")
    assert planned(["in/a.jpg"], "memory://out/new.png/") == [("memory://out/new.png/a.jpg", "jpeg")]
    assert planned(["in/a.jpg"], "memory://out/new.png") == [("memory://out/new.png", "png")]
    Path("file.png").write_bytes(b"x")
    refused("file.png is not a folder", ["in/a.jpg"], "file.png/")


def test_standard_streams(here):
    (job,) = plan(discover(["-"]), "-").jobs
    assert (job.target, job.format) == (None, None)
    (job,) = plan(discover(["in/a.jpg"]), "-", format="webp").jobs
    assert (job.target, job.format) == (None, "webp")
    assert planned(["-"], "x.tif") == [("x.tif", "tiff")]
    assert planned(["-"], "out", format="png") == [("out/stdin.png", "png")]
    refused("standard input .*--format", ["-"], "out")
    refused("one picture, not 3", ["in"], "-")


def test_names_that_tell_no_format(here):
    Path("scan.2024").write_bytes(b"x")
    refused("scan.2024 has: add --format png", ["scan.2024"], "out")
    assert planned(["scan.2024"], "out", format="png") == [("out/scan.2024.png", "png")]
    Path("in/old.jp2").write_bytes(b"x")
    assert ("out/old.png", "png") in planned(["in"], "out", format="png")


def test_a_format_that_is_only_read_becomes_png(here):
    Path("in/old.jp2").write_bytes(b"x")
    notes = {job.target.name: job.notes for job in plan(discover(["in"]), "out").jobs}
    assert notes["old.png"] == ("JP2 cannot be written and becomes PNG",)
    assert (notes["a.jpg"], len(notes)) == ((), 4)
    assert plan(discover(["in/old.jp2"]), "out", format="png").jobs[0].notes == ()  # as was asked for
    assert planned(["in/old.jp2"], "new.jpg") == [("new.jpg", "jpeg")]
    Path("in/old.png").write_bytes(b"x")
    refused(r"in/old\.jp2, in/old\.png would both become out/old\.png", ["in"], "out")


def test_collisions(here):
    Path("in/a.png").write_bytes(b"x")
    refused(r"in/a\.jpg, in/a\.png would both become out/a\.png: rename one,", ["in"], "out", format="png")
    Path("in/a.webp").write_bytes(b"x")
    refused(r"out/a\.png: 1 more like these; rename one of each,", ["in"], "out", format="png")
    Path("in/a.webp").unlink()
    assert len(planned(["in"], "out")) == 4
    Path("in/A.JPG").write_bytes(b"x")
    refused("would both become", ["in"], "out")
    Path("other").mkdir()
    Path("other/a.jpg").write_bytes(b"x")
    refused(r"in/a\.jpg, other/a\.jpg would both become", ["in/a.jpg", "other/a.jpg"], "out")


def test_composed_and_decomposed_names_collide(here):
    for name in ("other/\u00fc.png", "more/u\u0308.png"):
        Path(name).parent.mkdir()
        Path(name).write_bytes(b"x")
    refused("would both become", ["other/\u00fc.png", "more/u\u0308.png"], "out")


def test_a_file_where_a_folder_is_needed(here):
    Path("in/a.png").mkdir()
    Path("in/a.png/x.png").write_bytes(b"x")
    refused(r"out/a\.png would be a file, but out/a\.png/x\.png needs it as a folder", ["in"], "out", format="png")


@pytest.mark.parametrize("out", ["in", "in/out", "./in/../in/sub/new", "link/out"])
def test_output_inside_input(here, out):
    Path("link").symlink_to("in")
    refused("inside the input folder in", ["in"], out, existing="overwrite")
    refused("inside the input folder in", ["in/**/*.jpg"], out, existing="overwrite")


@pytest.mark.usefixtures("blind_to_case")
def test_output_inside_an_input_that_is_spelt_otherwise(here):
    for out in ("IN", "In/out", "in/SUB/new"):
        refused("inside the input folder in", ["in"], out, format="png")
    assert len(planned(["in"], "INS/out")) == 3


def test_output_beside_single_files_is_fine(here):
    assert planned(["in/a.jpg"], "in/out") == [("in/out/a.jpg", "jpeg")]


def test_output_is_an_input(here):
    os.link("in/a.jpg", "same.jpg")
    for out in ("in", "in/a.jpg", "same.jpg"):
        refused("is one of the inputs", ["in/a.jpg"], out, existing="overwrite")
    Path("a.jpg").symlink_to("in/a.jpg")
    refused("is one of the inputs", ["in"], ".", existing="overwrite")


def test_existing_outputs(here):
    Path("out/sub").mkdir(parents=True)
    Path("out/sub/b.PNG").write_bytes(b"done")
    Path("out/a.jpg").symlink_to("nowhere")
    refused(r"already there: out/a\.jpg, out/sub/b\.PNG; pass --overwrite .* --resume", ["in"], "out")
    assert len(planned(["in"], "out", existing="overwrite")) == 3
    resumed = plan(discover(["in"]), "out", existing="resume")
    assert [job.target.name for job in resumed.jobs] == ["c.jpeg"]
    assert [job.target.name for job in resumed.skipped] == ["a.jpg", "b.PNG"]
    Path("out/sub/c.jpeg").mkdir()
    refused("a folder is in the way", ["in"], "out", existing="resume")


def test_many_names_are_cut_to_one_short_line(here):
    Path("many").mkdir()
    Path("out").mkdir()
    for number in range(40):
        Path(f"many/{number}\n.png").write_bytes(b"x")
        Path(f"out/{number}\n.png").write_bytes(b"x")
    refused(r"out/0\\n\.png, .*out/4\\n\.png and 35 more", ["many"], "out")


def test_places_that_cannot_be(here):
    Path("file").write_bytes(b"x")
    refused("file is not a folder", ["in"], "file")
    refused("file is not a folder", ["in"], "file/deeper")
    refused("file is not a folder", ["in/a.jpg"], "file/x.png")


def test_no_permission(here, monkeypatch):
    Path("locked").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "locked")
    with pytest.raises(AirtoolError, match="no permission to write in locked"):
        plan(discover(["in"]), "locked/out")


def test_a_build_without_an_encoder(here, monkeypatch):
    from airtool.images.opencv import cv2

    monkeypatch.setattr(cv2, "haveImageWriter", lambda name: False)
    refused(r"cannot write AVIF \(out/a\.avif.*add --format png", ["in"], "out", format="avif")
    assert len(planned(["in"], "out")) == 3
    Path("in/d.avif").write_bytes(b"x")
    (job,) = plan(discover(["in/d.avif"]), "out").jobs
    assert (str(job.target), job.notes) == ("out/d.png", ("AVIF cannot be written and becomes PNG",))


def test_only_files_of_a_reports_name_are_looked_for(here, monkeypatch):
    looked, real = [], os.path.realpath
    monkeypatch.setattr("os.path.realpath", lambda path: looked.append(str(path)) or real(path))
    files = [Path(f"out/{number}/b.png") for number in range(50)] + [Path("out/K\u00fc.png"), None]
    check_apart("--report", "r.json", files)
    assert looked == ["."]
    with pytest.raises(UsageError, match="is also the name of an output"):
        check_apart("--report", "in/../out/Ku\u0308.PNG", files)
    assert looked == [".", "in/../out", "out"]
