"""Reports that every reader can parse, and that never replace what is no report."""

import csv
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from airtool.errors import PictureError, UsageError
from airtool.reports.writers import check_target, plain, write_csv, write_json


@dataclass(frozen=True)
class Inner:
    value: float
    path: Path


def strictly(text: str) -> object:
    """Parse JSON as the standard has it, without Python's own Infinity and NaN."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_json_holds_what_json_has_no_word_for(tmp_path: Path) -> None:
    target = tmp_path / "r.json"
    values = {"psnr": math.inf, "worse": -math.inf, "ssim": math.nan, "numpy": np.float32(0.5), "count": np.int64(3)}
    write_json(target, {"inner": Inner(math.inf, Path("a/b")), "list": (1, None, True), "name": "é\udce9\n", **values})
    assert strictly(target.read_text("utf-8")) == {
        "inner": {"value": "inf", "path": "a/b"},
        "list": [1, None, True],
        "name": "é\udce9\n",
        "psnr": "inf",
        "worse": "-inf",
        "ssim": None,
        "numpy": 0.5,
        "count": 3,
    }


def test_json_replaces_an_older_report_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "r.json"
    write_json(target, {"run": 1})
    write_json(str(target), {"run": 2})
    assert strictly(target.read_text()) == {"run": 2}
    assert os.listdir(tmp_path) == ["r.json"]


def test_a_value_that_is_no_data_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="ndarray"):
        write_json(tmp_path / "r.json", {"pixels": np.zeros(3)})
    assert not os.listdir(tmp_path)
    assert plain({1: (np.bool_(True),)}) == {"1": [True]}


def test_csv_reads_back_cell_by_cell(tmp_path: Path) -> None:
    target = tmp_path / "r.csv"
    rows = [{"picture": 'a, "b"\nc', "psnr": math.inf}, {"picture": "d", "psnr": math.nan, "error": "x"}]
    write_csv(target, ["picture", "psnr", "error"], rows)
    with target.open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["picture", "psnr", "error"], ['a, "b"\nc', "inf", ""], ["d", "", "x"]]
    with pytest.raises(ValueError, match="gain"):
        write_csv(target, ["picture"], [{"gain": 1.0}])


def test_csv_holds_no_formula(tmp_path: Path) -> None:
    target = tmp_path / "r.csv"
    names = ["=1+1", "+a", "-a", "@a", "\ta", "\ra", "a=1", Path("=b"), "\n=a", "\uff1d1", 'a",=1']
    write_csv(target, ["name", "value"], [{"name": name, "value": -1.5} for name in names] + [{"value": -math.inf}])
    with target.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    expected = ["'=1+1", "'+a", "'-a", "'@a", "'\ta", r"\ra", "a=1", "'=b", "'\n=a", "'\uff1d1", 'a",=1', ""]
    assert [name for name, _ in rows] == expected
    assert [value for _, value in rows] == ["-1.5"] * 11 + ["-inf"]


def test_a_link_is_replaced_and_never_written_through(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("precious")
    for name, leads_to in (("r.json", "precious.txt"), ("gone.json", "not-there")):
        link = tmp_path / name
        link.symlink_to(tmp_path / leads_to)
        check_target(str(link), "--report")
        write_json(link, {"run": 1})
        assert not link.is_symlink()
        assert strictly(link.read_text()) == {"run": 1}
    assert (tmp_path / "precious.txt").read_text() == "precious"
    assert not (tmp_path / "not-there").exists()


def test_devices_and_pipes_are_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "null.json").symlink_to("/dev/null")
    for target in ("/dev/null", "/dev/stdout", "/dev/new", str(tmp_path / "pipe.json"), str(tmp_path / "null.json")):
        with pytest.raises(UsageError, match=r"is no file but a device, .* or - for standard output"):
            check_target(target, "--report")
        with pytest.raises(PictureError, match=r"cannot write .* is no file"):
            write_json(target, {})
    assert (tmp_path / "null.json").is_symlink()
    assert not os.path.exists("/dev/new")


def test_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    write_json("-", {"name": "é"})
    write_csv("-", ["a"], [{"a": 0.1}])
    assert capfdbinary.readouterr().out == '{\n  "name": "é"\n}\na\n0.1\n'.encode()


def test_targets_are_checked_before_the_work(tmp_path: Path) -> None:
    check_target("-", "--json")
    check_target(str(tmp_path / "new.json"), "--json")
    (tmp_path / "old.json").write_text("{}")
    check_target(str(tmp_path / "old.json"), "--json")
    (tmp_path / "photo.PNG").write_bytes(b"precious")
    for name, reason in ((".", "is a folder"), ("none/r.json", "does not exist"), ("photo.PNG", "is a picture")):
        with pytest.raises(UsageError, match=f"--json .*{reason}"):
            check_target(str(tmp_path / name), "--json")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_closed_folder_is_found_before_the_work(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(UsageError, match="no permission"):
        check_target(str(closed / "r.json"), "--json")
