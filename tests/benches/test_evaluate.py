"""Measuring folders: what is read, synthesised, restored, kept and reported, with a restorer that needs no network."""

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from airtool.benches.evaluate import Task, evaluate, task_of_pairs, task_of_results, task_of_synthesis
from airtool.benches.kept import Kept, identity, plan_kept
from airtool.engine.session import Restored
from airtool.errors import PictureError, UsageError
from airtool.images.picture import Picture
from airtool.metrics.protocols import parse_protocols
from airtool.reports.record import Evaluation

ALL = parse_protocols("rgb,y,promptir,ndr")
RGB, NDR = parse_protocols("rgb,ndr")


class Blur:
    """Restores by a small blur, and remembers what it was given."""

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def restore(self, picture: Picture) -> Restored:
        self.seen.append(picture.rgb.copy())
        blurred = picture.with_rgb(cv2.GaussianBlur(picture.rgb, (5, 5), 1.0))
        return Restored(blurred, picture.rgb.shape[:2], 0.0, ())

    def describe(self) -> dict[str, Any]:
        return {"method": "blur", "weights": None}


class Stumbling(Blur):
    """Fails on its first picture and returns NaN for its second."""

    def restore(self, picture: Picture) -> Restored:
        restored = super().restore(picture)
        if len(self.seen) == 1:
            raise PictureError("not enough memory")
        rgb = restored.picture.rgb * np.float32(math.nan if len(self.seen) == 2 else 1)
        return replace(restored, picture=picture.with_rgb(rgb))


def kept_in(folder: Path, task: Task, restorer: Blur) -> Kept:
    made_with = identity(None, task.question, restorer.describe())
    return Kept(plan_kept(task.pairs, str(folder)), folder, made_with)


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def by_name(evaluation: Evaluation) -> dict[str, Any]:
    return {result.picture: result for result in evaluation.results}


def test_threads_and_names_of_files_do_not_decide_how_pictures_look(folders: tuple[Path, Path]) -> None:
    question = task_of_pairs(*map(str, folders)).question

    def made_with(threads: int, sha256: str) -> dict[str, Any]:
        detector = {"weights": f"{threads}.safetensors", "sha256": sha256, "threads": threads}
        return identity(None, question, {"method": "m", "threads": threads, "detector": detector})

    assert made_with(1, "a") == made_with(2, "a")
    assert made_with(1, "a") != made_with(1, "b")


def test_inputs_are_measured_without_a_restorer(folders: tuple[Path, Path]) -> None:
    lq, gt = folders
    evaluation = evaluate(task_of_pairs(str(lq), str(gt)), ALL)
    assert evaluation.stages == ("input",)
    assert evaluation.restoration is None
    assert not evaluation.failures
    results = by_name(evaluation)
    assert set(results) == {"animals/chelsea", "astronaut", "coffee"}
    for name, result in results.items():
        expected = peak_signal_noise_ratio(pixels(gt / f"{name}.png"), pixels(lq / f"{name}.webp"), data_range=255)
        assert result.scores["input"]["rgb"].psnr == pytest.approx(expected, abs=1e-6)
        assert list(result.scores["input"]) == ["rgb", "y", "promptir", "ndr"]
        assert (result.width, result.height, result.seconds) == (80, 64, None)


def test_restored_values_are_measured_before_they_are_rounded(folders: tuple[Path, Path]) -> None:
    lq, gt = folders
    evaluation = evaluate(task_of_pairs(str(lq), str(gt)), (RGB, NDR), Blur())
    assert evaluation.stages == ("input", "restored")
    assert evaluation.restoration == {"method": "blur", "weights": None}
    for name, result in by_name(evaluation).items():
        clean = pixels(gt / f"{name}.png")
        restored = cv2.GaussianBlur((pixels(lq / f"{name}.webp") / 255.0).astype(np.float32), (5, 5), 1.0)
        exact = peak_signal_noise_ratio(clean / 255.0, restored.astype(np.float64), data_range=1)
        rounded = peak_signal_noise_ratio(clean, np.rint(restored * 255.0).astype(np.uint8), data_range=255)
        assert result.scores["restored"]["ndr"].psnr == pytest.approx(exact, abs=1e-4)
        assert result.scores["restored"]["rgb"].psnr == pytest.approx(rounded, abs=1e-4)
        assert abs(exact - rounded) > 5e-4
        assert result.scores["restored"]["rgb"].psnr > result.scores["input"]["rgb"].psnr + 2
        assert result.seconds > 0


