"""pyiqa's metrics through the one door: real loading code on made-up weights, and clear words where they lack."""

import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data

from airtool.errors import PictureError, UsageError
from airtool.metrics import perceptual
from airtool.metrics.perceptual import MissingMetricError, UnknownMetricError, check_file, find_metric, open_metric
from airtool.metrics.protocols import RGB, Y

PHOTO = np.ascontiguousarray(data.astronaut()[:128, 180:308].astype(np.float32) / 255)
NOISY = np.clip(PHOTO + np.random.default_rng(0).normal(0, 0.1, PHOTO.shape), 0, 1).astype(np.float32)


def test_lpips_is_loaded_and_zero_for_equal_pictures(metric_hub: Path, capfd: pytest.CaptureFixture[str]) -> None:
    metric = open_metric("LPIPS", metric_hub)
    assert (metric.traits.name, metric.traits.needs_ground_truth, metric.traits.lower_is_better) == (
        "lpips",
        True,
        True,
    )
    assert metric.traits.library.startswith("pyiqa 0.")
    assert metric.score(PHOTO, PHOTO) == pytest.approx(0, abs=1e-6)
    assert metric.score(NOISY, PHOTO) > 1e-4
    with pytest.raises(UsageError, match="give --gt"):
        metric.score(PHOTO)
    with pytest.raises(PictureError, match="lpips cannot be computed: "):
        metric.score(PHOTO[:9, :9], PHOTO[:9, :9])
    assert capfd.readouterr() == ("", "")


def test_musiq_needs_no_ground_truth_and_remembers_no_picture(metric_hub: Path) -> None:
    metric = open_metric("musiq", metric_hub)
    assert (metric.traits.needs_ground_truth, metric.traits.lower_is_better) == (False, False)
    first, other, again = metric.score(PHOTO), metric.score(NOISY), metric.score(PHOTO)
    assert first == again != other
    # A file holds 8 bits; so does what is scored.
    assert metric.score(np.rint(NOISY * np.float32(255)) / np.float32(255)) == other


def test_several_at_once_have_the_values_of_each(metric_hub: Path) -> None:
    lpips, musiq = open_metric("lpips", metric_hub), open_metric("musiq", metric_hub)
    pictures, truths = [NOISY, PHOTO, NOISY[:, ::-1]], [PHOTO, NOISY, PHOTO]
    each = [lpips.score(*two) for two in zip(pictures, truths, strict=True)]
    assert lpips.scores(pictures, truths) == pytest.approx(each, abs=1e-5)
    assert musiq.scores(pictures) == pytest.approx([musiq.score(picture) for picture in pictures], abs=1e-3)


def test_loading_draws_nothing_from_the_random_numbers_of_the_run(metric_hub: Path) -> None:
    before = torch.get_rng_state()
    open_metric("lpips", metric_hub)
    assert torch.equal(torch.get_rng_state(), before)


def test_missing_damaged_and_dangerous_files_are_named(metric_hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = metric_hub / "pyiqa" / "musiq_koniq_ckpt-e95806b9.pth"
    with monkeypatch.context() as patch:
        patch.setattr(perceptual, "check_file", check_file)
        with pytest.raises(MissingMetricError, match=r"musiq: .*e95806b9\.pth is damaged"):
            open_metric("musiq", metric_hub)
    path.unlink()
    torch.save({"params": sys.exit}, path)
    with pytest.raises(MissingMetricError, match="musiq cannot be made ready"):
        open_metric("musiq", metric_hub)
    path.unlink()
    with pytest.raises(MissingMetricError) as missing:
        open_metric("musiq", metric_hub)
    said = str(missing.value)
    assert said.startswith("musiq: musiq_koniq_ckpt-e95806b9.pth is missing; it is published at http")
    assert said.endswith(f"; put it into {metric_hub / 'pyiqa'}")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("clipiqa", r"clipiqa: RN50\.pt is missing; it is published at \S+; put it into {hub}/clip$"),
        ("nima", r"nima: \S+ of timm/\S+ is missing; it is published at \S+; get it by: hf download timm/\S+$"),
    ],
)
def test_files_from_other_places_are_named_too(
    metric_hub: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(metric_hub))
    with pytest.raises(MissingMetricError, match=said.replace("{hub}", str(metric_hub))):
        open_metric(name, metric_hub)


def test_the_library_is_left_as_it_was(metric_hub: Path) -> None:
    import urllib.request

    def state() -> tuple[object, ...]:
        return torch.load, torch.hub.download_url_to_file, torch.hub.get_dir(), urllib.request.urlopen

    before = state()
    open_metric("lpips", metric_hub)
    assert before == state()


@pytest.mark.usefixtures("metric_hub")
def test_unknown_names() -> None:
    with pytest.raises(UnknownMetricError, match=r"unknown metric 'musik': .* did you mean musiq"):
        find_metric("musik")
    with pytest.raises(UnknownMetricError, match="unknown metric 'sfid'"):
        open_metric("sfid")
    with pytest.raises(UsageError, match="fid is no measure of a single picture"):
        open_metric("fid")


@pytest.mark.usefixtures("metric_hub")
def test_pyiqa_and_our_own_protocol_agree() -> None:
    assert open_metric("ssimc").score(NOISY, PHOTO) == pytest.approx(RGB.ssim(NOISY, PHOTO), abs=1e-5)
    assert open_metric("psnr").score(NOISY, PHOTO) == pytest.approx(RGB.psnr(NOISY, PHOTO), abs=1e-5)
    # Its luma has the full range and is not rounded; ours has 219 of the 255 levels that both call the peak.
    first, second = (np.rint(picture * np.float32(255)) / np.float32(255) for picture in (NOISY, PHOTO))
    luma = replace(Y, quantise=False).psnr(first, second) - 20 * math.log10(255 / 219)
    assert open_metric("psnry").score(NOISY, PHOTO) == pytest.approx(luma, abs=1e-5)
