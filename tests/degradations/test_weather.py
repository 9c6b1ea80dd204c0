"""Rain, haze, snow and raindrops against their equations."""

import itertools
import math

import cv2
import numpy as np
import pytest

from airtool.degradations import DEGRADATIONS
from airtool.degradations.fields import depth_map, guided_filter, smooth_field, soft
from airtool.degradations.haze import scatter
from airtool.degradations.rain import streak_layer
from airtool.degradations.sprites import stamp, streak


def orientation(plane):
    """Angle of the long axis of a plane's autocorrelation, radians from the vertical, positive to the lower left."""
    spectrum = np.abs(np.fft.fft2(plane - plane.mean())) ** 2
    correlation = np.fft.fftshift(np.fft.ifft2(spectrum).real)
    middle = np.array(correlation.shape) // 2
    patch = correlation[middle[0] - 12 : middle[0] + 13, middle[1] - 12 : middle[1] + 13].clip(0) ** 2
    rows, columns = np.mgrid[-12:13, -12:13]
    return 0.5 * math.atan2(-2 * (patch * rows * columns).sum(), (patch * (rows**2 - columns**2)).sum())


def test_scatter_is_koschmieders_law():
    image = np.array([[[0.2, 0.4, 0.6]]], np.float32)
    hazy = scatter(image, np.array([[0.25]], np.float32), np.array([0.8, 0.9, 1.0], np.float32))
    np.testing.assert_allclose(hazy[0, 0], [0.2 * 0.25 + 0.8 * 0.75, 0.1 + 0.9 * 0.75, 0.15 + 0.75], rtol=1e-6)


@pytest.mark.parametrize("beta", [0.5, 2.0])
def test_haze_has_one_transmission_for_all_channels(beta, photo):
    dim = photo * np.float32(0.5)  # everywhere far from the airlight, so that the transmission can be told
    hazy, drawn = DEGRADATIONS["haze"].apply(dim, beta, np.random.default_rng(4))
    airlight = np.array(drawn["airlight"])
    transmission = (hazy - airlight) / (dim - airlight)
    assert np.ptp(transmission, axis=2).max() < 1e-5
    assert transmission.min() == pytest.approx(math.exp(-beta), abs=1e-5)
    assert transmission.max() == pytest.approx(math.exp(-beta * drawn["nearest_depth"]), abs=1e-5)
    assert transmission.mean() == pytest.approx(drawn["mean_transmission"], abs=1e-5)


def test_depth_and_fields_reach_the_whole_range(photo):
    depth = depth_map(photo, np.random.default_rng(0))
    assert depth.shape == photo.shape[:2]
    assert (depth.min(), depth.max()) == pytest.approx((0, 1), abs=1e-6)
    field = smooth_field((90, 40), np.random.default_rng(0))
    assert (field.min(), field.max()) == pytest.approx((0, 1), abs=1e-6)
    # Smooth: neighbours differ by little, corners by much.
    assert np.abs(np.diff(field, axis=0)).max() < 0.15


def test_guided_filter_keeps_a_step_of_its_guide():
    guide = np.zeros((40, 40), np.float32)
    guide[:, 20:] = 1
    noisy = guide + np.random.default_rng(0).normal(0, 0.1, guide.shape).astype(np.float32)
    result = guided_filter(guide, noisy, radius=4)
    assert (result[:, 20] - result[:, 19]).mean() > 0.9
    assert result[:, :20].std() < 0.04


def drawn_as(look, name, image, amount, runs):
    """That many results and records of the wanted look, of successive seeds."""
    tries = (DEGRADATIONS[name].apply(image, amount, np.random.default_rng(seed)) for seed in range(100))
    return list(itertools.islice((made for made in tries if made[1]["look"] == look), runs))


@pytest.mark.parametrize(("name", "usual", "rare"), [("rain", "curtain", "sparse"), ("raindrop", "blob", "lens")])
def test_three_draws_in_four_have_the_look_of_photographs(name, usual, rare):
    tiny = np.full((8, 8, 3), 0.5, np.float32)
    looks = [DEGRADATIONS[name].apply(tiny, 0.4, np.random.default_rng(seed))[1]["look"] for seed in range(150)]
    assert set(looks) == {usual, rare}
    assert looks.count(rare) / 150 == pytest.approx(0.25, abs=0.1)


