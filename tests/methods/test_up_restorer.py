"""Up-Restorer is C2F-DFT with queries and prompts, and restores the same whatever surrounds a picture."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from airtool.diffusion.field import noise_window
from airtool.errors import AirtoolError, UsageError
from airtool.methods.base import Request
from airtool.methods.up_restorer.method import PRESETS, UpRestorerMethod
from airtool.methods.up_restorer.network import UpRestorerConfig, UpRestorerNet
from airtool.methods.up_restorer.prompts import PromptUpgrade
from airtool.methods.up_restorer.queries import LearnableQuery
from airtool.networks.c2f_dft import STAGES, DFTConfig, DiffusionTransformer

SIZES = {"dim": 8, "blocks": (1, 2, 1, 1), "heads": (1, 2, 2, 4)}
TINY = UpRestorerConfig(**SIZES)
TINY_LOCAL = replace(PRESETS["small-single"], **SIZES)


def scattered(network: nn.Module, seed: int = 1) -> nn.Module:
    """Every parameter moved off its initial value, which may be zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return network


def pictures(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def count(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


@pytest.fixture(scope="module", params=[TINY, TINY_LOCAL], ids=["published", "local"])
def method(request: pytest.FixtureRequest) -> UpRestorerMethod:
    made = UpRestorerMethod(request.param)
    scattered(made.network)
    return made


def test_the_backbone_has_the_published_tensors(reference_folder: Path) -> None:
    published = json.loads((reference_folder / "c2f_dft_state_dict.json").read_text())
    with torch.device("meta"):
        network = DiffusionTransformer(DFTConfig())
    assert {key: list(tensor.shape) for key, tensor in network.state_dict().items()} == published


def test_the_paper_preset_has_the_published_size() -> None:
    with torch.device("meta"):
        network = UpRestorerNet(PRESETS["paper"])
        backbone = DiffusionTransformer(DFTConfig())
    queries = [module for module in network.modules() if isinstance(module, LearnableQuery)]
    assert count(backbone) == 25_363_344
    assert (len(queries), count(*queries)) == (40, 500_352)
    assert count(network.prompt_level4, network.prompt_level3, network.prompt_level2) == 2_149_083
    assert abs(count(network) / 28_012_272 - 1) < 0.01


@pytest.mark.parametrize(
    "sizes", [{}, {"norm": "BiasFree", "bias": True}, {"dual_pixel_task": True, "expansion": 2.66}]
)
def test_neutral_it_equals_c2f_dft_bit_for_bit(sizes: dict[str, Any]) -> None:
    theirs = scattered(DiffusionTransformer(DFTConfig(**SIZES, **sizes)).eval())
    config, state = UpRestorerMethod.from_official(theirs.state_dict(), None)
    # The width of the feed-forward part cannot be told more exactly than its whole numbers of channels do.
    assert replace(config, expansion=4.0) == replace(TINY, **{**sizes, "expansion": 4.0})
    ours = UpRestorerMethod(config).network
    ours.load_state_dict(state, strict=True)
    degraded, noisy = pictures(2, 2, 3, 24, 16).mul(2).sub(1)
    t = torch.tensor([999.0, 21.0])
    wanted = theirs(torch.cat([degraded, noisy], 1), t).detach()
    assert torch.equal(ours(degraded, noisy, t), wanted)
    for key in ("backbone.latent.0.attn.query.tokens", "prompt_level2.adjust.weight"):
        moved = state | {key: state[key] + 0.3 * torch.randn(state[key].shape)}
        ours.load_state_dict(moved)
        assert (ours(degraded, noisy, t) - wanted).abs().max() > 1e-5, key


def test_the_prompt_upgrade_is_equation_14() -> None:
    module = scattered(PromptUpgrade(2, 4)).requires_grad_(False)
    prompt, score, noisy = pictures(3, 1, 2, 4, 4)
    seen = module(prompt, score, noisy)
    torch.testing.assert_close(seen.sigma, torch.log1p(module.raw_sigma.exp()))
    torch.testing.assert_close(seen.rho, torch.log1p(module.raw_rho.exp()))
    weight, bias = module.noise.weight[0, :, 0, 0], module.noise.bias
    torch.testing.assert_close(seen.N[0, 0], score[0, 0] * weight[0] + score[0, 1] * weight[1] + bias)
    logit = (score * module.transmission.weight).sum(1, keepdim=True) + module.transmission.bias
    torch.testing.assert_close(seen.t, 1 / (1 + torch.exp(-logit)))
    assert torch.equal(seen.M, module.M)
    assert torch.equal(seen.A, module.A)
    quantities = (seen.t, seen.N, seen.M, seen.A, seen.rho, seen.sigma)
    t, n, m, a, rho, sigma = (float(each.flatten()[0]) for each in quantities)
    p, s, x = (float(each[0, 1, 0, 0]) for each in (prompt, score, noisy))
    assert float(seen.upgraded[0, 1, 0, 0]) == pytest.approx(
        m * (t * (x - a * (1 - t) - n) / sigma**2 + rho * p - s), rel=1e-5
    )


def test_an_untrained_local_network_returns_its_input() -> None:
    made = UpRestorerMethod(TINY_LOCAL)
    for parameter in made.network.get_submodule("backbone.output").parameters():
        parameter.zero_()
    picture = pictures(1, 3, 16, 24)
    torch.testing.assert_close(made.restore(picture, Request(seeds=(9,))), picture, atol=1e-6, rtol=0)


def test_nothing_but_picture_seed_and_place_matters(method: UpRestorerMethod) -> None:
    both = pictures(2, 3, 16, 24)
    with torch.inference_mode():
        together = method.restore(both, Request(seeds=(1, 2), place=(8, 16)))
        alone = method.restore(both[1:], Request(seeds=(2,), place=(8, 16)))
        elsewhere = method.restore(both[1:], Request(seeds=(2,)))
        other = method.restore(both[1:], Request(seeds=(3,), place=(8, 16)))
        unseeded = method.restore(both, Request())
    assert torch.equal(together[1:], alone)
    for different in (elsewhere, other):
        assert (different - alone).abs().max() > 1e-4
    assert torch.equal(unseeded[1:], method.restore(both[1:], Request(seeds=(0,))))


def test_it_begins_with_the_field_at_its_place(method: UpRestorerMethod, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []
    network = method.network
    assert isinstance(network, UpRestorerNet)
    trajectory = network.trajectory

    def spy(degraded: Tensor, start: Tensor, with_gradient: int | None = None) -> Any:
        seen.append(start)
        return trajectory(degraded, start, with_gradient)

    monkeypatch.setattr(network, "trajectory", spy)
    method.restore(pictures(2, 3, 8, 16), Request(seeds=(4, 5), place=(64, 24)))
    assert torch.equal(torch.cat(seen), torch.stack([noise_window(seed, 64, 24, 8, 16) for seed in (4, 5)]))


def test_half_precision_and_memory_formats_at_the_smallest_size(method: UpRestorerMethod) -> None:
    picture = pictures(1, 3, 8, 8)
    degraded, noisy, t = 2 * picture - 1, noise_window(0, 0, 0, 8, 8)[None], torch.tensor([500.0])
    wanted = method.network(degraded, noisy, t)
    moved = copy.deepcopy(method.network).to(memory_format=torch.channels_last)
    inputs = [each.contiguous(memory_format=torch.channels_last) for each in (degraded, noisy)]
    torch.testing.assert_close(moved(*inputs, t), wanted, atol=1e-4, rtol=1e-4)
    scale = wanted.abs().max()
    with torch.autocast("cpu", torch.bfloat16):
        assert (method.network(degraded, noisy, t) - wanted).abs().max() < 0.1 * scale
        restored = method.restore(picture, Request())
    assert restored.dtype == torch.float32
    assert torch.isfinite(restored).all()
    halved = UpRestorerMethod(method.config)
    halved.network.load_state_dict(method.network.state_dict())
    halved.network.bfloat16()
    restored = halved.restore(picture.bfloat16(), Request())
    assert restored.dtype == torch.bfloat16
    assert torch.isfinite(restored).all()


def test_maps_to_look_at(method: UpRestorerMethod) -> None:
    both = pictures(2, 3, 16, 24)
    maps = method.explain(both, Request(seeds=(1, 2)))
    assert tuple(maps) == method.facts.explains == ("transmission", "noise")
    for name, each in maps.items():
        assert each.shape == (2, 1, 16, 24)
        assert each.min() >= 0
        assert each.max() <= 1
        assert each[1].std() > 1e-4, name
        assert torch.equal(each[1:], method.explain(both[1:], Request(seeds=(2,)))[name])
    assert maps["noise"].mean() == pytest.approx(0.5, abs=0.02)


def test_maps_are_those_of_the_last_evaluation(method: UpRestorerMethod) -> None:
    network = method.network
    assert isinstance(network, UpRestorerNet)
    picture = pictures(1, 3, 16, 16)
    seen: list[Tensor] = []
    hook = network.prompt_level2.register_forward_hook(lambda _m, _i, out: seen.append(out[1].t))
    method.restore(picture, Request(seeds=(3,)))
    hook.remove()
    assert len(seen) == 4
    shown = method.explain(picture, Request(seeds=(3,)))["transmission"]
    wanted = nn.functional.interpolate(seen[-1], (16, 16), mode="bilinear")
    torch.testing.assert_close(shown, wanted)
    assert (seen[-1] - seen[0]).abs().max() > 1e-4


def test_without_prompts_or_queries_the_rest_is_the_same() -> None:
    keys = {name: set(UpRestorerMethod(PRESETS[name]).network.state_dict()) for name in PRESETS if name != "paper"}
    whole = keys["small-single"]
    assert keys["small-no-prompts"] == {key for key in whole if not key.startswith("prompt_level")}
    assert keys["small-no-queries"] == {key for key in whole if ".query." not in key}
    assert len(whole) > len(keys["small-no-queries"]) > len(keys["small-no-prompts"])
    with pytest.raises(UsageError, match="no Prompt Blocks"):
        UpRestorerMethod(PRESETS["small-no-prompts"]).explain(torch.rand(1, 3, 16, 16), Request(seeds=(1,)))


def test_checkpoints_that_do_not_fit_are_one_line() -> None:
    state = dict(DiffusionTransformer(DFTConfig(**SIZES)).state_dict())
    with pytest.raises(UsageError, match="unknown variant 'old' of up-restorer"):
        UpRestorerMethod.from_official(state, "old")
    with pytest.raises(AirtoolError, match=r"not one of C2F-DFT.*'patch_embed\.proj\.weight' is missing"):
        UpRestorerMethod.from_official({"extractor.weight": torch.zeros(1)}, None)
    missing = {key: tensor for key, tensor in state.items() if key != "down1_2.body.0.weight"}
    with pytest.raises(AirtoolError, match=r"does not fit C2F-DFT: 1 missing, first 'down1_2\.body\.0\.weight'"):
        UpRestorerMethod.from_official(missing, None)
    with pytest.raises(AirtoolError, match=r"unexpected, first 'stranger'"):
        UpRestorerMethod.from_official(state | {"stranger": torch.zeros(1)}, None)
    with pytest.raises(AirtoolError, match=r"'output\.weight' has shape"):
        UpRestorerMethod.from_official(state | {"output.weight": torch.zeros(1)}, None)
    odd = {"latent.0.attn.temperature": torch.ones(5, 1, 1)}
    with pytest.raises(AirtoolError, match="do not divide the channels"):
        UpRestorerMethod.from_official(state | odd, None)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stranger": 1}, "unknown setting 'stranger'"),
        ({"prediction": "v"}, "prediction must be"),
        ({"local_stages": ["attic"]}, "'attic' is none of the stages"),
        ({"closing_attention": ["latent"]}, "local stages only"),
        ({"heads": [1, 2, 4, 5]}, "do not divide"),
        ({"blocks": [1, 2, 3]}, "four levels"),
        ({"sampling_timesteps": 0}, "at least 1"),
        ({"dim": "wide"}, "describes no Up-Restorer"),
    ],
)
def test_weights_files_that_describe_no_network(values: dict[str, Any], message: str) -> None:
    with pytest.raises(AirtoolError, match=message) as caught:
        UpRestorerMethod.config_from(values)
    assert "\n" not in str(caught.value)


def test_configs_survive_a_weights_file() -> None:
    for config in PRESETS.values():
        assert UpRestorerMethod.config_from(json.loads(json.dumps(vars(config)))) == config
    assert PRESETS["small"].local_stages == STAGES
