"""The charts on which Defusion is shown a degradation."""

from itertools import pairwise, permutations

import numpy as np
import pytest

from airtool.errors import UsageError
from airtool.methods.defusion.grounds import GROUPS, KINDS, canvas, ground
from airtool.methods.defusion.grounds.drawing import Texture, bars, grid, inside, lch, spectral_noise, wave

POOL = [texture for textures in GROUPS.values() for texture in textures]


def bands(picture: np.ndarray) -> np.ndarray:
    """Root mean square contrast of the green channel in octaves up to 1/32, 1/16, 1/8, 1/4 and 1/2 cycles a pixel."""
    side = len(picture)
    spectrum = np.abs(np.fft.fft2(picture[..., 1] - picture[..., 1].mean())) ** 2 / side**4
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side))
    edges = [0.0, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2]
    return np.array([
        np.sqrt(spectrum[(frequency > low) & (frequency <= high)].sum())
        for low, high in pairwise(edges)
    ])  # fmt: skip


def colours(picture: np.ndarray) -> int:
    """How many colours there are at 4 bits a channel."""
    return len(np.unique((picture * 15.999).astype(int).reshape(-1, 3), axis=0))


@pytest.mark.parametrize("texture", POOL, ids=lambda texture: texture.__name__)
@pytest.mark.parametrize("side", [16, 33, 64])
def test_a_texture_keeps_the_contract(texture: Texture, side: int) -> None:
    for seed in range(4):
        patch = texture(np.random.default_rng(seed), side)
        assert patch.dtype == np.float32
        assert patch.shape == (side, side, 3)
        assert 0 <= patch.min() < patch.max() <= 1
        assert patch.std() > 0.015
        np.testing.assert_array_equal(patch, texture(np.random.default_rng(seed), side))
    assert np.abs(patch - texture(np.random.default_rng(99), side)).mean() > 0.01


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", [32, 97, 128])
def test_a_ground_is_the_same_every_time(kind: canvas.Kind, side: int) -> None:
    first = ground(5, side, kind)
    assert first.dtype == np.float32
    assert first.shape == (side, side, 3)
    assert first.flags.c_contiguous
    assert 0 <= first.min() <= first.max() <= 1
    np.testing.assert_array_equal(first, ground(5, side, kind))


def test_seeds_give_different_grounds() -> None:
    for kind in ("te42", "simple"):
        made = [ground(seed, 64, kind) for seed in range(12)]
        for index, one in enumerate(made):
            assert all(np.abs(one - other).mean() > 0.05 for other in made[:index])
    np.testing.assert_array_equal(ground(0, 64, "blank"), np.float32(0.5))


def test_every_canvas_has_all_four_groups_in_changing_places() -> None:
    drawn = [canvas.chosen_textures(np.random.default_rng(seed)) for seed in range(600)]
    assert {tuple(name for name, _, _ in chart) for chart in drawn} == set(permutations(GROUPS))
    assert {texture for chart in drawn for _, texture, _ in chart} == set(POOL)
    assert all(texture in GROUPS[name] for chart in drawn for name, texture, _ in chart)


def flat(level: float) -> Texture:
    return lambda rng, side: np.full((side, side, 3), level, np.float32)


def test_quarters_stay_in_place_at_every_side(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = [0.0, 0.2, 0.8, 1.0]
    monkeypatch.setattr(canvas, "GROUPS", {str(level): (flat(level),) for level in levels})
    arrangements = set()
    for seed in range(8):
        seen = []
        for side in (32, 65, 300):
            chart = ground(seed, side)
            quarter = side // 4
            corners = [(quarter, quarter), (quarter, -quarter), (-quarter, quarter), (-quarter, -quarter)]
            seen.append(tuple(round(float(chart[place].mean()), 3) for place in corners))
            assert (chart[side // 2] == 0.5).all()  # the line between the patches
            assert (chart[:, side // 2] == 0.5).all()
        assert sorted(seen[0]) == levels
        assert len(set(seen)) == 1
        arrangements.add(seen[0])
    assert len(arrangements) > 4


def test_a_chart_has_every_frequency_and_many_colours() -> None:
    charts = [ground(seed, 128) for seed in range(24)]
    contrasts = np.array([bands(chart) for chart in charts])
    assert contrasts.min() > 0.008, "a chart without an octave"
    assert contrasts.mean(axis=0).min() > 0.05
    counts = [colours(chart) for chart in charts]
    assert min(counts) > 60
    assert np.mean(counts) > 200


def test_the_grounds_of_the_ablation_show_less_and_nothing() -> None:
    np.testing.assert_array_equal(bands(ground(0, 128, "blank")), 0)
    assert colours(ground(0, 128, "blank")) == 1
    chart = np.mean([bands(ground(seed, 128)) for seed in range(10)], axis=0)
    simple = np.mean([bands(ground(seed, 128, "simple")) for seed in range(10)], axis=0)
    assert (simple > 0).all()
    assert simple[-1] < 0.4 * chart[-1]


def test_edges_and_waves_are_smooth_to_the_pixel() -> None:
    x, y = grid(64)
    for radius in (3.0, 10.3, 25.7):
        disc = inside(np.float32(radius) - np.hypot(x - np.float32(0.3), y))
        assert disc.sum() == pytest.approx(np.pi * radius**2, rel=0.01)
    for period in (2.0, 2.7, 9.0):
        assert inside(bars(x, period)).mean() == pytest.approx(0.5, abs=0.03)
    np.testing.assert_array_equal(wave(np.float32(0.37) * x, 0.49), 0.5)
    assert np.ptp(wave(np.float32(0.1) * x, 0.1)) > 0.95


@pytest.mark.parametrize("slope", [0.5, 1.0, 2.0])
def test_noise_falls_with_frequency_as_told(slope: float) -> None:
    field = spectral_noise(np.random.default_rng(3), 128, slope)
    assert field.std() == pytest.approx(1, rel=1e-3)
    # An octave holds area f^2 times power f^(-2 slope), so its contrast goes with f^(1 - slope).
    steps = np.diff(np.log2(bands(np.repeat(field[..., None], 3, axis=-1))))[1:3]
    np.testing.assert_allclose(steps, 1 - slope, atol=0.15)


def test_colours_are_those_of_cie_lab() -> None:
    np.testing.assert_allclose(lch(100.0, 0.0, 0.0), 1.0, atol=2e-3)
    np.testing.assert_allclose(lch(np.array([0.0, 53.585]), 0.0, 0.0), [[0, 0, 0], [0.5, 0.5, 0.5]], atol=2e-3)
    np.testing.assert_allclose(lch(53.24, 104.55, 39.99), [1, 0, 0], atol=5e-3)  # the red of sRGB


@pytest.mark.parametrize(
    ("side", "kind", "words"),
    [(31, "te42", "at least 32"), (64, "te43", "choose te42, simple, blank")],
)
def test_mistakes_cost_one_line(side: int, kind: canvas.Kind, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ground(0, side, kind)
