"""Defusion's networks and what a user may ask of it."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from airtool.degradations.compose import parse_steps
from airtool.errors import AirtoolError, UsageError
from airtool.methods.base import Request
from airtool.methods.defusion.adm_unet import ADMUNetConfig
from airtool.methods.defusion.config import DefusionConfig
from airtool.methods.defusion.instruction import Instruction
from airtool.methods.defusion.local_unet import Crossing, LocalUNetConfig, ModulatedBlock
from airtool.methods.defusion.method import PRESETS, DefusionMethod
from airtool.methods.defusion.network import DefusionNet
from airtool.methods.defusion.official import convert
from airtool.methods.defusion.tokens import residual_tokens
from airtool.networks.vqgan import VQGANConfig

TOKENIZER = VQGANConfig(
    width=8, multipliers=(1, 2, 2), blocks=1, attention_levels=(), features=8, codes=32, code_dim=8, groups=4
)
LOCAL = DefusionConfig(
    unet=LocalUNetConfig(dim=8, blocks=(1, 1, 2, 1), bridge=(4, 4, 4, 4), embedding=16),
    tokenizer=TOKENIZER,
    canvas=32,
    view=32,
    prediction="x0",
    schedule="cosine",
    gain=3.0,
)
ADM = replace(
    LOCAL,
    unet=ADMUNetConfig(dim=8, multipliers=(1, 2, 2), attention_levels=(1, 2), head_channels=8, groups=4),
    prediction="eps",
    schedule="linear",
    gain=1.0,
)
RAIN = Request(seeds=(7,), degradation=("rain:0.8",))


def scattered(network: nn.Module, seed: int = 1, by: float = 0.1) -> nn.Module:
    """Every parameter moved off its initial value, which may be zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * by)
    return network


def made(config: DefusionConfig, scatter: bool = True) -> DefusionMethod:
    torch.manual_seed(0)
    method = DefusionMethod(config)
    if scatter:
        scattered(method.network)
    return method


def net(method: DefusionMethod) -> DefusionNet:
    assert isinstance(method.network, DefusionNet)
    return method.network


