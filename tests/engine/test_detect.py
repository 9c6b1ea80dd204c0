"""The detector over pictures of any size, and over many files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data

from airtool.engine import detect
from airtool.engine.detect import (
    FAR,
    GRID,
    LARGE,
    SIDE,
    Detector,
    Views,
    combined,
    crops,
    detect_files,
    judge,
    open_detector,
    views,
)
from airtool.errors import UsageError
from airtool.images.discover import discover
from airtool.images.encode import encode
from airtool.images.picture import Metadata, Picture
from airtool.methods.autodir.detector import NAME, DetectorConfig, DetectorNet
from airtool.methods.autodir.vocabulary import CLASSES
from airtool.methods.weights import sha256_of, write_weights

TINY = DetectorConfig(widths=(8, 8), blocks=(1, 1), hidden=16, embedding=8, text_width=8, text_buckets=256)


@pytest.fixture(scope="module")
def detector() -> Detector:
    torch.manual_seed(0)
    return Detector(DetectorNet(TINY), "cpu")


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    return data.astronaut().astype(np.float32) / 255


@pytest.mark.parametrize(
    ("height", "width", "shape"),
    [
        (1, 1, (1, 32, 32)),
        (33, 47, (1, 32, 46)),
        (192, 193, (1, 192, 192)),
        (191, 300, (2, 190, 192)),
        (321, 481, (6, 192, 192)),
        (481, 321, (6, 192, 192)),
        (2000, 3000, (6, 192, 192)),
        (40, 5000, (3, 40, 192)),
    ],
)
def test_crops_reach_from_rim_to_rim(height: int, width: int, shape: tuple[int, int, int]) -> None:
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    cut = crops(np.stack([rows, columns, rows], axis=2))
    assert cut.shape == (*shape, 3)
    assert len(cut) <= GRID[0] * GRID[1]
    for length, values in ((height, cut[..., 0]), (width, cut[..., 1])):
        # An odd side loses one line of pixels.
        assert values.min() <= 1 or length <= 2 * SIDE
        assert values.max() >= length - 2 or length <= 2 * SIDE
        assert (values.max() - values.min() + 1) >= min(length, SIDE) // 2 * 2
    # Native resolution: neighbours stay neighbours.
    if height > 32:
        assert (np.diff(cut[..., 0], axis=1) == 1).all()
        assert (np.diff(cut[..., 1], axis=2) == 1).all()


def test_probabilities_are_the_mean_over_the_crops(detector: Detector, photograph: np.ndarray) -> None:
    found = detector.probabilities(photograph)
    assert tuple(found) == CLASSES
    assert sum(found.values()) == pytest.approx(1.0, abs=1e-5)
    assert found == detector.probabilities(photograph.copy())
    each = [detector.probabilities_of(Views(crop[None], None)) for crop in crops(photograph)]
    assert len(each) == 6
    for name, probability in found.items():
        assert probability == pytest.approx(np.mean([one[name] for one in each]), abs=1e-5)
    with torch.inference_mode():
        picture = torch.from_numpy(photograph[:64, :64].copy()).permute(2, 0, 1)[None]
        expected = detector.network(picture).softmax(1)[0].tolist()
    assert list(detector.probabilities(photograph[:64, :64]).values()) == pytest.approx(expected, abs=1e-5)


def test_a_large_picture_is_seen_from_afar_too(detector: Detector, photograph: np.ndarray) -> None:
    large = np.tile(photograph, (2, 4, 1))
    assert large.shape[0] * large.shape[1] > LARGE
    seen = views(large)
    assert np.array_equal(seen.near, crops(large))
    assert seen.far is not None
    small = np.asarray(data.astronaut())  # the copy shows the same tiles at half the size
    assert seen.far.shape[1:] == (192, 192, 3)
    assert seen.far.std() == pytest.approx((small / 255).std(), rel=0.2)
    near, far = (detector.probabilities_of(Views(cut, None)) for cut in (seen.near, seen.far))
    assert detector.probabilities(large) == combined(near, far) != near
    assert views(photograph).far is None
    assert views(np.zeros((1, LARGE + 2, 3), np.float32)).far is not None
    assert FAR < LARGE


def test_both_views_are_combined_by_what_can_be_seen_in_them() -> None:
    def said(**shares: float) -> dict[str, float]:
        return dict.fromkeys(CLASSES, 0.0) | {name.replace("_", " "): share for name, share in shares.items()}

    # Streaks from afar, soft pixels near by: rain. Grain near by that averaging hides: noise.
    assert judge(combined(said(blur=0.9, no=0.1), said(rain=0.9, no=0.1))).verdict == "rain"
    grainy = combined(said(noise=0.8, no=0.2), said(no=1.0))
    assert (grainy["noise"], grainy["no"]) == pytest.approx((0.8, 0.2))
    both = combined(said(noise=0.6, JPEG=0.2, no=0.2), said(haze=0.7, no=0.3))
    assert both["noise"] == pytest.approx(0.6)
    assert both["haze"] / both["no"] == pytest.approx(7 / 3)
    for each in (grainy, both, combined(said(noise=1.0), said(JPEG=1.0))):
        assert sum(each.values()) == pytest.approx(1.0)


def test_caution_multiplies_the_odds_of_clean(photograph: np.ndarray) -> None:
    torch.manual_seed(0)
    config = DetectorConfig(widths=(4, 4), blocks=(1, 1), hidden=8, embedding=8, text_width=8, text_buckets=64)
    network = DetectorNet(config)
    careful = DetectorNet(replace(config, caution=1.5))
    careful.load_state_dict(network.state_dict())
    before, after = (Detector(each, "cpu").probabilities(photograph) for each in (network, careful))
    assert sum(after.values()) == pytest.approx(1.0)
    assert after["no"] / (1 - after["no"]) == pytest.approx(1.5 * before["no"] / (1 - before["no"]))
    others = [name for name in CLASSES if name != "no"]
    assert [after[name] / after["rain"] for name in others] == pytest.approx(
        [before[n] / before["rain"] for n in others]
    )
    for wrong in (0.0, -1.0, float("inf")):
        with pytest.raises(ValueError, match="caution must be above 0"):
            replace(config, caution=wrong)


def test_verdicts() -> None:
    def said(top: int | None = None, **probabilities: float) -> tuple[str, str, list[str]]:
        found = judge(probabilities, 0.3, top)
        assert found.probability == max(probabilities.values())
        return found.verdict, found.likeliest, [name for name, _ in found.further]

    assert said(rain=0.6, no=0.1, haze=0.3) == ("rain", "rain", ["haze"])
    assert said(rain=0.6, haze=0.05, no=0.35) == ("rain", "rain", [])
    assert said(no=0.5, haze=0.4, rain=0.1) == ("clean", "clean", ["haze"])
    assert said(no=0.29, haze=0.28, rain=0.28) == ("unsure", "clean", [])
    assert said(haze=0.29, no=0.28) == ("unsure", "haze", [])
    assert said(top=1, rain=0.5, haze=0.4, no=0.1) == ("rain", "rain", [])
    assert said(top=2, rain=0.8, haze=0.01, snow=0.09, no=0.1) == ("rain", "rain", ["snow"])
    assert said(top=1, no=0.8, haze=0.05, snow=0.15) == ("clean", "clean", ["snow"])


def save(path: Path, rgb: np.ndarray) -> None:
    path.write_bytes(encode(Picture(np.ascontiguousarray(rgb), None, 8, False, "png", Metadata())))


def test_files_come_in_order_whatever_the_workers_and_their_neighbours(
    detector: Detector, photograph: np.ndarray, tmp_path: Path
) -> None:
    for index in range(9):
        save(tmp_path / f"{index}.png", photograph[40 * index : 40 * index + 60, 100 : 140 + 20 * index])
    (tmp_path / "3.png").write_bytes(b"no picture")
    (tmp_path / "7.png").write_bytes((tmp_path / "6.png").read_bytes()[:200])
    sources = discover([str(tmp_path)])
    found = list(detect_files(detector, sources, workers=3))
    assert [Path(each.picture).name for each in found] == [f"{index}.png" for index in range(9)]
    for index in (3, 7):
        assert found[index].probabilities == {}
        assert f"{index}.png" in str(found[index].problem)
    alone = next(detect_files(detector, sources[5:6], workers=1))
    assert alone == found[5]
    assert alone.problem is None


def test_only_so_many_are_read_ahead(
    detector: Detector, photograph: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(20):
        save(tmp_path / f"{index}.png", photograph[:40, :40])
    begun: list[str] = []
    cut = detect._cut
    monkeypatch.setattr(detect, "_cut", lambda source, given: begun.append(source) or cut(source, given))
    findings = detect_files(detector, discover([str(tmp_path)]), workers=2)
    next(findings)
    assert len(begun) <= 5
    findings.close()  # type: ignore[attr-defined]
    assert len(begun) <= 5


def test_weights_are_named_in_reports(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    write_weights(path, NAME, TINY, DetectorNet(TINY).state_dict(), {}, half=True)
    facts = open_detector(path, "cpu").describe()
    assert facts == {
        "weights": "mine.safetensors",
        "sha256": sha256_of(path),
        "device": "cpu",
        "threads": torch.get_num_threads(),
    }
    with pytest.raises(UsageError, match="cuda:99"):
        open_detector(path, "cuda:99")
