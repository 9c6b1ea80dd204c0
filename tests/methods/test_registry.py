"""Every registered method keeps its contract."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from airtool.errors import AirtoolError, UsageError
from airtool.methods.registry import METHODS, load_method, method_class, preset_config
from airtool.methods.weights import damage, embedded, embedded_path, read_weights, write_weights


def test_the_registry_imports_no_torch() -> None:
    code = "import sys, airtool.methods.registry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", [record.method for record in embedded() if record.method in METHODS])
def test_embedded_weights_load_and_stay_within_their_size(name: str) -> None:
    method = load_method(name)
    assert embedded_path(name, "small").stat().st_size <= 16 * 2**20
    assert METHODS[name] is method.facts
    assert METHODS[name].name == name


def test_embedded_records_are_true() -> None:
    for record in embedded():
        assert damage(record) is None
        tensors = read_weights(embedded_path(record.method, record.preset)).tensors
        assert sum(tensor.numel() for tensor in tensors.values()) == record.parameters


def test_unknown_names_are_usage_errors() -> None:
    with pytest.raises(UsageError, match=r"unknown method 'nope': choose from ndr"):
        load_method("nope")
    with pytest.raises(UsageError, match="no weights are embedded for ndr paper"):
        load_method("ndr", preset="paper")
    with pytest.raises(UsageError, match="unknown preset 'huge'"):
        preset_config("ndr", "huge")


def test_files_that_are_no_weights_are_one_line(tmp_path: Path) -> None:
    good = embedded_path("ndr", "small")
    bad = tmp_path / "bad.safetensors"
    for content in (b"", b"text", good.read_bytes()[:1000], good.read_bytes()[:-1]):
        bad.write_bytes(content)
        with pytest.raises(AirtoolError, match=r"bad\.safetensors") as caught:
            load_method("ndr", bad)
        assert "\n" not in str(caught.value)
    with pytest.raises(AirtoolError, match="does not exist"):
        load_method("ndr", tmp_path / "none.safetensors")


def test_weights_must_fit_the_network_they_declare(tmp_path: Path) -> None:
    weights = read_weights(embedded_path("ndr", "small"))
    config = method_class("ndr").config_from(weights.header["config"])
    path = tmp_path / "w.safetensors"
    for wrong in (
        {key: value for key, value in weights.tensors.items() if key != "dr"},
        weights.tensors | {"stranger": torch.zeros(1)},
        weights.tensors | {"dr": torch.zeros(1, 2, 3)},
    ):
        write_weights(path, "ndr", config, wrong, {}, half=False)
        with pytest.raises(AirtoolError, match="does not fit its own config"):
            load_method("ndr", path)
    write_weights(path, "ndr", config, weights.tensors | {"dr": weights.tensors["dr"] * torch.nan}, {}, half=False)
    with pytest.raises(AirtoolError, match="'dr' holds values that are not finite"):
        load_method("ndr", path)
    write_weights(path, "other", config, weights.tensors, {}, half=False)
    with pytest.raises(AirtoolError, match="holds weights of 'other', not of ndr"):
        load_method("ndr", path)


def test_weights_survive_a_round_trip(tmp_path: Path) -> None:
    weights = read_weights(embedded_path("ndr", "small"))
    config = method_class("ndr").config_from(weights.header["config"])
    write_weights(tmp_path / "w.safetensors", "ndr", config, weights.tensors, {"recipe": "r"}, half=True)
    again = read_weights(tmp_path / "w.safetensors")
    assert again.header["origin"] == {"recipe": "r"}
    assert method_class("ndr").config_from(json.loads(json.dumps(again.header["config"]))) == config
    assert all(torch.equal(again.tensors[key], tensor) for key, tensor in weights.tensors.items())
