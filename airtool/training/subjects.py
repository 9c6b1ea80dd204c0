"""What a recipe can train: every method, and what serves methods without restoring anything itself."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol, cast

from airtool.errors import UsageError
from airtool.methods.objective import Objective
from airtool.methods.registry import METHODS

OTHERS = {"detect": "airtool.methods.autodir.detector_objective:DetectorTraining"}
"""``module:class`` by the name that recipes use as `method`, beside `airtool.methods.registry.METHODS`."""


class Subject(Protocol):
    """What training needs of a method."""

    presets: Mapping[str, Any]
    """Configs by preset name."""

    def objective(self, config: Any, settings: Mapping[str, Any]) -> Objective:
        """What is trained. Raises UsageError for unknown settings."""
        ...


def subject(name: str) -> Subject:
    """What a recipe's `method` names. Raises UsageError for an unknown name."""
    known = OTHERS | {method: facts.implementation for method, facts in METHODS.items()}
    if name not in known:
        raise UsageError(f"unknown method {name!r}: choose from {', '.join((*METHODS, *OTHERS))}")
    module, _, attribute = known[name].partition(":")
    return cast(Subject, getattr(import_module(module), attribute))


def subject_config(name: str, preset: str) -> Any:
    """The config of a preset. Raises UsageError for an unknown method or preset."""
    presets = subject(name).presets
    if preset not in presets:
        raise UsageError(f"unknown preset {preset!r} of {name}: choose from {', '.join(presets)}")
    return presets[preset]