def test_light_sparse_rain_adds_grey_light(photo):
    dim = photo * np.float32(0.4)
    for rainy, drawn in drawn_as("sparse", "rain", dim, 0.4, 4):
        assert drawn["veil"] == 0
        added = rainy - dim
        assert added.min() >= -1e-6
        unclipped = rainy.max(axis=2) < 1
        assert np.ptp(added, axis=2)[unclipped].max() < 1e-5
        assert 0.02 < (added.mean(axis=2) > 4 / 255).mean() < 0.6


def test_a_curtain_covers_the_picture_and_fades_before_its_own_light():
    dark = np.full((160, 160, 3), 0.2, np.float32)
    for rainy, drawn in drawn_as("curtain", "rain", dark, 0.6, 5):
        assert (rainy > dark + 4 / 255).mean() > 0.5  # dense: hardly a pixel is left alone
        assert rainy.std() > 0.01  # ... and more than a veil
        assert rainy.max() <= max(drawn["light"], drawn["airlight"]) + 1e-5


def test_the_streaks_of_a_curtain_hide_what_is_behind_them():
    shape, rainy = (64, 64), DEGRADATIONS["rain"].apply
    seed = next(s for s in range(100) if streak_layer(shape, 0.6, np.random.default_rng(s))[1]["look"] == "curtain")
    streaks, _ = streak_layer(shape, 0.6, np.random.default_rng(seed))
    black, grey = (
        rainy(np.full((*shape, 3), level, np.float32), 0.6, np.random.default_rng(seed))[0][..., 0]
        for level in (0.0, 0.5)
    )
    # The ground's contrast is dimmed by e^-S, and by a veil which is smooth.
    veil = (grey - black) / (0.5 * np.exp(-streaks))
    assert 0.2 < veil.min() <= veil.max() <= 1 + 1e-5
    assert np.abs(np.diff(veil)).mean() < 0.2 * np.abs(np.diff(np.exp(-streaks))).mean()


def test_heavy_rain_has_a_veil_that_lifts_the_dark(photo):
    for look in ("sparse", "curtain"):
        for rainy, drawn in drawn_as(look, "rain", np.zeros_like(photo), 1.0, 2):
            assert drawn["veil"] > 0
            assert rainy.min() >= 0.3 * drawn["veil"] * drawn["airlight"] - 1e-5


@pytest.mark.parametrize("seed", range(8))
def test_streaks_fall_along_the_recorded_angle(seed):
    layer, drawn = streak_layer((300, 300), 0.5, np.random.default_rng(seed))
    assert math.degrees(orientation(layer)) == pytest.approx(drawn["angle_degrees"], abs=4)


def test_rain_grows_with_the_picture():
    def both(look):
        def draw(side, seed):
            return streak_layer((side, side), 0.5, np.random.default_rng(seed))

        seed = next(seed for seed in range(100) if draw(8, seed)[1]["look"] == look)
        return draw(480, seed), draw(1440, seed)

    (_, small), (_, large) = both("sparse")
    assert large["length_px"] == pytest.approx(3 * small["length_px"])
    assert large["streaks"] == pytest.approx(small["streaks"], rel=0.15)
    (fine, small), (coarse, large) = both("curtain")
    assert large["lengths_px"] == pytest.approx([3 * length for length in small["lengths_px"]])
    assert coarse.mean() == pytest.approx(fine.mean(), rel=0.1)


def test_a_streak_leans_the_way_its_angle_says():
    sprite = streak(12, 8.0, 0.8, math.radians(30))
    assert sprite.max() == sprite[12, 12] == 1
    assert sprite[12 + 6, 12 - 3] > 0.5  # below the centre and to its left
    assert sprite[12 + 6, 12 + 3] < 0.01
    assert sprite[12 + 7, 12 - 4] == pytest.approx(math.exp(-0.5), abs=0.02)  # one length along: e^(-1/2)


