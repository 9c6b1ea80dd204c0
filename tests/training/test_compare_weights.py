"""The tool that lays weights side by side says what training said of them."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tiny_recipe import TINY

from airtool.training.loop import Options, train
from airtool.training.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "compare_weights.py"


def toml(table: Mapping[str, object], path: str = "") -> str:
    """A table of strings, numbers, lists and tables; JSON writes the first three as TOML does."""
    tables = {name: value for name, value in table.items() if isinstance(value, Mapping)}
    lines = [f"{json.dumps(name)} = {json.dumps(value)}\n" for name, value in table.items() if name not in tables]
    inner = (f"[{path}{name}]\n{toml(value, f'{path}{name}.')}" for name, value in tables.items())
    return "".join([*lines, *inner])


def run(*arguments: Path | str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOL), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_figures_are_those_of_training(
    tiny: Recipe, training_data: Path, one_network: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    trained = train(tiny, Options(training_data, tmp_path / "run", device="cpu", workers=0), said.append)
    line = next(each for each in said if each.startswith(f"validation at step {tiny.steps}"))
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(toml(TINY), "utf-8")
    done = run(recipe, trained.weights, one_network, "--data", training_data)
    assert done.returncode == 0, done.stderr
    rows = {cells[0]: cells[1:] for cells in (row.strip("| ").split(" | ") for row in done.stdout.splitlines())}
    assert rows["kind"][1].startswith("weights.safetensors ")
    assert f"noise {rows['noise'][1]} " in line
    assert f"mean gain {float(rows['mean gain'][1]):.2f}" in line
    assert float(rows["noise"][2]) > float(rows["noise"][1]) + 3, "six steps are not the embedded weights"

    other = run(recipe, ROOT / "models" / "detect-small.safetensors", "--data", training_data)
    assert other.returncode == 2
    assert other.stderr.startswith("compare_weights: no tensor of ")
    assert other.stderr.count("\n") == 1


def test_weights_of_a_larger_network_are_not_measured_without_the_rest(training_data: Path, tmp_path: Path) -> None:
    recipe, embedded = tmp_path / "plain.toml", ROOT / "models" / "ndr-small.safetensors"
    recipe.write_text(toml(TINY | {"preset": "small-plain"}), "utf-8")
    refused = run(recipe, embedded, "--data", training_data)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert refused.stderr.endswith("name its network with --preset\n")
    done = run(recipe, embedded, "--data", training_data, "--preset", "small")
    assert done.returncode == 0, done.stderr
