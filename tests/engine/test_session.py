"""A session restores any size, tiles without a trace, and survives short memory and bf16."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from fakes import FakeMethod, GlobalNet
from skimage import data
from torch import Tensor

from airtool.diffusion.field import noise_window
from airtool.engine import tone
from airtool.engine.session import Session, picture_seed
from airtool.engine.settings import Settings
from airtool.errors import PictureError, UsageError
from airtool.images.picture import Metadata, Picture
from airtool.methods.autodir.vocabulary import CLASSES
from airtool.methods.base import Request


def photograph(height: int, width: int) -> np.ndarray:
    """A cut from a real photograph, mirrored where it is too small."""
    source = data.astronaut().astype(np.float32) / 255
    return np.ascontiguousarray(
        np.pad(source, ((0, max(height - 512, 0)), (0, max(width - 512, 0)), (0, 0)), mode="symmetric")[:height, :width]
    )


def picture(rgb: np.ndarray, **changes: object) -> Picture:
    fields = {"alpha": None, "depth": 8, "grey": False, "format": "png", "metadata": Metadata()} | changes
    return Picture(rgb=rgb, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (1, 5000), (5000, 1), (2, 3), (7, 7), (8, 8), (9, 15), (33, 200), (131, 67)]
)
@pytest.mark.parametrize("tile", [None, 0, 128])
def test_any_size_comes_back_in_its_size(height: int, width: int, tile: int | None) -> None:
    rgb = photograph(height, width)
    restored = Session(FakeMethod(), Settings(device="cpu", tile=tile)).restore_array(rgb)
    assert restored.shape == rgb.shape
    assert restored.dtype == np.float32
    assert np.isfinite(restored).all()
    assert restored.min() >= 0
    assert restored.max() <= 1


@pytest.mark.parametrize(
    ("height", "width", "tile"), [(257, 300, 144), (170, 203, 96), (130, 400, 128), (400, 40, 144)]
)
def test_tiles_of_a_local_network_leave_no_trace(height: int, width: int, tile: int) -> None:
    rgb = photograph(height, width)
    method = FakeMethod()
    whole = Session(method, Settings(device="cpu", tile=0)).restore_array(rgb)
    assert len(method.shapes) == 1
    tiled = Session(method, Settings(device="cpu", tile=tile)).restore_array(rgb)
    assert len(method.shapes) > 2
    assert max(max(shape) for shape in method.shapes[1:]) <= tile
    # The effect to hide is large: the network changes the picture visibly.
    assert np.abs(whole - rgb).mean() > 0.02
    assert np.abs(tiled - whole).max() <= 1 / 255


def test_tiles_of_a_global_network_blend_smoothly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tone, "changes_tone", lambda *_: False)  # tiles alone; their tone has tests of its own
    rgb = photograph(320, 400)
    method = FakeMethod(GlobalNet(), tiling="approximate")
    whole = Session(method, Settings(device="cpu", tile=0)).restore_array(rgb)
    tiled = Session(method, Settings(device="cpu", tile=200)).restore_array(rgb)
    difference = tiled - whole
    # Tiles see other means, so the results differ; but nowhere abruptly.
    assert np.abs(difference).max() > 1 / 255
    inner = (whole > 0.05) & (whole < 0.95) & (tiled > 0.05) & (tiled < 0.95)
    steps = np.abs(np.diff(difference, axis=1))[inner[:, 1:] & inner[:, :-1]]
    assert steps.max() < 1 / 255


def test_tiles_start_on_the_networks_grid() -> None:
    starts = []

    def hook(pictures: Tensor, request: Request) -> None:
        starts.append(round(float(pictures[0, 0, 0, 0] * 1000)))

    ramp = np.repeat(np.arange(500, dtype=np.float32)[None, :, None] / 1000, 3, axis=2).repeat(8, axis=0)
    Session(FakeMethod(hook=hook), Settings(device="cpu", tile=100)).restore_array(np.ascontiguousarray(ramp))
    assert len(starts) > 3
    assert all(start % 8 == 0 for start in starts)


@pytest.mark.parametrize(("versions", "axes"), [(1, []), (2, [1]), (4, [1, 0])])
def test_a_self_ensemble_restores_mirrored_pictures_alike(versions: int, axes: list[int]) -> None:
    rgb = 0.3 + 0.4 * photograph(112, 128)  # nothing is cut off at black or white before it is averaged
    session = Session(FakeMethod(), Settings(device="cpu", self_ensemble=versions))

    def mirrored(which: Session, way: tuple[int, ...]) -> np.ndarray:
        return np.flip(which.restore_array(np.ascontiguousarray(np.flip(rgb, way))), way)

    restored = mirrored(session, ())
    for axis in (0, 1):
        assert np.allclose(mirrored(session, (axis,)), restored, atol=1e-6) == (axis in axes)
    plain = Session(FakeMethod(), Settings(device="cpu"))
    ways: list[tuple[int, ...]] = [(), (1,), (0,), (0, 1)]
    np.testing.assert_allclose(restored, np.mean([mirrored(plain, way) for way in ways[:versions]], 0), atol=1e-6)
    tiled = Session(FakeMethod(), Settings(device="cpu", tile=96, self_ensemble=versions)).restore_array(rgb)
    assert np.abs(tiled - restored).max() <= 1 / 255


@pytest.mark.parametrize("versions", [1, 2, 4])
def test_tiles_of_a_self_ensemble_share_what_is_random(versions: int) -> None:
    def hook(pictures: Tensor, request: Request) -> Tensor:
        return noise_window(7, *request.place, *pictures.shape[2:])[None].sigmoid()

    rgb = photograph(112, 160)
    whole, tiled = (
        Session(FakeMethod(hook=hook), Settings(device="cpu", tile=tile, self_ensemble=versions)).restore_array(rgb)
        for tile in (0, 96)
    )
    np.testing.assert_allclose(tiled, whole, atol=1e-6)


def test_in_place_gives_the_same_as_apart() -> None:
    rgb = photograph(180, 150)
    session = Session(FakeMethod(), Settings(device="cpu", tile=96))
    kept = rgb.copy()
    apart = session.restore(picture(rgb)).picture.rgb
    assert np.array_equal(rgb, kept)
    within = session.restore(picture(rgb), in_place=True).picture.rgb
    assert within is rgb
    assert np.array_equal(within, apart)


def test_tiles_do_not_hang_on_what_earlier_pictures_left_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU's free memory shrinks by what is kept for the next picture."""
    left = iter((2**22, 2**19, 2**18))
    monkeypatch.setattr("airtool.engine.session.activation_budget", lambda device: next(left))
    session, rgb = Session(FakeMethod(), Settings(device="cpu")), photograph(300, 300)
    first, second = (session.restore(picture(rgb)) for _ in range(2))
    assert first.tile == second.tile
    np.testing.assert_array_equal(first.picture.rgb, second.picture.rgb)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory: you tried to allocate"),
        RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
        MemoryError(),
    ],
)
def test_short_memory_is_met_with_smaller_tiles(error: Exception) -> None:
    rgb = photograph(200, 280)

    def hook(pictures: Tensor, request: Request) -> None:
        if pictures.shape[2] * pictures.shape[3] > 120 * 120:
            raise error

    whole = Session(FakeMethod(), Settings(device="cpu")).restore_array(rgb)
    restored = Session(FakeMethod(hook=hook), Settings(device="cpu")).restore(picture(rgb))
    assert restored.tile[0] * restored.tile[1] <= 120 * 120
    assert "memory was short" in restored.notes[0]
    assert np.abs(restored.picture.rgb - whole).max() <= 1 / 255


