"""Benchmark sets where they are at hand, and small folders of real photographs everywhere."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

CROPS = {
    "astronaut": lambda: data.astronaut()[60:124, 180:260],
    "chelsea": lambda: data.chelsea()[80:144, 200:280],
    "coffee": lambda: data.coffee()[150:214, 250:330],
}


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """For networks so small that threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def bench_data() -> Path:
    """The folder with one subfolder for each benchmark set."""
    root = Path(os.environ.get("AIRTOOL_DATA") or Path(__file__).parents[3] / "shared" / "data")
    if not (root / "bench").is_dir():
        pytest.skip("no benchmark pictures here: set AIRTOOL_DATA to the folder that holds bench/")
    return root / "bench"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders, degraded and clean: three 80x64 crops of photographs, one of them in a subfolder."""
    lq, gt = tmp_path / "lq", tmp_path / "gt"
    for folder in (lq / "animals", gt / "animals"):
        folder.mkdir(parents=True)
    rng = np.random.default_rng(3)
    for name, crop in CROPS.items():
        relative = f"animals/{name}" if name == "chelsea" else name
        clean = crop()
        Image.fromarray(clean).save(gt / f"{relative}.png")
        noisy = np.clip(np.rint(clean + rng.normal(0, 25, clean.shape)), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(lq / f"{relative}.webp", lossless=True)
    return lq, gt
