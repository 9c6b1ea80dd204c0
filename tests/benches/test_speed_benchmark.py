"""The script that measures speed: its rivals compute what ours do, and its parts give the right figures."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from scripts import FOLDER, load_script

from airtool.engine.session import Session
from airtool.engine.settings import Settings
from airtool.methods.autodir.published import PublishedConfig
from airtool.methods.defusion.adm_unet import ADMUNetConfig
from airtool.methods.defusion.config import DefusionConfig
from airtool.methods.defusion.method import SMALL_SINGLE
from airtool.methods.dfpir.network import DFPIRConfig
from airtool.methods.ndr.network import NDRConfig
from airtool.methods.registry import METHODS, load_method, method_class
from airtool.methods.up_restorer.network import UpRestorerConfig

pytestmark = pytest.mark.usefixtures("one_thread")

SIZES = {"dim": 8, "blocks": (1, 2, 1, 1), "heads": (1, 2, 2, 4)}
PUBLISHED: dict[str, Any] = {
    "ndr": NDRConfig(atom_dim=16, feature_dim=8, rank=4, **SIZES),
    "dfpir": DFPIRConfig(**SIZES),
    "up-restorer": UpRestorerConfig(**SIZES),
    "autodir": PublishedConfig(
        **dict.fromkeys(("text_width", "text_hidden", "vision_width", "vision_hidden", "embedding"), 64),  # type: ignore[arg-type]
        text_layers=1,
        vision_layers=1,
        unet_widths=(32, 64, 64, 64),
        unet_layers=1,
        vae_widths=(32, 32, 32, 32),
        vae_layers=1,
        sampling_steps=3,
        corrector_width=4,
        corrector_encoder=(1, 1),
        corrector_middle=1,
        corrector_decoder=(1, 1),
    ),
    "defusion": DefusionConfig(
        unet=ADMUNetConfig(dim=16, multipliers=(1, 2, 2), blocks=2, attention_levels=(2,), head_channels=8, groups=8),
        tokenizer=SMALL_SINGLE.tokenizer,
        canvas=96,
        view=96,
    ),
}
"""The published kinds of networks, at a fraction of their size."""


@pytest.fixture(scope="module")
def script() -> ModuleType:
    sys.path.insert(0, str(FOLDER))  # where Python looks when the script is run
    try:
        return load_script("speed")
    finally:
        sys.path.remove(str(FOLDER))


@pytest.mark.parametrize(("system", "unit"), [("linux", 1024), ("darwin", 1)])
def test_the_most_memory_of_a_command_is_in_mebibytes(system: str, unit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    large = load_script("large_picture")
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(large.subprocess, "run", lambda command, check: None)
    held = SimpleNamespace(ru_maxrss=300 * 2**20 // unit)
    monkeypatch.setattr(large.resource, "getrusage", lambda whose: held)
    assert large.run_command(np.zeros((8, 8, 3), np.float32), [])[1] == 300


@pytest.fixture(autouse=True)
def small_matrices(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's peak is of no interest here, and takes seconds."""
    monkeypatch.setitem(import_module("measuring.machine").SIDES, "cpu", 128)


@pytest.fixture
def rgb(script: ModuleType) -> np.ndarray:
    """Of a size that no network takes without padding."""
    return import_module("measuring.contenders").photograph(67, 92)


def told(name: str, asked: str = "rain") -> tuple[str, ...]:
    return () if METHODS[name].needs == "nothing" else (asked,)


def difference(method: Any, rgb: np.ndarray, asked: str = "rain") -> tuple[np.ndarray, float]:
    """What ours makes of a picture, and the largest difference of the plain network's result to it."""
    name = method.facts.name
    rival = import_module("plain.rival").rival_of(method, rgb, told(name, asked), 0, torch.device("cpu"))
    session = Session(method, Settings(device="cpu", precision="fp32", tile=0, degradation=told(name, asked)))
    ours = session.restore_array(rgb)
    return ours, float(np.abs(rival.restore(rgb) - ours).max())


