"""Networks from strangers' files: built no larger than the weights that are to fill them."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from airtool.errors import AirtoolError

SLACK = 4
"""How many times the tensors, and the numbers in them, a network may have while it is built: parts may be replaced."""

PARTS = 10_000
"""How many modules it may have in any case, weights or not."""


class _TooLargeError(Exception):
    """The network outgrows its weights."""


@contextmanager
def bounded(tensors: Mapping[str, Tensor], path: Path) -> Iterator[None]:
    """Build a network inside, from a config that came with `tensors`, in this thread.

    A config is a few numbers, by which a small file could ask for any amount of memory and time. Raises AirtoolError,
    one line, as soon as the network has far more parameters than `path` holds, and for a config of which no network can
    be built.
    """
    thread = threading.get_ident()
    left = {
        "tensors": SLACK * len(tensors) + 100,
        "numbers": SLACK * sum(tensor.numel() for tensor in tensors.values()) + 1_000_000,
        "modules": PARTS + 100 * len(tensors),
    }

    def spend(what: str, amount: int) -> None:
        left[what] -= amount
        if left[what] < 0:
            raise _TooLargeError

    def parameter(module: nn.Module, name: str, added: Tensor | None) -> None:
        if added is not None and threading.get_ident() == thread:
            spend("tensors", 1)
            spend("numbers", added.numel())

    def part(module: nn.Module, name: str, added: nn.Module | None) -> None:
        if threading.get_ident() == thread:
            spend("modules", 1)

    hooks = (
        register_module_parameter_registration_hook(parameter),
        register_module_module_registration_hook(part),
    )
    try:
        yield
    except _TooLargeError:
        raise AirtoolError(f"{path} describes a network that is larger than its weights: get the file again") from None
    except AirtoolError:
        raise
    except (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        detail = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise AirtoolError(f"{path} describes no network that can be built ({detail}): get the file again") from None
    except MemoryError:
        raise AirtoolError(f"{path} describes a network that does not fit into memory: get the file again") from None
    finally:
        for hook in hooks:
            hook.remove()
