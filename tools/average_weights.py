"""Mean of two weights files of one network: python tools/average_weights.py A B OUT

Stages of one training that start from each other lie close enough for their mean to be as good as both, and steadier.
"""

import argparse
import sys
from pathlib import Path

from airtool.errors import UsageError
from airtool.methods.registry import method_class
from airtool.methods.weights import read_weights, write_weights


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, nargs=2, metavar="FILE")
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    first, second = (read_weights(path) for path in arguments.weights)
    if any(first.header[key] != second.header[key] for key in ("method", "config")):
        raise UsageError(f"{arguments.weights[0]} and {arguments.weights[1]} are not of one network")
    method = first.header["method"]
    mean = {key: (tensor + second.tensors[key]) / 2 for key, tensor in first.tensors.items()}
    origin = {**second.header["origin"], "mean_of": [each.header["origin"]["recipe"] for each in (first, second)]}
    config = method_class(method).config_from(first.header["config"])
    write_weights(arguments.out, method, config, mean, origin, half=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
