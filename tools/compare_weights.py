"""Weights files side by side on the held-out pictures of a recipe, as training validates them:

python tools/compare_weights.py autodir-small models/autodir-small.safetensors runs/a/weights.safetensors --data DIR
"""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

import torch

from airtool.errors import AirtoolError, UsageError
from airtool.heap import keep_heap
from airtool.methods.weights import read_weights, sha256_of
from airtool.training.recipe import load_recipe
from airtool.training.start import start_from
from airtool.training.subjects import subject, subject_config
from airtool.training.validation import gains, held_out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="name of a shipped recipe, or a TOML file")
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, default=os.environ.get("AIRTOOL_DATA"), help="default: AIRTOOL_DATA")
    parser.add_argument("--preset", help="network to put the weights into (default: the recipe's)")
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("say where the recipe's folders are: --data DIR")
    keep_heap()
    try:
        compare(arguments.recipe, arguments.weights, arguments.data, arguments.preset)
    except AirtoolError as error:
        print(f"compare_weights: {error}", file=sys.stderr)
        return 2
    return 0


def compare(name: str, files: list[Path], data: Path, preset: str | None = None) -> None:
    recipe = load_recipe(name)
    if preset is not None:
        recipe = replace(recipe, preset=preset)
    validation = held_out(recipe, data)
    cpu = torch.device("cpu")
    objective = subject(recipe.method).objective(subject_config(recipe.method, recipe.preset), recipe.objective)
    objective.to(cpu, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    before = validation.before() if objective.relative else {}
    columns = []
    for file in files:
        taken, wanted = start_from(objective, file)
        if taken < wanted:
            raise UsageError(f"{file} has {taken} of the {wanted} tensors of {name}: give weights of its network")
        weights = read_weights(file)
        if weights.header.get("method") == recipe.method and len(weights.tensors) > wanted:
            raise UsageError(f"{file} has more than the {wanted} tensors of {name}: name its network with --preset")
        columns.append(validation.figures(objective, cpu))
    shas = (sha256_of(file)[:8] for file in files)
    titles = [
        "kind",
        *(["input"] if before else []),
        *(f"{file.name} {sha}" for file, sha in zip(files, shas, strict=True)),
    ]
    print("| " + " | ".join(titles) + " |\n" + "|---" * len(titles) + "|")
    for kind in validation.kinds:
        own = [f"{before[kind]:.2f}"] if before else []
        print("| " + " | ".join([kind, *own, *(f"{column[kind]:.2f}" for column in columns)]) + " |")
    if before:
        means = (f"{gains(column, before):+.2f}" for column in columns)
        print("| " + " | ".join(["mean gain", "", *means]) + " |")


if __name__ == "__main__":
    sys.exit(main())