def test_onednn_that_ran_short_goes_on_in_other_threads() -> None:
    rgb, spoilt = photograph(200, 280), set()

    def hook(pictures: Tensor, request: Request) -> None:
        # As oneDNN has it: after the first failure, everything fails in that thread.
        if pictures.shape[2] * pictures.shape[3] > 120 * 120:
            spoilt.add(threading.current_thread())
        if threading.current_thread() in spoilt:
            raise RuntimeError("could not create a primitive")

    class Explaining(FakeMethod):
        def explain(self, pictures: Tensor, request: Request) -> dict[str, Tensor]:
            hook(pictures, request)
            return super().explain(pictures, request)

    session = Session(Explaining(hook=hook, explains=("negative",)), Settings(device="cpu"))
    with ThreadPoolExecutor(1) as pool:
        first, second = pool.map(session.restore, (picture(rgb), picture(rgb[:64, :64])))
        maps = pool.submit(session.explain, rgb[:64, :64]).result()
    np.testing.assert_allclose(maps["negative"], 1 - rgb[:64, :64], atol=1e-6)
    assert "memory was short" in first.notes[0]
    assert first.tile[0] * first.tile[1] > 60 * 60
    assert not second.notes


def test_no_memory_at_all_is_an_error_that_names_the_option() -> None:
    def hook(pictures: Tensor, request: Request) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    method = FakeMethod(hook=hook)
    with pytest.raises(PictureError, match="--tile"):
        Session(method, Settings(device="cpu")).restore_array(photograph(200, 300))
    assert min(max(shape) for shape in method.shapes) == 32
    assert len(method.shapes) < 12


