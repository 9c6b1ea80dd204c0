"""Every protocol against scikit-image, put together anew here from what the protocol's statement says."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from skimage import data
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from skimage.util import img_as_ubyte

from airtool.errors import PictureError, UsageError
from airtool.metrics.protocols import PROTOCOLS, parse_protocols

PHOTOGRAPHS: dict[str, Callable[[], np.ndarray]] = {
    "astronaut": data.astronaut,
    "chelsea": data.chelsea,
    "coffee": data.coffee,
    "rocket": data.rocket,
}


def pair(name: str, height: int | None = None, width: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A photograph with noise and a colour cast that leave [0, 1] in places, and the photograph: float32."""
    clean = (PHOTOGRAPHS[name]()[:height, :width] / 255.0).astype(np.float32)
    noise = np.random.default_rng(7).normal(0.03, 25 / 255, clean.shape)
    return (clean + noise).astype(np.float32), clean


def to_bytes(picture: np.ndarray) -> np.ndarray:
    return img_as_ubyte(np.clip(picture, 0, 1))


def gaussian_ssim(a: np.ndarray, b: np.ndarray, peak: float, channels: int | None) -> float:
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return structural_similarity(a, b, data_range=peak, channel_axis=channels, **settings)


def reference_rgb(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    a, b = to_bytes(a), to_bytes(b)
    return peak_signal_noise_ratio(b, a, data_range=255), gaussian_ssim(a, b, 255, -1)


def reference_y(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    # Halves go up, as in MATLAB; the inner rounding undoes what binary fractions make of an exact half.
    a, b = (np.floor(np.round(rgb2ycbcr(to_bytes(picture))[..., 0], 6) + 0.5) for picture in (a, b))
    return peak_signal_noise_ratio(b, a, data_range=255), gaussian_ssim(a, b, 255, None)


def reference_promptir(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    height, width = a.shape[0] // 16 * 16, a.shape[1] // 16 * 16
    top, left = (a.shape[0] % 16) // 2, (a.shape[1] % 16) // 2
    a, b = (np.clip(p.astype(np.float64), 0, 1)[top : top + height, left : left + width] for p in (a, b))
    return peak_signal_noise_ratio(b, a, data_range=1), structural_similarity(a, b, data_range=1, channel_axis=-1)


def reference_ndr(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    a, b = (np.clip(picture.astype(np.float64), 0, 1) for picture in (a, b))
    return peak_signal_noise_ratio(b, a, data_range=1), gaussian_ssim(a, b, 1, -1)


REFERENCES = {"rgb": reference_rgb, "y": reference_y, "promptir": reference_promptir, "ndr": reference_ndr}


def check(protocol: str, restored: np.ndarray, clean: np.ndarray) -> None:
    psnr, ssim = REFERENCES[protocol](restored, clean)
    assert PROTOCOLS[protocol].psnr(restored, clean) == pytest.approx(psnr, abs=1e-6)
    assert PROTOCOLS[protocol].ssim(restored, clean) == pytest.approx(ssim, abs=1e-6)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_agrees_with_scikit_image_on_photographs(protocol: str, name: str) -> None:
    check(protocol, *pair(name, 270, 203))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(("height", "width"), [(16, 16), (31, 45), (128, 37), (129, 64), (138, 23), (139, 40)])
def test_agrees_at_the_edges_of_strips_and_windows(protocol: str, height: int, width: int) -> None:
    check(protocol, *pair("astronaut", height, width))


def test_protocols_are_told_apart() -> None:
    restored, clean = pair("chelsea")
    values = [(protocol.psnr(restored, clean), protocol.ssim(restored, clean)) for protocol in PROTOCOLS.values()]
    for metric in zip(*values, strict=True):
        assert np.diff(sorted(metric)).min() > 1e-5


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_equal_pictures_have_infinite_psnr(protocol) -> None:
    _, clean = pair("coffee", 64, 64)
    assert protocol.psnr(clean, clean.copy()) == math.inf
    assert protocol.ssim(clean, clean.copy()) == pytest.approx(1.0, abs=1e-12)


def test_only_8_bit_protocols_overlook_what_rounding_removes() -> None:
    _, clean = pair("coffee", 64, 64)
    nearly = clean + np.float32(0.3 / 255)
    assert PROTOCOLS["rgb"].psnr(nearly, clean) == math.inf
    assert PROTOCOLS["ndr"].psnr(nearly, clean) == pytest.approx(20 * math.log10(255 / 0.3), abs=0.05)


def test_pictures_below_the_window_and_the_crop_are_undefined() -> None:
    tiny = np.full((5, 200, 3), 0.5, np.float32)
    for protocol in PROTOCOLS.values():
        assert math.isnan(protocol.ssim(tiny, tiny))
    assert math.isnan(PROTOCOLS["promptir"].psnr(tiny, tiny + np.float32(0.1)))
    assert PROTOCOLS["ndr"].psnr(tiny, tiny + np.float32(0.1)) == pytest.approx(20.0, abs=1e-5)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    _, clean = pair("coffee", 32, 32)
    broken = clean.copy()
    broken[3, 4, 1] = bad
    for protocol in PROTOCOLS.values():
        with pytest.raises(PictureError, match="not finite"):
            protocol.psnr(broken, clean)
        with pytest.raises(PictureError, match="not finite"):
            protocol.ssim(clean, broken)


def test_other_sizes_and_shapes_are_refused() -> None:
    _, clean = pair("coffee", 32, 48)
    with pytest.raises(PictureError, match="48x32 and 47x32"):
        PROTOCOLS["rgb"].psnr(clean, clean[:, :47])
    with pytest.raises(PictureError, match="shape"):
        PROTOCOLS["rgb"].psnr(clean[..., 0], clean[..., 0])


def test_parse_protocols() -> None:
    assert [protocol.name for protocol in parse_protocols(" ndr,rgb , y")] == ["ndr", "rgb", "y"]
    for text in ("", ",", "rgb,rgb"):
        with pytest.raises(UsageError, match="each protocol once"):
            parse_protocols(text)
    with pytest.raises(UsageError, match="unknown protocol 'luma': choose from rgb, y, promptir, ndr"):
        parse_protocols("rgb,luma")
