"""Recipes say what is wrong with them."""

import math
from pathlib import Path

import numpy as np
import pytest
from tiny_recipe import TINY

from airtool.errors import UsageError
from airtool.training.loop import learning_rate
from airtool.training.recipe import Recipe, load_recipe, recipe_from, shipped
from airtool.training.subjects import subject, subject_config
from airtool.training.validation import Validation


@pytest.mark.parametrize("name", shipped())
def test_shipped_recipes_fit_their_method(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    subject_config(recipe.method, recipe.preset)
    # A network of the papers' size takes long to build.
    preset = "small" if recipe.preset.startswith("paper") else recipe.preset
    objective = subject(recipe.method).objective(subject_config(recipe.method, preset), recipe.objective)
    assert recipe.patch % objective.patch_multiple == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stepz": 3}, "unknown key 'stepz'"),
        ({"steps": "many"}, "steps must be a whole number"),
        ({"learning_rate": -1.0}, "learning_rate must be a number"),
        ({"batch": 0}, "must be at least 1"),
        ({"mix": {}}, r"\[mix\] must give"),
        ({"mix": {"noise": 0}}, r"\[mix\] must give"),
        ({"pairs": {"x": {"degraded": "lq", "ground_truth": "gt", "use": "magic"}}}, "'magic' must be"),
        ({"pairs": {"x": {"degraded": "lq"}}}, "missing or misplaced key"),
        (
            {"pairs": {"x": {"degraded": "lq", "ground_truth": "gt", "validation_degraded": "held"}}},
            r"\[pairs.x\] needs both of the validation folders",
        ),
        ({"pairs": {"x": {"degraded": 5, "ground_truth": "gt"}}}, r"\[pairs.x\] says must be text"),
        ({"pairs": "x"}, "pairs must be a table, not 'x'"),
        ({"mix": "rain"}, "mix must be a table, not 'rain'"),
        ({"method": ["ndr"]}, r"method must be a text, not \['ndr'\]"),
        ({"clean": "clean"}, "clean must be a list of folders, not 'clean'"),
        ({"betas": [0.9]}, r"betas must be two numbers, not \[0.9\]"),
        ({"validation_pictures": 0}, "validation_pictures must be at least 1"),
        ({"learning_rate": 0}, "learning_rate must be above 0"),
        ({"learning_rate": math.nan}, "learning_rate must be a number, not nan"),
        ({"clip_norm": 0.0}, "clip_norm must be above 0"),
        ({"ema": 2}, "ema must be at least 0 and below 1, not 2"),
        ({"betas": [0.9, 1.5]}, "betas must be at least 0 and below 1, not 1.5"),
        ({"betas": [math.nan, 0.9]}, "betas must be at least 0 and below 1, not nan"),
        ({"mix": {"noise": math.inf}}, r"\[mix\] must give"),
        ({"saved": 40}, "saved must be from 0 to 1, not 40"),
        ({"name": "../../elsewhere"}, "name must do for a folder below runs/, not '../../elsewhere'"),
        ({"name": ""}, "name must do for a folder"),
    ],
)
def test_mistakes_are_named(change: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        recipe_from(TINY | change, "mine.toml")


def test_a_validation_crop_has_to_hold_something() -> None:
    with pytest.raises(UsageError, match="validation_crop must be at least 16"):
        Validation(recipe_from(TINY | {"validation_crop": 8}, "mine.toml"), [np.zeros((64, 64, 3), np.uint8)])


def test_files_that_are_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no recipe nothing: give a TOML file or one that .* lists$"):
        load_recipe("nothing")
    with pytest.raises(UsageError, match=r"lists; did you mean ndr-small-gpu\b"):
        load_recipe("ndr-smal-gpu")
    with pytest.raises(UsageError, match="cannot be read"):
        load_recipe(str(tmp_path))
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"a\.toml is not valid TOML: it is not UTF-8"):
        load_recipe(str(tmp_path / "a.toml"))
    (tmp_path / "a.toml").write_text("name = ")
    with pytest.raises(UsageError, match="not valid TOML"):
        load_recipe(str(tmp_path / "a.toml"))


def test_a_recipe_may_extend_a_shipped_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('extends = "ndr-small"\nname = "mine"\nbatch = 64\n[objective]\nloss = "l1"\n')
    mine, base = load_recipe(str(path)), load_recipe("ndr-small")
    assert (mine.name, mine.batch, mine.objective) == ("mine", 64, {"loss": "l1"})
    assert (mine.mix, mine.clean) == (base.mix, base.clean)
    path.write_text('extends = "nothing"\n')
    with pytest.raises(UsageError, match="extends 'nothing', which `airtool models recipes` does not list"):
        load_recipe(str(path))
    grandchild, child = load_recipe("dfpir-small"), load_recipe("ndr-small-tune")
    assert (grandchild.mix, grandchild.clean, grandchild.method) == (child.mix, base.clean, "dfpir")


def test_the_schedule_warms_up_and_ends_as_a_cosine(tiny: Recipe) -> None:
    rates = [learning_rate(tiny, step) for step in range(tiny.steps + 1)]
    assert rates[0] == tiny.learning_rate / 2
    assert max(rates) == rates[1] == rates[2] == tiny.learning_rate
    assert rates[4] == pytest.approx((tiny.learning_rate + tiny.final_learning_rate) / 2)
    assert rates[6] == pytest.approx(tiny.final_learning_rate)
