"""The contract between a method's training and the training loop."""

from abc import abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn


class Objective(nn.Module):
    """Everything of a method that is trained, with its loss as the forward pass."""

    @abstractmethod
    def forward(self, degraded: Tensor, clean: Tensor, step: int) -> dict[str, Tensor]:
        """Losses of one batch, scalars by name; "loss" is the one to minimise, the others are for the log.

        degraded, clean: (N, 3, H, W) float32 RGB in [0, 1].
        """

    @abstractmethod
    def restore(self, degraded: Tensor) -> Tensor:
        """Restore a batch as the finished method will, for validation. Same shapes and ranges as in training."""

    @abstractmethod
    def exported(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The part of a state dict of this module that a weights file holds, under the network's own keys."""
