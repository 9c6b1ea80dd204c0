"""What Defusion is shown: grounds with a damage, and a user's own before/after pair."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from airtool.degradations.compose import Step, compose, picture_rng
from airtool.errors import PictureError, UsageError
from airtool.images.encode import encode
from airtool.images.picture import Metadata, Picture
from airtool.methods.defusion.grounds import ground
from airtool.methods.defusion.instruction import Instruction, from_pair, instruction, null_instruction, read_pair

RAIN, NOISE = Step("rain", 0.6), Step("noise", 25.0)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """A real photograph: float32 (512, 512, 3) in [0, 1]."""
    return data.astronaut().astype(np.float32) / 255


def map_of_places(height: int, width: int) -> np.ndarray:
    """A picture whose red and green tell column and row: float32 (height, width, 3)."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    return np.stack([columns / 1024, rows / 1024, np.zeros_like(rows)], axis=-1)


def quarters(canvas: np.ndarray) -> list[np.ndarray]:
    """The four quarters of a canvas of even side."""
    half = len(canvas) // 2
    return [canvas[top : top + half, left : left + half] for top in (0, half) for left in (0, half)]


def save(path: Path, rgb: np.ndarray) -> Path:
    path.write_bytes(encode(Picture(np.ascontiguousarray(rgb), None, 8, False, "png", Metadata())))
    return path


def rms(pair: Instruction) -> float:
    return float(np.sqrt(np.mean((pair.clean - pair.degraded) ** 2)))


def test_a_ground_is_degraded_as_training_pictures_are() -> None:
    shown = instruction([RAIN, NOISE], 7, 96)
    clean = ground(7, 96)
    np.testing.assert_array_equal(shown.clean, clean)
    np.testing.assert_array_equal(shown.degraded, compose(clean, (RAIN, NOISE), picture_rng(7, clean))[0])
    assert shown.degraded.dtype == np.float32
    other_order = instruction([NOISE, RAIN], 7, 96)
    assert np.abs(other_order.degraded - shown.degraded).max() > 0.1


def test_no_steps_are_the_instruction_to_do_nothing() -> None:
    for kind in ("te42", "simple", "blank"):
        null, empty = null_instruction(3, 64, kind), instruction([], 3, 64, kind)
        np.testing.assert_array_equal(null.clean, null.degraded)
        np.testing.assert_array_equal(null.clean, ground(3, 64, kind))
        np.testing.assert_array_equal(empty.clean, null.clean)
        np.testing.assert_array_equal(empty.degraded, null.degraded)


@pytest.mark.parametrize("step", [Step("fog", 1.0), Step("noise", 900.0)])
def test_a_step_that_cannot_be_is_refused(step: Step) -> None:
    with pytest.raises(UsageError, match=r"unknown degradation 'fog'|0 to 100"):
        instruction([step], 0, 64)


def test_quarters_are_separate_windows_at_native_resolution() -> None:
    clean = map_of_places(300, 420)
    degraded = clean.copy()
    degraded[..., 2] = np.random.default_rng(0).random((300, 420), dtype=np.float32)
    shown = from_pair(clean, degraded, 128)
    corners = []
    for before, after in zip(quarters(shown.clean), quarters(shown.degraded), strict=True):
        left, top = (before[0, 0, :2] * 1024).round().astype(int)
        np.testing.assert_array_equal(before, clean[top : top + 64, left : left + 64])
        np.testing.assert_array_equal(after, degraded[top : top + 64, left : left + 64])
        corners.append((top, left))
    for index, (top, left) in enumerate(corners):
        assert all(abs(top - other[0]) >= 64 or abs(left - other[1]) >= 64 for other in corners[:index])


@pytest.mark.parametrize("corner", [(0, 0), (203, 341), (375, 575)])
def test_a_damage_in_one_place_is_in_every_quarter(corner: tuple[int, int]) -> None:
    clean = np.full((400, 600, 3), 0.4, np.float32)
    degraded = clean.copy()
    degraded[corner[0] : corner[0] + 25, corner[1] : corner[1] + 25] = 0.9
    shown = from_pair(clean, degraded, 128)
    for before, after in zip(quarters(shown.clean), quarters(shown.degraded), strict=True):
        assert np.count_nonzero((after - before)[..., 0] > 0.4) >= 100


