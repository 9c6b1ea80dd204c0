"""Enter a trained file into models/: python tools/record_weights.py BEST.safetensors --trained-on WHAT"""

import argparse
import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

from airtool.methods.weights import WeightsRecord, models_folder, read_weights, sha256_of


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--licence", default="Apache-2.0")
    parser.add_argument("--trained-on", required=True)
    arguments = parser.parse_args()
    weights = read_weights(arguments.weights)
    header, origin = weights.header, weights.header["origin"]
    target = models_folder() / f"{header['method']}-{arguments.preset}.safetensors"
    shutil.copyfile(arguments.weights, target)
    record = WeightsRecord(
        method=header["method"],
        preset=arguments.preset,
        file=target.name,
        sha256=sha256_of(target),
        parameters=sum(tensor.numel() for tensor in weights.tensors.values()),
        size=target.stat().st_size,
        licence=arguments.licence,
        trained_on=arguments.trained_on,
        recipe=origin["recipe"],
        steps=origin["steps"],
        date=header["date"],
    )
    manifest = models_folder() / "manifest.json"
    rows = json.loads(manifest.read_text("utf-8")) if manifest.exists() else []
    rows = [row for row in rows if (row["method"], row["preset"]) != (record.method, record.preset)]
    manifest.write_text(json.dumps([*rows, asdict(record)], indent=2) + "\n", "utf-8")
    print(f"{target}: {record.parameters:,} parameters, sha256 {record.sha256}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
