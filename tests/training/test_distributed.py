"""Several processes train what one process trains."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

TINY = """
name = "tiny"
method = "ndr"
preset = "small-single"
clean = ["clean"]
validation = "held-out"
seed = 5
steps = 4
batch = 2
patch = 32
warmup = 2
validate_every = 2
validation_pictures = 1
validation_crop = 64
[mix]
noise = 1.0
rain = 1.0
[objective]
loss = "rmse"
degradation_every = 2
"""

TWO_PROCESSES = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone"]
"""Not `accelerate launch`, which starts a single process on a machine without GPUs, however many are asked for."""


@pytest.mark.heavy
def test_two_processes_learn_what_one_learns(training_data: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(TINY)
    command = ["-m", "airtool", "train", "--recipe", str(recipe), "--data", str(training_data), "--device", "cpu"]
    command += ["--precision", "fp32", "--workers", "0", "--threads", "1", "--out"]
    for out, prefix, count in (("one", [], 1), ("two", TWO_PROCESSES, 2)):
        done = subprocess.run(
            [sys.executable, *prefix, *command, str(tmp_path / out)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert f", {count} processes, " in done.stderr
        assert done.stderr.count("validation at step 4") == 1
    one, two = (torch.load(tmp_path / out / "checkpoint.pt", weights_only=True) for out in ("one", "two"))
    assert one["step"] == two["step"] == 4
    for key, tensor in one["objective"].items():
        torch.testing.assert_close(tensor, two["objective"][key], atol=2e-4, rtol=1e-3, msg=key)