def test_kept_pictures_are_what_is_measured(folders: tuple[Path, Path], tmp_path: Path) -> None:
    lq, gt = folders
    task, kept = task_of_pairs(str(lq), str(gt)), tmp_path / "kept"
    # The float protocol would see the rounding of the files, if they were not what is measured.
    first = evaluate(task, (RGB, NDR), Blur(), reuse=kept_in(kept, task, Blur()))
    assert sorted(p.relative_to(kept).as_posix() for p in kept.rglob("*.*")) == [
        "animals/chelsea.png",
        "astronaut.png",
        "coffee.png",
        "kept.jsonl",
    ]
    second = evaluate(task_of_results(str(kept), str(gt)), (RGB, NDR))
    assert second.stages == ("restored",)
    assert {n: r.scores["restored"] for n, r in by_name(second).items()} == {
        n: r.scores["restored"] for n, r in by_name(first).items()
    }


@pytest.mark.usefixtures("blind_to_case")
def test_kept_pictures_stay_out_of_ground_truths_however_spelt(folders: tuple[Path, Path]) -> None:
    lq, gt = folders
    with pytest.raises(UsageError, match="lies inside the ground truths"):
        plan_kept(task_of_pairs(str(lq), str(gt)).pairs, str(gt.with_name(gt.name.upper()) / "new"))


def test_kept_pictures_replace_nothing_and_mix_with_nothing(folders: tuple[Path, Path], tmp_path: Path) -> None:
    lq, gt = folders
    task, kept = task_of_pairs(str(lq), str(gt)), tmp_path / "kept"
    kept.mkdir()
    (kept / "coffee.png").write_bytes(b"precious")
    with pytest.raises(UsageError, match=r"already there, with no kept\.jsonl .*coffee\.png"):
        kept_in(kept, task, Blur())
    for inside in (lq, gt / "animals", gt / "new"):
        with pytest.raises(UsageError, match="lies inside"):
            plan_kept(task.pairs, str(inside))
    with pytest.raises(UsageError, match="name an output folder"):
        plan_kept(task.pairs, str(kept / "coffee.png"))
    with pytest.raises(UsageError, match="not standard output"):
        plan_kept(task.pairs, "-")
    assert (kept / "coffee.png").read_bytes() == b"precious"


