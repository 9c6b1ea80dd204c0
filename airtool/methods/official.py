"""The one door for other people's checkpoints: safetensors or a restricted unpickler, never arbitrary pickle."""

import pickle
import struct
import sys
import warnings
import zipfile
from _compat_pickle import IMPORT_MAPPING
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from airtool.errors import AirtoolError, UsageError

PLAIN_MODULES = frozenset(
    {"argparse", "array", "collections", "copyreg", "dataclasses", "datetime", "decimal", "enum", "fractions",
     "functools", "numbers", "pathlib", "random", "re", "typing", "uuid", "weakref", "_codecs"}
)  # fmt: skip
"""Modules of Python of which training programs leave objects in their checkpoints: settings, dates, paths. What needs
anything of another one wants to reach the system or to run code."""

PLAIN_BUILTINS = frozenset(
    {"bytearray", "complex", "dict", "frozenset", "list", "object", "range", "set", "slice", "tuple"}
)
"""The same for what needs no module."""

MOST = 4
"""How many times the size of the file its tensors may have together; some share their numbers."""

WRAPPERS = ("state_dict", "params_ema", "params", "model")
"""Keys under which training scripts wrap a state dict, the preferred first."""

UNREADABLE = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError,
    ValueError, pickle.UnpicklingError, struct.error, zipfile.BadZipFile,
)  # fmt: skip
"""What PyTorch's restricted unpickler raises, depending on where a file is damaged."""

FLOATS = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})

PREFIXES = ("module.", "net.")
"""Prefixes that wrappers around a network leave on every key."""


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The state dict in a ``.safetensors``, ``.pth``, ``.pt`` or ``.ckpt`` file, without wrappers and prefixes.

    Raises UsageError when the file is missing, AirtoolError when it is damaged, needs code to be executed, unpacks to
    more than it is large, or holds no tensors or absurd ones.
    """
    if not path.is_file():
        raise UsageError(f"checkpoint {path} does not exist: check the spelling")
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
            # What PyTorch has to remark on a file is of no use to those who did not write it.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                state = _unpickled(path)
        except pickle.UnpicklingError:
            raise AirtoolError(
                f"{path} would execute code while loading, or is damaged: it is refused; "
                "ask its author for a plain state dict or a safetensors file"
            ) from None
        except UNREADABLE as error:
            raise AirtoolError(f"{path} is not a readable checkpoint ({first_line(error)}): get it again") from None
    tensors = _unwrap(state, path)
    _check_tensors(tensors, path)
    return tensors


def _check_archive(path: Path) -> None:
    """Refuse zip bombs. PyTorch stores without compression, so that nothing unpacks to more than the file itself."""
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > path.stat().st_size:
        raise AirtoolError(
            f"{path} would unpack to {unpacked // 2**20} MiB, far more than its size: it is refused; "
            "ask its author for a plain state dict or a safetensors file"
        )


def _check_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse what would fill the memory as soon as it is used, or is no array of numbers. Looks at no number."""
    total = 0
    for key, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex() or tensor.device.type != "cpu":
            raise AirtoolError(f"{path}: {key!r} is no plain tensor: ask its author for a plain state dict")
        total += max(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())
    if total > MOST * path.stat().st_size:
        raise AirtoolError(f"{path} announces {total // 2**20} MiB of tensors, which it does not hold: get it again")


def _unpickled(path: Path) -> object:
    """What a pickle holds. A class that PyTorch does not vouch for becomes an empty one that does nothing.

    Training programs store settings and callbacks beside the weights. Whatever reaches out to the system stays refused.
    """
    if zipfile.is_zipfile(path):
        _check_archive(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        if not zipfile.is_zipfile(path):
            raise
    names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    if any(map(_reaches_out, names)):
        raise pickle.UnpicklingError
    with torch.serialization.safe_globals([(_empty_class(), name) for name in names]):
        return torch.load(path, map_location="cpu", weights_only=True)


def _reaches_out(name: str) -> bool:
    """Whether an object of this name, such as "os.system", has any business in a checkpoint."""
    module, _, attribute = name.partition(".")
    module = IMPORT_MAPPING.get(module, module)  # PyTorch writes pickles with the names of Python 2
    if module == "builtins":
        return attribute not in PLAIN_BUILTINS
    return module in sys.stdlib_module_names and module not in PLAIN_MODULES


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

    Raises AirtoolError that names the first missing and the first unexpected key, or the first tensor of a wrong shape,
    of a wrong type or with values that are not finite.
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
        if expected[key].is_floating_point() and tensor.dtype not in FLOATS:
            raise AirtoolError(f"the checkpoint does not fit {title}: {key!r} holds {tensor.dtype}, not weights")
        if not torch.isfinite(tensor).all():
            raise AirtoolError(f"the checkpoint is damaged: {key!r} holds values that are not finite numbers")
    return {key: tensor.float() for key, tensor in tensors.items()}


def first_line(error: Exception) -> str:
    """What is wrong, in so many characters as a message has room for."""
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
