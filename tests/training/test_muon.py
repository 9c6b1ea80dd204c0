"""Muon and the choice of optimisers: what is made orthogonal, what is left to AdamW, and a state that comes back."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from airtool.errors import UsageError
from airtool.training.muon import Muon, orthogonal
from airtool.training.optimiser import Optimiser
from airtool.training.recipe import Recipe, load_recipe, recipe_from


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.Flatten(), nn.LazyLinear(2)
    )


def recipe(**changes: object) -> Recipe:
    return replace(load_recipe("ndr-small"), optimiser="muon", **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(16, 16), (8, 72), (96, 12)])
def test_a_step_has_singular_values_near_one_and_the_gradients_directions(shape: tuple[int, int]) -> None:
    torch.manual_seed(1)
    u, s, v = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    # A condition number of a thousand: the weak directions are to count as much as the strong ones.
    matrix = u @ torch.diag(torch.logspace(0, -1.5, len(s))) @ v
    found = orthogonal(matrix)
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.6
    assert values.max() < 1.3
    inside = u.T @ found @ v.T
    assert inside.diagonal().min() > 0.6
    assert (inside - torch.diag(inside.diagonal())).abs().max() < 0.1


def test_muon_moves_every_output_equally_far_and_skips_what_has_no_gradient() -> None:
    weights = [
        nn.Parameter(torch.zeros(4, 9, 3, 3)),
        nn.Parameter(torch.ones(64, 4, 1, 1)),
        nn.Parameter(torch.ones(2, 2, 1, 1)),
    ]
    optimiser = Muon(weights, lr=0.1)
    torch.manual_seed(2)
    for weight in weights[:2]:
        weight.grad = torch.randn_like(weight)
    optimiser.step()
    wide, tall = weights[0].detach(), weights[1].detach() - 1
    assert wide.reshape(4, -1).norm(dim=1).mean() == pytest.approx(0.1, rel=0.3)
    # sqrt(64 / 4) times the step of an orthogonal 64 x 4 matrix, whose rows have a mean square length of 4 / 64.
    assert tall.reshape(64, -1).norm() == pytest.approx(0.1 * 4 * 2, rel=0.3)
    assert torch.equal(weights[2], torch.ones(2, 2, 1, 1))


def test_convolutions_over_several_channels_go_to_muon_and_the_rest_to_adamw() -> None:
    network = net()
    network(torch.rand(1, 3, 9, 9))
    optimiser = Optimiser(network, recipe())
    chosen = [tuple(each.shape) for each in optimiser.parts["muon"].param_groups[0]["params"]]
    assert chosen == [(8, 3, 3, 3), (8, 8, 1, 1)]
    assert len(optimiser.parts["adamw"].param_groups[0]["params"]) == len(list(network.parameters())) - 2
    assert set(Optimiser(network, replace(recipe(), optimiser="adamw")).parts) == {"adamw"}


def test_it_learns_and_goes_on_from_a_saved_state_as_if_nothing_had_happened() -> None:
    x = torch.rand(4, 3, 9, 9, generator=torch.Generator().manual_seed(3))

    def go(network: nn.Module, optimiser: Optimiser, steps: int) -> list[float]:
        losses = []
        for _ in range(steps):
            loss = (network(x) - 1).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step(0.5)
            losses.append(loss.item())
        return losses

    network = net()
    network(x)
    optimiser = Optimiser(network, recipe())
    first = go(network, optimiser, 5)
    state = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    saved = torch.load(_written(optimiser.state_dict()), weights_only=True)
    then = go(network, optimiser, 5)
    assert then[-1] < first[0]
    again = net()
    again(x)
    again.load_state_dict(state)
    resumed = Optimiser(again, recipe())
    resumed.load_state_dict(saved)
    assert go(again, resumed, 5) == then


def _written(state: dict[str, object]) -> object:
    import io

    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return buffer


def test_an_unknown_optimiser_is_refused() -> None:
    table = {
        "name": "x", "method": "ndr", "preset": "small", "clean": ["a"], "validation": "b", "mix": {"noise": 1.0},
        "optimiser": "sgd",
    }  # fmt: skip
    with pytest.raises(UsageError, match="'adamw' or 'muon', not 'sgd'"):
        recipe_from(table, "x")
