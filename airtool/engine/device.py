"""Where to compute, and with which numbers."""

import torch

from airtool.engine.settings import Precision
from airtool.errors import UsageError
from airtool.native import native_bf16


def pick_device(name: str) -> torch.device:
    """The device called "auto" (the first of cuda, mps, cpu that is there), "cpu", "mps", "cuda" or "cuda:N".

    Raises UsageError when this machine, or this build of PyTorch, has no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", 0)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            why = "this PyTorch is built without CUDA" if torch.version.cuda is None else "no CUDA GPU answers"
            raise UsageError(f"--device {name}: {why}; use --device cpu or auto")
        if (device.index or 0) >= count:
            raise UsageError(f"--device {name}: the last CUDA GPU here is cuda:{count - 1}")
        return torch.device("cuda", device.index or 0)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError(f"--device {name}: there is no Apple GPU here; use --device cpu or auto")
    return device


def pick_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """The dtype of convolutions and products; everything else is float32.

    "auto" is bfloat16 on CUDA GPUs that compute in it natively (compute capability 8.0 and later), float32 elsewhere:
    on a CPU every picture comes out the same whether the processor has bfloat16 or not, unless it is asked for.
    """
    if precision == "auto":
        native = device.type == "cuda" and native_bf16(device)
        return torch.bfloat16 if native else torch.float32
    return torch.bfloat16 if precision == "bf16" else torch.float32


def threads(device: torch.device) -> int | None:
    """Threads that PyTorch computes with; None where it does not compute on the CPU."""
    return torch.get_num_threads() if device.type == "cpu" else None
