"""DFPIR: the network, its prompts and its training."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from parity import check_case
from safetensors.torch import load_file, save_file
from torch import Tensor

from airtool.errors import AirtoolError, UsageError
from airtool.methods.base import Request
from airtool.methods.dfpir.method import PRESETS, DFPIRMethod
from airtool.methods.dfpir.network import DFPIRConfig, DFPIRNet
from airtool.methods.dfpir.objective import DFPIRObjective, DFPIRSettings
from airtool.methods.dfpir.official import PERTURBATIONS, layout
from airtool.methods.dfpir.perturbation import PerturbationBlock, SelectiveAttention, keys_kept, random_orders
from airtool.methods.dfpir.prompts import (
    DEFAULT_SIGMA,
    FINE_LABELS,
    LABELS,
    PAPER_LABELS,
    UNKNOWN,
    asked_labels,
    find_label,
    training_label,
)
from airtool.methods.ndr.network import NDRConfig, RestorationNet
from airtool.methods.objective import Batch
from airtool.methods.weights import read_weights, write_weights
from airtool.training.recipe import load_recipe, shipped

TINY = DFPIRConfig(dim=8, blocks=(1, 1, 1, 1), refinement_blocks=1, block="nafnet", labels=LABELS)


def shaken(network: torch.nn.Module) -> torch.nn.Module:
    """Every parameter moved off its initial value."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return network


def tiny_method(config: DFPIRConfig = TINY) -> DFPIRMethod:
    method = DFPIRMethod(config)
    shaken(method.network)
    return method


# The network


def test_reference_cases_agree_and_a_wrong_order_is_noticed(reference_folder: Path, tmp_path: Path) -> None:
    case = reference_folder / "vectors" / "dfpir" / "caseA"
    with torch.inference_mode():
        assert check_case(case)
        vectors = load_file(case / "vectors.safetensors")
        vectors["48x80.text_code"] *= -1
        for name in ("case.json", "weights.safetensors"):
            (tmp_path / name).write_bytes((case / name).read_bytes())
        save_file(vectors, tmp_path / "vectors.safetensors")
        assert not check_case(tmp_path)


def test_paper_preset_has_the_published_tensors(reference_folder: Path) -> None:
    published = json.loads((reference_folder / "dfpir_state_dict.json").read_text())
    ours = {key: list(tensor.shape) for key, tensor in layout(DFPIRConfig(), 512).items()}
    assert ours == published
    assert len(ours) == 590
    assert sum(torch.Size(shape).numel() for shape in ours.values()) == 31_104_761


def test_the_folded_perturbation_is_expand_reorder_reduce() -> None:
    block = shaken(PerturbationBlock(6, 2, 3, "shuffle", 0.9))
    feature, prompts = torch.randn(3, 6, 5, 4), torch.tensor([2, 0, 2])
    expanded = block.conv1x1(feature)
    reordered = torch.stack([each[block.order[label]] for each, label in zip(expanded, prompts, strict=True)])
    torch.testing.assert_close(block.perturb(feature, prompts), block.conv_out(reordered), atol=1e-5, rtol=0)
    assert not torch.equal(block.order[0], block.order[2])