def test_files_of_others_are_measured_around_and_never_replaced(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (lq, gt), kept = folders, tmp_path / "kept"
    first = task_of_pairs(str(lq), str(gt), limit=1)
    (name,) = by_name(evaluate(first, (RGB,), Blur(), reuse=kept_in(kept, first, Blur())))
    task = task_of_pairs(str(lq), str(gt))
    others = [pair.name for pair in task.pairs if pair.name != name]
    (kept / others[0]).parent.mkdir(exist_ok=True)
    (kept / f"{others[0]}.png").write_bytes(b"mine")
    reuse = kept_in(kept, task, Blur())
    (kept / others[1]).parent.mkdir(exist_ok=True)
    (kept / f"{others[1]}.png").write_bytes(b"mine, and late")
    evaluation = evaluate(task, (RGB,), Blur(), reuse=reuse)
    assert len(evaluation.results) == 3
    assert [failure.picture for failure in evaluation.failures] == others
    assert all("was not made by airtool" in failure.reason for failure in evaluation.failures)
    assert (kept / f"{others[0]}.png").read_bytes() == b"mine"
    assert (kept / f"{others[1]}.png").read_bytes() == b"mine, and late"
    # A run that was killed between the line and the file: both the old file and the new one are airtool's.
    Image.fromarray(pixels(lq / f"{name}.webp")[::-1]).save(lq / f"{name}.webp", lossless=True)
    old = (kept / f"{name}.png").read_bytes()
    evaluate(first, (RGB,), Blur(), reuse=kept_in(kept, first, Blur()))
    assert (kept / f"{name}.png").read_bytes() != old
    (kept / f"{name}.png").write_bytes(old)
    assert not evaluate(first, (RGB,), Blur(), reuse=kept_in(kept, first, Blur())).failures
    assert (kept / f"{name}.png").read_bytes() != old


def test_figures_survive_when_a_picture_cannot_be_kept(folders: tuple[Path, Path], tmp_path: Path) -> None:
    task = task_of_pairs(*map(str, folders))
    kept = kept_in(tmp_path / "kept", task, Blur())
    (tmp_path / "kept/kept.jsonl").unlink()
    (tmp_path / "kept").rmdir()
    (tmp_path / "kept").write_bytes(b"a file has taken the place of the folder")
    evaluation = evaluate(task, (RGB,), Blur(), reuse=kept)
    assert len(evaluation.results) == len(evaluation.failures) == 3
    assert all(str(tmp_path / "kept") in failure.reason for failure in evaluation.failures)


def test_bad_pictures_are_reported_and_the_rest_is_measured(folders: tuple[Path, Path]) -> None:
    lq, gt = folders
    (lq / "astronaut.webp").write_bytes(b"no picture")
    Image.fromarray(pixels(gt / "coffee.png")[:, :79]).save(lq / "coffee.webp", lossless=True)
    evaluation = evaluate(task_of_pairs(str(lq), str(gt)), (RGB,), Blur())
    assert list(by_name(evaluation)) == ["animals/chelsea"]
    reasons = {failure.picture: failure.reason for failure in evaluation.failures}
    assert str(lq / "astronaut.webp") in reasons["astronaut"]
    assert reasons["coffee"].startswith(f"{lq / 'coffee.webp'}: the sizes of picture and ground truth differ (79x64")


def test_a_method_that_stumbles_costs_one_picture_each_time(folders: tuple[Path, Path]) -> None:
    evaluation = evaluate(task_of_pairs(*map(str, folders)), (RGB,), Stumbling())
    assert len(evaluation.results) == 1
    out_of_memory, not_finite = evaluation.failures
    assert out_of_memory.reason.endswith(f"{out_of_memory.picture}.webp: not enough memory")
    assert "restored: the picture holds values that are not finite" in not_finite.reason


def test_synthesised_inputs_are_seeded_by_the_picture_and_never_rounded(folders: tuple[Path, Path]) -> None:
    _, gt = folders
    restorer = Blur()
    whole = evaluate(task_of_synthesis(str(gt), "noise:25", seed=5), (RGB,), restorer)
    noisy = np.concatenate([picture.ravel() for picture in restorer.seen])
    assert noisy.min() >= 0.0
    assert noisy.max() <= 1.0
    assert np.mean(noisy * 255 == np.rint(noisy * 255)) < 0.2  # 8-bit values would all be whole numbers
    for result in whole.results:
        assert result.scores["input"]["rgb"].psnr == pytest.approx(20.5, abs=0.6)

    alone = evaluate(task_of_synthesis(str(gt / "coffee.png"), "noise:25", seed=5), (RGB,), Blur())
    assert by_name(alone)["coffee"].scores == by_name(whole)["coffee"].scores
    other = evaluate(task_of_synthesis(str(gt / "coffee.png"), "noise:25", seed=6), (RGB,))
    assert by_name(other)["coffee"].scores["input"] != by_name(whole)["coffee"].scores["input"]
    assert (whole.question.degradation, whole.question.seed) == ("noise:25", 5)


def test_mistakes_in_the_question_are_found_at_once(folders: tuple[Path, Path], tmp_path: Path) -> None:
    lq, gt = map(str, folders)
    with pytest.raises(UsageError, match="unknown degradation 'fog'"):
        task_of_synthesis(gt, "fog:1", seed=0)
    with pytest.raises(UsageError, match="nowhere"):
        task_of_pairs(str(tmp_path / "nowhere"), gt)
    for question in (lambda: task_of_pairs("-", gt), lambda: task_of_results("-", gt)):
        with pytest.raises(UsageError, match="standard input"):
            question()
    Path(lq, "extra.png").write_bytes(Path(gt, "coffee.png").read_bytes())
    (left,) = task_of_pairs(lq, gt).left
    assert (left.picture, left.reason.partition(":")[0]) == ("extra.png", f"{lq}/extra.png")


def test_a_limit_makes_a_sample_and_says_so(folders: tuple[Path, Path]) -> None:
    evaluation = evaluate(task_of_pairs(*map(str, folders), limit=2), (RGB,))
    assert len(evaluation.results) == 2
    assert (evaluation.question.limit, evaluation.question.available) == (2, 3)


def test_outcomes_can_be_watched(folders: tuple[Path, Path]) -> None:
    seen: list[object] = []

    def watch(outcomes: Iterable, total: int) -> Iterable:
        for outcome in outcomes:
            seen.append((outcome.picture, total))
            yield outcome

    evaluation = evaluate(task_of_pairs(*map(str, folders)), (RGB,), watch=watch)
    assert seen == [(result.picture, 3) for result in evaluation.results]
