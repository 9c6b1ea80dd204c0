"""Exponential moving average of weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class EMA:
    """average <- decay * average + (1 - decay) * weights, after every step.

    The decay grows from 0.1 with the number of steps, (1 + step) / (10 + step), so that the average does not
    remember the untrained start.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.average = {key: tensor.detach().clone() for key, tensor in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after step number `step` (from 0)."""
        weight = 1.0 - min(self.decay, (1 + step) / (10 + step))
        for key, tensor in network.state_dict().items():
            average = self.average[key]
            if average.is_floating_point():
                average.lerp_(tensor.to(average.dtype), weight)
            else:
                average.copy_(tensor)

    def load(self, average: Mapping[str, Tensor]) -> None:
        """Take over a saved average."""
        for key, tensor in average.items():
            self.average[key].copy_(tensor)

    @contextmanager
    def applied(self, network: nn.Module) -> Iterator[None]:
        """The network with the averaged weights, for as long as the block lasts."""
        current = {key: tensor.detach().clone() for key, tensor in network.state_dict().items()}
        network.load_state_dict(self.average)
        try:
            yield
        finally:
            network.load_state_dict(current)
