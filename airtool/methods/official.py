"""The one door for other people's checkpoints: safetensors or a restricted unpickler, never arbitrary pickle."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from airtool.errors import AirtoolError

WRAPPERS = ("state_dict", "params_ema", "params", "model")
"""Keys under which training scripts wrap a state dict, the preferred first."""

PREFIXES = ("module.", "net.")
"""Prefixes that wrappers around a network leave on every key."""


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The state dict in a ``.safetensors``, ``.pth``, ``.pt`` or ``.ckpt`` file, without wrappers and prefixes.

    Raises AirtoolError when the file is missing, damaged, needs code to be executed, or holds no tensors.
    """
    if not path.is_file():
        raise AirtoolError(f"checkpoint {path} does not exist")
    state: object
    if path.suffix.lower() == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            state = load_file(path)
        except (SafetensorError, OSError) as error:
            raise AirtoolError(f"{path} is not a readable safetensors file ({error}): get it again") from None
    else:
        try:
            state = _unpickled(path)
        except pickle.UnpicklingError:
            raise AirtoolError(
                f"{path} would execute code while loading, or is damaged: it is refused; "
                "ask its author for a plain state dict or a safetensors file"
            ) from None
        except (RuntimeError, EOFError, OSError, ValueError, zipfile.BadZipFile, KeyError) as error:
            raise AirtoolError(f"{path} is not a readable checkpoint ({_first_line(error)}): get it again") from None
    return _unwrap(state, path)


def _unpickled(path: Path) -> object:
    """What a pickle holds. A class that PyTorch does not vouch for becomes an empty one that does nothing.

    Training programs store settings and callbacks beside the weights. Modules that reach the system stay refused.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        if not zipfile.is_zipfile(path):
            raise
    names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    with torch.serialization.safe_globals([(_empty_class(), name) for name in names]):
        return torch.load(path, map_location="cpu", weights_only=True)


def _empty_class() -> type:
    def take_nothing(self: object, *_: object, **__: object) -> None:
        return None

    return type("Stranger", (), {"__init__": take_nothing, "__setstate__": take_nothing})


def _unwrap(state: object, path: Path) -> dict[str, Tensor]:
    for wrapper in WRAPPERS:
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
            break
    tensors = {str(k): v for k, v in state.items() if isinstance(v, Tensor)} if isinstance(state, Mapping) else {}
    if not tensors:
        raise AirtoolError(f"{path} holds no state dict: name the checkpoint of the network itself")
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in tensors):
            tensors = {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}
    return tensors


def fit(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], title: str) -> dict[str, Tensor]:
    """`tensors` as float32 after checking names and shapes against `expected`, both ways.

    Raises AirtoolError that names the first missing and the first unexpected key, or the first wrong shape.
    """
    missing = [key for key in expected if key not in tensors]
    unexpected = [key for key in tensors if key not in expected]
    if missing or unexpected:
        parts = [
            f"{len(keys)} {what}, first {keys[0]!r}"
            for keys, what in ((missing, "missing"), (unexpected, "unexpected"))
            if keys
        ]
        raise AirtoolError(f"the checkpoint does not fit {title}: {'; '.join(parts)}")
    for key, tensor in tensors.items():
        if tensor.shape != expected[key].shape:
            shapes = f"{tuple(tensor.shape)}, expected {tuple(expected[key].shape)}"
            raise AirtoolError(f"the checkpoint does not fit {title}: {key!r} has shape {shapes}")
        if not torch.isfinite(tensor).all():
            raise AirtoolError(f"the checkpoint is damaged: {key!r} holds values that are not finite numbers")
    return {key: tensor.float() for key, tensor in tensors.items()}


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
