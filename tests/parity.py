"""Compare our networks with reference cases: python tests/parity.py DIR [DIR ...]

A case folder holds case.json (family and the authors' constructor arguments), weights.safetensors under the authors'
keys and vectors.safetensors with inputs and outputs. Prints the largest difference of every output. Exit code 0: all
within tolerance; 1: some are not; 2: a folder is not a case that can be rebuilt.
"""

import json
import sys
from pathlib import Path

import torch
from parity_families import family
from safetensors.torch import load_file

TOLERANCE = 2e-5
"""Largest absolute difference in float32 where the case names none."""


def check_case(folder: Path) -> bool:
    """Print the differences of one case; whether all are within tolerance."""
    case = json.loads((folder / "case.json").read_text("utf-8"))
    tolerance = float(case.get("atol", TOLERANCE))
    weights, vectors = load_file(folder / "weights.safetensors"), load_file(folder / "vectors.safetensors")
    print(f"{folder}: {case['method']}, tolerance {tolerance:g}")
    good, count = True, 0
    for name, ours, theirs in family(case["method"])(case, weights, vectors):
        same_shape = ours.shape == theirs.shape
        difference = float((ours - theirs).abs().max()) if same_shape else float("nan")
        within = difference <= tolerance
        good, count = good and within, count + 1
        note = "" if within else "  OUT OF TOLERANCE" if same_shape else f"  SHAPE {tuple(ours.shape)}"
        print(f"  {name:32s} {difference:.3e}{note}")
    if not count:
        raise KeyError("the case holds no outputs")
    return good


@torch.inference_mode()
def main(folders: list[str]) -> int:
    if not folders:
        print(__doc__, file=sys.stderr)
        return 2
    good = True
    for folder in folders:
        try:
            good = check_case(Path(folder)) and good
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            print(f"{folder}: {error}", file=sys.stderr)
            return 2
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
