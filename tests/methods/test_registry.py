"""Every registered method keeps its contract."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from airtool.errors import AirtoolError, UsageError
from airtool.methods.base import Request
from airtool.methods.objective import Batch
from airtool.methods.registry import METHODS, load_method, method_class, preset_config
from airtool.methods.weights import damage, embedded, embedded_path, read_weights, write_weights


def test_the_registry_imports_no_torch() -> None:
    code = "import sys, airtool.methods.registry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", METHODS)
def test_every_embedded_method_restores_and_stays_within_its_size(name: str) -> None:
    method = load_method(name)
    pictures = torch.rand(2, 3, 4 * method.facts.size_multiple, 6 * method.facts.size_multiple)
    with torch.inference_mode():
        restored = method.restore(pictures, Request(seeds=(1, 2)))
        single = method.restore(pictures[1:], Request(seeds=(2,)))
    assert restored.shape == pictures.shape
    torch.testing.assert_close(restored[1:], single, atol=1e-5, rtol=0)
    assert embedded_path(name, "small").stat().st_size <= 16 * 2**20
    assert METHODS[name] is method.facts
    assert METHODS[name].name == name


@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains(name: str) -> None:
    objective = method_class(name).objective(preset_config(name, "small"), {})
    degraded, clean = torch.rand(2, 1, 3, 32, 32)
    losses = objective(Batch(degraded, clean, ("rain:0.5",)), 0)
    losses["loss"].backward()
    silent = [key for key, parameter in objective.named_parameters() if parameter.grad is None]
    assert silent == []
    exported = objective.exported(objective.state_dict())
    method_class(name)(preset_config(name, "small")).network.load_state_dict(exported, strict=True)


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
    assert replace(config, dim=8) != config
    assert all(torch.equal(again.tensors[key], tensor) for key, tensor in weights.tensors.items())
