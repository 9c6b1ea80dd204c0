"""Two processes with sharded state train what one process trains, each with half of what there is to remember."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_distributed import TINY, TWO_PROCESSES

from airtool.errors import UsageError
from airtool.methods.weights import read_weights
from airtool.training.loop import Options, train
from airtool.training.recipe import Recipe, load_recipe
from airtool.training.sharding import shard


def checkpoint(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(folder / "checkpoint.pt", weights_only=True)
    return state


def same(one: Any, two: Any, **tolerance: float) -> None:
    """Raises AssertionError where two checkpoints differ."""
    for name in ("objective", "average"):
        assert list(one[name]) == list(two[name])
        for key, tensor in one[name].items():
            torch.testing.assert_close(tensor, two[name][key], msg=f"{name} {key}", **tolerance)
    here, there = (each["optimiser"]["adamw"]["state"] for each in (one, two))
    assert list(here) == list(there)
    for index, entry in here.items():
        for key, value in entry.items():
            torch.testing.assert_close(value, there[index][key], msg=f"{index} {key}", **tolerance)


@pytest.mark.heavy
def test_shards_learn_what_one_process_learns_and_go_on_where_they_stopped(training_data: Path, tmp_path: Path) -> None:
    file = tmp_path / "tiny.toml"
    file.write_text(TINY.replace("batch = 2", "batch = 4\naccumulate = 2"))
    recipe = load_recipe(str(file))
    script = Path(__file__).parent / "sharded_script.py"
    done = subprocess.run(
        [sys.executable, *TWO_PROCESSES, str(script), str(file), str(training_data), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    plain = Options(training_data, tmp_path / "one", device="cpu", precision="fp32", workers=0)
    train(recipe, plain, lambda line: None)

    one, straight, halves = (checkpoint(tmp_path / name) for name in ("one", "straight", "halves"))
    assert one["step"] == straight["step"] == halves["step"] == 4
    same(one, straight, atol=2e-4, rtol=1e-3)
    same(straight, halves, atol=0.0, rtol=0.0)
    assert straight["best"] == pytest.approx(one["best"], abs=0.02)
    for name in ("weights", "best"):
        here, there = (read_weights(tmp_path / run / f"{name}.safetensors").tensors for run in ("one", "straight"))
        assert list(here) == list(there)
        for key, tensor in here.items():
            torch.testing.assert_close(tensor, there[key], atol=2e-3, rtol=1e-2, msg=key)

    held = [json.loads((tmp_path / f"held-{index}.json").read_text()) for index in range(2)]
    weights = held[0]["all weights"]
    average = sum(tensor.numel() for tensor in straight["average"].values())
    for name, everything in (("weights", weights), ("average", average), ("moments", 2 * weights)):
        assert sum(process[name] for process in held) == everything
        for process in held:
            assert process[name] == pytest.approx(everything / 2, rel=0.02), name
    assert held[0]["blocks"] > 5

    # One process without shards goes on from what two with shards have left.
    said: list[str] = []
    on = replace(plain, out=tmp_path / "straight")
    assert train(replace(recipe, steps=5), on, said.append).step == 5
    assert any(line.startswith("resumed at step 4") for line in said)


def test_one_process_has_nobody_to_share_with(training_data: Path, tmp_path: Path, tiny: Recipe) -> None:
    options = Options(training_data, tmp_path / "out", device="cpu", workers=0, shard_state=True)
    with pytest.raises(UsageError, match="accelerate launch"):
        train(tiny, options, lambda line: None)
    with pytest.raises(UsageError, match="adamw, not with muon"):
        train(replace(tiny, optimiser="muon"), options, lambda line: None)


def test_single_numbers_cannot_be_shared_out() -> None:
    network = torch.nn.Linear(2, 2)
    network.register_parameter("scale", torch.nn.Parameter(torch.tensor(1.0)))
    with pytest.raises(UsageError, match="scale, which is a single number"):
        shard(network, torch.device("cpu"), 2)
