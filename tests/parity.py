"""Compare our networks with reference cases: python tests/parity.py DIR [DIR ...]

A case folder holds case.json or args.json (family and the authors' constructor arguments), weights.safetensors under
the authors' keys, and vectors.safetensors or io.safetensors with inputs and outputs. Prints the largest difference of
every output. Exit code 0: all within tolerance; 1: some are not; 2: a folder is not a case that can be rebuilt.
"""

import json
import sys
from pathlib import Path

import torch
from parity_families import family
from safetensors.torch import load_file


def check_case(folder: Path) -> bool:
    """Print the differences of one case; whether all are within tolerance."""
    case = json.loads(_one_of(folder, "case.json", "args.json").read_text("utf-8"))
    weights = load_file(folder / "weights.safetensors")
    vectors = load_file(_one_of(folder, "vectors.safetensors", "io.safetensors"))
    kind = family(case)
    tolerance = float(case.get("atol", kind.tolerance))
    print(f"{folder}: {case.get('method', kind.name)}, tolerance {tolerance:g}")
    good, count = True, 0
    for name, ours, theirs in kind.compare(case, weights, vectors):
        same_shape = ours.shape == theirs.shape
        difference = float((ours - theirs).abs().max()) if same_shape else float("nan")
        within = difference <= tolerance
        good, count = good and within, count + 1
        note = "" if within else "  OUT OF TOLERANCE" if same_shape else f"  SHAPE {tuple(ours.shape)}"
        print(f"  {name:32s} {difference:.3e}{note}")
    if not count:
        raise KeyError("the case holds no outputs")
    return good


def _one_of(folder: Path, *names: str) -> Path:
    """The first of the files that is there; the first of all where none is."""
    paths = [folder / name for name in names]
    return next((path for path in paths if path.is_file()), paths[0])


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
