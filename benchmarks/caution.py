"""What detectors name right at equal numbers of false alarms: python benchmarks/caution.py --data DIR NAME=FILE ...

How often clean pictures are called degraded and how often degraded ones are missed can be traded for each other, by a
factor on the odds of "no". So weights are only compared at equal numbers of false alarms: for each limit the factor is
chosen by which the most of CBSD68 and Kodak24 is named right, degraded by the default amounts and clean.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from detector import SYNTHETIC, pictures, synthetic, wanted

from airtool.engine.detect import CLEAN, UNSURE, Detector, cautious, judge, open_detector
from airtool.images.discover import Source

FACTORS = np.exp(np.linspace(-2, 5, 141))
"""On the odds of "no"."""

LIMITS = (0, 1, 2, 4, 8)
"""Clean pictures that may be called degraded."""

Seen = list[tuple[str, dict[str, float]]]
"""What each picture should be called, with its probabilities."""


def look(detectors: Sequence[Detector], sources: Sequence[Source]) -> list[Seen]:
    """What each detector makes of every picture, clean and degraded by the default amounts."""
    found: list[Seen] = [[] for _ in detectors]
    for name, rgb in synthetic(sources):
        for detector, seen in zip(detectors, found, strict=True):
            seen.append((wanted(name), detector.probabilities(rgb)))
    return found


def counted(seen: Seen, factor: float) -> tuple[int, float]:
    """How many clean pictures are called degraded, and the share of all pictures that are named right."""
    said = [(truth, judge(cautious(each, factor)).verdict) for truth, each in seen]
    alarms = sum(truth == CLEAN and verdict not in (CLEAN, UNSURE) for truth, verdict in said)
    return alarms, sum(truth == verdict for truth, verdict in said) / len(said)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="+", metavar="NAME=FILE")
    parser.add_argument("--data", default=os.environ.get("AIRTOOL_DATA"))
    parser.add_argument("--limit", type=int, help="only the first so many pictures of each set")
    arguments = parser.parse_args()
    if arguments.data is None:
        print("name the folder that holds bench/ with --data or AIRTOOL_DATA", file=sys.stderr)
        return 2
    named = dict(each.split("=", 1) for each in arguments.weights)
    bench = Path(arguments.data) / "bench"
    sources = [source for folder in SYNTHETIC for source in pictures(bench / folder, arguments.limit)]
    print(f"| false alarms, at most, of {len(sources)} | {' | '.join(str(limit) for limit in LIMITS)} |")
    print("|---" * (1 + len(LIMITS)) + "|")
    for name, seen in zip(named, look([open_detector(file) for file in named.values()], sources), strict=True):
        tried = [counted(seen, float(factor)) for factor in FACTORS]
        best = [max((right for alarms, right in tried if alarms <= limit), default=0.0) for limit in LIMITS]
        print(f"| {name} | {' | '.join(f'{right:.1%}' for right in best)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
