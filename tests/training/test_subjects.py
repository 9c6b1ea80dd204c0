"""The one loop trains methods and the detector, and judges each by its own figure."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_recipe import TINY
from torch import Tensor

from airtool.errors import UsageError
from airtool.methods.autodir.detector import load_detector
from airtool.methods.autodir.vocabulary import CLASSES, SCALES
from airtool.methods.objective import CEILING, Batch, Objective, psnr
from airtool.methods.registry import METHODS, method_class
from airtool.training.data import PairedPictures
from airtool.training.loop import Options, train
from airtool.training.recipe import Recipe, load_recipe, recipe_from
from airtool.training.subjects import subject, subject_config
from airtool.training.validation import Validation


def test_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in METHODS:
        assert subject(name) is method_class(name)
    assert subject_config("detect", "small").classes == CLASSES
    with pytest.raises(UsageError, match=r"unknown method 'nope': choose from ndr.*detect"):
        subject("nope")
    with pytest.raises(UsageError, match="unknown preset 'huge' of detect: choose from small"):
        subject_config("detect", "huge")


class Halfway(Objective):
    """Restores half of the damage of what it is told about; knows the truth from its last batch."""

    def __init__(self, truth: Tensor) -> None:
        super().__init__()
        self.truth = truth

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        raise AssertionError("not trained here")

    def restore(self, degraded: Tensor, labels: object) -> Tensor:
        return degraded if labels == ("clean",) else (degraded + self.truth) / 2


class Right(Halfway):
    """Is right about noise only."""

    unit = "%"
    relative = False

    def measure(self, degraded: Tensor, clean: Tensor, label: str) -> float:
        assert torch.equal(clean, self.truth)
        return 100.0 * label.startswith("noise")


def test_reports_in_decibels_and_in_per_cent(tiny: Recipe) -> None:
    picture = np.random.default_rng(0).integers(60, 190, (64, 64, 3), dtype=np.uint8)
    validation = Validation(replace(tiny, mix={"noise": 1.0, "clean": 1.0, "rain+jpeg": 1.0}), [picture])
    truth = torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)[None]
    before = validation.before()
    assert before["clean"] == CEILING
    found = validation.report(Halfway(truth), torch.device("cpu"), before)
    # Half the error is 6.02 dB; rounding to 8 bits costs a little.
    assert found.figures["noise"] - before["noise"] == pytest.approx(6.02, abs=0.05)
    assert found.figures["clean"] == CEILING
    expected = np.mean([found.figures[kind] - before[kind] for kind in ("noise", "rain+jpeg")])
    assert found.score == pytest.approx(expected)
    assert found.line.startswith(f"mean gain {found.score:.3f} dB  noise {found.figures['noise']:.2f} (+6.0")
    right = validation.report(Right(truth), torch.device("cpu"), {})
    assert right.figures == {"noise": 100.0, "rain+jpeg": 0.0, "clean": 0.0}
    assert right.line == "mean 33.333 %  noise 100.00  rain+jpeg 0.00  clean 0.00"


def test_held_out_pairs_are_validated_under_their_name(tiny: Recipe) -> None:
    clean = np.random.default_rng(0).integers(60, 190, (5, 72, 80, 3), dtype=np.uint8)
    held = PairedPictures(list(clean + 40), list(clean), "pairs", "rain")
    recipe = replace(tiny, mix={"streaks": 1.0}, validation_pictures=2)
    validation = Validation(recipe, [], {"streaks": held})
    # Every second of five, cut to 64 pixels; 40 of 255 is an error of 16.09 dB, half of it one of 22.11.
    assert validation.before() == {"streaks": pytest.approx(16.09, abs=0.01)}
    truth = torch.from_numpy(clean[0, 4:68, 8:72].astype(np.float32) / 255).permute(2, 0, 1)[None]
    asked: list[tuple[Tensor, str]] = []

    class Halved(Halfway):
        def measure(self, degraded: Tensor, clean: Tensor, label: str) -> float:
            asked.append((clean, label))
            return psnr((degraded + clean) / 2, clean)

    found = validation.report(Halved(truth), torch.device("cpu"), validation.before())
    assert found.score == pytest.approx(6.02, abs=0.01)
    assert [label for _, label in asked] == ["rain", "rain"]
    assert torch.equal(asked[0][0], truth)
    named = Validation(replace(recipe, mix={"rain": 1.0}), [], {"rain": held})  # as a degradation is called
    assert named.before()["rain"] == pytest.approx(16.09, abs=0.01)
    with pytest.raises(UsageError, match="nothing to validate"):
        Validation(recipe, [])
    with pytest.raises(UsageError, match="no pictures for validation"):
        Validation(replace(recipe, mix={"noise": 1.0}), [], {"streaks": held})


def test_the_detector_trains_in_the_same_loop(training_data: Path, tmp_path: Path) -> None:
    table = TINY | {"method": "detect", "preset": "small", "steps": 3, "patch": 48, "ema": 0.5}
    table["pairs"] = {"streaks": TINY["pairs"]["streaks"] | {"label": "rain"}}  # type: ignore[index]
    recipe = recipe_from(table | {"objective": {"saved_share": 0.5}}, "tiny")
    lines: list[str] = []
    options = Options(training_data, tmp_path, device="cpu", precision="fp32", workers=0)
    done = train(recipe, options, lines.append)
    assert done.finished
    assert sum(line.startswith("validation at step 3: mean ") and " %  noise " in line for line in lines) == 1
    assert any("fidelity" in line for line in lines)
    trained = load_detector(done.weights)
    assert trained.config == subject_config("detect", "small")
    assert load_detector(tmp_path / "best.safetensors").config == trained.config
    assert done.weights.stat().st_size < 10 * 2**20


def test_the_shipped_recipe_shows_enough_that_is_clean() -> None:
    """Clean pictures that are saved at a visible quality count as JPEG."""
    recipe = load_recipe("detect-small")
    low, high = recipe.objective["saved_quality"]
    spoilt = recipe.objective["saved_share"] * (SCALES["jpeg"].invisible - low) / (high - low)
    assert recipe.mix["clean"] / sum(recipe.mix.values()) * (1 - spoilt) >= 0.2
    ablation = load_recipe("detect-small-no-sa")
    trained, without = (
        subject("detect").objective(subject_config("detect", "small"), each.objective).settings  # type: ignore[attr-defined]
        for each in (recipe, ablation)
    )
    same = {field: getattr(without, field) for field in ("warmup", "shift", "saved_share", "grey_share", "fidelity")}
    assert same == {field: getattr(trained, field) for field in same}
    assert (trained.semantic_weight, without.semantic_weight) == (1.0, 0.0)
    assert ablation.mix == recipe.mix