def test_other_errors_are_not_taken_for_short_memory() -> None:
    def hook(pictures: Tensor, request: Request) -> None:
        raise RuntimeError("expected 3 channels")

    method = FakeMethod(hook=hook)
    with pytest.raises(RuntimeError, match="3 channels"):
        Session(method, Settings(device="cpu")).restore_array(photograph(64, 64))
    assert len(method.shapes) == 1


def test_bf16_tile_that_is_not_finite_is_computed_again_in_float32() -> None:
    autocast = []

    def hook(pictures: Tensor, request: Request) -> Tensor | None:
        autocast.append(torch.is_autocast_enabled("cpu"))
        bright = float(pictures.mean()) > 0.45
        return torch.full_like(pictures, float("inf")) if autocast[-1] and bright else None

    rgb = photograph(256, 256)
    rgb[:128] *= 0.2
    exact = Session(FakeMethod(), Settings(device="cpu", tile=128)).restore_array(rgb)
    mixed = Session(FakeMethod(hook=hook), Settings(device="cpu", precision="bf16", tile=128)).restore_array(rgb)
    assert autocast.count(False) >= 1
    assert autocast.count(True) > autocast.count(False)
    assert np.abs(mixed - exact).max() < 0.02
    assert np.abs(mixed - exact).max() > 0


def test_result_that_is_never_finite_is_an_error() -> None:
    method = FakeMethod(hook=lambda pictures, request: torch.full_like(pictures, float("nan")))
    with pytest.raises(PictureError, match="finite"):
        Session(method, Settings(device="cpu")).restore_array(photograph(40, 40))


def test_grey_stays_grey_and_all_else_is_untouched() -> None:
    rgb = photograph(50, 60)
    grey = np.repeat(rgb.mean(axis=2, keepdims=True), 3, axis=2)
    alpha = np.arange(3000, dtype=np.uint8).reshape(50, 60)
    given = picture(grey, grey=True, alpha=alpha, depth=16, metadata=Metadata(exif=b"II*\0x", icc=b"p", xmp=b"<x/>"))
    session = Session(FakeMethod(), Settings(device="cpu"))
    restored = session.restore_picture(given)
    colours = session.restore_array(grey)
    assert np.abs(colours[..., 0] - colours[..., 2]).max() > 0.01
    assert np.ptp(restored.rgb, axis=2).max() == 0
    assert np.allclose(restored.rgb[..., 0], colours.mean(axis=2), atol=1e-6)
    assert restored.alpha is alpha
    assert (restored.depth, restored.format, restored.metadata) == (16, "png", given.metadata)


