"""What a recipe trains with: AdamW for everything, or Muon for the convolutions and AdamW for the rest."""

from typing import Any

import torch
from torch import nn

from airtool.training.muon import Muon
from airtool.training.recipe import Recipe


class Optimiser:
    """The optimisers of one run behind one face. Rates are given as shares of the recipe's peaks."""

    def __init__(self, network: nn.Module, recipe: Recipe) -> None:
        weights = list(network.parameters())
        muon = recipe.optimiser == "muon"
        mixing = [each for each in weights if muon and each.requires_grad and mixes_channels(each)]
        chosen = {id(each) for each in mixing}
        rest = [each for each in weights if id(each) not in chosen]
        adamw = torch.optim.AdamW(rest, lr=recipe.learning_rate, betas=recipe.betas, weight_decay=recipe.weight_decay)
        self.parts: dict[str, torch.optim.Optimizer] = {"adamw": adamw}
        self.peaks = {"adamw": recipe.learning_rate}
        if mixing:
            self.parts["muon"] = Muon(mixing, lr=recipe.muon_rate)
            self.peaks["muon"] = recipe.muon_rate

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for part in self.parts.values():
            part.zero_grad()

    def step(self, share: float) -> None:
        """One step at `share` of every peak rate."""
        for name, part in self.parts.items():
            for group in part.param_groups:
                group["lr"] = share * self.peaks[name]
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """The state of every part by its name."""
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a saved state; a plain state of AdamW, from before there was Muon, too."""
        for name, part in self.parts.items():
            part.load_state_dict(state.get(name, state))


def mixes_channels(weight: torch.Tensor) -> bool:
    """Whether this is the weight of a convolution over several channels, which Muon is for."""
    return weight.ndim == 4 and min(weight.shape[:2]) > 1
