"""The contract between a method's training and the training loop."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Batch:
    """Training samples."""

    degraded: Tensor
    """(N, 3, H, W) float32 RGB in [0, 1]."""
    clean: Tensor
    """Ground truth, as `degraded`."""
    labels: tuple[str, ...]
    """What was done to each: "clean", or degradations in order, with their amounts: "rain:0.42,noise:11.3"."""


class Objective(nn.Module):
    """Everything of a method that is trained, with its loss as the forward pass."""

    @abstractmethod
    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Losses of one batch, scalars by name; "loss" is the one to minimise, the others are for the log."""

    @abstractmethod
    def restore(self, degraded: Tensor, labels: Sequence[str]) -> Tensor:
        """Restore a batch as the finished method will, for validation.

        degraded: as in `Batch`, and so is the result. labels: as in `Batch`, for methods that have to be told.
        """

    def translated(self, method: str, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Weights of another method under the names that `exported` gives, for a warm start. Unchanged by default."""
        return tensors

    @abstractmethod
    def exported(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The part of a state dict of this module that a weights file holds, under the network's own keys."""
