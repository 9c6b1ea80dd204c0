"""The embedded weights on real photographs, through the command line as a user types it."""

import json
import re
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

from airtool.engine.session import open_session
from airtool.images.decode import read
from airtool.methods.registry import METHODS
from airtool.methods.weights import embedded
from airtool.metrics.protocols import RGB

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
GOLDEN = Path(__file__).parent / "golden"


def airtool(*arguments: object, python: str = sys.executable, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [python, "-m", "airtool", *map(str, arguments)], capture_output=True, text=True, check=False, cwd=cwd
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("restored")
    airtool("restore", EXAMPLES / "degraded", out, "--resume", "--quiet")
    return out


def test_every_example_gets_better(restored: Path) -> None:
    degraded = sorted((EXAMPLES / "degraded").glob("*.png"))
    assert len(degraded) == 5
    for path in degraded:
        clean = read(EXAMPLES / "clean" / path.name).rgb
        before, after = RGB.psnr(read(path).rgb, clean), RGB.psnr(read(restored / path.name).rgb, clean)
        assert after > before + 0.5, (path.name, before, after)


def test_golden_pictures(restored: Path) -> None:
    """Other processors round differently in the last bit; anything a person could see is far above this."""
    pictures = sorted(GOLDEN.glob("*.png"))
    assert pictures
    for path in pictures:
        difference = np.abs(read(path).rgb - read(restored / path.name).rgb) * 255
        assert difference.max() <= 2.01, path.name
        assert difference.mean() <= 0.1, path.name


@pytest.mark.parametrize("method", [each.method for each in embedded() if each.method in METHODS])
def test_tiles_cannot_be_told_from_the_whole_picture(method: str) -> None:
    told = () if METHODS[method].needs == "nothing" else ("noise:25",)
    noisy, clean = read(EXAMPLES / "degraded" / "cat.png").rgb, read(EXAMPLES / "clean" / "cat.png").rgb
    whole, tiled = (open_session(method, tile=tile, degradation=told).restore_array(noisy) for tile in (0, 224))
    assert RGB.psnr(tiled, whole) > 45
    assert RGB.psnr(tiled, clean) > RGB.psnr(whole, clean) - 0.05
    assert RGB.psnr(whole, clean) > RGB.psnr(noisy, clean) + 8


def test_a_blind_choice_is_the_same_in_all_tiles() -> None:
    """`ndr` is in two minds about the sunset: parts alone look like one thing or another."""
    sunset = read(EXAMPLES / "real" / "sunset.jpg").rgb
    whole, tiled = (open_session("ndr", tile=tile).restore_array(sunset) for tile in (0, 224))
    assert RGB.psnr(tiled, whole) > 45


def test_dfpir_works_out_what_is_wrong() -> None:
    session = open_session("dfpir")
    # Sigma is 25 there; the prompts for 15 and 25 give the same to 0.02 dB.
    expected = {"cat": "noise:[12]5", "coffee": "low-light", "dandelion": "jpeg", "mountain": "haze", "stream": "rain"}
    for name, degradation in expected.items():
        restored = session.restore(read(EXAMPLES / "degraded" / f"{name}.png"))
        (found,) = restored.wanted.degradation
        assert restored.guessed, name
        assert re.fullmatch(degradation, found), name


@pytest.mark.parametrize("method", ["autodir", "ndr"])  # by the detector's word, and blindly
def test_clean_pictures_come_back(method: str) -> None:
    pairs = (EXAMPLES / "clean", EXAMPLES / "clean")
    said = airtool("evaluate", "--pairs", *pairs, "--method", method, "--json", "-", "--quiet")
    for picture in json.loads(said)["pictures"]:
        assert float(picture["restored"]["rgb"]["psnr"]) > 40, picture["picture"]


@pytest.mark.heavy
def test_a_wheel_restores_elsewhere(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, ROOT], check=True
    )
    (wheel,) = tmp_path.glob("airtool-*.whl")
    # The libraries come from here; airtool itself must come from the wheel.
    venv.create(tmp_path / "env", with_pip=True, system_site_packages=False)
    python = str(tmp_path / "env" / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", wheel], check=True)
    site = next((tmp_path / "env" / "lib").glob("python*/site-packages"))
    libraries = Path(np.__file__).parent.parent
    (site / "libraries.pth").write_text(f"{libraries}\n")
    where = subprocess.run(
        [python, "-c", "import airtool; print(airtool.__file__)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,  # the current folder comes before everything that is installed
    )
    assert where.stdout.startswith(str(tmp_path))
    airtool("restore", EXAMPLES / "degraded" / "cat.png", tmp_path / "cat.png", python=python, cwd=tmp_path)
    assert read(tmp_path / "cat.png").rgb.shape == (298, 448, 3)