def pictures(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


PICTURE = pictures(1, 3, 32, 48)


@pytest.mark.parametrize("config", [LOCAL, ADM], ids=["local", "adm"])
def test_an_instruction_that_shows_nothing_says_nothing(config: DefusionConfig) -> None:
    method = made(config)
    shown, null = net(method).tokens([parse_steps("rain:0.8"), ()], [3, 3])
    assert shown.abs().max() > 0.1
    assert torch.equal(null, torch.zeros_like(null))
    assert torch.equal(method.restore(PICTURE, Request(seeds=(7,))), PICTURE)
    assert not torch.allclose(method.restore(PICTURE, RAIN), PICTURE, atol=1e-3)


@pytest.mark.parametrize("config", [LOCAL, ADM], ids=["local", "adm"])
def test_tokens_of_zero_add_exactly_nothing(config: DefusionConfig) -> None:
    """With zero tokens the network is the one without adapter."""
    method = made(config)
    noisy, degraded = pictures(2, 3, 32, 32, seed=1), pictures(2, 3, 32, 32, seed=2)
    t, zeros = torch.tensor([999, 250]), torch.zeros(2, 5, 8)
    nulled = net(method)(noisy, degraded, t, zeros)
    listening = net(method)(noisy, degraded, t, pictures(2, 5, 8))
    assert (listening - nulled).abs().max() > 1e-3
    with torch.no_grad():
        for key, parameter in method.network.named_parameters():
            # The adapter's last layers, so that its branches are gone.
            if ("attention" in key and key.endswith("to_out.0.weight")) or key.endswith("summary.out.weight"):
                parameter.zero_()
    assert torch.equal(net(method)(noisy, degraded, t, zeros), nulled)
    assert torch.equal(net(method)(noisy, degraded, t, pictures(2, 5, 8)), nulled)


def test_tokens_are_what_changes_in_the_codes() -> None:
    method = made(LOCAL)
    tokenizer = net(method).tokenizer
    assert tokenizer is not None
    clean, degraded = pictures(2, 3, 32, 32, seed=1), pictures(2, 3, 32, 32, seed=2)
    degraded[:, :, :16] = clean[:, :, :16]
    tokens = residual_tokens(tokenizer, clean, degraded).transpose(1, 2).unflatten(2, (8, 8))
    book = tokenizer.quantize.embedding.weight
    first, second = (tokenizer.quantize.nearest(tokenizer.encode(2 * each - 1)) for each in (clean, degraded))
    wanted = (book[second] - book[first]).permute(0, 3, 1, 2) / book.std(0, correction=0).square().mean().sqrt()
    torch.testing.assert_close(tokens, wanted)
    assert (first == second).any()
    assert not tokens.abs().sum(1)[first == second].any()


@pytest.mark.parametrize("preset", ["small", "small-label", "small-none"])
def test_untrained_weights_give_the_picture_back(preset: str) -> None:
    method = made(PRESETS[preset], scatter=False)
    restored = method.restore(PICTURE, Request(seeds=(5,), degradation=("noise", "haze:1")))
    torch.testing.assert_close(restored, PICTURE, atol=1e-6, rtol=0)


def test_tiles_share_the_noise_of_the_whole() -> None:
    method = made(LOCAL)
    place = (64, 128)
    restored = method.restore(PICTURE, replace(RAIN, place=place))
    whole = torch.zeros(1, 3, 64 + 32, 128 + 48)
    whole[..., 64:, 128:] = PICTURE
    # With blocks that see no neighbour the tile is a part of the whole, if its noise is.
    with torch.no_grad():
        for module in method.network.modules():
            if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
                module.weight[..., [0, 0, 0, 1, 1, 2, 2, 2], [0, 1, 2, 0, 2, 0, 1, 2]] = 0
    alone = method.restore(PICTURE, replace(RAIN, place=place))
    torch.testing.assert_close(alone, method.restore(whole, RAIN)[..., 64:, 128:], atol=1e-5, rtol=0)
    assert not torch.allclose(alone, method.restore(PICTURE, RAIN), atol=1e-4)
    assert not torch.allclose(alone, restored, atol=1e-4)


@pytest.mark.parametrize("config", [LOCAL, ADM], ids=["local", "adm"])
def test_a_batch_is_its_pictures_one_by_one(config: DefusionConfig) -> None:
    method = made(config)
    batch = pictures(2, 3, 32, 32)
    both = method.restore(batch, replace(RAIN, seeds=(1, 2)))
    for index in range(2):
        alone = method.restore(batch[index : index + 1], replace(RAIN, seeds=(index + 1,)))
        assert torch.equal(both[index : index + 1], alone)
    assert not torch.allclose(both[1:], method.restore(batch[1:], replace(RAIN, seeds=(1,))), atol=1e-4)


@pytest.mark.parametrize(
    "config",
    [LOCAL, ADM, replace(LOCAL, prediction="v"), replace(LOCAL, space="image"), replace(LOCAL, gain=0.5)],
    ids=["local", "adm", "velocity", "image", "gain"],
)
def test_what_cannot_be_is_never_predicted(config: DefusionConfig) -> None:
    """At every evaluation the restored picture lies in [-1, 1], however wild the network is."""
    network = net(made(config))
    scattered(network.unet, by=0.4)
    degraded = 2 * pictures(1, 3, 32, 32) - 1
    start = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    count, extremes = 0, []
    for evaluation in network.trajectory(degraded, start, pictures(1, 5, 8)):
        restored = network.restored(degraded, evaluation.x0)
        assert restored.abs().max() <= 1 + 1e-5
        extremes.append(restored.abs().max())
        torch.testing.assert_close(network.diffused(degraded, restored), evaluation.x0, atol=1e-4, rtol=1e-5)
        count += 1
    assert count == 4
    assert max(extremes) > 0.999


def test_a_modulated_block_starts_as_a_plain_one() -> None:
    torch.manual_seed(0)
    block = ModulatedBlock(8, 16)
    nn.init.ones_(block.beta)
    nn.init.ones_(block.gamma)
    x, embedding = pictures(2, 8, 6, 6), pictures(2, 16)
    bridge = net(made(LOCAL, scatter=False)).unet.bridge
    crossing = Crossing(pictures(2, 4, 6, 6), partial(bridge.modulation, 0))
    torch.testing.assert_close(block(x, embedding, crossing), block(x))
    scattered(bridge)
    assert not torch.allclose(block(x, embedding, crossing), block(x), atol=1e-2)
    scattered(block.modulation)
    assert not torch.allclose(block(x, embedding), block(x), atol=1e-2)


@pytest.mark.parametrize("config", [LOCAL, ADM], ids=["local", "adm"])
def test_the_bridge_reaches_every_level(config: DefusionConfig) -> None:
    network = net(made(config))
    noisy, degraded, tokens = pictures(1, 3, 32, 32, seed=1), pictures(1, 3, 32, 32, seed=2), pictures(1, 5, 8)
    t = torch.tensor([500])
    features = network.unet.bridge(degraded)
    usual = network(noisy, degraded, t, tokens)
    assert torch.equal(network(noisy, degraded, t, tokens, features), usual)
    for level, feature in enumerate(features):
        assert feature.shape[-1] == 32 // 2**level
        other = [each + 1 if index == level else each for index, each in enumerate(features)]
        assert not torch.allclose(network(noisy, degraded, t, tokens, other), usual, atol=1e-4)


def test_an_example_is_an_instruction() -> None:
    method = made(LOCAL)
    shown = method.instruction(replace(RAIN, seeds=(7,)))
    pair = Request(seeds=(7,), instruction=(shown.clean, shown.degraded))
    assert isinstance(method.instruction(pair), Instruction)
    torch.testing.assert_close(method.restore(PICTURE, pair), method.restore(PICTURE, RAIN))
    bigger = Request(instruction=(shown.clean, shown.degraded[:-1]))
    with pytest.raises(UsageError, match="two pictures of one size"):
        method.restore(PICTURE, bigger)
    with pytest.raises(UsageError, match="an empty pair"):
        method.restore(PICTURE, Request(instruction=(shown.clean, shown.clean)))


def test_names_that_are_not_known_are_refused() -> None:
    method = made(replace(LOCAL, names=("rain", "noise")))
    method.check(("rain", "noise:15"))
    assert method.candidates() == ("rain", "noise")
    for wrong, said in (("haze", "cannot remove 'haze'.*know rain, noise"), ("noise:x", "must be a number")):
        with pytest.raises(UsageError, match=said):
            method.check(("rain", wrong))
        with pytest.raises(UsageError, match=said):
            method.restore(PICTURE, Request(degradation=(wrong,)))


@pytest.mark.parametrize("condition", ["label", "none"])
def test_the_ablation_listens_to_no_examples(condition: str) -> None:
    method = made(replace(LOCAL, condition=condition))  # type: ignore[arg-type]
    assert net(method).tokenizer is None
    rain, noise = (method.restore(PICTURE, Request((1,), (name,))) for name in ("rain", "noise"))
    assert torch.equal(rain, noise) == (condition == "none")
    with pytest.raises(UsageError, match="without visual instructions"):
        method.instruction(Request(instruction=(np.zeros((64, 64, 3), np.float32),) * 2))


def test_published_sizes(reference_folder: Path) -> None:
    with torch.device("meta"):
        network = DefusionNet(PRESETS["paper"])
    assert network.tokenizer is not None
    wanted = json.loads((reference_folder / "defusion_state_dict.json").read_text())
    assert {key: list(tensor.shape) for key, tensor in network.tokenizer.state_dict().items()} == wanted
    assert sum(each.numel() for each in network.tokenizer.parameters()) == 72_141_699
    assert PRESETS["paper"].view // PRESETS["paper"].tokenizer.stride == 14
    assert network.times == (999, 749, 499, 249)


def test_small_weights_stay_within_16_mib() -> None:
    with torch.device("meta"):
        network = DefusionNet(PRESETS["small"])
    assert sum(each.numel() for each in network.parameters()) <= 8_000_000


def test_a_config_comes_back_from_a_file() -> None:
    from dataclasses import asdict

    for config in (LOCAL, ADM, *PRESETS.values()):
        assert DefusionMethod.config_from(json.loads(json.dumps(asdict(config)))) == config
    for change in ({"gain": 0}, {"view": 33}, {"unet": {"kind": "other"}}, {"tokenizer": {"codes": 0}}, {"more": 1}):
        with pytest.raises(AirtoolError, match="describes no Defusion network"):
            DefusionMethod.config_from(json.loads(json.dumps(asdict(LOCAL))) | change)


def test_only_a_tokenizer_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AirtoolError, match="published no weights"):
        convert({"conv.weight": torch.zeros(1)})
    with pytest.raises(UsageError, match="no variant"):
        convert({}, "indoor")
    monkeypatch.setattr("airtool.methods.defusion.official.DefusionConfig", lambda: LOCAL)
    theirs = net(made(LOCAL)).tokenizer
    assert theirs is not None
    state = theirs.state_dict()
    config, found = convert({**state, "loss.discriminator.main.0.weight": torch.zeros(1)})
    method = DefusionMethod(config)
    method.network.load_state_dict(found, strict=True)
    for key, tensor in state.items():
        assert torch.equal(found[f"tokenizer.{key}"], tensor)
    assert torch.equal(convert(state)[1]["unet.patch_embed.weight"], found["unet.patch_embed.weight"])
    with pytest.raises(AirtoolError, match="does not fit the tokenizer of Defusion"):
        convert({key: tensor for key, tensor in state.items() if key != "encoder.conv_in.bias"})