def test_an_even_damage_keeps_its_strength_and_shows_several_contents(photo: np.ndarray) -> None:
    for steps, within in (((NOISE,), 0.05), ((Step("haze", 1.2),), 0.2), ((RAIN,), 0.3)):
        degraded, _ = compose(photo, steps, picture_rng(1, photo))
        shown = from_pair(photo, degraded, 128)
        assert rms(shown) == pytest.approx(rms(Instruction(photo, degraded)), rel=within)
    means = [quarter.mean(axis=(0, 1)) for quarter in quarters(shown.clean)]
    assert min(np.abs(one - other).max() for i, one in enumerate(means) for other in means[:i]) > 0.02


def test_a_weak_and_a_strong_side_are_both_shown() -> None:
    """Neither the strongest windows alone nor a blank middle one: the damage as it is spread."""
    clean = np.full((256, 512, 3), 0.5, np.float32)
    noise = np.random.default_rng(0).standard_normal(clean.shape, dtype=np.float32)
    degraded = clean + noise * np.linspace(0.0, 0.2, 512, dtype=np.float32)[None, :, None]
    shown = from_pair(clean, degraded, 128)
    strengths = sorted(float((after - before).std()) for before, after in
                       zip(quarters(shown.clean), quarters(shown.degraded), strict=True))  # fmt: skip
    assert strengths[0] < 0.1
    assert strengths[-1] > 0.15


def test_a_pair_of_the_canvas_own_size_is_taken_as_it_is() -> None:
    made = instruction([RAIN], 2, 96)
    again = from_pair(made.clean, made.degraded, 96)
    np.testing.assert_array_equal(again.clean, made.clean)
    np.testing.assert_array_equal(again.degraded, made.degraded)


@pytest.mark.parametrize("shape", [(32, 32), (32, 300), (64, 64), (65, 129), (40, 97)])
@pytest.mark.parametrize("side", [97, 128])
def test_small_pairs_are_continued_by_mirroring(shape: tuple[int, int], side: int) -> None:
    clean = map_of_places(*shape)
    degraded = clean + np.float32(0.1)
    shown = from_pair(clean, degraded, side)
    assert shown.clean.shape == shown.degraded.shape == (side, side, 3)
    np.testing.assert_allclose(shown.degraded - shown.clean, 0.1, atol=1e-6)
    # Nothing but pixels of the pair, neighbours no more than one apart.
    half = -(-side // 2)
    steps = np.abs(np.diff(shown.clean[:half, :half, 0] * 1024, axis=1))
    np.testing.assert_allclose(steps, 1, atol=1e-3)
    assert shown.clean[..., 0].max() * 1024 < shape[1]


def test_one_pair_gives_one_instruction(photo: np.ndarray) -> None:
    degraded, _ = compose(photo, (RAIN,), picture_rng(0, photo))
    first, second = (from_pair(photo, degraded, 128) for _ in range(2))
    np.testing.assert_array_equal(first.clean, second.clean)
    np.testing.assert_array_equal(first.degraded, second.degraded)


def test_pairs_that_show_nothing_are_refused(photo: np.ndarray) -> None:
    with pytest.raises(UsageError, match=r"512x512 pixels.* 511x512$"):
        from_pair(photo, photo[:, :511], 128)
    with pytest.raises(UsageError, match="an empty pair"):
        from_pair(photo, photo + np.float32(0.4 / 255), 128)
    with pytest.raises(UsageError, match=r"31x90 pixels.*at least 32x32"):
        from_pair(photo[:90, :31], 1 - photo[:90, :31], 128)


def test_files_are_named_in_errors(tmp_path: Path, photo: np.ndarray) -> None:
    before, after = save(tmp_path / "before.png", photo[:64, :80]), save(tmp_path / "after.png", 1 - photo[:64, :80])
    clean, degraded = read_pair(before, after)
    np.testing.assert_allclose(clean, photo[:64, :80], atol=1e-6)
    np.testing.assert_allclose(degraded, 1 - photo[:64, :80], atol=1e-6)

    small, broken = save(tmp_path / "small.png", photo[:60, :80]), tmp_path / "broken.png"
    broken.write_text("no picture")
    with pytest.raises(UsageError, match=r"before\.png has 80x64 pixels, .*small\.png 80x60"):
        read_pair(before, small)
    with pytest.raises(UsageError, match=r"an empty pair: .*before\.png and .*before\.png"):
        read_pair(before, before)
    with pytest.raises(UsageError, match=r"nowhere\.png is not a file"):
        read_pair(before, tmp_path / "nowhere.png")
    with pytest.raises(PictureError, match=r"broken\.png"):
        read_pair(before, broken)


def test_torch_is_not_needed() -> None:
    code = "import sys; import airtool.methods.defusion.instruction; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
