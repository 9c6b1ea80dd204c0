"""Samples depend on the seed and their number alone, and are what the mix says."""

import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from airtool.degradations.compose import parse_steps
from airtool.errors import UsageError
from airtool.training.data import Pixels, SampleMaker, load_folder, load_pairs
from airtool.training.recipe import Recipe
from airtool.training.samples import batches


def maker(recipe: Recipe, data: Path) -> SampleMaker:
    pairs = {
        name: load_pairs(data / each.degraded, data / each.ground_truth, each.use, each.label)
        for name, each in recipe.pairs.items()
    }
    return SampleMaker(recipe, load_folder(data / "clean"), pairs)


def test_samples_are_the_same_at_every_call_and_differ_from_each_other(tiny: Recipe, training_data: Path) -> None:
    first, second = maker(tiny, training_data), maker(tiny, training_data)
    for index in (7, 3, 3):
        assert first(index)[2] == second(index)[2]
        for ours, theirs in zip(first(index)[:2], second(index)[:2], strict=True):
            assert ours.shape == (3, 32, 32)
            assert ours.dtype == np.float32
            np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(first(3)[1], first(4)[1])
    assert not np.array_equal(first(3)[1], maker(replace(tiny, seed=6), training_data)(3)[1])


def test_shares_of_the_mix(tiny: Recipe, training_data: Path) -> None:
    made = maker(replace(tiny, mix={"clean": 1.0, "noise": 3.0}), training_data)
    samples = [made(index) for index in range(400)]
    # "clean" comes back to the last bit up to the 8 bits of a file; noise from sigma 1 on does not.
    clean = sum(np.abs(degraded - truth).max() < 0.5 / 255 + 1e-6 for degraded, truth, _ in samples)
    assert 70 <= clean <= 130


def test_tied_kinds_have_pictures_of_their_own(tiny: Recipe) -> None:
    pictures = [np.full((60, 60, 3), 8 * number, np.uint8) for number in range(9)]
    recipe = replace(tiny, mix={"clean": 1.0, "low-light": 1.0, "noise+jpeg": 1.0}, pairs={}, tied=True)
    made = SampleMaker(recipe, pictures, {})
    seen: dict[str, set[int]] = {}
    for index in range(120):
        _, truth, label = made(index)
        seen.setdefault(label.partition(":")[0], set()).add(round(float(truth.mean()) * 255))
    assert seen == {"clean": {0, 24, 48}, "low-light": {8, 32, 56}, "noise": {16, 40, 64}}
    with pytest.raises(UsageError, match="3 kinds of samples need as many clean pictures"):
        SampleMaker(recipe, pictures[:2], {})


def test_layers_carry_the_streak_to_other_pictures(tiny: Recipe, training_data: Path) -> None:
    made = maker(replace(tiny, mix={"streaks": 1.0}), training_data)
    added = [degraded - truth for degraded, truth, _ in (made(index) for index in range(60))]
    columns = [np.unique(np.nonzero(layer.max(axis=(0, 1)) > 0.1)[0]) for layer in added]
    assert any(len(each) for each in columns)
    assert all(len(each) <= 3 for each in columns)
    assert min(layer.min() for layer in added) > -0.01


def test_pairs_are_used_as_they_are(tiny: Recipe, training_data: Path) -> None:
    pairs = {"streaks": replace(tiny.pairs["streaks"], use="pairs", label="streaks of light")}
    made = maker(replace(tiny, mix={"streaks": 1.0}, pairs=pairs), training_data)
    for degraded, truth, label in (made(index) for index in range(20)):
        assert label == "streaks of light"
        added = degraded - truth
        assert added.max() <= 60 / 255 + 1e-6
        assert np.count_nonzero(added.max(axis=(0, 1))) <= 3
        assert added.min() >= 0


def test_labels_say_what_was_done(tiny: Recipe, training_data: Path) -> None:
    made = maker(replace(tiny, mix={"rain+noise": 1.0, "clean": 1.0}), training_data)
    labels = [made(index)[2] for index in range(30)]
    assert "clean" in labels
    for label in set(labels) - {"clean"}:
        assert [step.name for step in parse_steps(label)] == ["rain", "noise"]


def test_toned_ground_truths_are_darker_or_paler_but_never_where_tone_is_the_damage(
    tiny: Recipe, training_data: Path
) -> None:
    def truth(kind: str, tone: float, index: int) -> np.ndarray:
        return maker(replace(tiny, mix={kind: 1.0}, tone=tone), training_data)(index)[1]

    for index in range(4):
        for kind in ("haze", "low-light"):
            np.testing.assert_array_equal(truth(kind, 1.0, index), truth(kind, 0.0, index))
    for index in range(4):
        plain, toned = np.sort(truth("clean", 0.0, index).ravel()), np.sort(truth("clean", 1.0, index).ravel())
        # The crop is the same up to a flip, and its values keep their order.
        assert toned.std() < plain.std()
        assert np.corrcoef(plain, toned)[0, 1] > 0.9


