"""Motion blur, defocus, low resolution and JPEG against their definitions."""

import io
import math

import cv2
import numpy as np
import pytest
from PIL import Image

from airtool.degradations import DEGRADATIONS
from airtool.degradations.defocus import aperture
from airtool.degradations.motion_blur import convolve_light, kernel_of, trajectory
from airtool.degradations.srgb import to_linear
from airtool.errors import AirtoolError


def test_an_aperture_below_the_sampling_blurs_nothing(photo):
    for amount in (0.01, 0.05):
        found, _ = DEGRADATIONS["defocus"].apply(photo, amount, np.random.default_rng(0))
        np.testing.assert_allclose(found, photo, atol=1e-3)


@pytest.mark.parametrize("length", [1.5, 5, 17, 60])
@pytest.mark.parametrize("wander", [0.0, 0.3])
def test_motion_kernels_sum_to_one_and_have_the_requested_extent(length, wander):
    path = trajectory(length, np.random.default_rng(8), wander)
    assert np.ptp(path, axis=0).max() == pytest.approx(length - 1)
    kernel = kernel_of(path)
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    assert kernel.min() >= 0
    assert kernel.shape[0] == kernel.shape[1]
    assert kernel.shape[0] % 2 == 1
    # The centre of mass is the centre of the kernel: blur moves nothing.
    offsets = np.arange(len(kernel)) - len(kernel) // 2
    assert abs((kernel.sum(axis=1) * offsets).sum()) < 1e-3
    assert abs((kernel.sum(axis=0) * offsets).sum()) < 1e-3


def test_a_path_without_wander_is_straight():
    path = trajectory(30, np.random.default_rng(0), 0.0)
    across = np.linalg.svd(path - path.mean(axis=0))[1]
    assert across[1] < 1e-9 * across[0]
    bent = np.linalg.svd(trajectory(30, np.random.default_rng(0), 0.3))[1]
    assert bent[1] > 0.01 * bent[0]


@pytest.mark.parametrize("blades", [0, 5, 6, 8])
@pytest.mark.parametrize("radius", [0.4, 2.5, 9.3])
def test_apertures_sum_to_one_and_cover_the_area_of_their_disc(radius, blades):
    kernel = aperture(radius, blades, 0.7)
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    assert kernel.min() >= 0
    assert kernel.shape[0] % 2 == 1
    if radius > 5:  # inside, every pixel holds the same share of the light
        assert 1 / kernel.max() == pytest.approx(math.pi * radius**2, rel=0.02)


@pytest.mark.parametrize("name", ["motion-blur", "defocus"])
def test_blur_keeps_the_light(name, photo):
    # On a grey frame wider than the kernel nothing leaves the picture, so its mean must stay: in linear light.
    framed = np.full((256, 320, 3), 0.5, np.float32)
    framed[32:-32, 32:-32] = photo
    for seed in range(4):
        result, _ = DEGRADATIONS[name].apply(framed, 9, np.random.default_rng(seed))
        np.testing.assert_allclose(to_linear(result).mean(axis=(0, 1)), to_linear(framed).mean(axis=(0, 1)), rtol=2e-4)
        assert np.abs(np.diff(result, axis=1)).mean() < 0.8 * np.abs(np.diff(framed, axis=1)).mean()


def test_blur_mixes_light_and_not_code_values():
    checkerboard = np.indices((32, 32)).sum(axis=0) % 2
    image = np.repeat(checkerboard[..., None], 3, axis=2).astype(np.float32)
    box = np.full((3, 3), 1 / 9, np.float32)
    # Mixing half black and half white light gives code value 0.735, mixing code values 0.5.
    assert convolve_light(image, box)[8:-8, 8:-8].mean() == pytest.approx(0.735, abs=0.01)


def test_a_blurred_point_is_the_kernel():
    point = np.zeros((21, 21, 3), np.float32)
    point[10, 10] = 1
    kernel = aperture(3.2, 6, 0.3)
    blurred = to_linear(convolve_light(point, kernel))[..., 1]
    half = len(kernel) // 2
    seen = blurred[10 - half : 11 + half, 10 - half : 11 + half]
    np.testing.assert_allclose(seen, kernel, atol=1e-5)  # correlation: the kernel as it stands


def test_downsampling_averages_areas():
    checkerboard = np.repeat((np.indices((32, 48)).sum(axis=0) % 2)[..., None], 3, axis=2).astype(np.float32)
    result, drawn = DEGRADATIONS["downsample"].apply(checkerboard, 2.0, np.random.default_rng(0))
    np.testing.assert_allclose(result, 0.5, atol=1e-6)
    assert drawn == {"small_height": 16, "small_width": 24}


@pytest.mark.parametrize("quality", [10, 40, 90])
def test_jpeg_is_what_an_encoder_makes(quality, photo):
    photo = photo * np.float32(0.97)  # off the 8-bit levels, so that rounding shows
    result, drawn = DEGRADATIONS["jpeg"].apply(photo, quality, np.random.default_rng(0))
    file = io.BytesIO()
    Image.fromarray(np.rint(photo * 255).astype(np.uint8)).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    reference = np.asarray(Image.open(file), dtype=np.float32) / 255
    assert drawn["quality"] == quality
    assert drawn["bytes"] == pytest.approx(file.tell(), rel=0.02)
    # Two decoders may round differently by a level or two; two qualities differ far more.
    assert np.abs(result - reference).max() <= 4 / 255
    assert np.sqrt(np.mean((result - reference) ** 2)) < 0.5 / 255
    levels = result * 255
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)


def test_jpeg_refuses_what_the_format_cannot_hold():
    with pytest.raises(AirtoolError, match="65500"):
        DEGRADATIONS["jpeg"].apply(np.zeros((1, 65501, 3), np.float32), 50, np.random.default_rng(0))


def test_jpeg_keeps_channels_in_order():
    red = np.zeros((16, 16, 3), np.float32)
    red[..., 0] = 1
    result, _ = DEGRADATIONS["jpeg"].apply(red, 95, np.random.default_rng(0))
    np.testing.assert_allclose(result.mean(axis=(0, 1)), [1, 0, 0], atol=0.02)
    assert cv2.cvtColor(result, cv2.COLOR_RGB2HSV)[..., 0].mean() == pytest.approx(0, abs=2)
