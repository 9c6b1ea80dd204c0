"""Noise and low light against their equations."""

import numpy as np
import pytest

from airtool.degradations import DEGRADATIONS
from airtool.degradations.noise import CAMERA_TO_RGB, RGB_TO_CAMERA, draw_sensor, sensor_noise
from airtool.degradations.srgb import to_linear, to_srgb


def flat(value, side=256):
    return np.full((side, side, 3), value, np.float32)


def neighbour_correlation(plane):
    plane = plane - plane.mean()
    return float((plane[:, 1:] * plane[:, :-1]).mean() / plane.var())


@pytest.mark.parametrize("sigma", [1, 15, 25, 30])
def test_gaussian_noise_has_the_requested_sigma(sigma):
    result, _ = DEGRADATIONS["noise"].apply(flat(0.5), sigma, np.random.default_rng(0))
    noise = (result - 0.5).astype(np.float64) * 255
    assert noise.std() == pytest.approx(sigma, rel=0.01)
    assert abs(noise.mean()) < 4 * sigma / np.sqrt(noise.size)
    # White: independent of the neighbour and of the other channels.
    assert abs(neighbour_correlation(noise[..., 0])) < 0.015
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 2].ravel())[0, 1]) < 0.015


def test_gaussian_noise_is_not_quantised():
    result, _ = DEGRADATIONS["noise"].apply(flat(0.5), 25, np.random.default_rng(0))
    assert len(np.unique(result)) > 10000


def test_colour_matrices_are_inverse_and_keep_grey():
    np.testing.assert_allclose(CAMERA_TO_RGB @ RGB_TO_CAMERA, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(CAMERA_TO_RGB.sum(axis=1), 1, atol=1e-6)


def test_sensor_noise_variance_is_linear_in_the_signal():
    shot, read = 0.004, 0.0008
    signals = np.array([0.0, 0.25, 0.5, 1.0])
    variances = np.array(
        [
            sensor_noise(flat(s, 384), shot, read, (1.0, 1.0, 1.0), np.random.default_rng(7)).reshape(-1, 3).var(axis=0)
            for s in signals
        ]
    )
    # var = c (shot s + read) with one factor c a channel, from the interpolation and the colour matrix.
    expected = (shot * signals + read) / read
    for channel in range(3):
        np.testing.assert_allclose(variances[:, channel] / variances[0, channel], expected, rtol=0.03)


def test_sensor_noise_has_zero_mean_and_the_blotches_of_demosaicing():
    noise = sensor_noise(flat(0.4), 0.004, 1e-5, (2.0, 1.0, 1.7), np.random.default_rng(1)).astype(np.float64)
    assert np.abs(noise.mean(axis=(0, 1))).max() < 0.03 * noise.std()
    assert all(neighbour_correlation(noise[..., channel]) > 0.25 for channel in range(3))
    # The gains of red and blue are above one: their noise is louder than green's.
    red, green, blue = noise.std(axis=(0, 1))
    assert red > green < blue


def test_photo_noise_is_as_strong_as_the_camera_s_and_differs_in_what_neighbours_share():
    """The same seed draws the same shot and read noise; only then come the share of white noise and the softness."""
    alike = []
    for seed in range(24):
        picture = flat(0.4)
        noisy, record = DEGRADATIONS["photo-noise"].apply(picture, 0.5, np.random.default_rng(seed))
        plain, drawn = DEGRADATIONS["camera-noise"].apply(picture, 0.5, np.random.default_rng(seed))
        assert {key: record[key] for key in drawn} == drawn
        noise = noisy - picture
        np.testing.assert_allclose(noise.std((0, 1)), (plain - picture).std((0, 1)), rtol=0.06)
        alike.append((neighbour_correlation(noise[..., 0]), record["white"], record["softness"]))
    correlations = [correlation for correlation, _, _ in alike]
    # Bilinear demosaicing alone gives 0.6 in red, and nothing between.
    assert min(correlations) < 0.25
    assert max(correlations) > 0.7
    # More of it where less is white and where it is softer.
    assert np.corrcoef(correlations, [softness - white for _, white, softness in alike])[0, 1] > 0.7


def test_read_noise_follows_the_measured_relation():
    rng = np.random.default_rng(0)
    logs = [np.log(draw_sensor(0.005, rng)[0]) - 2.18 * np.log(0.005) - 1.2 for _ in range(2000)]
    assert np.mean(logs) == pytest.approx(0, abs=0.03)
    assert np.std(logs) == pytest.approx(0.26, abs=0.02)


def test_srgb_curve_is_the_standard_and_its_own_inverse():
    # Values of the standard's two branches, computed by hand.
    np.testing.assert_allclose(
        to_linear(np.array([0.0, 0.04, 0.5, 1.0], np.float32)), [0, 0.04 / 12.92, 0.21404114, 1], atol=1e-6
    )
    ramp = np.linspace(0, 1, 4096, dtype=np.float32)
    np.testing.assert_allclose(to_srgb(to_linear(ramp)), ramp, atol=2e-6)
    assert (np.diff(to_linear(ramp)) > 0).all()


@pytest.mark.parametrize("stops", [1.0, 3.0])
def test_low_light_halves_the_light_once_a_stop(stops):
    result, drawn = DEGRADATIONS["low-light"].apply(flat(0.8), stops, np.random.default_rng(2))
    light = to_linear(result) ** (1 / drawn["gamma"])
    expected = to_linear(flat(0.8, 1)) * 2.0**-stops * np.array(drawn["cast"])
    np.testing.assert_allclose(light.mean(axis=(0, 1)), expected[0, 0], rtol=0.02)


def test_low_light_is_stored_in_eight_bits(photo):
    result, _ = DEGRADATIONS["low-light"].apply(photo, 3, np.random.default_rng(0))
    levels = result * 255
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)
    assert len(np.unique(np.rint(levels))) < 200
