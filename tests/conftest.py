"""Where the pictures of the tests come from."""

import os
from pathlib import Path

import pytest
import skimage

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Benchmark and training pictures, which the project does not carry."""
    folder = Path(os.environ.get("AIRTOOL_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "bench").is_dir():
        pytest.skip("benchmark pictures are not here: set AIRTOOL_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def reference_folder() -> Path:
    """Reference vectors of the published networks, which the project does not carry."""
    folder = Path(os.environ.get("AIRTOOL_REFERENCE", ROOT.parent / "shared" / "reference"))
    if not (folder / "vectors").is_dir():
        pytest.skip("reference vectors are not here: set AIRTOOL_REFERENCE to their folder")
    return folder


@pytest.fixture(scope="session")
def photographs() -> Path:
    """Freely licensed real photographs: the folder inside scikit-image."""
    return Path(skimage.__file__).parent / "data"
