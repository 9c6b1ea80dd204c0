"""The command that a user types, against the network inside it."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from airtool.images.discover import discover
from airtool.methods.weights import models_folder
from measuring.alone import alone
from measuring.contenders import OURS, Case, photograph

FIRST_SIDE = 256
"""Pixels of the first picture's side."""


def restore_folder(case: Case, folder: Path, limit: int, threads: int) -> dict[str, Any]:
    """`airtool restore` over the first `limit` pictures of a folder, and the network alone over the same.

    "command_seconds": from the first picture to the last, as the command reports it; "wall_seconds": with start-up and
    weights; "network_seconds": of the network, summed, while others read and write; "alone_seconds": of the network
    over pictures that are in memory, with nothing beside it.
    """
    paths = [path for path in (source.path for source in discover([str(folder)])) if path is not None][:limit]
    with tempfile.TemporaryDirectory() as name:
        report = Path(name) / "report.json"
        told = [*_told(case), "--report", str(report)]
        wall = _run([*map(str, paths), str(Path(name) / "out")], told, threads)
        found = json.loads(report.read_text("utf-8"))
    rows = found["pictures"]
    network, command = sum(row["seconds"] for row in rows), found["seconds"]
    megapixels = sum(row["width"] * row["height"] for row in rows) / 1e6
    undisturbed = _undisturbed(case, paths, threads)
    return {
        "method": case.method,
        "preset": case.preset,
        "folder": folder.name if folder.name not in ("gt", "lq") else f"{folder.parent.name}/{folder.name}",
        "restoration": found["restoration"],
        "pictures": len(rows),
        "megapixels": megapixels,
        "wall_seconds": wall,
        "command_seconds": command,
        "network_seconds": network,
        "alone_seconds": undisturbed,
        "share_of_report": network / command,
        "share_of_alone": undisturbed / command,
    }


def first_picture(case: Case, repeats: int, threads: int) -> dict[str, Any]:
    """Seconds of `airtool restore one.png out.png`: the program starts, loads the weights and restores 256 x 256."""
    with tempfile.TemporaryDirectory() as name:
        one = Path(name) / "one.png"
        pixels = np.rint(photograph(FIRST_SIDE, FIRST_SIDE)[..., ::-1] * 255).astype(np.uint8)
        one.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
        targets = [str(Path(name) / f"out{index}.png") for index in range(repeats)]
        seconds = [_run([str(one), target], _told(case), threads) for target in targets]
    return {
        "method": case.method,
        "preset": case.preset,
        "side": FIRST_SIDE,
        "seconds": seconds,
        "median": statistics.median(seconds),
    }


def _told(case: Case) -> list[str]:
    """Options of the command for a case."""
    options = ["--method", case.method, "--precision", "fp32", "--device", case.device]
    if Path(case.weights).parent != models_folder():
        options += ["--weights", case.weights]
    return [*options, "--degradation", ",".join(case.degradation)] if case.degradation else options


def _run(inputs_and_output: Sequence[str], options: Sequence[str], threads: int) -> float:
    """Seconds of the command. Raises RuntimeError with what it said when it fails."""
    command = [sys.executable, "-m", "airtool", "restore", *inputs_and_output, *options]
    start = time.perf_counter()
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": str(threads)}, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"airtool restore left with {done.returncode}: {done.stderr}")
    return seconds


def _undisturbed(case: Case, paths: Sequence[Path], threads: int) -> float:
    """Seconds of the network over decoded pictures, with nothing beside it; the first one twice, once uncounted."""
    with alone(case, OURS, threads) as ours:
        ours.turn(path=str(paths[0]))
        return sum(ours.turn(path=str(path))["seconds"] for path in paths)
