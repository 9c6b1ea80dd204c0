"""`airtool iterate` with the embedded detector."""

import json
from pathlib import Path

import numpy as np
import pytest
from commandline import Run
from skimage import data

from airtool.degradations.compose import compose, parse_steps, picture_rng
from airtool.images.encode import encode
from airtool.images.picture import Metadata, Picture
from airtool.methods.autodir.detector import NAME
from airtool.methods.weights import embedded


def test_noise_is_found_and_a_clean_picture_left_alone(airtool: Run, tmp_path: Path) -> None:
    if not any(record.method == NAME for record in embedded()):
        pytest.skip("no detector weights are embedded yet: see models/manifest.json")
    clean = data.astronaut()[:256, 60:316].astype(np.float32) / np.float32(255)
    noisy, _ = compose(clean, parse_steps("noise:25"), picture_rng(0, clean))
    for name, rgb in (("in/clean", clean), ("in/noisy", noisy), ("gt/clean", clean), ("gt/noisy", clean)):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encode(Picture(rgb, None, 8, False, "png", Metadata())))
    options = ["--method-for-step", "ndr", "--gt", tmp_path / "gt", "--trace", tmp_path / "t.json", "-q"]
    code, _, err = airtool("iterate", tmp_path / "in", tmp_path / "out", *options)
    assert (code, err) == (0, "")
    spared, restored = json.loads((tmp_path / "t.json").read_text())["pictures"]
    assert restored["steps"][0]["choice"] == "noise"
    assert restored["steps"][restored["kept"] - 1]["psnr"] > restored["input"]["psnr"] + 3
    best = spared["steps"][spared["kept"] - 1] if spared["kept"] else spared["input"]
    assert best["psnr"] == "inf" or best["psnr"] >= 40
