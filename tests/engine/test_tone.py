"""Tiles of one picture share its tone; detail, edges and whatever keeps its tone are left as the tiles have them."""

import numpy as np
import pytest
import torch
from torch import Tensor

from airtool.engine import tone
from airtool.engine.forward import Forward
from airtool.methods.base import Request
from airtool.methods.facts import MethodFacts

SIZE = (480, 640)


def facts() -> MethodFacts:
    return MethodFacts(
        name="lamp",
        title="Lamp",
        paper="none",
        size_multiple=8,
        channel_order="rgb",
        needs="nothing",
        tiling="approximate",
        overlap=32,
        summary="brightens by what it sees",
        implementation="nowhere:Lamp",
    )


class Lamp:
    """Brings the mean of whatever it is shown to `mean`; None: only sharpens a little."""

    facts = facts()

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
    found.apply(second)
    np.testing.assert_allclose(first, second, atol=1e-6)
    same = first.copy()
    tone.tone_map(tiled, tiled).apply(same)
    np.testing.assert_allclose(same, first, atol=1e-6)