def test_the_seed_belongs_to_the_pictures_content() -> None:
    seeds: list[int] = []

    def hook(pictures: Tensor, request: Request) -> None:
        seeds.extend(request.seeds)

    one, two = photograph(40, 48), photograph(40, 48) * np.float32(0.5)
    session = Session(FakeMethod(hook=hook), Settings(device="cpu"))
    for rgb in (one, two, one):
        session.restore_array(rgb)
    assert seeds[0] == seeds[2] != seeds[1]
    assert picture_seed(one, 0) != picture_seed(one, 1)
    assert picture_seed(one, 0) != picture_seed(one.reshape(48, 40, 3), 0)


def test_devices_and_settings_that_cannot_be() -> None:
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="--device cuda"):
            Session(FakeMethod(), Settings(device="cuda"))
    with pytest.raises(UsageError, match="gpu"):
        Settings(device="gpu")
    with pytest.raises(UsageError, match="leave the degradation out"):
        Session(FakeMethod(), Settings(device="cpu", degradation=("rain",)))


def test_tiles_know_their_place() -> None:
    """What a method draws at random by place is the same for tiles, also for those that memory cuts further."""
    rows = torch.arange(400).view(1, 1, -1, 1) / 400
    columns = torch.arange(400).view(1, 1, 1, -1) / 400

    def by_place(pictures: Tensor, request: Request) -> Tensor:
        top, left = request.place
        height, width = pictures.shape[2:]
        if height * width > 150 * 150:
            raise torch.OutOfMemoryError("CUDA out of memory")
        field = rows[:, :, top : top + height] * columns[..., left : left + width]
        return field.expand(1, 3, -1, -1).clone()

    rgb = photograph(333, 270)
    for tile in (128, 200):
        session = Session(FakeMethod(hook=by_place), Settings(device="cpu", tile=tile))
        expected = (rows * columns)[0, 0, :333, :270, None].expand(-1, -1, 3).numpy()
        np.testing.assert_allclose(session.restore_array(rgb), expected, atol=1e-5)


@pytest.mark.parametrize("short", [False, True])
def test_all_tiles_are_told_what_a_survey_of_the_whole_picture_found(short: bool) -> None:
    """Also where the whole was tried first and memory did not suffice."""
    seen: list[float | None] = []
    looked: list[torch.Size] = []

    def survey(pictures: Tensor) -> float:
        looked.append(pictures.shape)
        return float(pictures.mean())

    def hook(pictures: Tensor, request: Request) -> None:
        if short and max(pictures.shape[2:]) > 200:
            raise RuntimeError("not enough memory: you tried to allocate 1 bytes")
        seen.append(request.survey)

    method = FakeMethod(hook=hook, survey=survey)
    rgb = photograph(400, 600)
    Session(method, Settings(device="cpu", tile=None if short else 192)).restore_array(rgb)
    assert looked == [(6, 3, 160, 160)]
    assert len(seen) > 4
    assert len(set(seen)) == 1
    assert seen[0] == pytest.approx(rgb.mean(), abs=0.1)

    looked.clear(), seen.clear()
    Session(method, Settings(device="cpu", tile=0)).restore_array(rgb[:150, :150])
    assert (looked, seen) == ([], [None]), "a picture in one piece is seen whole anyway"


def test_a_survey_that_runs_short_of_memory_is_done_without() -> None:
    def survey(pictures: Tensor) -> float:
        raise RuntimeError("not enough memory: you tried to allocate 1 bytes")

    rgb = photograph(200, 300)
    restored = Session(FakeMethod(survey=survey), Settings(device="cpu", tile=128)).restore_array(rgb)
    assert np.array_equal(restored, Session(FakeMethod(), Settings(device="cpu", tile=128)).restore_array(rgb))


