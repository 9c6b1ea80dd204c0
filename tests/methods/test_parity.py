"""The networks reproduce the authors' outputs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from parity import main
from safetensors.torch import load_file, save_file

from airtool.methods.ndr.degrad import NDR
from airtool.methods.ndr.network import NDRConfig

SCRIPT = Path(__file__).parent.parent / "parity.py"


def test_reference_cases_agree(reference_folder: Path) -> None:
    cases = sorted(file.parent for file in (reference_folder / "vectors").rglob("weights.safetensors"))
    done = subprocess.run([sys.executable, SCRIPT, *cases], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    compared = {line.partition(": ")[0] for line in done.stdout.splitlines() if not line.startswith(" ")}
    assert compared == {str(case) for case in cases}
    # Both published passes of NDR-Restore.
    assert done.stdout.count("_residual") >= sum("ndr" in case.parts for case in cases) > 0


@pytest.mark.parametrize(
    ("case", "weight"),
    [
        ("ndr/caseA", "restoration_net.bottom.0.attn.temperature"),
        ("nafnet/caseA", "middle_blks.0.beta"),
        ("nafnet/caseA_rgb", "ups.1.0.weight"),
        ("defusion/caseA", "tok.quantize.embedding.weight"),
        ("defusion/caseA", "via.ip.to_v_ip.weight"),
    ],
)
def test_a_wrong_weight_is_noticed(reference_folder: Path, tmp_path: Path, case: str, weight: str) -> None:
    for file in (reference_folder / "vectors" / case).iterdir():
        shutil.copyfile(file, tmp_path / file.name)
    weights = load_file(tmp_path / "weights.safetensors")
    weights[weight] *= 1.1
    save_file(weights, tmp_path / "weights.safetensors")
    assert main([str(tmp_path)]) == 1


def test_a_folder_that_is_no_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "case.json" in capsys.readouterr().err
    (tmp_path / "args.json").write_text('{"args": {"width": 8}}')
    for name in ("weights", "io"):
        save_file({"input": torch.zeros(1)}, tmp_path / f"{name}.safetensors")
    assert main([str(tmp_path)]) == 2
    assert "no family" in capsys.readouterr().err


@pytest.mark.parametrize("file", ["ndr_state_dict.json"])
def test_paper_preset_has_the_published_tensors(reference_folder: Path, file: str) -> None:
    published = json.loads((reference_folder / file).read_text())
    with torch.device("meta"):
        network = NDR(NDRConfig())
    ours = {key: list(tensor.shape) for key, tensor in network.state_dict().items()}
    assert ours == published
    assert sum(p.numel() for p in network.restoration_net.parameters()) == 27_330_315
    assert sum(p.numel() for p in network.degradation_net.parameters()) == 9_632_169
