"""Checkpoints of the authors come in strictly, by their own keys, through the restricted door."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from airtool.errors import AirtoolError, UsageError
from airtool.methods.ndr.degrad import NDR
from airtool.methods.ndr.method import NDRMethod
from airtool.methods.ndr.network import NDRConfig
from airtool.methods.official import read_checkpoint

SIZES = NDRConfig(dim=8, blocks=(1, 2, 1, 1), refinement_blocks=1, heads=(1, 2, 4, 4), degrad_dim=8, atoms=6)


@pytest.fixture(scope="module")
def authors() -> NDR:
    """A small network of the authors' class, every parameter moved off its initial value."""
    torch.manual_seed(3)
    network = NDR(SIZES).eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.05)
    return network


@pytest.mark.parametrize("wrapper", [None, "state_dict", "params", "params_ema"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_import_restores_what_the_authors_network_restores(
    authors: NDR, tmp_path: Path, wrapper: str | None, suffix: str
) -> None:
    state = {f"module.{key}": tensor.clone() for key, tensor in authors.state_dict().items()}
    path = tmp_path / f"model_L{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({wrapper: state} if wrapper else state, path)
    config, tensors = NDRMethod.from_official(read_checkpoint(path), None)
    assert (config.dim, config.blocks, config.heads, config.atoms) == (8, (1, 2, 1, 1), (1, 2, 4, 4), 6)
    assert config.expansion == NDRConfig.expansion
    ours = NDRMethod(config)
    ours.network.load_state_dict(tensors, strict=True)
    rgb = torch.rand(1, 3, 32, 40, generator=torch.Generator().manual_seed(0))
    # The authors feed BGR and get BGR back.
    theirs = authors.restoration_net(rgb.flip(1)).flip(1)
    torch.testing.assert_close(ours.network(rgb), theirs, atol=1e-5, rtol=0)


def test_residual_files_are_recognised_and_their_unused_tensors_dropped(authors: NDR) -> None:
    state = dict(authors.state_dict())
    state["restoration_net.res_connect1.inject_degradation.fg_dwconv.weight"] = torch.zeros(3)
    state["restoration_net.res_connect1.inject_degradation.low_rank_transform2.conv_C.1.bias"] = torch.zeros(3)
    assert NDRMethod.from_official(state, None)[0].residual
    assert not NDRMethod.from_official(state, "published")[0].residual
    assert not NDRMethod.from_official(authors.state_dict(), None)[0].residual
    assert NDRMethod.from_official(authors.state_dict(), "residual")[0].residual


def test_misfits_name_the_first_key(authors: NDR) -> None:
    state = dict(authors.state_dict())
    del state["restoration_net.pool1.body.0.weight"]
    state["restoration_net.stranger"] = torch.zeros(1)
    with pytest.raises(AirtoolError, match=r"missing, first 'pool1\.body\.0\.weight'.*unexpected, first 'stranger'"):
        NDRMethod.from_official(state, None)
    with pytest.raises(AirtoolError, match=r"not one of NDR-Restore: 'extractor\.weight' is missing"):
        NDRMethod.from_official({"x": torch.zeros(1)}, None)
    state = dict(authors.state_dict()) | {"degradation_representations": torch.zeros(1, 6, 128)}
    with pytest.raises(AirtoolError, match="two copies of the dictionary"):
        NDRMethod.from_official(state, None)
    with pytest.raises(UsageError, match="unknown variant 'old'"):
        NDRMethod.from_official(authors.state_dict(), "old")


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_a_checkpoint_that_would_execute_code_is_refused_unexecuted(tmp_path: Path) -> None:
    path, trace = tmp_path / "evil.pth", tmp_path / "executed"
    torch.save({"weight": Bomb(trace)}, path)
    with pytest.raises(AirtoolError, match=r"evil\.pth would execute code"):
        read_checkpoint(path)
    path.write_bytes(pickle.dumps(Bomb(trace)))
    with pytest.raises(AirtoolError, match=r"evil\.pth"):
        read_checkpoint(path)
    assert not trace.exists()


class Callback:
    """What training programs leave in their checkpoints beside the weights."""

    made = 0

    def __init__(self) -> None:
        self.best = 1.5

    def __setstate__(self, state: dict) -> None:
        Callback.made += 1


def test_strange_objects_beside_the_weights_are_not_brought_to_life(tmp_path: Path) -> None:
    path, weight = tmp_path / "lightning.ckpt", torch.arange(3.0)
    torch.save({"state_dict": {"net.a": weight}, "callbacks": {Callback: {"x": Callback()}}, "global_step": 4000}, path)
    found = read_checkpoint(path)
    torch.testing.assert_close(list(found.values()), [weight])
    assert Callback.made == 0
    torch.save({"state_dict": {"a": weight}, "callbacks": Callback(), "bomb": Bomb(tmp_path / "executed")}, path)
    with pytest.raises(AirtoolError, match=r"lightning\.ckpt would execute code"):
        read_checkpoint(path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 broken zip"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_damaged_checkpoints_are_one_line(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    with pytest.raises(AirtoolError, match="damaged") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
