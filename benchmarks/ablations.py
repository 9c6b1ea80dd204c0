"""What the papers' own modules bring at a small scale: python benchmarks/ablations.py --data DIR --runs runs

Measures the networks of the recipes NAME-ablation and NAME-ablation-* from their runs, on the same held-out
photographs of BSDS500 degraded alike, keeps the figures of each family in docs/ablations/NAME.json, and writes
docs/ablations.md from all that are there.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from airtool.images.files import write_atomic
from airtool.methods.objective import psnr
from airtool.methods.weights import read_weights, sha256_of
from airtool.training.data import load_folder
from airtool.training.recipe import CLEAN, Recipe, load_recipe
from airtool.training.start import start_from
from airtool.training.subjects import subject, subject_config
from airtool.training.validation import Validation

PICTURES, CROP = 16, 192

HEAD = f"""# Ablations

What the papers' own modules bring in networks of the `small` kind, trained for minutes: each row is a network trained
by the same samples for the same number of steps, with one thing changed, from the same weights where it says so and
else from scratch, by the same seed but with other initial values wherever a layer came or went. Written by
`python benchmarks/ablations.py` from the runs of the recipes named in the tables.

RGB PSNR in dB on the centres ({CROP} x {CROP} pixels) of {PICTURES} photographs of BSDS500's validation part, which no
training saw, degraded by default amounts, alike for all rows; *gain* is the mean over the degradations of PSNR minus
that of the input. *Against the full network*: the difference of the gains, each picture against itself, with the
standard error over the pictures. That error says nothing of another seed: one run of each was made, and runs so short
that differ in their seeds alone differ as well. What is below twice the error should not be believed at all.
"""


@dataclass(frozen=True)
class Family:
    """The rows of one ablation; the first is the full network."""

    title: str
    rows: Mapping[str, str]
    """What was changed, by recipe."""
    said: str = ""
    """What a reader should know."""


FAMILIES = {
    "ndr": Family(
        "NDR-Restore",
        {
            "ndr-ablation": "full",
            "ndr-ablation-one-way": "without NDR-Degrad (no loss of degrading again)",
            "ndr-ablation-plain": "plain skip connections (no query, no injection)",
        },
        "From scratch.",
    ),
    "dfpir": Family(
        "DFPIR (the paper's Table 3)",
        {
            "dfpir-ablation": "full: shuffle and CAAPM",
            "dfpir-ablation-attention": "channel attention in place of the shuffle",
            "dfpir-ablation-no-caapm": "without CAAPM",
        },
        "From scratch. Measured when the preset had 12 prompts; with the 15 of now networks have 1,440 numbers more.",
    ),
    "up-restorer": Family(
        "Up-Restorer",
        {
            "up-restorer-ablation": "full",
            "up-restorer-ablation-no-queries": "without the learnable queries",
            "up-restorer-ablation-no-prompts": "without the Prompt Blocks",
        },
        "From the backbone of `ndr`, which the modules leave as it is at first.",
    ),
    "defusion": Family(
        "Defusion (the paper's Table 5)",
        {
            "defusion-ablation": "full: instruction on a TE42-like ground",
            "defusion-ablation-simple": "instruction on a simple ground",
            "defusion-ablation-blank": "instruction on a blank ground",
            "defusion-ablation-label": "the name in place of the instruction",
            "defusion-ablation-none": "told nothing",
            "defusion-ablation-image": "the picture is diffused, not the degradation",
        },
        "From the tokenizer of the first stage; rain, haze and snow only, as three tasks told apart by the instruction."
        " The paper's row *text* is a learned vector for each name here: there is no text encoder.",
    ),
}


def measured(name: str, data: Path, runs: Path) -> dict[str, Any]:
    """Figures of the rows of a family that were trained: PSNR by degradation and picture; what to know of the runs."""
    recipe = replace(load_recipe(f"{name}-ablation"), validation_pictures=PICTURES, validation_crop=CROP)
    validation = Validation(recipe, load_folder(data / recipe.validation))
    before = {
        kind: [psnr(degraded, clean) for degraded, clean, _ in validation.examples(kind)] for kind in validation.kinds
    }
    files = {row: runs / row / "weights.safetensors" for row in FAMILIES[name].rows}
    rows = {row: _row(load_recipe(row), validation, file) for row, file in files.items() if file.exists()}
    return {"date": time.strftime("%Y-%m-%d"), "torch": torch.__version__, "input": before, "rows": rows}


@torch.inference_mode()
def _row(recipe: Recipe, validation: Validation, weights: Path) -> dict[str, Any]:
    config = subject_config(recipe.method, recipe.preset)
    objective = subject(recipe.method).objective(config, recipe.objective).eval()
    start_from(objective, weights)
    figures = {
        kind: [objective.measure(degraded, clean, label) for degraded, clean, label in validation.examples(kind)]
        for kind in validation.kinds
    }
    parameters = sum(tensor.numel() for tensor in read_weights(weights).tensors.values())
    print(recipe.name, {kind: round(float(np.mean(each)), 2) for kind, each in figures.items()}, file=sys.stderr)
    return {
        "figures": figures,
        "parameters": parameters,
        "sha256": sha256_of(weights),
        "steps": recipe.steps,
        "batch": recipe.batch,
        "patch": recipe.patch,
        "optimiser": recipe.optimiser,
    }


def gains(figures: Mapping[str, Sequence[float]], before: Mapping[str, Sequence[float]]) -> np.ndarray:
    """Mean gain over the degradations for each picture."""
    kinds = [kind for kind in before if kind != CLEAN]
    return np.mean([np.subtract(figures[kind], before[kind]) for kind in kinds], axis=0)


def section(name: str, found: Mapping[str, Any]) -> str:
    family, before = FAMILIES[name], found["input"]
    kinds = list(before)
    first, *_ = found["rows"].values()
    full = gains(first["figures"], before)
    lines = [
        f"\n## {family.title}\n",
        f"{family.said} {first['steps']:,} steps of {first['batch']} crops of {first['patch']} pixels, "
        f"{first['optimiser']}. {found['date']}, torch {found['torch']}.\n",
        f"| recipe | what | parameters | gain | against the full network | {' | '.join(kinds)} |",
        f"|---|---|---|---|---|{'---|' * len(kinds)}",
        f"| | input | | | | {' | '.join(_mean(before[kind]) for kind in kinds)} |",
    ]
    for recipe, row in found["rows"].items():
        own = gains(row["figures"], before)
        apart = own - full
        against = "" if row is first else f"{apart.mean():+.2f} ± {apart.std(ddof=1) / np.sqrt(len(apart)):.2f}"
        lines.append(
            f"| `{recipe}` | {family.rows[recipe]} | {row['parameters']:,} | {own.mean():+.2f} | {against} | "
            f"{' | '.join(_mean(row['figures'][kind]) for kind in kinds)} |"
        )
    sums = ", ".join(f"`{recipe}` `{row['sha256'][:12]}`" for recipe, row in found["rows"].items())
    absent = [f"`{recipe}` ({what})" for recipe, what in family.rows.items() if recipe not in found["rows"]]
    missing = f" Not trained yet: {', '.join(absent)}." if absent else ""
    return "\n".join([*lines, f"\nWeights (not kept), sha256: {sums}.{missing}\n"])


def _mean(values: Sequence[float]) -> str:
    return f"{np.mean(values):.2f}"


def write_page(out: Path) -> None:
    kept = [(name, out / "ablations" / f"{name}.json") for name in FAMILIES]
    found = [section(name, json.loads(path.read_text("utf-8"))) for name, path in kept if path.exists()]
    write_atomic(out / "ablations.md", (HEAD + "".join(found)).encode(), overwrite=True)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the data folder, which holds train/")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the runs")
    parser.add_argument("--only", default=",".join(FAMILIES), help="comma-separated names of families")
    parser.add_argument("--write-only", action="store_true", help="write the page from kept figures")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    arguments = parser.parse_args(words)
    if not arguments.write_only:
        if arguments.data is None:
            print("name the data folder with --data, or --write-only", file=sys.stderr)
            return 2
        for name in arguments.only.split(","):
            text = json.dumps(measured(name, arguments.data, arguments.runs), indent=1)
            write_atomic(arguments.out / "ablations" / f"{name}.json", text.encode(), overwrite=True)
    write_page(arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
