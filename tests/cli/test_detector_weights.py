"""`--detector-weights` of `airtool restore` and `airtool evaluate`: the detector that says what to remove."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from commandline import Run

from airtool.images.decode import read
from airtool.methods.autodir.detector import NAME, DetectorConfig, DetectorNet
from airtool.methods.weights import sha256_of, write_weights

METHOD = ("--method", "autodir", "--device", "cpu")


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a detector that calls every picture clean."""
    torch.manual_seed(3)
    config = DetectorConfig(
        widths=(8, 8), blocks=(1, 1), hidden=16, embedding=8, text_width=8, text_buckets=256, caution=1e9
    )
    path = tmp_path_factory.mktemp("weights") / "content.safetensors"
    write_weights(path, NAME, config, DetectorNet(config).state_dict(), {}, half=False)
    return path


def test_restore_asks_the_detector_that_is_named(airtool: Run, folder: Path, content: Path, tmp_path: Path) -> None:
    out, options = tmp_path / "out", (*METHOD, "--detector-weights", content)
    code, report, err = airtool("restore", folder / "b.png", out, *options, "--report", "-")
    assert code == 0, err
    said = json.loads(report)
    detector = said["restoration"]["detector"]
    assert (detector["weights"], detector["sha256"]) == ("content.safetensors", sha256_of(content))
    assert (said["pictures"][0]["shares"], said["pictures"][0]["guessed"]) == ({"no": 1.0}, True)
    assert np.array_equal(read(out / "b.png").rgb, read(folder / "b.png").rgb)

    code, _, err = airtool("restore", folder, out, *options, "--resume")
    assert (code, "1 already there, kept\n" in err, "2 of 2 restored" in err) == (0, True, True)
    assert err.endswith("\n2 of 2 left alone: nothing was found to remove\n")
    code, _, err = airtool("restore", folder, out, *METHOD, "--resume")
    assert (code, "made with other settings (detector weights): " in err) == (2, True)


def test_several_devices_ask_it_too(airtool: Run, folder: Path, content: Path, tmp_path: Path) -> None:
    command = ("restore", folder, tmp_path / "out", "--method", "autodir", "--devices", "cpu,cpu", "--report", "-")
    code, report, err = airtool(*command, "--detector-weights", content)
    assert code == 0, err
    assert [picture["shares"] for picture in json.loads(report)["pictures"]] == [{"no": 1.0}] * 3


def test_evaluate_asks_it_and_knows_its_pictures_by_it(
    airtool: Run, folder: Path, content: Path, tmp_path: Path
) -> None:
    command = ("evaluate", "--pairs", folder, folder, *METHOD, "--limit", 1, "--keep", tmp_path / "kept", "--json", "-")
    code, report, err = airtool(*command, "--detector-weights", content)
    assert code == 0, err
    assert json.loads(report)["restoration"]["detector"]["sha256"] == sha256_of(content)
    code, _, err = airtool(*command)
    assert (code, "holds pictures of another run (other sha256)" in err) == (2, True)
    code, _, err = airtool("evaluate", "--pairs", folder, folder, "--input-only", "--detector-weights", content)
    assert (code, "--detector-weights has no effect with --input-only" in err) == (2, True)


@pytest.mark.parametrize("command", ["restore", "evaluate"])
def test_what_cannot_be_asked_is_refused(
    command: str, airtool: Run, folder: Path, content: Path, weights: str, tmp_path: Path
) -> None:
    line = ("restore", folder, tmp_path / "out") if command == "restore" else ("evaluate", "--pairs", folder, folder)
    for options in (("--method", "ndr"), (*METHOD, "--degradation", "rain")):
        code, _, err = airtool(*line, *options, "--detector-weights", content)
        assert (code, err.count("\n"), "--detector-weights has no effect where" in err) == (2, 1, True)
    code, _, err = airtool(*line, *METHOD, "--detector-weights", "none")
    assert (code, "--detector-weights: file none does not exist" in err) == (2, True)
    code, _, err = airtool(*line, *METHOD, "--detector-weights", weights)
    assert (code, f"{weights} holds weights of 'ndr', not of the detector" in err) == (1, True)
    code, _, err = airtool(*line, *METHOD, "--detector-weights", "s3://bucket/detector.safetensors")
    assert (code, "takes local files" in err) == (2, True)
    assert not (tmp_path / "out").exists()
