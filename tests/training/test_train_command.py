"""`airtool train` from the outside."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from airtool.cli.app import main

RECIPE = """
extends = "ndr-small"
name = "tiny"
clean = ["clean"]
validation = "held-out"
steps = 1
batch = 2
patch = 32
warmup = 1
validate_every = 1
validation_pictures = 1
validation_crop = 64
mix = {noise = 1.0, streaks = 1.0}
pairs = {streaks = {degraded = "lq", ground_truth = "gt", use = "layers"}}
"""


@pytest.mark.parametrize("folder", ["clean", "held-out", "gt"])
def test_pictures_larger_than_allowed_are_refused_by_an_option_that_is_there(
    folder: str, training_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data, recipe = tmp_path / "data", tmp_path / "tiny.toml"
    shutil.copytree(training_data, data)
    recipe.write_text(RECIPE)
    for each in ("lq", "gt") if folder == "gt" else (folder,):
        Image.new("RGB", (200, 120)).save(data / each / "large.png")
    command = ["train", "--recipe", str(recipe), "--data", str(data), "--out", str(tmp_path / "out"), "-q"]
    command += ["--device", "cpu", "--precision", "fp32", "--workers", "0", "--max-pixels"]
    assert main([*command, "20k"]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert "large.png has 200x120 pixels, and 20000 pixels are allowed: scale it down, or raise --max-pixels" in line
    assert main([*command, "24k"]) == 0, capfd.readouterr().err