def test_stamps_are_cut_at_the_border_and_add_up():
    sprite = np.arange(1, 10, dtype=np.float32).reshape(3, 3)
    canvas = np.zeros((4, 5), np.float32)
    corners = np.array([0.0, 3.0, 9.0, 0.0]), np.array([0.0, 4.0, 9.0, 0.0])
    stamp(canvas, [sprite], np.zeros(4, int), *corners, np.array([1.0, 2.0, 1.0, 1.0]))
    expected = np.zeros((4, 5))
    expected[:2, :2] = 2 * sprite[1:, 1:]
    expected[2:, 3:] = 2 * sprite[:2, :2]
    np.testing.assert_array_equal(canvas, expected)


@pytest.mark.parametrize("seed", range(4))
def test_snow_pulls_every_pixel_towards_the_flakes_colour(seed, photo):
    snowy, drawn = DEGRADATIONS["snow"].apply(photo, 0.6, np.random.default_rng(seed))
    colour = np.array(drawn["colour"], np.float32)
    assert (snowy >= np.minimum(photo, colour) - 1e-6).all()
    assert (snowy <= np.maximum(photo, colour) + 1e-6).all()
    # One opacity for all three channels.
    contrast = colour - photo
    opacity = np.where(contrast > 0.2, (snowy - photo) / np.where(contrast > 0.2, contrast, 1), np.nan)
    opacity = opacity[(contrast > 0.2).all(axis=2)]
    assert np.ptp(opacity, axis=1).max() < 1e-4
    assert opacity.max() > 0.5


def test_raindrops_in_focus_show_the_scene_upside_down():
    ramp = np.linspace(0.1, 0.9, 240, dtype=np.float32)[:, None, None]
    scene = np.broadcast_to(ramp, (240, 240, 3)).copy()
    for result, drawn in drawn_as("lens", "raindrop", scene, 0.1, 2):
        assert drawn["drops"] >= 1
        slope = np.diff(result[..., 1], axis=0)
        true_slope = 0.8 / 239
        upside_down = (slope < -0.5 * true_slope).mean()
        untouched = (result == scene).all(axis=2).mean()
        assert upside_down > 0.02
        assert 0.4 < untouched < 0.99


def test_raindrops_out_of_focus_hold_the_sky_low():
    dark = np.full((160, 160, 3), 0.1, np.float32)  # few drops, so that hardly any have run together
    below = []
    for result, drawn in drawn_as("blob", "raindrop", dark, 0.02, 60):
        rise = result[..., 1] - dark[..., 1]
        count, names, boxes, _ = cv2.connectedComponentsWithStats((rise > 0.05).astype(np.uint8))
        for name in range(1, count):
            left, top, width, height, _ = boxes[name]
            drop = names == name
            whole = left > 0 and top > 0 and left + width < 160 and top + height < 160
            # Only drops that are wholly seen, paler than the ground, and with a spot brighter than their body.
            if whole and drawn["colour"][1] > 0.25 and rise[drop].max() > drawn["colour"][1]:
                bright = drop & (rise > 0.9 * rise[drop].max())
                below.append((np.nonzero(bright)[0].mean() - np.nonzero(drop)[0].mean()) / height)
    assert len(below) >= 10
    assert np.mean(below) > 0.03


def test_raindrops_out_of_focus_lighten_the_dark_on_average():
    dark = np.full((160, 160, 3), 0.15, np.float32)
    runs = drawn_as("blob", "raindrop", dark, 0.2, 12)
    assert np.mean([result.mean() for result, _ in runs]) > 0.15 + 0.02
    assert all((result - dark).max() > 8 / 255 for result, _ in runs)


def test_a_soft_blur_keeps_the_sum_and_the_width():
    plane = np.zeros((120, 120), np.uint8)
    plane[60, 60] = 200
    for sigma in (1.5, 12.0):
        blurred = soft(plane, sigma)
        assert blurred.sum() == pytest.approx(200, rel=0.02)
        offsets = np.arange(120) - 60
        assert math.sqrt((blurred.sum(axis=0) * offsets**2).sum() / blurred.sum()) == pytest.approx(sigma, rel=0.08)


def test_raindrops_cover_what_was_asked_for(photo):
    def covered(amount):
        apply = DEGRADATIONS["raindrop"].apply
        return np.mean([apply(photo, amount, np.random.default_rng(seed))[1]["covered"] for seed in range(12)])

    assert covered(0.1) == pytest.approx(0.1, abs=0.06)
    assert covered(0.4) == pytest.approx(0.4, abs=0.15)
