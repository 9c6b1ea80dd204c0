"""The script behind docs/protocols.md: each convention against scikit-image, and what its table is made of."""

import math
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scripts import FOLDER, load_script
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

CLEAN = (data.chelsea()[80:149, 200:290] / 255).astype(np.float32)  # 90x69: not a multiple of 16


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("protocols")


def test_windows_and_channels_are_those_of_scikit_image(script: ModuleType) -> None:
    noisy = script.noisy(CLEAN, 0)
    values = script.measured([(noisy, CLEAN)])
    a, b = noisy.astype(np.float64), CLEAN.astype(np.float64)

    def ssim(**settings: object) -> float:
        return structural_similarity(a, b, data_range=1, channel_axis=-1, **settings)

    gaussian = {"gaussian_weights": True, "sigma": 1.5}
    for title, expected in (
        ("start", ssim(**gaussian, use_sample_covariance=False)),
        ("SSIM: 7x7 uniform window, sample covariance", ssim()),
        ("SSIM: 7x7 uniform window, population covariance", ssim(use_sample_covariance=False)),
        ("SSIM: 11x11 Gaussian window, sample covariance", ssim(**gaussian)),
    ):
        assert values[title][0][1] == pytest.approx(expected, abs=1e-6)
    title = "RGB: mean of the channels' PSNR instead of PSNR of their mean error"
    channels = [peak_signal_noise_ratio(b[..., c], a[..., c], data_range=1) for c in range(3)]
    assert values[title][0] == (pytest.approx(np.mean(channels)), pytest.approx(math.nan, nan_ok=True))
    luma = [picture @ [0.299, 0.587, 0.114] for picture in (a, b)]
    full = values["Y: full range (0.299 R + 0.587 G + 0.114 B)"][0][0]
    assert full == pytest.approx(peak_signal_noise_ratio(luma[1], luma[0], data_range=1), abs=1e-4)
    studio = values["Y: the same, not rounded"][0][0]
    assert studio - full == pytest.approx(20 * math.log10(255 / 219), abs=1e-3)


def test_noise_is_the_same_however_it_is_stored(script: ModuleType) -> None:
    free = script.stored(script.UNCLIPPED, CLEAN)
    assert free.min() < 0 or free.max() > 1
    assert script.unclipped_psnr(free, CLEAN) == pytest.approx(20.17, abs=0.1)
    clipped = script.noisy(CLEAN, 0)
    np.testing.assert_array_equal(np.clip(free, 0, 1), clipped)
    for title, most in ((script.ROUNDED, 0.5), (script.CUT, 1.0)):
        levels = script.stored(title, CLEAN) * 255
        np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)
        assert most / 2 < np.abs(levels - clipped * 255).max() <= most + 1e-4


def test_a_table_by_hand(script: ModuleType) -> None:
    assert script.pooled([(20.0, 0.5), (math.inf, 1.0)]) == pytest.approx(20 + 10 * math.log10(2))
    assert script.crop16(CLEAN).shape == (64, 80, 3)
    np.testing.assert_array_equal(script.crop16(CLEAN), CLEAN[2:66, 5:85])
    left = script.Column("left (1)", (30.0, 0.9), {script.POOLED: (-0.5, math.nan), script.CUT: (0.1, -0.02)})
    rows = script.table([left, script.Column("right (2)", (31.0, 0.8), {})]).splitlines()
    assert rows[0] == "| | left (1) | right (2) |"
    assert rows[2] == "| **start** (dB / SSIM) | 30.00 / 0.9000 | 31.00 / 0.8000 |"
    assert rows[-1] == f"| {script.POOLED} | -0.500 / = |  |"
    assert f"| {script.CUT} | +0.100 / -0.0200 |  |" in rows


def test_what_is_missing_is_said_in_one_line(tmp_path: Path) -> None:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, FOLDER / "protocols.py", "--data", tmp_path, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = run()
    assert (done.returncode, done.stderr) == (2, "name the folder that holds bench/ with --data or AIRTOOL_DATA\n")
    (tmp_path / "bench").mkdir()
    page = tmp_path / "page.md"
    page.write_text("nothing here\n")
    done = run("--page", page)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert str(page) in done.stderr
