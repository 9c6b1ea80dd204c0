"""`airtool detect` as a user types it, with an untrained network."""

import csv
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from commandline import Run

from airtool.engine.detect import Finding, detect_files
from airtool.methods import weights as weights_module
from airtool.methods.autodir.detector import NAME, DetectorConfig, DetectorNet
from airtool.methods.autodir.vocabulary import CLASSES
from airtool.methods.weights import write_weights


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights that are sure of something: random ones with a large logit scale."""
    torch.manual_seed(3)
    config = DetectorConfig(widths=(8, 8), blocks=(1, 1), hidden=16, embedding=8, text_width=8, text_buckets=256)
    net = DetectorNet(config)
    net.logit_scale.data.fill_(4.0)
    path = tmp_path_factory.mktemp("weights") / "detector.safetensors"
    write_weights(path, NAME, config, net.state_dict(), {}, half=False)
    return str(path)


def test_a_table_with_a_line_for_each_picture(airtool: Run, folder: Path, detector: str) -> None:
    code, out, err = airtool("detect", folder, "--weights", detector)
    assert code == 0
    lines = [line.split() for line in out.splitlines() if str(folder) in line]
    assert [Path(line[0]).name for line in lines] == ["a.jpg", "b.png", "c.png"]
    assert "detector.safetensors" in err
    code, out, err = airtool("detect", folder, "--weights", detector, "--quiet")
    assert (code, err) == (0, "")


def test_json_and_csv_tell_the_same(airtool: Run, folder: Path, detector: str) -> None:
    code, out, _ = airtool("detect", folder, "--weights", detector, "--json", "--threshold", "0.2")
    assert code == 0
    said = json.loads(out)
    documented = (Path(__file__).parents[2] / "docs" / "reports.md").read_text("utf-8")
    assert {key for key in (*said, *said["pictures"][0]) if f"`{key}`" not in documented} == set()
    assert said["detector"]["threshold"] == 0.2
    assert len(said["detector"]["sha256"]) == 64
    assert said["failures"] == []
    _, out, _ = airtool("detect", folder, "--weights", detector, "--csv", "--threshold", "0.2")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == len(said["pictures"]) == 3
    for row, picture in zip(rows, said["pictures"], strict=True):
        assert (row["picture"], row["verdict"]) == (picture["picture"], picture["verdict"])
        assert {name: float(row[name]) for name in CLASSES} == picture["probabilities"]
        assert sum(picture["probabilities"].values()) == pytest.approx(1.0, abs=1e-3)
        assert float(row["probability"]) == max(picture["probabilities"].values())
        assert all(each["probability"] >= 0.2 for each in picture["further"])


def test_csv_has_a_row_for_what_could_not_be_read(airtool: Run, folder: Path, detector: str) -> None:
    (folder / "text.png").write_text("no picture")
    code, out, err = airtool("detect", folder, "--weights", detector, "--csv")
    *good, bad = csv.DictReader(io.StringIO(out))
    assert code == 1
    assert [row["error"] for row in good] == ["", "", ""]
    assert (bad["verdict"], bad["probability"]) == ("", "")
    assert bad["picture"].endswith("text.png")
    assert bad["error"] in err


def test_an_interrupted_run_is_not_taken_for_the_whole(
    airtool: Run, folder: Path, detector: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("detect", folder, "--weights", detector, "--json")
    assert json.loads(airtool(*command)[1])["interrupted"] is False

    def stopped(*arguments: object) -> Iterator[Finding]:
        yield next(iter(detect_files(*arguments)))  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr("airtool.engine.detect.detect_files", stopped)
    code, out, err = airtool(*command)
    said = json.loads(out)
    assert (code, said["interrupted"], len(said["pictures"])) == (130, True, 1)
    assert err.endswith("airtool: interrupted after 1 of 3\n")


def test_an_unreachable_threshold_is_unsure_and_top_lists_so_many(airtool: Run, folder: Path, detector: str) -> None:
    picture = folder / "b.png"
    _, out, _ = airtool("detect", picture, "--weights", detector, "--json", "--threshold", "1")
    (sure,) = json.loads(out)["pictures"]
    assert sure["verdict"] == "unsure"
    assert sure["likeliest"] != "unsure"
    _, out, _ = airtool("detect", picture, "--weights", detector, "--threshold", "1")
    assert f"unsure ({sure['likeliest']}?)" in out
    _, out, _ = airtool("detect", picture, "--weights", detector, "--json", "--top", "4")
    (listed,) = json.loads(out)["pictures"]
    named = [each["name"] for each in listed["further"]]
    ranked = sorted(CLASSES, key=lambda name: -listed["probabilities"][name])
    # The dominant one is one of the four, "no" is none.
    assert [ranked[0], *named][-4:] == [name for name in ranked if name != "no"][:4]
    assert len(named) == (4 if ranked[0] == "no" else 3)


def test_a_bad_file_is_named_and_the_others_are_looked_at(airtool: Run, folder: Path, detector: str) -> None:
    (folder / "bad.png").write_bytes(b"nothing")
    code, out, err = airtool("detect", folder, "--weights", detector, "--json")
    assert code == 1
    assert "bad.png" in err
    assert "1 of 4 failed" in err
    said = json.loads(out)
    assert len(said["pictures"]) == 3
    assert [Path(failure["picture"]).name for failure in said["failures"]] == ["bad.png"]


def test_standard_input(airtool: Run, folder: Path, detector: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def piped(content: bytes) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
        return airtool("detect", "-", "--weights", detector, "--json")

    code, out, _ = piped((folder / "a.jpg").read_bytes())
    _, file, _ = airtool("detect", folder / "a.jpg", "--weights", detector, "--json")
    (picture,), (same,) = json.loads(out)["pictures"], json.loads(file)["pictures"]
    assert (code, picture["picture"]) == (0, "standard input")
    assert picture["probabilities"] == same["probabilities"]
    code, _, err = piped(b"")
    assert code == 1
    assert "standard input is empty" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--json", "--csv"], "--json and --csv exclude each other"),
        (["--threshold", "2"], "'--threshold'"),
        (["--threshold", "nan"], "'--threshold'"),
        (["--device", "tpu"], "no device is called 'tpu'"),
        (["--top", "0"], "'--top'"),
    ],
)
def test_mistakes_are_one_line(airtool: Run, folder: Path, detector: str, arguments: list[str], words: str) -> None:
    code, out, err = airtool("detect", folder, "--weights", detector, *arguments)
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert words in err


def test_weights_that_are_not_there(
    airtool: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "manifest.json").write_text("[]")
    monkeypatch.setattr(weights_module, "models_folder", lambda: tmp_path)
    code, _, err = airtool("detect", folder)
    assert (code, err) == (2, "airtool: error: no weights are embedded for detect small: give a file with --weights\n")
    code, _, err = airtool("detect", folder, "--weights", tmp_path / "none.safetensors")
    assert code == 2
    assert "does not exist" in err


def test_help_tells_the_threshold(airtool: Run) -> None:
    code, out, _ = airtool("detect", "--help")
    assert code == 0
    assert "default: 0.3" in " ".join(out.split())
