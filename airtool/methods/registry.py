"""Every method by name. Importing this module does not import torch; `load_method` does."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from airtool.errors import AirtoolError, UsageError
from airtool.methods import DEFAULT
from airtool.methods.facts import MethodFacts

if TYPE_CHECKING:
    from airtool.methods.base import Method, MethodClass

FOLDERS = ("ndr", "dfpir", "up_restorer", "autodir", "defusion")
"""Packages of `airtool.methods` with a method each, in the order in which they are listed; a new one is added here."""

METHODS: dict[str, MethodFacts] = {
    facts.name: facts for facts in (import_module(f"airtool.methods.{folder}").FACTS for folder in FOLDERS)
}


def check_method(name: str) -> MethodFacts:
    """The facts of a method. Raises UsageError for an unknown name."""
    if name not in METHODS:
        raise UsageError(f"unknown method {name!r}: choose from {', '.join(METHODS)}")
    return METHODS[name]


def which_method(name: str | None, weights: str | Path | None) -> str:
    """The method that is meant: the one that is named, else the one that the weights file is for, else the default.

    Raises AirtoolError for a weights file that is missing, damaged, or of something that is no method.
    """
    from airtool.methods.weights import method_of

    if name or weights is None:
        return name or DEFAULT
    found = method_of(Path(weights))
    if found not in METHODS:
        raise AirtoolError(f"{weights} holds weights of {found!r}, which restores no pictures: name another file")
    return found


def method_class(name: str) -> "MethodClass":
    """The class behind a method's name. Raises UsageError for an unknown name."""
    module, _, attribute = check_method(name).implementation.partition(":")
    return cast("MethodClass", getattr(import_module(module), attribute))


def preset_config(name: str, preset: str) -> object:
    """The config of a preset. Raises UsageError for an unknown method or preset."""
    presets = method_class(name).presets
    if preset not in presets:
        raise UsageError(f"unknown preset {preset!r} of {name}: choose from {', '.join(presets)}")
    return presets[preset]


def load_method(name: str, weights: str | Path | None = None, preset: str = "small") -> "Method":
    """A method with its weights, on the CPU, float32, in evaluation mode.

    weights: a file that `airtool train` or `airtool models import` wrote; None takes the embedded weights of the
    preset. Raises UsageError for an unknown method or a preset without embedded weights, and AirtoolError for a
    file that is missing, damaged, of another method, or does not fit the network it declares.
    """
    from airtool.methods.bounded import bounded
    from airtool.methods.weights import embedded_path, read_weights

    cls = method_class(name)
    path = embedded_path(name, preset) if weights is None else Path(weights)
    found = read_weights(path)
    if found.header.get("method") != name:
        raise AirtoolError(
            f"{path} holds weights of {found.header.get('method')!r}, not of {name}: name the right file"
        )
    with bounded(found.tensors, path):
        method = cls(cls.config_from(found.header.get("config", {})))
    expected = method.network.state_dict()
    for key in [*expected, *found.tensors]:
        if key not in expected or key not in found.tensors:
            problem = "unexpected" if key not in expected else "missing"
            raise AirtoolError(f"{path} does not fit its own config: {problem} tensor {key!r}; get the file again")
        if expected[key].shape != found.tensors[key].shape:
            raise AirtoolError(f"{path} does not fit its own config: {key!r} has another shape; get the file again")
    method.network.load_state_dict(found.tensors)
    return method