@pytest.mark.parametrize(
    ("name", "asked"),
    [*((name, "rain") for name in PUBLISHED), *((name, "noise") for name in PUBLISHED)],
)
def test_plain_networks_compute_what_ours_do(rgb: np.ndarray, name: str, asked: str) -> None:
    """Each has a second network for noise and the like; the blind ones have to see what is wrong."""
    if asked == "noise":
        rgb = (rgb + np.random.default_rng(0).normal(0, 0.1, rgb.shape)).clip(0, 1).astype(np.float32)
    ours, found = difference(load_method(name), rgb, asked)
    assert found < 1e-3
    assert np.abs(ours - rgb).max() > 0.02, "a network that does nothing would prove nothing"


@pytest.mark.parametrize("name", PUBLISHED)
def test_plain_networks_of_the_published_kind(rgb: np.ndarray, name: str) -> None:
    if name == "autodir" and find_spec("diffusers") is None:
        pytest.skip("diffusers is not installed: pip install -c constraints.txt '.[autodir]'")
    torch.manual_seed(0)
    method = method_class(name)(PUBLISHED[name])
    with torch.no_grad():
        for parameter in method.network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    ours, found = difference(method, rgb)
    assert found < 1e-3
    assert np.abs(ours - rgb).max() > 0.02
    assert ((ours > 0) & (ours < 1)).mean() > 0.01, "clipped values would hide a difference"


def test_what_the_rival_does_not_have_is_refused(rgb: np.ndarray) -> None:
    rival = import_module("plain.rival")
    method = method_class("dfpir")(replace(PUBLISHED["dfpir"], selective=False))
    with pytest.raises(ValueError, match="not the ablations"):
        rival.rival_of(method, rgb, ("rain",), 0, torch.device("cpu"))


class Fake:
    """Processes of contenders: each takes its own time, and airtool gives something else in tiles and whole."""

    SECONDS: ClassVar = {"plain": 3.0, "airtool": 1.0, "airtool, heap not kept": 2.0, "airtool, bf16": 0.5}

    def __init__(self, tiled: float, whole: float) -> None:
        self.differences = {None: tiled, 0: whole}
        self.turns: list[str] = []

    @contextmanager
    def __call__(self, case: Any, name: str, threads: int) -> Iterator[Any]:
        def turn(memory: bool = False, flops: bool = False, output: str | None = None) -> dict[str, Any]:
            self.turns.append(name)
            if output is not None:
                ours = 0.0 if name == "plain" else self.differences[case.tile]
                np.save(output, np.full((32, 32, 3), 0.5 + ours, np.float32))
            return {"seconds": self.SECONDS[name], "tile": None, "added_mib": 8, "total_mib": 9, "flops": 10**9}

        yield SimpleNamespace(turn=turn)


