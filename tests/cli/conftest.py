"""A small untrained network and a few real photographs for the command line."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from commandline import Run
from skimage import data

from airtool.cli.app import main
from airtool.images.encode import encode
from airtool.images.picture import Metadata, Picture
from airtool.methods.ndr.method import NDRMethod
from airtool.methods.ndr.network import NDRConfig
from airtool.methods.weights import write_weights


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A weights file of a tiny NDR-Restore network with random weights, which changes a picture a little."""
    torch.manual_seed(0)
    sizes = {"dim": 8, "atom_dim": 8, "feature_dim": 8, "rank": 2}
    config = NDRConfig(blocks=(1, 1, 1, 1), refinement_blocks=1, block="nafnet", residual=True, **sizes)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    write_weights(path, "ndr", config, NDRMethod(config).network.state_dict(), {"recipe": "none"}, half=True)
    return str(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three cuts of a photograph: a JPEG, and two PNG files, one of them in a folder with an umlaut."""
    source = data.astronaut().astype(np.float32) / 255
    for index, name in enumerate(("a.jpg", "b.png", "tür/c.png")):
        rgb = np.ascontiguousarray(source[index * 60 : index * 60 + 45, 100:161])
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        format = "jpeg" if path.suffix == ".jpg" else "png"
        path.write_bytes(encode(Picture(rgb, None, 8, False, format, Metadata())))
    return tmp_path / "in"


@pytest.fixture
def airtool(capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line in this process: exit code, standard output, standard error."""

    def run(*args: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main([str(arg) for arg in args])
        out, err = capfd.readouterr()
        return code, out, err

    return run
