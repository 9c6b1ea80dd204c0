"""The networks reproduce the authors' outputs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from airtool.methods.ndr.degrad import NDR
from airtool.methods.ndr.network import NDRConfig

SCRIPT = Path(__file__).parent.parent / "parity.py"


def run(*folders: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *folders], capture_output=True, text=True, check=False)


def test_reference_cases_agree(reference_folder: Path) -> None:
    cases = sorted((reference_folder / "vectors" / "ndr").iterdir())
    done = run(*cases)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("_residual") >= len(cases)


def test_a_wrong_weight_is_noticed(reference_folder: Path, tmp_path: Path) -> None:
    case = tmp_path / "case"
    shutil.copytree(reference_folder / "vectors" / "ndr" / "caseA", case)
    weights = load_file(case / "weights.safetensors")
    weights["restoration_net.bottom.0.attn.temperature"] *= 1.1
    save_file(weights, case / "weights.safetensors")
    assert run(case).returncode == 1


def test_a_folder_that_is_no_case(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("file", ["ndr_state_dict.json"])
def test_paper_preset_has_the_published_tensors(reference_folder: Path, file: str) -> None:
    published = json.loads((reference_folder / file).read_text())
    with torch.device("meta"):
        network = NDR(NDRConfig())
    ours = {key: list(tensor.shape) for key, tensor in network.state_dict().items()}
    assert ours == published
    assert sum(p.numel() for p in network.restoration_net.parameters()) == 27_330_315
    assert sum(p.numel() for p in network.degradation_net.parameters()) == 9_632_169
