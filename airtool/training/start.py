"""Beginning a run from weights that exist: fine-tuning, or one method borrowing the backbone of another."""

from pathlib import Path

import torch

from airtool.errors import UsageError
from airtool.methods.objective import Objective
from airtool.methods.weights import read_weights


def start_from(objective: Objective, path: Path) -> tuple[int, int]:
    """Copy every tensor of a weights file that has the name and shape of one in the objective's exported network.

    The file may belong to another method. Returns how many tensors were taken and how many the network has. Raises
    AirtoolError for a file that cannot be read and UsageError when nothing in it fits.
    """
    weights = read_weights(path)
    found = objective.translated(str(weights.header.get("method")), weights.tensors)
    # `exported` renames the tensors of the state dict without copying them, so writing to them writes to the network.
    own = objective.exported(objective.state_dict())
    fitting = [key for key, tensor in own.items() if key in found and found[key].shape == tensor.shape]
    if not fitting:
        raise UsageError(f"no tensor of {path} fits this recipe's network: start from weights of a like network")
    with torch.no_grad():
        for key in fitting:
            own[key].copy_(found[key])
    return len(fitting), len(own)