def test_keys_kept_is_exact_for_any_width() -> None:
    for channels in range(2, 2000):
        assert keys_kept(channels, 0.9) == max(1, channels * 9 // 10)
        assert keys_kept(channels, 0.7) == max(1, channels * 7 // 10)
    assert [keys_kept(48, gamma) for gamma in (0.5, 0.9, 1.0, 1)] == [24, 43, 48, 48]
    assert keys_kept(1, 0.9) == 1


def test_the_mask_drops_the_least_of_each_row_without_gradient() -> None:
    attention = SelectiveAttention(8, 2, 0.5)
    logits = torch.tensor([[3.0, 1.0, 2.0, 0.0], [0.0, 5.0, 6.0, 7.0]], requires_grad=True)
    masked = attention.mask(logits)
    assert torch.isinf(masked).tolist() == [[False, True, False, True], [True, True, False, False]]
    masked.softmax(-1)[:, 2].sum().backward()
    assert logits.grad is not None
    assert (logits.grad == 0).tolist() == torch.isinf(masked).tolist()
    assert SelectiveAttention(8, 2, 1.0).mask(logits) is logits
    assert attention.attn4.tolist() == [pytest.approx(0.2)]


def test_orders_are_fixed_permutations_that_differ_by_label() -> None:
    orders = random_orders(12, 32)
    assert torch.equal(orders, random_orders(12, 32))
    assert torch.equal(orders.sort(-1).values, torch.arange(32).expand(12, 32))
    assert len({tuple(order.tolist()) for order in orders}) == 12


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_its_own_network(name: str) -> None:
    small, other = PRESETS["small"], PRESETS[name]
    with torch.device("meta"):
        keys = set(DFPIRNet(other).state_dict())
    assert all(f"{block}.select_attn.temperature" in keys for block in PERTURBATIONS) == other.selective
    assert all(f"{block}.order" in keys for block in PERTURBATIONS) == (other.perturbation == "shuffle")
    assert any(key.startswith("fine.") for key in keys) == bool(other.fine_labels)
    if name.startswith("small-") and not name.endswith("single"):
        # The same weights, as far as there are the same: another result.
        first, second = PerturbationBlock(16, 1, 3, "shuffle", small.gamma), _block_of(other)
        second.load_state_dict(first.state_dict(), strict=False)
        feature, prompts = torch.randn(1, 16, 8, 8), torch.tensor([1])
        assert not torch.allclose(first(feature, prompts), second(feature, prompts), atol=1e-4)


def _block_of(config: DFPIRConfig) -> PerturbationBlock:
    return PerturbationBlock(16, 1, 3, config.perturbation, config.gamma if config.selective else None)


def test_channel_attention_is_told_the_label() -> None:
    block = PerturbationBlock(8, 2, 3, "attention", 0.9)
    feature = torch.randn(1, 8, 8, 8)
    same = block(feature, torch.tensor([0])), block(feature, torch.tensor([1]))
    assert torch.equal(*same)
    with torch.no_grad():
        block.gate[1] += torch.linspace(-3, 3, 16)
    assert not torch.allclose(block(feature, torch.tensor([1])), same[0], atol=1e-4)


@pytest.mark.parametrize("config", [TINY, DFPIRConfig(dim=8, blocks=(1, 1, 1, 1), refinement_blocks=1)])
@torch.inference_mode()
def test_batches_equal_singles_also_with_mixed_labels_and_odd_memory(config: DFPIRConfig) -> None:
    network = shaken(DFPIRNet(config).eval())
    pictures, prompts = torch.rand(2, 3, 24, 16), torch.tensor([4, 1])
    both = network(pictures, prompts)
    for picture, prompt, restored in zip(pictures, prompts, both, strict=True):
        torch.testing.assert_close(network(picture[None], prompt[None])[0], restored, atol=1e-5, rtol=0)
    packed = network.to(memory_format=torch.channels_last)(pictures.to(memory_format=torch.channels_last), prompts)
    torch.testing.assert_close(packed, both, atol=1e-4, rtol=0)
    assert not torch.allclose(network(pictures, prompts.flip(0)), both, atol=1e-4)
    assert network(torch.rand(1, 3, 8, 8), prompts[:1]).shape == (1, 3, 8, 8)


def test_bfloat16_autocast_trains_and_stays_near() -> None:
    network = shaken(DFPIRNet(TINY))
    pictures, prompts = torch.rand(2, 3, 16, 16), torch.tensor([0, 11])
    with torch.autocast("cpu", torch.bfloat16):
        restored = network(pictures, prompts)
    restored.float().square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert float((restored - network(pictures, prompts)).detach().abs().max()) < 0.1


# Prompts


@pytest.mark.parametrize(
    ("request_", "label"),
    [
        ("noise", "noise-25"),
        ("noise:0", "noise-15"),
        ("noise:19.3", "noise-15"),  # sqrt(15 * 25) = 19.36
        ("noise:19.4", "noise-25"),
        ("noise:35.3", "noise-25"),  # sqrt(25 * 50) = 35.36
        ("noise:35.4", "noise-50"),
        ("rain:0.6", "rain"),
        ("jpeg", "jpeg"),
        ("clean", "clean"),
        ("snow:0.3", "snow"),
        ("fog:0.3", None),
        ("rain:0.6,noise:11", None),
        ("", None),
    ],
)
def test_which_label_a_request_means(request_: str, label: str | None) -> None:
    assert find_label(request_, LABELS) == label
    assert training_label(request_, LABELS) == (label or UNKNOWN)


def test_labels_and_defaults_agree_with_the_degradations() -> None:
    from airtool.degradations import DEGRADATIONS

    assert DEGRADATIONS["noise"].default == DEFAULT_SIGMA
    named = {label for label in LABELS if not label.startswith("noise-")} - {"clean", UNKNOWN}
    assert named < set(DEGRADATIONS)
    assert find_label("noise:50", ("noise", "rain")) == "noise"


@pytest.mark.parametrize(
    ("degradation", "labels", "message"),
    [
        (("rain", "jpeg"), PAPER_LABELS, r"cannot remove 'jpeg': these weights know noise:15, noise:25"),
        (("fog",), LABELS, r"cannot remove 'fog': .*know .*haze.*downsample$"),
        (("jpeg:30",), PAPER_LABELS, "cannot remove 'jpeg:30'"),
        (("noise:x",), LABELS, "noise:x: the amount must be a number"),
        (("noise:-3",), LABELS, "noise:-3: the amount must be a number"),
        ((), PAPER_LABELS, "has to be told what to remove: name it with --degradation"),
    ],
)
def test_requests_that_cannot_be_met(degradation: tuple[str, ...], labels: tuple[str, ...], message: str) -> None:
    method = DFPIRMethod(DFPIRConfig(dim=8, blocks=(1, 1, 1, 1), block="nafnet", labels=labels))
    with pytest.raises(UsageError, match=message) as caught:
        method.check(degradation)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match=message):
        method.restore(torch.rand(1, 3, 8, 8), Request(degradation=degradation))


@torch.inference_mode()
def test_several_degradations_go_one_after_another_details_first_and_then_the_last_one_first() -> None:
    method, picture = tiny_method(), torch.rand(1, 3, 16, 16)
    assert asked_labels(("rain", "noise:40", "snow", "jpeg:20"), LABELS) == ("jpeg", "noise-50", "snow", "rain")
    assert asked_labels(("haze",), LABELS) == ("haze",)

    def restored(given: torch.Tensor, *names: str) -> torch.Tensor:
        return method.restore(given, Request(degradation=names))

    at_once = restored(picture, "haze", "noise", "rain")
    step_by_step = picture
    for name in ("noise", "rain", "haze"):
        step_by_step = restored(step_by_step.clamp(0, 1), name)
    assert torch.equal(at_once, step_by_step)
    assert not torch.equal(at_once, restored(picture, "noise"))


@torch.inference_mode()
def test_restoring_follows_the_label_and_is_blind_without() -> None:
    method, picture = tiny_method(), torch.rand(1, 3, 16, 16)

    def prompted(label: str) -> Tensor:
        return method.network(picture, torch.tensor([LABELS.index(label)]))

    assert torch.equal(method.restore(picture, Request(degradation=("noise:40",))), prompted("noise-50"))
    assert torch.equal(method.restore(picture, Request()), prompted(UNKNOWN))
    assert not torch.allclose(prompted("noise-50"), prompted(UNKNOWN), atol=1e-4)


def test_candidates_are_what_check_takes() -> None:
    for labels in (LABELS, PAPER_LABELS):
        method = DFPIRMethod(replace(TINY, labels=labels))
        assert len(method.candidates()) == len(set(labels) - {"unknown"})
        for candidate in method.candidates():
            method.check((candidate,))


# Training


def test_each_sample_gets_its_prompt_and_a_share_is_hidden() -> None:
    objective = DFPIRObjective(TINY, DFPIRSettings(unknown_share=0.2))
    labels = ("noise:17.3", "haze:0.4", "rain:0.4,jpeg:30", "clean")
    given = [label for step in range(500) for label in objective.training_labels(labels, step)]
    assert set(given[0::4]) == {"noise-15", UNKNOWN}
    assert set(given[1::4]) == {"haze", UNKNOWN}
    assert set(given[2::4]) == {UNKNOWN}
    for place in (0, 1, 3):
        assert given[place::4].count(UNKNOWN) / 500 == pytest.approx(0.2, abs=0.02)
    assert objective.training_labels(labels, 7) == objective.training_labels(labels, 7)
    never = DFPIRObjective(TINY, DFPIRSettings(unknown_share=0))
    assert never.training_labels(labels, 3) == ["noise-15", "haze", UNKNOWN, "clean"]


def test_a_preset_without_unknown_refuses_what_it_has_no_prompt_for() -> None:
    objective = DFPIRObjective(DFPIRConfig(dim=8, blocks=(1, 1, 1, 1), block="nafnet"), DFPIRSettings())
    assert objective.training_labels(("rain:0.2",), 0) == ["rain"]
    with pytest.raises(UsageError, match="no prompt for 'jpeg:30'"):
        objective.training_labels(("jpeg:30",), 0)


def test_the_shipped_recipes_train_what_their_prompts_know() -> None:
    paper = load_recipe("dfpir-paper")
    for kind in paper.mix:
        assert training_label(kind, PRESETS[paper.preset].labels) != UNKNOWN
    assert DFPIRMethod.objective(PRESETS["small"], paper.objective).settings.loss == "l1"


def test_loss_and_identity_start() -> None:
    objective = DFPIRObjective(TINY, DFPIRSettings(identity_start=True, unknown_share=0))
    clean = torch.full((2, 3, 16, 16), 0.5)
    batch = Batch(clean + torch.tensor([0.1, 0.2]).view(2, 1, 1, 1), clean, ("noise:25", "rain:0.5"))
    losses = objective(batch, 0)
    assert losses["loss"].item() == pytest.approx(0.15)
    torch.testing.assert_close(objective.restore(batch.degraded, batch.labels), batch.degraded)
    losses["loss"].backward()
    assert all(parameter.grad is not None for parameter in objective.parameters())
    DFPIRNet(TINY).load_state_dict(objective.exported(objective.state_dict()), strict=True)


@pytest.mark.parametrize("settings", [{"loss": "l2"}, {"unknown_share": 1.5}, {"stage": "last"}, {"stranger": 1}])
def test_settings_that_make_no_sense(settings: dict) -> None:
    with pytest.raises(UsageError, match=r"\[objective\] of the recipe"):
        DFPIRMethod.objective(TINY, settings)


FINE = replace(TINY, fine_labels=("noise-25", "jpeg"))


@torch.no_grad()
def test_the_fine_labels_have_a_network_of_their_own() -> None:
    network = shaken(DFPIRNet(FINE)).eval()
    alone = DFPIRNet(TINY).eval()
    alone.load_state_dict({key: each for key, each in network.state_dict().items() if not key.startswith("fine.")})
    x = torch.rand(3, 3, 16, 16)
    prompts = torch.tensor([LABELS.index(label) for label in ("jpeg", "rain", "noise-25")])
    both, first = network(x, prompts), alone(x, prompts)
    torch.testing.assert_close(both[1], first[1])
    assert network.fine is not None
    torch.testing.assert_close(both[[0, 2]], network.fine(x[[0, 2]], prompts[[0, 2]]))
    assert (both[[0, 2]] - first[[0, 2]]).abs().amax((1, 2, 3)).min() > 0.01
    assert network(x[1:2], prompts[1:2]).shape == x[1:2].shape


def test_the_fine_stage_begins_as_the_first_network_and_trains_the_second_alone() -> None:
    objective = DFPIRObjective(FINE, DFPIRSettings(stage="fine", unknown_share=0))
    first = shaken(DFPIRNet(TINY)).state_dict()
    begun = objective.translated("dfpir", first)
    # Its further block changes nothing until it is learned.
    assert not objective.network.load_state_dict(begun, strict=False).unexpected_keys
    x = torch.rand(2, 3, 16, 16)
    batch = Batch(x, x * 0.9, ("photo-noise", "jpeg:30"))
    with pytest.raises(UsageError, match="'fine' is not for 'photo-noise'"):
        objective(batch, 0)
    batch = replace(batch, labels=("noise:22", "jpeg:30"))
    expected = DFPIRObjective(TINY, DFPIRSettings(unknown_share=0))
    expected.network.load_state_dict(first)
    torch.testing.assert_close(objective(batch, 0)["loss"], expected(batch, 0)["loss"])
    objective(batch, 0)["loss"].backward()
    learned = {name for name, parameter in objective.network.named_parameters() if parameter.grad is not None}
    assert learned
    assert all(name.startswith("fine.") for name in learned)
    trained = objective.exported(objective.state_dict())
    assert objective.translated("dfpir", trained).keys() == trained.keys()
    with pytest.raises(UsageError, match="fine_labels"):
        DFPIRMethod.objective(TINY, {"stage": "fine"})
    with pytest.raises(ValueError, match="'blurr'"):
        replace(TINY, fine_labels=("blurr",))


@pytest.mark.parametrize("name", [name for name in shipped() if name.startswith("dfpir-")])
def test_only_the_fine_stages_have_the_second_network(name: str) -> None:
    """One that an earlier stage left as it began would answer for noise, and the fine stage would begin with it."""
    recipe = load_recipe(name)
    assert bool(PRESETS[recipe.preset].fine_labels) == (recipe.objective.get("stage") == "fine")
    if recipe.objective.get("stage") == "fine":
        assert {training_label(kind, LABELS) for kind in recipe.mix} <= set(FINE_LABELS)


def test_the_backbone_of_ndr_arrives() -> None:
    sizes = {"dim": 8, "blocks": (1, 2, 1, 1), "refinement_blocks": 1}
    ndr = NDRConfig(**sizes, block="nafnet", residual=True)
    dictionary = torch.nn.Parameter(torch.randn(1, ndr.atoms, ndr.atom_dim))
    theirs = shaken(RestorationNet(ndr, dictionary)).eval()
    objective = DFPIRObjective(DFPIRConfig(**sizes, block="nafnet", labels=LABELS), DFPIRSettings())
    found = objective.translated("ndr", theirs.state_dict())
    expected = objective.exported(objective.state_dict())
    missing = {key for key in expected if key not in found}
    assert missing == {key for key in expected if key.startswith(PERTURBATIONS)}
    assert all(found[key].shape == expected[key].shape for key in found)
    assert objective.translated("dfpir", found) == found

    network = objective.network
    network.load_state_dict(expected | found)
    x, skip, up = torch.rand(1, 3, 16, 16), torch.rand(1, 32, 4, 4), torch.rand(1, 32, 4, 4)
    with torch.no_grad():
        ours = network.decoder_level3(network.reduce_chan_level3(torch.cat([up, skip], 1)))
        torch.testing.assert_close(ours, theirs.block_up3(torch.cat([skip, up], 1)))
        torch.testing.assert_close(
            network.encoder_level2(network.down1_2(network.encoder_level1(network.patch_embed(x)))),
            theirs.block2(theirs.pool1(theirs.block1(theirs.extractor(x)))),
        )


def test_orders_survive_a_float16_weights_file_and_damage_is_named(tmp_path: Path) -> None:
    config = DFPIRConfig(dim=48, blocks=(0, 0, 0, 0), refinement_blocks=0, block="nafnet", labels=("rain", "haze"))
    network = DFPIRNet(config)
    tensors = network.state_dict()
    write_weights(tmp_path / "w.safetensors", "dfpir", config, tensors, {}, half=True)
    weights = read_weights(tmp_path / "w.safetensors")
    assert DFPIRMethod.config_from(weights.header["config"]) == config
    again = DFPIRNet(config)
    for name in PERTURBATIONS:
        again.get_submodule(name).order.zero_()
    again.load_state_dict(weights.tensors)
    for name in PERTURBATIONS:
        assert torch.equal(again.get_submodule(name).order, tensors[f"{name}.order"])
    weights.tensors["latent_shuffle_channel.order"][1, 0] = 5000
    with pytest.raises(AirtoolError, match="an order of channels is no permutation"):
        again.load_state_dict(weights.tensors)


@pytest.mark.parametrize(
    "values", [{"gamma": 0}, {"gamma": 1.1}, {"labels": []}, {"labels": ["a", "a"]}, {"dim": 200}, {"block": "x"}]
)
def test_configs_that_make_no_sense(values: dict) -> None:
    with pytest.raises(AirtoolError, match="describes no DFPIR network"):
        DFPIRMethod.config_from(values)
