"""The second network for the details of Up-Restorer and Defusion (NDR-Restore's: test_ndr_objective)."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from test_defusion import LOCAL
from test_defusion import PICTURE as LARGER
from test_up_restorer_training import BATCH, TINY_LOCAL, pictures, scattered
from torch import Tensor, nn

from airtool.degradations import lies_in_details
from airtool.diffusion.ddim import result
from airtool.errors import UsageError
from airtool.methods.base import Request
from airtool.methods.defusion.method import PRESETS as DEFUSION_PRESETS
from airtool.methods.defusion.method import DefusionMethod
from airtool.methods.defusion.objective import DegradationObjective
from airtool.methods.objective import Batch, Objective
from airtool.methods.up_restorer.method import PRESETS, UpRestorerMethod
from airtool.methods.up_restorer.objective import UpRestorerObjective
from airtool.methods.weights import embedded_path, read_weights
from airtool.training.recipe import load_recipe, shipped

PAIR = replace(TINY_LOCAL, fine=True)
TOLD_PAIR = replace(LOCAL, fine_names=("noise", "jpeg"))
DETAILS = replace(BATCH, labels=("jpeg:20", "noise:9", "defocus:2,noise:3"))


def up_restorer(**settings: Any) -> UpRestorerObjective:
    torch.manual_seed(0)
    made = UpRestorerMethod.objective(PAIR, settings)
    scattered(made)
    return made


def defusion(**settings: Any) -> DegradationObjective:
    torch.manual_seed(0)
    made = DefusionMethod.objective(TOLD_PAIR, settings)
    assert isinstance(made, DegradationObjective)
    scattered(made)
    return made


def learned(objective: Objective) -> set[str]:
    names = {name for name, parameter in objective.named_parameters() if parameter.grad is not None}
    return {name.removeprefix("network.").partition(".")[0] for name in names}


def biased(share: nn.Module, bias: float) -> None:
    with torch.no_grad():
        share.last.weight.mul_(0.01)
        share.last.bias.fill_(bias)


def trained_to_choose(objective: Objective, batch: Batch) -> dict[str, Tensor]:
    optimiser = torch.optim.Adam([each for each in objective.parameters() if each.requires_grad], 0.01)
    for _ in range(60):
        optimiser.zero_grad()
        found = objective(batch, 0)
        found["loss"].backward()
        optimiser.step()
    return found


@torch.no_grad()
@pytest.mark.parametrize(("bias", "parts"), [(-50.0, "first"), (50.0, "fine"), (0.0, "both")])
def test_up_restorer_chooses_by_what_its_encoder_sees(bias: float, parts: str) -> None:
    method = UpRestorerMethod(PAIR)
    method.network.load_state_dict(up_restorer().network.state_dict())
    network = method._net
    assert network.fine is not None
    biased(network.fine_share, bias)
    picture, request = pictures(1, 3, 16, 24), Request(seeds=(3,))
    [(_, start)] = method._started(picture, request)
    first, fine = (
        (result(each.trajectory(2 * picture - 1, start)) + 1) / 2
        for each in (network, network.fine)
    )  # fmt: skip
    assert (first - fine).abs().max() > 0.01
    share = method.survey(picture)
    assert share is not None
    torch.testing.assert_close(method.restore(picture, request), torch.lerp(first, fine, share))
    assert (0 < share < 1) == (parts == "both")
    assert parts == "both" or share == float(parts == "fine")
    # What the whole picture was found to be overrules what a tile looks like, in what is shown as well.
    for survey, wanted in ((0.0, first), (1.0, fine)):
        torch.testing.assert_close(method.restore(picture, replace(request, survey=survey)), wanted)
    seen = [method.explain(picture, replace(request, survey=survey))["transmission"] for survey in (0.0, 1.0)]
    assert not torch.equal(*seen)
    assert UpRestorerMethod(TINY_LOCAL).survey(picture) is None


@pytest.mark.parametrize("stage", ["noise", "unrolled"])
def test_the_second_network_of_up_restorer_begins_as_the_first_and_learns_alone(stage: str) -> None:
    first = scattered(UpRestorerMethod.objective(TINY_LOCAL, {}))
    objective = up_restorer(part="fine", stage=stage)
    begun = objective.translated("up-restorer", first.exported(first.state_dict()))
    loaded = objective.network.load_state_dict(begun, strict=False)
    assert not loaded.unexpected_keys
    # Its further block changes nothing until it is learned, but here every block was moved.
    extra = ("fine.backbone.decoder_level1.2.", "fine_share.")
    assert all(key.startswith(extra) for key in loaded.missing_keys)
    objective(DETAILS, 0)["loss"].backward()
    assert learned(objective) == {"fine"}
    with pytest.raises(UsageError, match="second network is not for 'clean'"):
        objective(BATCH, 0)
    again = objective.translated("up-restorer", objective.exported(objective.state_dict()))
    assert again.keys() == objective.network.state_dict().keys()


def test_what_chooses_learns_to_tell_details_from_scenes() -> None:
    clean = pictures(2, 3, 32, 32)
    noisy, veiled = (clean + 0.1 * torch.randn(clean.shape)).clamp(0, 1), clean * 0.3 + 0.6
    batch = Batch(torch.cat([noisy, veiled]), torch.cat([clean] * 2), ("noise:25", "jpeg:10", "haze:0.6", "rain"))
    for objective in (up_restorer(part="share"), defusion(part="share")):
        before = float(objective(batch, 0)["loss"].detach())
        found = trained_to_choose(objective, batch)
        assert found["loss"] < 0.5 * before
        assert found["right"] == 1
        assert learned(objective) == {"fine_share"}


@torch.no_grad()
def test_defusion_asks_the_second_u_net_for_what_it_is_for_and_nothing_else() -> None:
    method = DefusionMethod(TOLD_PAIR)
    method.network.load_state_dict(defusion().network.state_dict())
    network = method._net
    assert network.fine is not None
    asked: list[str] = []
    for name, unet in (("first", network.unet), ("fine", network.fine)):
        unet.register_forward_hook(lambda *_, name=name: asked.append(name))

    def who(*names: str) -> set[str]:
        asked.clear()
        method.restore(LARGER, Request(seeds=(1,), degradation=names))
        return set(asked)

    assert who("noise:30") == who("noise", "jpeg:20") == {"fine"}
    assert who("rain") == who("rain", "noise") == who("defocus") == {"first"}
    assert who() == set()

    # An example has no name: its tokens say it.
    shown = method.instruction(Request(degradation=("noise:40",)))
    pair = Request(seeds=(1,), instruction=(shown.clean, shown.degraded))
    alone = {}
    for bias in (-50.0, 50.0):
        biased(network.fine_share, bias)
        asked.clear()
        alone[bias] = method.restore(LARGER, pair)
        assert set(asked) == {"fine" if bias > 0 else "first"}
    biased(network.fine_share, -1.0)
    share = network.share_of(network.instructed([shown]))
    assert 0 < share < 1
    torch.testing.assert_close(method.restore(LARGER, pair), torch.lerp(alone[-50.0], alone[50.0], share))


def test_the_second_u_net_learns_alone_and_is_never_told_what_it_is_not_for(monkeypatch: pytest.MonkeyPatch) -> None:
    objective = defusion(part="fine", further=["noise"], **{"measured": "restored", "loss": "psnr", "floor": [[0, 1]]})
    told: list[tuple[str, ...]] = []
    tokens = objective._tokens
    monkeypatch.setattr(
        objective, "_tokens", lambda wanted, generator: told.extend(wanted) or tokens(wanted, generator)
    )
    batch = Batch(LARGER.repeat(3, 1, 1, 1), LARGER.repeat(3, 1, 1, 1), ("rain:0.8", "haze:0.5,noise:9", "noise:30"))
    for step in range(12):
        objective(batch, step)["loss"].backward()
    assert learned(objective) == {"fine"}
    names = {each.partition(":")[0] for wanted in told for each in wanted}
    assert names == {"noise", "jpeg"}


def test_the_second_u_net_begins_as_the_first() -> None:
    objective = defusion(part="fine")
    first = {key: each for key, each in objective.network.state_dict().items() if not key.startswith("fine")}
    begun = objective.translated("defusion", first)
    assert torch.equal(begun["fine.latent.0.conv1.weight"], first["unet.latent.0.conv1.weight"])
    assert begun.keys() >= first.keys()
    loaded = objective.network.load_state_dict(begun, strict=False)
    assert not loaded.unexpected_keys
    assert all(key.startswith(("fine.decoder_level1.2.", "fine_share.")) for key in loaded.missing_keys)


@pytest.mark.parametrize(("method", "presets"), [(UpRestorerMethod, PRESETS), (DefusionMethod, DEFUSION_PRESETS)])
def test_second_networks_begin_with_the_embedded_second_correction(method: Any, presets: Any) -> None:
    theirs = read_weights(embedded_path("autodir", "small")).tensors
    objective = method.objective(presets["small"], {"part": "fine"})
    own, given = objective.exported(objective.state_dict()), objective.translated("autodir", theirs)
    assert len(given) > 280
    assert {key: own[key].shape for key in given} == {key: tensor.shape for key, tensor in given.items()}
    key = next(key for key in given if key.endswith("latent.0.conv1.weight"))
    assert key.startswith("fine.")
    assert torch.equal(given[key], theirs["fine_corrector.latent.0.conv1.weight"])


def test_parts_of_a_second_network_need_one() -> None:
    for method, config, said in (
        (UpRestorerMethod, TINY_LOCAL, "fine = true"),
        (DefusionMethod, LOCAL, "fine_names"),
    ):
        for part in ("fine", "share"):
            with pytest.raises(UsageError, match=said):
                method.objective(config, {"part": part})
        with pytest.raises(UsageError, match="part must be one of"):
            method.objective(config, {"part": "second"})
    for change in ({"fine_names": ("fog",)}, {"fine_names": ("noise",), "condition": "none"}):
        with pytest.raises(ValueError, match="fine_names must be"):
            replace(LOCAL, **change)


@pytest.mark.parametrize(
    "name", [name for name in shipped() if name.startswith(("up-restorer-small", "defusion-small"))]
)
def test_only_recipes_of_the_second_network_have_it(name: str) -> None:
    """One that an earlier stage left as it began would answer for noise, and the fine stage would begin with it.

    "scene" comes after the stage that trains it.
    """
    recipe = load_recipe(name)
    presets = PRESETS if recipe.method == "up-restorer" else DEFUSION_PRESETS
    config: Any = presets[recipe.preset]
    part = recipe.objective.get("part", "first")
    has_second = bool(config.fine if recipe.method == "up-restorer" else config.fine_names)
    assert has_second == (part != "first" or name.endswith("-scene"))
    if part == "fine" and recipe.method == "up-restorer":
        assert all(lies_in_details(kind.replace("+", ",")) for kind in recipe.mix)


def test_the_small_presets_second_networks_are_for_the_details() -> None:
    config = DEFUSION_PRESETS["small"]
    assert all(lies_in_details(name) == (name in config.fine_names) for name in config.names)
    assert np.isin(["noise", "photo-noise", "jpeg", "downsample"], config.fine_names).all()