@pytest.fixture
def uninstalled(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO is not here, bfloat16 is."""
    monkeypatch.setattr(import_module("measuring.contenders"), "find_spec", lambda name: None)
    monkeypatch.setattr(import_module("measuring.contenders"), "native_bf16", lambda device: True)


@pytest.mark.usefixtures("uninstalled")
def test_contenders_are_compared_by_turns(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs, case = import_module("measuring.pairs"), import_module("measuring.contenders").Case
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(pairs, "alone", fake := Fake(tiled=0.002, whole=0.0))
    found = pairs.compare(case("ndr", "small", "w.safetensors", 32, 32), 2, 1)
    names = list(Fake.SECONDS)
    assert list(found["contenders"]) == names
    _, ours, unkept, rough = found["contenders"].values()
    assert ours["difference"] == {"as_run": pytest.approx(0.002, rel=1e-3), "whole": 0.0}
    assert (ours["faster"]["median"], unkept["faster"]["median"]) == (3.0, 1.5)
    assert rough["faster"]["median"] == 6.0
    assert rough["difference"]["whole"] == pytest.approx(0.002, rel=1e-3), "bfloat16 may differ"
    assert found["heap"] == {"median": 2.0, "from": 2.0, "to": 2.0}
    assert (found["gflop"], ours["added_mib"], ours["seconds"]) == (1.0, 8, [1.0, 1.0])
    assert fake.turns[-8:] == [*names, *names[1:], names[0]]
    facts = {"facts": {"processor": "P", "threads": 1, "date": "D", "load": None, "versions": {}, "sha256": "S"}}
    *table, _, heap = import_module("measuring.page").networks([{**found, **facts}]).splitlines()
    assert len({line.count("|") for line in table}) == 1
    assert "| openvino | not here: not installed |" in table[-1]
    assert "ndr small 2.00 (2.00 to 2.00)" in heap

    monkeypatch.setattr(pairs, "alone", Fake(tiled=0.002, whole=0.002))
    with pytest.raises(pairs.OtherOutputs, match=r"ndr small: airtool differs by 0\.002"):
        pairs.compare(case("ndr", "small", "w.safetensors", 32, 32), 2, 1)


def test_who_can_run(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    contenders = import_module("measuring.contenders")
    case = contenders.Case("ndr", "small", "w.safetensors", 32, 32)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(contenders, "find_spec", lambda name: object())
    monkeypatch.setattr(contenders, "native_bf16", lambda device: True)
    every = ("plain", "airtool", "airtool, heap not kept", "airtool, bf16", "openvino")
    assert contenders.line_up(case) == (every, {})
    for name in PUBLISHED:
        names, left_out = contenders.line_up(replace(case, method=name))
        assert name == "ndr" or (names == every[:4] and "network" in left_out["openvino"])
    assert contenders.line_up(replace(case, device="cuda:0")) == (every[:2], {"openvino": "on CPUs only"})
    monkeypatch.setattr(contenders, "native_bf16", lambda device: False)
    assert contenders.line_up(case) == ((*every[:3], "openvino"), {})


def faults(process: Any) -> int:
    """Pages that the system has given to a process so far."""
    return int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[7])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems keep no heap")
def test_each_contender_has_its_own_heap(script: ModuleType) -> None:
    alone, contenders = import_module("measuring.alone").alone, import_module("measuring.contenders")
    # So large that whole features are beyond the 32 MiB up to which glibc may keep memory anyway.
    case = contenders.Case("ndr", "small", str(contenders.weights_of("ndr", "small", Path())), 640, 640)
    with alone(case, contenders.OURS, 1) as kept, alone(case, contenders.UNKEPT, 1) as unkept:
        taken = []
        for each in (kept, unkept):
            assert each.turn(memory=True)["added_mib"] > 1
            before = faults(each.process)
            assert each.turn()["seconds"] > 0
            taken.append(faults(each.process) - before)
        assert 2 * taken[0] < taken[1]
        unkept.process.kill()
        with pytest.raises(RuntimeError, match=r"^ndr small, airtool, heap not kept: .* ended: killed; perhaps memory"):
            unkept.turn()
        assert kept.turn()["seconds"] > 0, "the others live on"


def test_a_process_that_fails_says_why(script: ModuleType, tmp_path: Path) -> None:
    module = import_module("measuring.alone")
    command, pipe = [sys.executable, "-c", "print(1 / 0)"], subprocess.PIPE
    with (
        (tmp_path / "log").open("w+") as log,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, text=True) as it,
    ):
        with pytest.raises(RuntimeError, match=r"^T: its process ended: ZeroDivisionError: division by zero$"):
            module.Alone("T", it, log).turn()
        it.communicate()


def test_figures_by_hand(script: ModuleType) -> None:
    pairs, scaling = import_module("measuring.pairs"), import_module("measuring.scaling")
    found = pairs.figures([1.0, 2.0, 1.0], [3.0, 2.0, 4.0], 0.5, 2e9, 4e9)
    assert found["faster"] == {"median": 3.0, "from": 1.0, "to": 4.0}
    assert (found["seconds_per_megapixel"], found["share_of_peak"]) == (2.0, 0.5)
    assert scaling.exponent([0.1, 1.0, 25.0], [0.3, 3.0, 75.0]) == pytest.approx(1.0)
    assert scaling.exponent([1.0, 4.0, 16.0], [1.0, 8.0, 64.0]) == pytest.approx(1.5)
    assert scaling.exponent([1.0], [1.0]) is None
    height, width = import_module("measuring.contenders").size_of(25.0)
    assert height * width == pytest.approx(25e6, rel=1e-3)
    turns = iter(range(9))
    seconds = pairs.alternate(dict.fromkeys("abc", lambda: next(turns)), 3)
    assert seconds == {"a": [0, 5, 7], "b": [1, 3, 8], "c": [2, 4, 6]}


def test_growth_is_drawn_on_logarithmic_axes(script: ModuleType) -> None:
    rows = [
        {
            "method": name,
            "preset": "small",
            "rows": [{"megapixels": size, "seconds": factor * size, "added_mib": 200.0} for size in (0.1, 1.0, 100.0)],
        }
        for name, factor in (("a<b", 3.0), ("c", 6.0))
    ]
    root = ElementTree.fromstring(import_module("measuring.growth").growth(rows))
    space = "{http://www.w3.org/2000/svg}"
    assert "a<b small" in [each.text for each in root.iter(f"{space}text")]
    lines = [each.attrib["d"] for each in root.iter(f"{space}path") if "style" in each.attrib]
    assert len(lines) == 4
    corners = [[tuple(map(float, point.split())) for point in line[1:].split("L")] for line in lines]
    (first, second, last), twice = corners[0], corners[1]
    # Linear growth is a straight line of one slope, and twice the time the same line higher up.
    assert (second[1] - first[1]) / (second[0] - first[0]) == pytest.approx(
        (last[1] - second[1]) / (last[0] - second[0]), rel=0.02
    )
    assert len({round(low[1] - high[1]) for low, high in zip(corners[0], twice, strict=True)}) == 1
    assert corners[2][0][1] == corners[2][2][1], "memory that does not grow is a level line"


def test_memory_is_that_of_restoring(script: ModuleType) -> None:
    memory = import_module("measuring.memory")
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("this system does not forget the peak of a process")
    cpu = torch.device("cpu")
    del [torch.ones(40 * 2**18)][:]  # 40 MiB before, which must not count
    before = memory.begin_peak(cpu)
    del [torch.ones(24 * 2**18)][:]  # 24 MiB of float32, gone again
    assert 20 * 2**20 < memory.end_peak(cpu) - before < 36 * 2**20


QUICK = ("--quick", "--size", "48x40", "--threads", "1", "--out")


@pytest.mark.usefixtures("uninstalled")
def test_the_script(script: ModuleType, tmp_path: Path) -> None:
    assert script.main([*QUICK, str(tmp_path), "--only", "networks,first"]) == 0
    found = json.loads((tmp_path / "speed-measured.json").read_text("utf-8"))
    assert found.keys() == {"networks", "first"}
    row = found["networks"]["ndr small cpu 1 48x40"]
    assert row["gflop"] > 0.1
    assert row["contenders"]["airtool"]["difference"]["whole"] < 1e-3
    assert row["contenders"]["plain"]["added_mib"] > 0
    assert row["left_out"] == {"openvino": "not installed"}
    page = (tmp_path / "speed.md").read_text("utf-8")
    assert row["facts"]["sha256"] in page
    for title, there in (("## Networks", True), ("## The first picture", True), ("## The whole command", False)):
        assert (title in page) == there
    assert script.main(["--write-only", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "speed.md").read_text("utf-8") == page, "the page can be written again from what is kept"
    assert script.main(["--only", "nothing", "--out", str(tmp_path)]) == 2
    assert script.main(["--rounds", "0", "--out", str(tmp_path)]) == 2


@pytest.mark.heavy
def test_the_whole_script(script: ModuleType, tmp_path: Path) -> None:
    assert script.main([*QUICK, str(tmp_path)]) == 0
    found = json.loads((tmp_path / "speed-measured.json").read_text("utf-8"))
    assert found.keys() == {"networks", "first", "command", "scaling"}
    (command,) = found["command"].values()
    assert command["pictures"] == 2
    assert 0 < command["network_seconds"] < command["command_seconds"] < command["wall_seconds"]
    (network,) = found["networks"].values()
    if find_spec("openvino") is not None:
        assert 0 < network["contenders"]["openvino"]["difference"]["whole"] < 1e-3
    (scaled,) = found["scaling"].values()
    assert len(scaled["rows"]) == 2
    assert scaled["rows"][0]["added_mib"] < scaled["rows"][1]["added_mib"]
    (panorama,) = scaled["shapes"]
    assert panorama["width"] == 50 * panorama["height"]
    assert panorama["added_mib"] > 0
    page = (tmp_path / "speed.md").read_text("utf-8")
    assert "2 of degraded" in page
    assert "](speed-scaling.svg)" in page
    assert (tmp_path / "speed-scaling.svg").exists()