def test_soft_ground_truths_are_smoother_but_never_where_blur_is_the_damage(tiny: Recipe, training_data: Path) -> None:
    def truth(kind: str, soft: float) -> np.ndarray:
        return maker(replace(tiny, mix={kind: 1.0}, soft=soft), training_data)(3)[1]

    for kind in ("haze", "low-light", "motion-blur", "rain+defocus"):
        np.testing.assert_array_equal(truth(kind, 1.0), truth(kind, 0.0))
    assert np.abs(np.diff(truth("noise", 1.0))).mean() < 0.8 * np.abs(np.diff(truth("noise", 0.0))).mean()


def test_weather_lies_over_whole_scenes_where_that_is_asked_for(tiny: Recipe) -> None:
    """Haze of a crop is then a piece of a picture's haze: it varies less from end to end than that of a whole one."""

    def variation(scene: float) -> float:
        recipe = replace(tiny, mix={"haze": 1.0}, pairs={}, scene=scene)
        made = SampleMaker(recipe, [np.full((320, 320, 3), 60, np.uint8)], {})
        light = [(degraded - clean).mean(0) for degraded, clean, _ in map(made, range(40))]
        return float(np.mean([np.ptp(each) / each.mean() for each in light]))

    assert variation(6.0) < 0.6 * variation(1.0)


@pytest.mark.parametrize(
    ("kind", "scene", "saved"),
    [("jpeg", 1.0, 0.0), ("rain+jpeg", 1.0, 0.0), ("rain+jpeg", 3.0, 0.0), ("haze", 3.0, 1.0)],
)
def test_jpeg_blocks_begin_anywhere_in_a_share_of_the_samples(
    tiny: Recipe, training_data: Path, monkeypatch: pytest.MonkeyPatch, kind: str, scene: float, saved: float
) -> None:
    def rows(clean: np.ndarray, kind: str, rng: np.random.Generator) -> tuple[np.ndarray, str]:
        return np.broadcast_to((np.arange(len(clean)) % 16 / 16)[:, None, None], clean.shape), kind

    monkeypatch.setattr("airtool.training.data.degrade", rows)
    monkeypatch.setattr("airtool.training.data.jpeg", lambda image, amount, rng: (image, {}))
    made = maker(replace(tiny, mix={kind: 1.0}, scene=scene, saved=saved), training_data)
    phases = [round(float(made(number)[0][0, 0, 0]) * 16) for number in range(600)]
    assert set(phases) == set(range(16))
    assert 0.6 < phases.count(0) / 600 < 0.78


def test_a_share_of_the_degraded_samples_has_been_saved(tiny: Recipe, training_data: Path) -> None:
    """The same samples, but for a real encoder's traces: in the degraded picture only, and not in clean ones."""
    recipe = replace(tiny, mix={"noise": 1.0, "clean": 0.5}, saved=0.5)
    some, none = maker(recipe, training_data), maker(replace(recipe, saved=0.0), training_data)
    differing, noisy = 0, 0
    for number in range(80):
        (degraded, truth, label), (_, _, unsaved) = some(number), none(number)
        assert label.partition(":")[0] == unsaved.partition(":")[0]
        if label == "clean":
            np.testing.assert_allclose(degraded, truth, atol=0.5 / 255)
            continue
        noisy += 1
        # Saving halves the colours: noise keeps its difference between neighbours in grey only.
        colour = degraded[0] - degraded[1] - truth[0] + truth[1]
        differing += np.abs(np.diff(colour)).mean() < 0.6 * np.abs(np.diff((degraded - truth).mean(0))).mean() * 3**0.5
    assert 0.3 < differing / noisy < 0.7


@pytest.mark.parametrize(("workers", "processes"), [(0, 1), (0, 2), (2, 1)])
def test_steps_see_the_same_samples_whatever_makes_them(
    tiny: Recipe, training_data: Path, workers: int, processes: int
) -> None:
    made = maker(tiny, training_data)
    shares = [list(batches(made, 2, 4, workers, process, processes)) for process in range(processes)]
    for step in range(2):
        seen = sorted(float(sample.sum()) for share in shares for sample in share[step][0])
        expected = sorted(float(made((2 + step) * tiny.batch + i)[0].sum()) for i in range(tiny.batch))
        assert seen == pytest.approx(expected, rel=1e-6)


class Refusing(SampleMaker):
    """Makes no second sample."""

    def __call__(self, index: int) -> tuple[Pixels, Pixels, str]:
        if index == 1:
            raise UsageError("a.png is no use: leave it out")
        return super().__call__(index)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_that_a_user_can_cause_stays_one_line(tiny: Recipe, training_data: Path, workers: int) -> None:
    good = maker(tiny, training_data)
    with pytest.raises(UsageError) as caught:
        list(batches(Refusing(tiny, [scene for scenes in good.scenes for scene in scenes], good.pairs), 0, 2, workers))
    assert str(caught.value) == "a.png is no use: leave it out"
    assert multiprocessing.active_children() == []


def test_unknown_kinds_and_pairs_of_two_sizes_are_refused(tiny: Recipe, training_data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown kind of sample 'rain\+fog'"):
        maker(replace(tiny, mix={"rain+fog": 1.0}), training_data)
    from PIL import Image

    for folder, size in (("lq", (40, 40)), ("gt", (40, 41))):
        (tmp_path / folder).mkdir()
        Image.new("RGB", size).save(tmp_path / folder / "a.png")
    with pytest.raises(UsageError, match="differ in size"):
        load_pairs(tmp_path / "lq", tmp_path / "gt", "pairs")
