"""Tiles of one picture share its tone; detail, edges and whatever keeps its tone are left as the tiles have them."""

import numpy as np
import pytest
import torch
from fakes import FakeMethod
from torch import Tensor

from airtool.engine import tone
from airtool.engine.forward import Forward
from airtool.engine.session import Session
from airtool.engine.settings import Settings, parse_work_size
from airtool.engine.wanted import Wanted
from airtool.errors import UsageError
from airtool.methods.base import Request

SIZE = (480, 640)


class Lamp:
    """Brings the mean of whatever it is shown to `mean`; None: only sharpens a little."""

    facts = FakeMethod(tiling="approximate", overlap=32).facts

    def __init__(self, mean: float | None) -> None:
        self.mean = mean

    def restore(self, pictures: Tensor, request: Request) -> Tensor:
        blurred = torch.nn.functional.avg_pool2d(pictures, 3, 1, 1, count_include_pad=False)
        sharp = pictures + 0.3 * (pictures - blurred)
        return sharp if self.mean is None else sharp * (self.mean / pictures.mean())


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """A dark street, its left a quarter as bright as its right, with texture and a hard edge."""
    rng = np.random.default_rng(0)
    rgb = rng.uniform(0.05, 0.07, (*SIZE, 3))
    rgb[:, 320:] *= 4
    rgb[200:280, 100:500] += 0.1
    return rgb.astype(np.float32)


def restored(method: Lamp, source: np.ndarray, tile: int | None) -> np.ndarray:
    largest = SIZE if tile is None else (tile, tile)
    target = source.copy()
    Forward(method, Request((0,)), torch.device("cpu"), torch.float32, largest).restore(target, target)  # type: ignore[arg-type]
    return target


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((a - b) ** 2)))