def test_a_method_that_has_to_be_told_is_told_or_the_referee_decides() -> None:
    asked: list[tuple[str, ...]] = []

    def told_what(pictures: Tensor, request: Request) -> Tensor:
        asked.append(request.degradation)
        return pictures * {"haze": 0.5, "low-light": 2.0, "rain": 1.0}[request.degradation[0]]

    def blind(pictures: Tensor, request: Request) -> Tensor:
        assert request.degradation == ()
        return pictures * (0.6 if pictures.mean() > 0.5 else 1.7)

    bright, dark = np.full((500, 20, 3), 0.9, np.float32), np.full((5, 3, 3), 0.1, np.float32)
    method, referee = FakeMethod(hook=told_what, needs="label"), FakeMethod(hook=blind)
    guessing = Session(method, Settings(device="cpu"), referee=referee)
    found = [guessing.restore(picture(rgb)) for rgb in (bright, dark, bright)]
    assert [each.wanted.degradation for each in found] == [("haze",), ("low-light",), ("haze",)]
    assert all(each.guessed for each in found)
    assert asked == [("haze",), ("low-light",), found[0].wanted.degradation, *asked[3:]]
    assert max(height for height, _ in referee.shapes) <= 160, "crops, not the whole picture"
    asked.clear()
    told = Session(method, Settings(device="cpu", degradation=("rain",)))
    restored = told.restore(picture(bright))
    assert (restored.wanted.degradation, restored.guessed, asked) == (("rain",), False, [("rain",)])
    with pytest.raises(UsageError, match="knows rain"):
        Session(method, Settings(device="cpu", degradation=("noise:25",)))
    with pytest.raises(UsageError, match="has to be told"):
        Session(method, Settings(device="cpu"))


def test_explanations_have_the_size_of_the_picture() -> None:
    session = Session(FakeMethod(explains=("negative", "grey")), Settings(device="cpu"))
    for height, width in ((45, 31), (1500, 1100)):
        rgb = photograph(height, width)
        maps = session.explain(rgb)
        assert set(maps) == {"negative", "grey"}
        assert all(each.shape == rgb.shape and each.dtype == np.float32 for each in maps.values())
        assert np.abs(maps["negative"] - (1 - rgb)).mean() < 0.02
    assert Session(FakeMethod(), Settings(device="cpu")).explain(rgb) == {}


def test_what_is_explained_is_what_is_done_also_with_a_work_size() -> None:
    asked: list[Request] = []

    class Explained(FakeMethod):
        def explain(self, pictures: Tensor, request: Request) -> dict[str, Tensor]:
            asked.append(request)
            return super().explain(pictures, request)

    class Sizes:
        """Takes large pictures for hazy and small ones for dark."""

        def probabilities(self, rgb: np.ndarray) -> dict[str, float]:
            hazy = 0.9 if rgb.shape[0] > 150 else 0.1
            return dict.fromkeys(CLASSES, 0.0) | {"haze": hazy, "low light": 1 - hazy}

        def describe(self) -> dict[str, str]:
            return {}

    method = Explained(needs="label", explains=("negative",), hook=lambda pictures, request: asked.append(request))
    session = Session(method, Settings(device="cpu", work_size=(0.01,)), detector=Sizes())  # type: ignore[arg-type]
    rgb = photograph(200, 200)
    session.explain(rgb)
    session.restore(picture(rgb))
    explained, done = asked
    assert explained.degradation == done.degradation == ("low-light",)
    assert explained.seeds == done.seeds

    # And where weather is first removed from a reduced copy.
    asked.clear()
    session, rgb = Session(method, Settings(device="cpu", degradation=("rain",))), photograph(1000, 900)
    session.explain(rgb)
    session.restore(picture(rgb))
    assert len(asked) >= 3
    assert {each.seeds for each in asked} == {(picture_seed(rgb, 0),)}
