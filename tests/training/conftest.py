"""Real photographs for the tiny recipe."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_recipe import TINY

from airtool.training.recipe import Recipe, recipe_from


@pytest.fixture(scope="session")
def training_data(tmp_path_factory: pytest.TempPathFactory, photographs: Path) -> Path:
    """Three clean photographs, one held out, and one pair with a bright streak."""
    root = tmp_path_factory.mktemp("data")
    for folder in ("clean", "held-out", "lq", "gt"):
        (root / folder).mkdir()
    for name, folder in (("astronaut", "clean"), ("coffee", "clean"), ("chelsea", "held-out")):
        Image.open(photographs / f"{name}.png").convert("RGB").resize((160, 120)).save(root / folder / f"{name}.png")
    clean = np.array(Image.open(root / "clean" / "coffee.png"))
    Image.fromarray(clean).save(root / "gt" / "a.png")
    rainy = clean.copy()
    rainy[:, 80:83] = np.minimum(255, rainy[:, 80:83].astype(int) + 60)
    Image.fromarray(rainy).save(root / "lq" / "a.png")
    return root


@pytest.fixture
def tiny() -> Recipe:
    return recipe_from(TINY, "tiny")
