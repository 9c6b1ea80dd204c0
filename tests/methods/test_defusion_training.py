"""The two stages of Defusion's training, and its start from NDR-Restore's weights."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_defusion import ADM, LOCAL, PICTURE, pictures, scattered
from torch import Tensor, nn

from airtool.degradations import DEGRADATIONS
from airtool.errors import UsageError
from airtool.methods.base import Request
from airtool.methods.defusion.config import DefusionConfig
from airtool.methods.defusion.local_unet import LocalUNetConfig
from airtool.methods.defusion.method import PRESETS, DefusionMethod
from airtool.methods.defusion.objective import DegradationObjective, instructed
from airtool.methods.defusion.tokenizer_objective import TokenizerObjective
from airtool.methods.ndr.network import NDRConfig, RestorationNet
from airtool.methods.objective import Batch, Objective
from airtool.methods.weights import read_weights, write_weights
from airtool.networks.patch_discriminator import discriminator_loss, generator_loss
from airtool.training.recipe import load_recipe, shipped

DEGRADED, CLEAN = pictures(2, 3, 3, 32, 32)
BATCH = Batch(DEGRADED, CLEAN, ("clean", "noise:30", "rain:0.8,noise:9"))
RESTORED: dict[str, Any] = {
    "measured": "restored",
    "loss": "psnr",
    "floor": [[0, 1e-3]],
    "times": "sampled",
    "own_estimate": True,
}


def objective(config: DefusionConfig = LOCAL, **settings: Any) -> Objective:
    torch.manual_seed(0)
    objective = DefusionMethod.objective(config, settings)
    scattered(objective)
    return objective


def stage_two(config: DefusionConfig = LOCAL, **settings: Any) -> DegradationObjective:
    found = objective(config, **settings)
    assert isinstance(found, DegradationObjective)
    return found


def stage_one(**settings: Any) -> TokenizerObjective:
    found = objective(stage="tokenizer", **settings)
    assert isinstance(found, TokenizerObjective)
    return found


@pytest.mark.parametrize("settings", [{"stage": "tokenizer", "restart_every": 2, "crop_share": 0.5}, RESTORED])
def test_what_is_random_depends_on_the_step_alone(settings: dict[str, Any]) -> None:
    """So a run that was resumed sees what an uninterrupted one sees."""
    first = objective(**settings)
    steps = [float(first(BATCH, step)["loss"].detach()) for step in (0, 1, 3)]
    torch.manual_seed(99)
    resumed = objective(**settings)
    resumed.load_state_dict(first.state_dict())
    torch.rand(3)
    assert float(resumed(BATCH, 3)["loss"].detach()) == steps[2]
    assert len(set(steps)) == 3


@pytest.mark.parametrize("prediction", ["eps", "x0", "v"])
@pytest.mark.parametrize(
    ("config", "settings"),
    [(ADM, {}), (LOCAL, {}), (LOCAL, {"times": "sampled", "first_share": 0.0, "own_estimate": True})],
    ids=["adm", "local", "own-estimate"],
)
def test_the_published_loss_is_the_error_of_the_prediction(
    config: DefusionConfig, settings: dict[str, Any], prediction: Any
) -> None:
    """Whatever the network is shown, what is asked of it leads to the truth."""
    made = stage_two(replace(config, prediction=prediction), **settings)
    network = made.network
    degraded, clean, tokens = 2 * DEGRADED - 1, 2 * CLEAN - 1, pictures(3, 5, 8)
    seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def spy(_module: nn.Module, inputs: tuple[Any, ...], predicted: Tensor) -> None:
        seen.append((inputs[0], inputs[2], predicted))

    network.register_forward_hook(spy)
    loss = made.loss(degraded, clean, tokens, torch.Generator().manual_seed(3), 0)["loss"]
    noisy, t, predicted = seen[-1]
    y0 = network.config.gain * (degraded - clean)
    signal = network.schedule.alpha_bar[t].view(-1, 1, 1, 1)
    noise = (noisy - signal.sqrt() * y0) / (1 - signal).sqrt()
    wanted = {"eps": noise, "x0": y0, "v": signal.sqrt() * noise - (1 - signal).sqrt() * y0}[prediction]
    torch.testing.assert_close(loss, (predicted - wanted).square().mean())
    assert len(set(t.tolist())) > 1 or settings


def test_later_evaluations_learn_from_what_the_first_one_predicts() -> None:
    made = stage_two(**RESTORED, first_share=0.0)
    network = made.network
    degraded, tokens = 2 * DEGRADED - 1, pictures(3, 5, 8)
    seen: list[Tensor] = []
    network.register_forward_hook(lambda _module, inputs, _out: seen.append(inputs[0]))
    losses = [
        made.loss(degraded, target, tokens, torch.Generator().manual_seed(4), 0)["loss"]
        for target in (degraded, 0.5 * degraded)
    ]
    assert losses[0] != losses[1]
    assert len(seen) == 4
    # The truth is in the input of the first evaluation under nearly pure noise, and no further on.
    torch.testing.assert_close(seen[0], seen[2], atol=0.05, rtol=0)
    torch.testing.assert_close(seen[1], seen[3], atol=0.05, rtol=0)
    with torch.no_grad():
        estimate = next(network.trajectory(degraded, seen[0], tokens)).x0
    # Further evaluations are reached from the first one's estimate directly; there is hardly any signal at 999.
    reached = [network.schedule.diffuse(estimate, seen[0], torch.full((3,), t)) for t in network.times[1:]]
    assert sum(torch.allclose(seen[1], each, atol=1e-3) for each in reached) == 1


def test_some_samples_are_told_nothing_and_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    made = stage_two(null_share=1.0)
    samples: list[tuple[Tensor, Tensor, Tensor]] = []

    def spy(degraded: Tensor, target: Tensor, tokens: Tensor, *_rest: Any) -> dict[str, Tensor]:
        samples.append((degraded, target, tokens))
        return {}

    monkeypatch.setattr(made, "loss", spy)
    made(BATCH, 0)
    degraded, target, tokens = samples[0]
    assert torch.equal(degraded, target)
    assert not tokens.any()
    never = stage_two(null_share=0.0)
    monkeypatch.setattr(never, "loss", spy)
    never(BATCH, 0)
    degraded, target, tokens = samples[1]
    torch.testing.assert_close(target, 2 * CLEAN - 1)
    assert tokens[1].any()
    assert tokens[2].any()


def test_an_instruction_is_of_the_same_kind_but_of_another_strength() -> None:
    rng = np.random.default_rng(0)
    shown = [instructed(("rain:0.8", "noise:9"), rng) for _ in range(200)]
    assert {tuple(step.name for step in each) for each in shown} == {("rain", "noise")}
    amounts = np.array([each[1].amount for each in shown])
    low, high = DEGRADATIONS["noise"].training
    assert amounts.min() > low
    assert amounts.max() < high
    assert len(set(amounts.tolist())) == 200
    assert abs(np.median(amounts) - DEGRADATIONS["noise"].default) < 2


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        (LOCAL, RESTORED),
        (ADM, {}),
        (replace(LOCAL, condition="label"), {}),
        (replace(LOCAL, condition="none"), {}),
        (replace(LOCAL, space="image"), RESTORED),
        (LOCAL, {"stage": "tokenizer", "pixels": "l1", "restart_every": 1}),
    ],
    ids=["local", "adm", "label", "none", "image", "tokenizer"],
)
def test_both_stages_learn_what_is_theirs(config: DefusionConfig, settings: dict[str, Any], tmp_path: Path) -> None:
    made = objective(config, **{"null_share": 0.0, **settings} if "stage" not in settings else settings)
    before = {key: each.detach().clone() for key, each in made.named_parameters()}
    optimiser = torch.optim.AdamW(made.parameters(), lr=3e-3, weight_decay=0.0)
    losses = []
    for _ in range(4):
        # The same step again and again: the same chance, so that the loss can only fall by learning.
        loss = made(BATCH, 1)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    tokenizes = settings.get("stage") == "tokenizer"
    # Told nothing, an adapter has nothing to learn from.
    deaf = ("attention", "summary") if config.condition == "none" else ()
    for key, each in made.named_parameters():
        if not any(word in key for word in deaf) and "to_k_ip" not in key and "to_q" not in key:
            assert torch.equal(each, before[key]) == (("tokenizer" in key) != tokenizes), key
    path = tmp_path / "weights.safetensors"
    write_weights(path, "defusion", config, made.exported(made.state_dict()), {}, half=False)
    weights = read_weights(path)
    method = DefusionMethod(DefusionMethod.config_from(weights.header["config"]))
    method.network.load_state_dict(weights.tensors, strict=True)
    if not tokenizes:
        with torch.no_grad():
            validated = made.restore(PICTURE, ("rain:0.8,noise:9",))
        restored = method.restore(PICTURE, Request((0,), ("rain:0.8", "noise:9")))
        # Predicting the noise at the last time step magnifies rounding 157 times.
        torch.testing.assert_close(validated, restored, atol=1e-3 if config.prediction == "eps" else 1e-5, rtol=1e-4)
        assert torch.equal(made.restore(PICTURE, ("clean",)), PICTURE) == (config.condition != "none")


def test_idle_codes_are_put_where_features_are() -> None:
    made = stage_one(restart_every=2)
    book = made.tokenizer.quantize.embedding.weight
    with torch.no_grad():
        book.fill_(100.0)
        book[0] = 0.0
    assert made(BATCH, 1)["codes"] == 1
    # Only the code that was used stays.
    assert made(BATCH, 2)["codes"] > 3
    assert torch.equal(book[0], torch.zeros_like(book[0]))
    assert (book < 100).all()
    unused = book.detach().clone()
    made(BATCH, 3)
    assert torch.equal(book, unused)


def test_grounds_and_crops_are_looked_at() -> None:
    only_crops = stage_one(crop_share=1.0)
    seen = only_crops._shown(BATCH, torch.Generator().manual_seed(0)).pictures
    for row, picture in zip(seen, 2 * DEGRADED - 1, strict=True):
        assert torch.equal(row, picture) or torch.equal(row, picture.flip(-1))
    grounds = stage_one()._shown(BATCH, torch.Generator().manual_seed(0)).pictures
    assert grounds.shape == (3, 3, 32, 32)
    assert not torch.allclose(grounds[1], seen[1])
    with pytest.raises(UsageError, match="looks at 32 pixels"):
        only_crops(Batch(DEGRADED[..., :24], CLEAN[..., :24], BATCH.labels), 0)


def test_a_discriminator_can_judge_the_tokenizer() -> None:
    made = stage_one(adversarial_weight=0.8, adversarial_from=1)
    assert "adversarial" not in made(BATCH, 0)
    losses = made(BATCH, 1)
    assert made.discriminator is not None
    losses["loss"].backward()
    # The decoder's loss must not train the discriminator, nor the other way round.
    alone = stage_one(adversarial_weight=0.8, adversarial_from=1)
    assert alone.discriminator is not None
    pictures = alone._shown(BATCH, torch.Generator().manual_seed(1)).pictures
    rebuilt = alone.tokenizer(pictures)[0].detach()
    discriminator_loss(alone.discriminator(pictures), alone.discriminator(rebuilt)).backward()
    for one, other in zip(made.discriminator.parameters(), alone.discriminator.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-4, rtol=1e-2)
    assert generator_loss(torch.tensor([1.0, 3.0])) == -2
    assert discriminator_loss(torch.tensor([2.0, 0.0]), torch.tensor([-2.0, 1.0])) == 0.5 * (0.5 + 1.0)


def test_a_reader_can_ask_for_the_name_of_the_damage() -> None:
    made = stage_one(naming_weight=0.5, clean_share=0.0)
    shown = made._shown(BATCH, torch.Generator().manual_seed(1))
    assert shown.grounds.tolist() == [1, 2]
    named = [[name for name, has in zip(LOCAL.names, row, strict=True) if has] for row in shown.names]
    assert named == [["noise"], ["noise", "rain"]]
    damage = shown.pictures[shown.grounds] - shown.clean
    assert (damage.abs().mean(dim=(1, 2, 3)) > 0.01).all()
    # Noise alone adds up to nothing: both are the same part of the same ground, mirrored alike.
    assert abs(float(damage[0].mean())) < 0.02
    plain = stage_one(clean_share=0.0)(BATCH, 1)
    losses = made(BATCH, 1)
    torch.testing.assert_close(losses["loss"], plain["loss"] + 0.5 * losses["naming"])
    made._naming(made.reader, made.tokenizer.encode(shown.pictures)[shown.grounds], shown).backward()
    assert made.tokenizer.encoder.conv_in.weight.grad.abs().max() > 0
    assert not [key for key in made.exported(made.state_dict()) if "reader" in key]


def test_ndr_gives_its_backbone() -> None:
    """Without recognition in its skips, and with nothing at the border, every evaluation is NDR-Restore."""
    ndr = RestorationNet(NDR, nn.Parameter(torch.randn(1, NDR.atoms, NDR.atom_dim))).eval()
    scattered(ndr).requires_grad_(False)
    for key, parameter in ndr.named_parameters():
        if ".inject_degradation.f." in key or ".inject_degradation.g." in key:
            parameter.zero_()
    only_centre = torch.zeros(3, 3)
    only_centre[1, 1] = 1
    ndr.extractor.weight.mul_(only_centre)
    torch.manual_seed(0)
    made = DefusionMethod.objective(replace(LOCAL, unet=LocalUNetConfig(dim=8, blocks=(1, 3, 2, 2))), {})
    own = made.exported(made.state_dict())
    found = made.translated("ndr", ndr.state_dict())
    with torch.no_grad():
        taken = [own[key].copy_(found[key]) for key in own if key in found and own[key].shape == found[key].shape]
    assert len(taken) > 170
    restored = made.restore(PICTURE, ("rain:0.8",))
    torch.testing.assert_close(restored, ndr(PICTURE).clamp(0, 1), atol=1e-4, rtol=1e-3)
    assert not torch.allclose(restored, PICTURE, atol=1e-2)
    image = DefusionMethod.objective(replace(LOCAL, space="image"), {})
    assert not [key for key in image.translated("ndr", ndr.state_dict()) if ".output." in key]


NDR = NDRConfig(dim=8, blocks=(1, 2, 1, 1), refinement_blocks=1, block="nafnet", residual=True, rank=2)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"stage": "third"}, "stage must be one of tokenizer, degradation"),
        ({"speed": 1}, "speed"),
        ({"null_share": 2}, "null_share"),
        ({"own_estimate": True}, "times = 'sampled'"),
        ({"loss": "l3"}, "loss must be"),
        ({"idle_share": 2}, "idle_share"),
        ({"stage": "tokenizer", "pixels": "l3"}, "pixels must be"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        DefusionMethod.objective(LOCAL, settings)
    with pytest.raises(UsageError, match="condition 'instruction' only"):
        DefusionMethod.objective(replace(LOCAL, condition="none"), {"stage": "tokenizer"})


def test_pairs_without_a_label_are_refused() -> None:
    with pytest.raises(UsageError, match=r"give the recipe's \[pairs\] a label"):
        stage_two()(Batch(DEGRADED, CLEAN, ("", "clean", "noise:9")), 0)


def test_shipped_recipes_fit() -> None:
    names = [name for name in shipped() if name.startswith("defusion")]
    assert {"defusion-small", "defusion-small-tokenizer", "defusion-paper", "defusion-ablation-blank"} <= set(names)
    for name in names:
        recipe = load_recipe(name)
        config = PRESETS[recipe.preset]
        with torch.device("meta"):
            DefusionMethod.objective(config, recipe.objective)
        known = {part for kind in recipe.mix if kind not in recipe.pairs for part in kind.split("+")}
        assert known - {"clean"} <= set(config.names)
