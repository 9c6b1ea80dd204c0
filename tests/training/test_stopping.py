"""Asked to end, a run ends between two steps, keeps what it has learned, and goes on as if nothing had been."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from airtool.training.data import SampleMaker
from airtool.training.loop import Options, train
from airtool.training.recipe import Recipe, load_recipe
from airtool.training.samples import batches
from airtool.training.stopping import postponed

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")


def learned(out: Path) -> dict[str, Any]:
    return torch.load(out / "checkpoint.pt", weights_only=True)


RECIPE = """
extends = "ndr-small"
name = "tiny"
clean = ["clean"]
validation = "held-out"
steps = 12
batch = 2
patch = 32
warmup = 2
validate_every = 100
validation_pictures = 1
validation_crop = 64
mix = {noise = 1.0, clean = 0.3}
"""


def test_a_run_that_is_stopped_twice_goes_on_where_it_was(training_data: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(RECIPE)
    out = tmp_path / "run"
    command = [sys.executable, "-m", "airtool", "train", "--recipe", str(recipe), "--data", str(training_data)]
    command += ["--out", str(out), "--device", "cpu", "--precision", "fp32", "--workers", "1", "--threads", "1"]
    step = 0
    # Ctrl-C in a terminal goes to the workers too.
    for number, code, send in ((signal.SIGINT, 130, os.killpg), (signal.SIGTERM, 143, os.kill)):
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if f"steps {step} to 12" in line:
                    send(process.pid, number)
                    break
            said = process.stderr.read()
        assert process.returncode == code, said
        assert "Traceback" not in said
        before, step = step, learned(out)["step"]
        # One more than before, unless the machine is so busy that the signal comes late.
        assert before < step < 12
        assert f"stopped at step {step};" in said
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"resumed at step {step}" in done.stderr
    at_one_go = Options(training_data, tmp_path / "whole", device="cpu", precision="fp32", workers=0)
    train(load_recipe(str(recipe)), at_one_go, lambda line: None)
    ours, theirs = learned(out), learned(tmp_path / "whole")
    assert ours["step"] == theirs["step"] == 12
    for key, tensor in theirs["average"].items():
        torch.testing.assert_close(ours["average"][key], tensor, atol=1e-5, rtol=1e-4)


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="told by Linux only")
def test_a_process_that_is_only_starting_does_not_hear_ctrl_c(tiny: Recipe) -> None:
    """If it died of it, the run would wait for it for ever."""
    maker = SampleMaker(replace(tiny, mix={"noise": 1.0}), [np.zeros((64, 64, 3), np.uint8)], {})
    made = batches(maker, 0, 1, workers=1)
    (child,) = multiprocessing.active_children()
    said = dict(line.split(":", 1) for line in Path(f"/proc/{child.pid}/status").read_text().splitlines())
    assert int(said["SigBlk"], 16) & 1 << (signal.SIGINT - 1)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert next(made)[0].shape == (2, 3, 32, 32)


def ask(times: int, reached: list[int], error: Exception | None = None) -> None:
    with postponed() as asked:
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)
        reached += asked
        if error is not None:
            raise error


def test_signals_wait_for_the_end_of_the_block_but_not_the_second_one() -> None:
    reached: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        ask(1, reached)
    assert reached == [signal.SIGINT]
    with pytest.raises(KeyboardInterrupt):
        ask(2, reached)
    assert reached == [signal.SIGINT], "the second one ends the block"
    with pytest.raises(ValueError, match="first"):
        ask(1, reached, ValueError("first"))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_and_ignored_signals_are_left_alone() -> None:
    done: list[int] = []

    def elsewhere() -> None:
        with postponed() as asked:
            done.append(len(asked))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert done == [0]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with postponed() as asked:
        signal.raise_signal(signal.SIGINT)
        assert asked == []
