"""FID: the distance by hand and by SciPy's matrix root, and the features against pyiqa's own over a folder."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import linalg
from skimage import data

from airtool.metrics.frechet import frechet_distance
from airtool.metrics.perceptual import MissingMetricError, open_inception

CROPS = [data.astronaut()[:96, 160:290], data.chelsea()[60:188, 160:320], data.coffee()[150:350, 250:400]]


def by_root(first: np.ndarray, second: np.ndarray) -> float:
    """The formula as it is written, with the matrix root."""
    shift = first.mean(axis=0) - second.mean(axis=0)
    one, two = (np.cov(each, rowvar=False) for each in (first, second))
    return float(shift @ shift + np.trace(one + two - 2 * linalg.sqrtm(one @ two).real))


@pytest.mark.parametrize(("count", "other"), [(40, 40), (300, 40), (60, 500)])
def test_the_distance_is_that_of_the_matrix_root(count: int, other: int) -> None:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(12, 12))
    first = (rng.normal(size=(count, 12)) @ mixing).astype(np.float32)
    second = (rng.normal(size=(other, 12)) * 1.5 + 0.3).astype(np.float32)
    expected = by_root(first.astype(np.float64), second.astype(np.float64))
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(second, first) == pytest.approx(expected, rel=1e-6)


def test_few_pictures_of_many_features() -> None:
    rng = np.random.default_rng(1)
    first = rng.normal(size=(5, 2048)).astype(np.float32)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(first, first + np.float32(0.5)) == pytest.approx(2048 * 0.25, rel=1e-6)
    # Spread over directions that have nothing in common: nothing is shared.
    apart = np.zeros_like(first)
    apart[:, :5], first[:, :5] = np.eye(5) * 10, 0
    spread = sum(np.cov(each, rowvar=False).trace() for each in (first, apart))
    shift = first.mean(axis=0, dtype=np.float64) - apart.mean(axis=0, dtype=np.float64)
    assert frechet_distance(first, apart) == pytest.approx(spread + shift @ shift, rel=1e-5)
    assert math.isnan(frechet_distance(first[:1], first))


def test_features_are_those_of_pyiqa_over_a_folder(fid_hub: Path, tmp_path: Path) -> None:
    # Its distance is not compared: with fewer pictures than features its matrix root fails.
    from pyiqa.archs.fid_arch import get_folder_features

    inception = open_inception("fid", fid_hub)
    for index, crop in enumerate(CROPS):
        Image.fromarray(crop).save(tmp_path / f"{index}.png")
    options = {"num_workers": 0, "mode": "clean", "device": "cpu", "verbose": False}
    theirs = get_folder_features(str(tmp_path), inception._network, **options)
    ours = inception.of([(crop / 255).astype(np.float32) for crop in CROPS])
    assert ours.shape == (3, 2048)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6 * np.abs(theirs).max())
    assert len(np.unique(ours.round(3), axis=0)) == 3


def test_a_missing_network_is_named(metric_hub: Path) -> None:
    (metric_hub / "pyiqa" / "pt_inception-2015-12-05-6726825d.pth").unlink(missing_ok=True)
    with pytest.raises(MissingMetricError, match=r"fid: pt_inception-2015-12-05-6726825d\.pth is missing; it is"):
        open_inception("fid", metric_hub)
