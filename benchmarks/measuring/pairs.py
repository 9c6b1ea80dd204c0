"""Ours against its rivals, turn by turn, each in a process of its own."""

import statistics
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from airtool.engine.tiles import Pixels
from measuring.alone import alone
from measuring.contenders import BF16, OURS, PLAIN, UNKEPT, Case, line_up
from measuring.machine import matmul_peak

TOLERANCE = 1e-3
"""Largest difference to the plain network, from 0 to 1, with which times can be compared."""

ROUGH_TOLERANCE = 0.1
"""The same for bfloat16: other numbers, but the same picture."""


class OtherOutputs(Exception):
    """Two contenders do not compute the same."""


def compare(case: Case, rounds: int, threads: int) -> dict[str, Any]:
    """Seconds, ratios, memory and differences of every contender. Raises OtherOutputs beyond the tolerances.

    The first turn of each is for memory and for what is made at the first call; its time does not count.
    """
    names, left_out = line_up(case)
    with ExitStack() as running, TemporaryDirectory() as folder:
        ready = {name: running.enter_context(alone(case, name, threads)) for name in names}
        outputs = {name: Path(folder) / f"{number}.npy" for number, name in enumerate(names)}
        begun = {name: each.turn(memory=True, output=str(outputs[name])) for name, each in ready.items()}
        flops = ready[PLAIN].turn(flops=True)["flops"]
        expected = np.load(outputs[PLAIN])
        differences = {name: _difference(case, name, outputs[name], expected, threads) for name in names}
        peak = matmul_peak(torch.device(case.device))
        seconds = alternate({name: (lambda each=each: each.turn()["seconds"]) for name, each in ready.items()}, rounds)
        peak = max(peak, matmul_peak(torch.device(case.device)))
    return {
        **case.values(),
        "weights": Path(case.weights).name,
        "rounds": rounds,
        "gflop": flops / 1e9,
        "peak_gflops": peak / 1e9,
        "left_out": left_out,
        "heap": ratios(seconds[OURS], seconds[UNKEPT]) if UNKEPT in names else None,
        "contenders": {
            name: figures(seconds[name], seconds[PLAIN], case.megapixels, flops, peak)
            | {key: begun[name][key] for key in ("added_mib", "total_mib", "tile")}
            | {"difference": differences[name]}
            for name in names
        },
    }


def _difference(case: Case, name: str, output: Path, expected: Pixels, threads: int) -> dict[str, float]:
    """Largest absolute difference to the rival: as it ran, and with the picture whole where it is tiled."""
    tolerance = ROUGH_TOLERANCE if name == BF16 else TOLERANCE
    as_run = whole = _largest_difference(output, expected)
    if as_run > tolerance and case.tile != 0:
        # Tiles see other statistics than the whole picture does; that is no other network.
        with alone(replace(case, tile=0), name, threads) as untiled:
            untiled.turn(output=str(output))
        whole = _largest_difference(output, expected)
    if not whole <= tolerance:
        raise OtherOutputs(
            f"{case.method} {case.preset}: {name} differs by {whole:.2g} from the plain network: "
            "their times cannot be compared"
        )
    return {"as_run": as_run, "whole": whole}


def _largest_difference(output: Path, expected: Pixels) -> float:
    return float(np.abs(np.load(output) - expected).max())


def alternate(contenders: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Seconds that each call answers: one each a round, every round in another order, so that what slows the machine
    down for a while slows all."""
    names = list(contenders)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in [*names[first:], *names[:first]]:
            seconds[name].append(contenders[name]())
    return seconds


def figures(seconds: list[float], rival: list[float], megapixels: float, flops: float, peak: float) -> dict[str, Any]:
    """What is told of one contender. rival: seconds of the plain network in the same rounds. flops: of one picture."""
    median = statistics.median(seconds)
    return {
        "seconds": seconds,
        "seconds_per_megapixel": median / megapixels,
        "faster": ratios(seconds, rival),
        "share_of_peak": flops / median / peak,
    }


def ratios(seconds: list[float], rival: list[float]) -> dict[str, float]:
    """How many times as long the rival takes, round by round."""
    found = [theirs / own for own, theirs in zip(seconds, rival, strict=True)]
    return {"median": statistics.median(found), "from": min(found), "to": max(found)}
