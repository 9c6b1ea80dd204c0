"""Where the pictures of the tests come from; the same chance for every test, and Ctrl-C as it is in a terminal."""

import os
import signal
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import skimage

ROOT = Path(__file__).resolve().parent.parent


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """PyTorch's random numbers are the same whichever tests ran before, also in the fixtures that tests share."""
    if (torch := sys.modules.get("torch")) is not None:
        torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _ctrl_c() -> Iterator[None]:
    """A shell that runs the tests in the background has Ctrl-C ignored, in them and in what they start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


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


@pytest.fixture
def blind_to_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders and files are found in whatever letters, as macOS and Windows do; names stay as they are typed."""
    stat = os.stat

    def spelt(path: str) -> str:
        above, name = os.path.split(path)
        above = above if above in ("", "/") else spelt(above)
        there = os.listdir(above or ".") if os.path.isdir(above or ".") else []
        return os.path.join(above, next((each for each in there if each.casefold() == name.casefold()), name))

    def blind(path: str | Path | int, **how: Any) -> os.stat_result:
        try:
            return stat(path, **how)
        except FileNotFoundError:
            return stat(spelt(str(path)), **how)

    monkeypatch.setattr(os, "stat", blind)


@pytest.fixture(scope="session")
def photographs() -> Path:
    """Freely licensed real photographs: the folder inside scikit-image."""
    return Path(skimage.__file__).parent / "data"


@pytest.fixture(scope="session")
def metric_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of LPIPS and MUSIQ under their published names, with random weights, laid out as a hub folder."""
    from airtool.metrics import perceptual

    try:
        perceptual._import_pyiqa()
    except perceptual.MissingMetricError:
        pytest.skip("pyiqa is not installed: pip install -c constraints.txt '.[iqa]'")
    import torch
    from pyiqa.archs.musiq_arch import MUSIQ
    from torchvision.models import alexnet

    folder = tmp_path_factory.mktemp("hub")
    torch.manual_seed(0)
    # The classifier is never used: one number, seen as a whole matrix, keeps the file small.
    backbone = {
        key: torch.zeros(1).expand(tensor.shape) if key.startswith("classifier") else tensor
        for key, tensor in alexnet().state_dict().items()
    }
    widths = (64, 192, 384, 256, 256)
    linear = {f"lin{level}.model.1.weight": torch.rand(1, width, 1, 1) for level, width in enumerate(widths)}
    states = {
        "checkpoints/alexnet-owt-7be5be79.pth": backbone,
        "pyiqa/LPIPS_v0.1_alex-df73285e.pth": linear,
        "pyiqa/musiq_koniq_ckpt-e95806b9.pth": MUSIQ(pretrained=False).state_dict(),
    }
    for name, state in states.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        torch.save(dict(state), path)
    return folder


@pytest.fixture(scope="session")
def inception_file(metric_files: Path) -> Path:
    """FID's network under its published name, laid out likewise. Its weights are random, one number a channel."""
    import torch
    from pyiqa.archs import inception

    path = metric_files / "pyiqa" / "pt_inception-2015-12-05-6726825d.pth"
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyiqa builds it by an option that torchvision has renamed
        patch.setattr(inception, "load_pretrained_network", lambda *_: None)
        shapes = {key: tensor.shape for key, tensor in inception.fid_inception_v3().state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    state = {}
    for key, shape in shapes.items():
        if key.endswith("weight") and len(shape) == 4:
            spread = (shape[0], shape[1], 1, 1)  # a kernel of equal numbers, seen as a whole one, keeps the file small
            state[key] = (torch.randn(spread, generator=generator) / shape[1:].numel() ** 0.5).expand(shape)
        else:
            state[key] = torch.full(shape, float(not key.endswith(("bias", "mean", "tracked"))))
    torch.save(state, path)
    return path


@pytest.fixture
def fid_hub(metric_hub: Path, inception_file: Path) -> Path:
    """`metric_hub` with FID's network."""
    link = metric_hub / "pyiqa" / inception_file.name
    if not link.exists():
        link.symlink_to(inception_file)
    return metric_hub


@pytest.fixture
def metric_hub(metric_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own with those files, which are taken as they are.

    Random files cannot have the published sha256; that others are refused is a test of its own.
    """
    hub = tmp_path / "hub"
    for path in metric_files.rglob("*.pth"):
        link = hub / path.relative_to(metric_files)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    monkeypatch.setattr("airtool.metrics.perceptual.check_file", lambda path: None)
    return hub


@pytest.fixture
def one_network(tmp_path: Path) -> Path:
    """The embedded weights of `ndr` without their second network, as `small-single` has them."""
    from airtool.methods.ndr.method import PRESETS
    from airtool.methods.weights import embedded_path, read_weights, write_weights

    path = tmp_path / "one-network.safetensors"
    tensors = read_weights(embedded_path("ndr", "small")).tensors
    first = {key: tensor for key, tensor in tensors.items() if not key.startswith("fine")}
    write_weights(path, "ndr", PRESETS["small-single"], first, {"recipe": "none"}, half=True)
    return path
