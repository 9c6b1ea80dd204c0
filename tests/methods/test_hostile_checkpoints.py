"""Checkpoints from strangers: refused in one line before anything runs, fills the memory or takes for ever."""

import builtins
import json
import os
import pickle
import struct
import subprocess
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from airtool.cli.app import main
from airtool.errors import AirtoolError
from airtool.methods.autodir.detector import DetectorConfig, load_detector
from airtool.methods.official import fit, read_checkpoint
from airtool.methods.registry import load_method
from airtool.methods.weights import embedded_path, read_weights, write_weights


class Call:
    """Pickles into a call of a function, made while unpickling."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[object, ...]:
        return self.call


ATTACKS: dict[str, Callable[[str], Call]] = {
    "os.system": lambda file: Call(os.system, f"touch {file}"),
    "exec": lambda file: Call(builtins.exec, f"open({file!r}, 'w')"),
    "eval": lambda file: Call(builtins.eval, f"open({file!r}, 'w')"),
    "open": lambda file: Call(builtins.open, file, "w"),
    "subprocess": lambda file: Call(subprocess.call, ["touch", file]),
    "method": lambda file: Call(builtins.getattr, Path(file), "touch"),
}

CHAIN = b"cbuiltins\ngetattr\n(cbuiltins\n__import__\n(S'os'\ntRS'mkdir'\ntR(S'%b'\ntR."
"""getattr(__import__("os"), "mkdir")(FILE) as a pickle, which no pickler would write."""


def refused(path: Path) -> str:
    with pytest.raises(AirtoolError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert path.name in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("attack", ATTACKS)
def test_code_is_refused_and_never_run(
    tmp_path: Path, attack: str, zipped: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    path, trace = tmp_path / "evil.pth", tmp_path / "executed"
    # Beside weights that are all right, too.
    for state in (ATTACKS[attack](str(trace)), {"state_dict": {"a": torch.ones(2)}, "x": ATTACKS[attack](str(trace))}):
        if zipped:
            torch.save(state, path)
        else:
            path.write_bytes(pickle.dumps(state, protocol=2))
        code = main(["models", "import", str(path), str(tmp_path / "out.safetensors")])
        out, err = capfd.readouterr()
        assert (code, out, err.count("\n")) == (1, "", 1), err
        assert "refused" in err
        assert os.listdir(tmp_path) == ["evil.pth"]


def test_a_chain_of_calls_that_only_names_builtins(tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    chain = CHAIN % str(trace).encode()
    pickle.loads(chain)
    assert trace.exists()  # it does work
    trace.rmdir()
    path = tmp_path / "evil.pth"
    path.write_bytes(chain)
    assert "refused" in refused(path)
    torch.save({"a": torch.ones(1)}, tmp_path / "good.pth")
    zipped = rewritten(
        tmp_path / "good.pth", lambda name, old: chain if name.endswith("data.pkl") else old, zipfile.ZIP_STORED
    )
    assert "refused" in refused(zipped)
    assert not trace.exists()


def rewritten(path: Path, change: Callable[[str, bytes], bytes], compression: int) -> Path:
    """A copy of a checkpoint with other records."""
    target = path.with_name("changed.pth")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            new.writestr(entry.filename, change(entry.filename, old.read(entry)), compression)
    return target


def test_damage_anywhere_is_no_traceback(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.pth", tmp_path / "bad.pth"
    torch.save({"state_dict": {"a": torch.zeros(5)}}, good, _use_new_zipfile_serialization=False)
    whole = good.read_bytes()
    for at in range(0, min(len(whole), 700), 3):
        bad.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        with suppress(AirtoolError):  # anything else fails; damage to a number or a name may not show at all
            read_checkpoint(bad)


@pytest.mark.parametrize("record", ["data/0", "data.pkl"])
def test_zip_bombs_are_not_unpacked(tmp_path: Path, record: str) -> None:
    torch.save({"a": torch.arange(4.0)}, tmp_path / "x.pth")

    def swell(name: str, content: bytes) -> bytes:
        return content + bytes(1 << 26) if name.endswith(record) else content

    path = rewritten(tmp_path / "x.pth", swell, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 18
    assert "would unpack to 64 MiB" in refused(path)


def test_tensors_larger_than_the_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save({"a": torch.zeros(1).expand(10**12)}, path)  # one number that says to be a million million
    assert "announces 3814697 MiB" in refused(path)
    torch.save({"a": torch.arange(4.0)}, path)

    def lie(name: str, content: bytes) -> bytes:
        # Four numbers in the storage become a thousand million.
        return content.replace(b"K\x04tq", b"J" + struct.pack("<i", 10**9) + b"tq") if "data.pkl" in name else content

    refused(rewritten(path, lie, zipfile.ZIP_STORED))


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(4).to_sparse(),
        torch.zeros(4, device="meta"),
        torch.zeros(4, dtype=torch.complex64),
    ],
    ids=["sparse", "meta", "complex"],
)
def test_what_is_no_plain_tensor(tmp_path: Path, tensor: torch.Tensor) -> None:
    torch.save({"a": tensor}, tmp_path / "x.pth")
    assert "'a' is no plain tensor" in refused(tmp_path / "x.pth")


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.float8_e4m3fn])
def test_weights_are_floating_point_numbers(tmp_path: Path, dtype: torch.dtype) -> None:
    expected = {"a": torch.zeros(3)}
    with pytest.raises(AirtoolError, match=r"'a' holds torch\..*, not weights"):
        fit({"a": torch.ones(3).to(dtype)}, expected, "a network")
    path = tmp_path / "x.safetensors"
    header = {"__metadata__": {"airtool": "{}"}, "a": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]}}
    path.write_bytes(lying(header, bytes(8)))
    with pytest.raises(AirtoolError, match=r"holds torch\.int64, not weights"):
        read_weights(path)
    for bad in (torch.nan, torch.inf):
        with pytest.raises(AirtoolError, match="'a' holds values that are not finite"):
            fit({"a": torch.tensor([1, 2, bad])}, expected, "a network")


def lying(header: object, content: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file with whatever header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + content


def entry(shape: list[int], start: int, end: int) -> dict[str, object]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    "content",
    [
        lying({}, length=1 << 63),
        lying({}, length=1 << 20),
        lying({"a": entry([1 << 40], 0, 4)}, bytes(4)),
        lying({"a": entry([1], 1 << 40, (1 << 40) + 4)}, bytes(4)),
        lying({"a": entry([1], 0, 4), "b": entry([1], 0, 4)}, bytes(4)),
        lying({"a": entry([-1], 0, 4)}, bytes(4)),
        lying({"a": entry([1], 4, 0)}, bytes(4)),
        lying(b"[" * 100_000),
        lying({"__metadata__": {"airtool": "[" * 100_000}, "a": entry([1], 0, 4)}, bytes(4)),
    ],
)
def test_lying_safetensors_headers(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "liar.safetensors"
    path.write_bytes(content)
    with pytest.raises(AirtoolError, match=r"liar\.safetensors is not a readable weights file") as caught:
        read_weights(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("blocks", [10**7, 1, 1, 1], "larger than its weights"),
        ("dim", 2**20, "larger than its weights|no network that can be built"),
        ("dim", 2**62, "no network that can be built"),
        ("dim", "many", "no network|no NDR"),
        ("dim", -5, "no network|no NDR"),
        ("heads", [[[]]], "no network|no NDR|does not fit"),
    ],
)
def test_a_network_larger_than_its_weights_is_never_built(
    tmp_path: Path, setting: str, value: object, words: str
) -> None:
    source, path = embedded_path("ndr", "small"), tmp_path / "bomb.safetensors"
    weights = read_weights(source)
    changed = {**weights.header, "config": {**weights.header["config"], setting: value}}
    data = source.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"]["airtool"] = json.dumps(changed)
    path.write_bytes(lying(header, data[8 + size :]))
    start = time.process_time()
    with pytest.raises(AirtoolError, match=words) as caught:
        load_method("ndr", path)
    assert time.process_time() - start < 30  # to build the first takes many minutes
    assert "\n" not in str(caught.value)


def test_the_detector_is_bounded_likewise(tmp_path: Path) -> None:
    weights = read_weights(embedded_path("detect", "small"))
    path = tmp_path / "bomb.safetensors"
    for widths, blocks in (((24, 40), (1, 10**7)), ((2**20, 2**20), (1, 1))):
        write_weights(path, "detect", DetectorConfig(widths=widths, blocks=blocks), weights.tensors, {}, half=True)
        with pytest.raises(AirtoolError, match="larger than its weights"):
            load_detector(path)
