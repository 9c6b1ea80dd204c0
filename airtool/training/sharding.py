"""Sharded state: every process keeps its part of the weights, gradients, optimiser state and average.

Built on PyTorch's `fully_shard`. A block's whole weights are there while it computes and gone again afterwards; what
lasts from step to step is shared out. What leaves the processes (checkpoints, weights files) is whole, as from a run
without shards, so that either kind of run goes on where the other one stopped.
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from airtool.errors import UsageError
from airtool.training.optimiser import Optimiser

SMALLEST = 100_000
"""Parameters of a block that is gathered on its own; smaller ones travel with all that is left over, in one piece."""

PARTED = ("objective", "average")
"""What of a checkpoint is a state dict of the network."""


def shard(network: nn.Module, device: torch.device, processes: int) -> FSDPModule:
    """Share the parameters of a network out over all processes, in place, and move it to `device`.

    network: on the CPU, with the same weights in every process, and trained by calling it itself. Its parameters are
    `DTensor`s afterwards, which optimisers, averages and state dicts take as they take tensors. Raises UsageError for
    a network with weights that are single numbers, which `fully_shard` does not take.
    """
    if number := next((name for name, weight in network.named_parameters() if not weight.ndim), None):
        raise UsageError(f"--shard-state cannot share out {number}, which is a single number: train without it")
    # Weights have to be contiguous for that; `channels_last` ones are not.
    mesh = init_device_mesh(device.type, (processes,))
    for block in list(_blocks(network)):
        fully_shard(block, mesh=mesh)
    fully_shard(network, mesh=mesh)
    return cast(FSDPModule, network)


def whole(value: Any, keep: bool) -> Any:
    """A state (containers of tensors) with whole tensors on the CPU in place of shards.

    All processes have to call this at the same time with the same structure. keep: whether this process wants the
    result; otherwise it gets None for each of them, and at no time holds more than one.
    """
    if isinstance(value, DTensor):
        gathered = value.full_tensor()
        return gathered.cpu() if keep else None
    if isinstance(value, Mapping):
        return {key: whole(each, keep) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(whole(each, keep) for each in value)
    return value


def parted(state: Mapping[str, Any], network: nn.Module, optimiser: Optimiser) -> dict[str, Any]:
    """A checkpoint with this process's shards in place of the whole tensors.

    state: "objective" and "average" are state dicts of `network`, which is sharded, "optimiser" is one of `optimiser`;
    what else there is stays as it is.
    """
    own = network.state_dict()
    states = {name: {key: _part(tensor, own[key]) for key, tensor in state[name].items()} for name in PARTED}
    return {**state, **states, "optimiser": _parted_optimiser(state["optimiser"], optimiser)}


def _parted_optimiser(state: Mapping[str, Any], optimiser: Optimiser) -> dict[str, Any]:
    result = {}
    for name, part in optimiser.parts.items():
        saved = state.get(name, state)  # without names: from before there was more than one part
        weights = [weight for group in part.param_groups for weight in group["params"]]
        entries = {
            index: {
                key: _part(value, weights[index]) if value.shape == weights[index].shape else value
                for key, value in entry.items()
            }
            for index, entry in saved["state"].items()
        }
        result[name] = {**saved, "state": entries}
    return result


def _part(tensor: Tensor, like: Tensor) -> Tensor:
    if not isinstance(like, DTensor):
        return tensor
    # Without a source: every process has read the same file, and takes its part of it.
    return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None)


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The outermost members of lists and sequences that compute by being called and are large enough."""
    listed = isinstance(module, nn.Sequential | nn.ModuleList)
    for child in module.children():
        called = not isinstance(child, nn.Sequential | nn.ModuleList | nn.ModuleDict)
        if listed and called and sum(weight.numel() for weight in child.parameters()) >= SMALLEST:
            yield child
        else:
            yield from _blocks(child)