def test_tiles_get_the_tone_of_the_whole_picture(scene: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, tiles = restored(Lamp(0.45), scene, None), restored(Lamp(0.45), scene, 128)
    with monkeypatch.context() as patch:
        patch.setattr(tone, "UNCHANGED", 9.0)
        alone = restored(Lamp(0.45), scene, 128)
    # Alone, every tile becomes as bright as the next, the dark half of the street like the light one.
    assert psnr(alone, whole) < 18
    assert psnr(tiles, whole) > 26
    # The edge stays one step wide, and the texture is the tiles' own.
    step = np.abs(np.diff(tiles[240:280, :, 1].mean(0)))[300:340]
    assert int(step.argmax()) == int(np.abs(np.diff(whole[240:280, :, 1].mean(0)))[300:340].argmax())
    flat = np.s_[20:180, 20:300]
    assert tiles[flat].std() == pytest.approx(whole[flat].std(), rel=0.35)


@pytest.mark.parametrize("planned", [None, 320])
def test_tiles_that_short_memory_asks_for_get_it_too(scene: np.ndarray, planned: int | None) -> None:
    class Short(Lamp):
        def restore(self, pictures: Tensor, request: Request) -> Tensor:
            if pictures.shape[2] * pictures.shape[3] > 240 * 240:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().restore(pictures, request)

    assert psnr(restored(Short(0.45), scene, planned), restored(Lamp(0.45), scene, None)) > 26


def test_what_keeps_its_tone_is_not_touched(scene: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    tiles = restored(Lamp(None), scene, 128)
    with monkeypatch.context() as patch:
        patch.setattr(tone, "reduced", lambda *_: None)
        assert np.array_equal(tiles, restored(Lamp(None), scene, 128))


def test_a_whole_picture_is_the_networks_own(scene: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tone, "reduced", None)
    assert restored(Lamp(0.45), scene, None).mean() == pytest.approx(0.45, abs=0.02)


@pytest.mark.parametrize(
    ("shape", "largest", "expected"),
    [
        ((3000, 4000), (800, 800), (443, 591)),
        ((3000, 4000), (256, 256), (192, 256)),
        ((480, 640), (128, 128), (96, 128)),
        ((300, 20000), (304, 2000), None),
        ((480, 641), (120, 120), None),
    ],
)
def test_the_reduced_picture_fits_and_shows_enough(
    shape: tuple[int, int], largest: tuple[int, int], expected: tuple[int, int] | None
) -> None:
    small = tone.reduced(np.zeros((*shape, 3), np.float32), largest)
    assert (None if small is None else small.shape[:2]) == expected


def test_a_map_is_applied_in_bands_as_if_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    tiled, wanted = (rng.random((60, 80, 3)).astype(np.float32) for _ in range(2))
    found = tone.tone_map(tiled, wanted)
    first = rng.random((600, 800, 3)).astype(np.float32)
    second = first.copy()
    found.apply(first)
    monkeypatch.setattr(tone, "ROWS", 7)
    monkeypatch.setattr(tone, "COLUMNS", 300)
    found.apply(second)
    np.testing.assert_allclose(first, second, atol=1e-6)
    same = first.copy()
    tone.tone_map(tiled, tiled).apply(same)
    np.testing.assert_allclose(same, first, atol=1e-6)


def test_a_panorama_is_wider_than_opencv_can_warp_at_once() -> None:
    before = np.tile(np.linspace(0.2, 0.6, 1000, dtype=np.float32)[None, :, None], (16, 1, 3))
    wide = np.repeat(before[:2], 33, axis=1)
    assert wide.shape[1] > 32767
    tone.change_map(before, before * np.float32(0.5)).apply(wide)
    np.testing.assert_allclose(wide, np.repeat(before[:2], 33, axis=1) * 0.5, atol=1e-3)


class Dry:
    """Takes bright streaks one pixel wide away: whatever sticks out over the median of five columns."""

    facts = FakeMethod(tiling="approximate", overlap=32).facts
    network = torch.nn.Identity()

    def restore(self, pictures: Tensor, request: Request) -> Tensor:
        padded = torch.nn.functional.pad(pictures, (2, 2, 0, 0), mode="reflect")
        median = padded.unfold(3, 5, 1).median(dim=-1).values
        return torch.where(pictures - median > 0.05, median, pictures)

    def bytes_per_pixel(self, strips: bool) -> int:
        return 100


@pytest.fixture(scope="module")
def shower() -> tuple[np.ndarray, np.ndarray]:
    """A scene of 1.3 megapixels without and with streaks eight pixels wide, and fine texture all over."""
    rng = np.random.default_rng(2)
    scene = np.linspace(0.2, 0.5, 1280, dtype=np.float32)[None, :, None] + np.zeros((1024, 1280, 3), np.float32)
    scene += 0.03 * (np.indices((1024, 1280)).sum(0) % 2)[..., None].astype(np.float32)
    rainy = scene.copy()
    for left, top in zip(rng.integers(0, 159, 60) * 8, rng.integers(0, 90, 60) * 8, strict=True):
        rainy[top : top + 160, left : left + 8] += 0.3
    return scene, rainy


def test_what_is_wide_in_a_large_picture_is_removed_at_a_work_size(shower: tuple[np.ndarray, np.ndarray]) -> None:
    scene, rainy = shower
    mega = 1280 * 1024 / 64 / 1e6  # an eighth of each side
    results = {
        sizes: Session(Dry(), Settings(device="cpu", work_size=sizes)).restore_array(rainy)  # type: ignore[arg-type]
        for sizes in ((), (mega,), (mega, 0.3))
    }
    assert psnr(results[()], scene) < psnr(rainy, scene) + 1
    assert psnr(results[(mega,)], scene) > psnr(rainy, scene) + 8
    assert psnr(results[(mega, 0.3)], scene) > psnr(rainy, scene) + 8
    # Detail that the copy had no pixels for is still there.
    texture = np.abs(np.diff(results[(mega,)], axis=1)).mean()
    assert texture == pytest.approx(np.abs(np.diff(scene, axis=1)).mean(), rel=0.15)


def test_weather_is_removed_from_copies_first_and_nothing_else_is(shower: tuple[np.ndarray, np.ndarray]) -> None:
    rainy = shower[1]
    asked: list[tuple[tuple[int, ...], tuple[str, ...]]] = []

    class Told(Dry):
        facts = FakeMethod(needs="instruction", tiling="approximate", overlap=32).facts

        def restore(self, pictures: Tensor, request: Request) -> Tensor:
            asked.append((tuple(pictures.shape[2:]), request.degradation))
            return super().restore(pictures, request)

        def check(self, degradation: tuple[str, ...]) -> None:
            pass

        def candidates(self) -> tuple[str, ...]:
            return ()

    def restore(degradation: tuple[str, ...], rgb: np.ndarray, tile: int | None = 2048) -> list:
        asked.clear()
        Session(Told(), Settings(device="cpu", tile=tile, degradation=degradation)).restore_array(rgb)  # type: ignore[arg-type]
        return [(height * width // 10_000, named) for (height, width), named in asked]

    whole, both = 1024 * 1280 // 10_000, ("rain:0.5", "haze")
    assert restore(both, rainy) == [(40, ("rain:0.5",)), (whole, both)]
    assert restore(("haze",), rainy) == [(whole, ("haze",))]
    assert restore(both, rainy, tile=0) == [(whole, both)]
    assert restore(both, rainy[:600]) == [(600 * 1280 // 10_000, both)]


def test_shares_that_fall_from_the_sky() -> None:
    wanted = Wanted(shares=(("rain", 0.5), ("haze", 0.3), ("snow", 0.15), ("no", 0.05)))
    assert wanted.weather() == Wanted(shares=(("rain", 1.0),))
    assert Wanted(shares=(("rain", 0.1), ("no", 0.9))).weather() is None
    assert Wanted(prompt="dry it").weather() is None
    assert Wanted(degradation=("clean",)).weather() is None


def test_a_work_size_above_the_picture_stands_for_the_picture(scene: np.ndarray) -> None:
    small = scene[:96, 280:400]
    plain, sized, both, copy = (
        Session(Dry(), Settings(device="cpu", work_size=sizes)).restore_array(small)  # type: ignore[arg-type]
        for sizes in ((), (0.5, 2.0), (0.01, 2.0), (0.01,))
    )
    assert np.array_equal(plain, sized)
    assert np.array_equal(both, Session(Dry(), Settings(device="cpu")).restore_array(copy))  # type: ignore[arg-type]
    assert not np.array_equal(both, copy)


@pytest.mark.parametrize("text", ["", "half", "2,0.5", "0.5,0.5", "0.001", "-1", "nan", "0.5,,2"])
def test_senseless_work_sizes_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="megapixels"):
        Settings(work_size=parse_work_size(text))
