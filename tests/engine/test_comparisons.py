"""Comparisons look as the pictures do: in their colours, for programs that manage colours."""

import io
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeMethod
from PIL import Image, ImageCms
from skimage import data

from airtool.engine.pipeline import Pipeline
from airtool.engine.session import Session
from airtool.engine.settings import Settings
from airtool.engine.tasks import plan_tasks
from airtool.images.discover import discover
from airtool.images.plan import plan

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SWAPPED = SRGB.replace(b"rXYZ", b"----").replace(b"gXYZ", b"rXYZ").replace(b"----", b"gXYZ")
"""A profile of which one sees whether it is used: red is green, and green is red."""
GREY = SRGB[:16] + b"GRAY" + SRGB[20:]


def compared(image: Image.Image, name: str, tmp_path: Path, **options: object) -> Image.Image:
    """The comparison that a run writes for a picture that its method changes in nothing."""
    (tmp_path / "in").mkdir()
    image.save(tmp_path / "in" / name, **options)
    jobs = plan(discover([str(tmp_path / "in")]), tmp_path / "out").jobs
    work = plan_tasks(jobs, str(tmp_path / "out"), compare=str(tmp_path / "both"), replace=False)
    with Pipeline(
        Session(FakeMethod(hook=lambda pictures, request: pictures), Settings(device="cpu")), work, workers=1
    ) as pipeline:
        assert [record.status for record in pipeline] == ["restored"]
    both = Image.open(tmp_path / "both" / f"{name}.jpg")
    both.load()
    return both


def shown(image: Image.Image) -> np.ndarray:
    """The pixels that a program shows that manages colours: (H, W, 3) in [0, 255]."""
    profiles = [ImageCms.ImageCmsProfile(io.BytesIO(block)) for block in (image.info.get("icc_profile", SRGB), SRGB)]
    return np.asarray(ImageCms.profileToProfile(image, *profiles, outputMode="RGB")).astype(float)


@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "photo.tif"])
def test_comparisons_have_the_colours_of_the_picture(name: str, tmp_path: Path) -> None:
    photo = Image.fromarray(data.astronaut()[:96, 200:328])
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    both = compared(photo, name, tmp_path, icc_profile=SWAPPED, exif=exif, **{"quality": 95} if "jpg" in name else {})
    assert both.info["icc_profile"] == SWAPPED
    assert not both.getexif()
    with Image.open(tmp_path / "in" / name) as original:
        expected = shown(original)
    plain = np.asarray(photo).astype(float)
    assert np.abs(expected - plain).mean() > 10
    width = photo.width
    for half in (shown(both)[:, :width], shown(both)[:, -width:]):
        assert np.abs(half - expected)[:, 8:-8].mean() < 4


def test_comparisons_of_grey_pictures_are_grey(tmp_path: Path) -> None:
    photo = Image.fromarray(data.astronaut()[:96, 200:328, 1])
    both = compared(photo, "photo.png", tmp_path, icc_profile=GREY)
    assert both.mode == "L"
    assert both.size == (2 * 128 + 4, 96)
    assert both.info["icc_profile"] == GREY


def test_comparisons_of_pictures_without_a_profile_have_none(tmp_path: Path) -> None:
    assert "icc_profile" not in compared(Image.fromarray(data.astronaut()[:96, 200:328]), "photo.png", tmp_path).info
