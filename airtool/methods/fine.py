"""Training of methods that have a second network for what lies in a picture's details, `fine`, and what chooses it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airtool.degradations import lies_in_details
from airtool.errors import UsageError

FINE, SHARE = "fine.", "fine_share."
"""Where the names of the second network's layers begin, and those of what chooses between the two."""

Part = Literal["first", "fine", "share"]
"""first: the network, but not the second one. fine: that one alone, from samples that suffer in the details alone; it
begins with what --start-from gives last: another method's layers, or those of the first network where weights of the
method itself have no second. share: how the first network tells which of the two is asked, by binary cross-entropy.
Everything else stays as it is."""


def check_part(part: str, what: str) -> None:
    """Raise ValueError for what is none of `Part`; what: the setting's name."""
    if part not in get_args(Part):
        raise ValueError(f"{what} must be one of {', '.join(get_args(Part))}, not {part!r}")


def learn_only(part: Part, parameters: Iterable[tuple[str, nn.Parameter]]) -> None:
    """Leave a gradient to the parameters of one part; those by the names that a weights file has."""
    for name, parameter in parameters:
        found = "fine" if name.startswith(FINE) else "share" if name.startswith(SHARE) else "first"
        parameter.requires_grad_(found == part)


def check_samples(labels: Sequence[str]) -> None:
    """Raise UsageError for a sample that the second network is not for; labels: as in `Batch`."""
    for label in labels:
        if not lies_in_details(label):
            raise UsageError(f"the second network is not for {label!r}: take it out of the recipe's [mix]")


def share_loss(logits: Tensor, labels: Sequence[str]) -> dict[str, Tensor]:
    """Of what chooses between the two networks, from its logits (N,) for the samples with these labels."""
    wanted = torch.tensor([float(lies_in_details(label)) for label in labels], device=logits.device)
    right = ((logits > 0) == (wanted > 0.5)).float().mean()
    return {"loss": F.binary_cross_entropy_with_logits(logits, wanted), "right": right}


def second_of(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The layers of a method's second network under the names of the first; those of the first where it has none."""
    second = {key.removeprefix(FINE): tensor for key, tensor in tensors.items() if key.startswith(FINE)}
    return second or {key: tensor for key, tensor in tensors.items() if not key.startswith(SHARE)}


def begun(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A second network that begins with these layers, those of a first one."""
    return {f"{FINE}{key}": tensor for key, tensor in tensors.items() if not key.startswith((FINE, SHARE))}
