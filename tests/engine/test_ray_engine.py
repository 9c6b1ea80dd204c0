"""The Ray engine on a cluster of two actors: the bytes of the local engine, also when an actor is killed on the way."""

import hashlib
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from bucket import installed, mounted
from skimage import data

from airtool.engine.identity import identify
from airtool.engine.ray_engine import Order, Restorer
from airtool.engine.settings import Settings
from airtool.engine.tasks import plan_tasks
from airtool.errors import AirtoolError
from airtool.images.discover import discover
from airtool.images.encode import encode
from airtool.images.picture import Metadata, Picture
from airtool.images.plan import plan
from airtool.images.remote import Remote
from airtool.images.stores import find, read
from airtool.methods.weights import embedded_path

pytest.importorskip("ray", reason="Ray is not installed: pip install -c constraints.txt '.[ray]'")

COUNT = 24


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small cuts of a photograph, and one file that is no picture."""
    folder = tmp_path_factory.mktemp("ray") / "in"
    folder.mkdir()
    source = data.astronaut().astype(np.float32) / 255
    for index in range(COUNT):
        rgb = np.ascontiguousarray(source[index * 16 : index * 16 + 64, 100 : 180 - index])
        (folder / f"{index}.png").write_bytes(encode(Picture(rgb, None, 8, False, "png", Metadata())))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


def command(inputs: Path, out: Path, *more: str) -> list[str]:
    environment = [sys.executable, "-m", "airtool", "restore", str(inputs), str(out), "--device", "cpu"]
    return [*environment, "--report", str(out.with_suffix(".json")), *more]


def contents(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.png")}


@pytest.fixture(scope="module")
def undisturbed(inputs: Path) -> dict[str, str]:
    """The local engine's, with one thread as each actor has: another number of them rounds differently."""
    out = inputs.parent / "local"
    one = {**os.environ, "OMP_NUM_THREADS": "1"}
    assert subprocess.run(command(inputs, out), capture_output=True, env=one).returncode == 1
    assert len(contents(out)) == COUNT
    return contents(out)


def actors(parent: int) -> list[int]:
    """Processes of Ray's actors that run the restorer, below a command."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            line = (entry / "cmdline").read_bytes()
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if b"MapWorker" in line and f"AIRTOOL_TEST={parent}".encode() in environment:
            found.append(int(entry.name))
    return found


def test_a_cluster_gives_the_same_bytes_also_when_an_actor_is_killed(inputs: Path, undisturbed: dict[str, str]) -> None:
    out = inputs.parent / "cluster"
    mark = str(os.getpid())
    run = subprocess.Popen(
        command(inputs, out, "--engine", "ray", "--ray-workers", "2"),
        env={**os.environ, "AIRTOOL_TEST": mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline, killed = time.monotonic() + 300, 0
    while run.poll() is None and time.monotonic() < deadline and not killed:
        if len(contents(out)) >= 2:
            for actor in actors(int(mark))[:1]:
                os.kill(actor, signal.SIGKILL)
                killed += 1
        time.sleep(0.01)
    printed, said = run.communicate(timeout=300)
    assert killed == 1
    assert run.returncode == 1, said
    assert printed == ""
    assert said.count("broken.png") == 1
    assert contents(out) == undisturbed

    # And the local engine takes the outputs for its own.
    again = subprocess.run(command(inputs, out, "--resume"), capture_output=True, text=True)
    assert again.returncode == 1
    assert f"{COUNT} already there" in again.stderr, again.stderr
    assert contents(out) == undisturbed


def test_without_a_cluster_it_says_so_in_one_line(inputs: Path, tmp_path: Path) -> None:
    address = ["--engine", "ray", "--ray-address", "127.0.0.1:1"]
    run = subprocess.run(command(inputs, tmp_path / "out", *address), capture_output=True, text=True, timeout=300)
    assert run.returncode == 1
    assert run.stdout == ""
    assert run.stderr.splitlines()[-1].startswith("airtool: error: no Ray cluster answers at 127.0.0.1:1")
    assert "Traceback" not in run.stderr


def test_an_actor_makes_everything_again_where_that_is_asked_for(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)  # what an actor does to its own process
    settings, out, look = Settings(device="cpu"), tmp_path / "out", tmp_path / "look"
    order = Order(settings, "ndr", None, "small", out, identify(settings, "ndr"), os.getcwd())
    jobs = plan(discover([str(inputs / "0.png")]), out).jobs
    (task,) = plan_tasks(jobs, str(out), compare=str(look), replace=True)
    batch = {"task": np.array([pickle.dumps((7, task))], object)}
    statuses = []
    for overwrite in (False, False, True):
        (look / "0.png.jpg").unlink(missing_ok=True)
        (answer,) = Restorer(replace(order, overwrite=overwrite))(batch)["record"]
        index, record = pickle.loads(answer)
        statuses.append((index, record.status, (look / "0.png.jpg").exists()))
    # The second finds what the first, its predecessor, has finished; the third is told to replace it.
    assert statuses == [(7, "restored", True), (7, "kept", False), (7, "restored", True)]


def test_an_actor_opens_the_detector_that_the_settings_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    wrong = str(embedded_path("ndr", "small"))
    settings = Settings(device="cpu", detector_weights=wrong)
    order = Order(settings, "dfpir", None, "small", tmp_path, identify(settings, "dfpir"), os.getcwd())
    with pytest.raises(AirtoolError, match="not of the detector"):
        Restorer(order)


@pytest.mark.heavy
def test_a_store_is_read_and_written_by_the_actors(inputs: Path, undisturbed: dict[str, str], tmp_path: Path) -> None:
    with mounted(tmp_path / "buckets") as bucket:
        for path in inputs.iterdir():
            bucket.pipe_file(f"in/{path.name}", path.read_bytes())
        line = [
            "restore",
            "s3://in",
            "s3://out/x",
            "--device",
            "cpu",
            "--resume",
            "--engine",
            "ray",
            "--ray-workers",
            "2",
        ]
        environment = installed(tmp_path / "site")
        for told in ('"restored": 24', '"kept": 24'):
            run = subprocess.run(
                [sys.executable, "-m", "airtool", *line, "--report", "-"],
                capture_output=True,
                text=True,
                env=environment,
            )
            assert run.returncode == 1, run.stderr
            assert told in run.stdout
            assert run.stderr.count("s3://in/broken.png") == 1
        found = {file.name: hashlib.sha256(read(file) or b"").hexdigest() for file in find(Remote("s3://out/x"))}
        assert {name: digest for name, digest in found.items() if name.endswith(".png")} == undisturbed
