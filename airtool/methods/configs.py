"""Configs of networks on their way back from a weights file."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from airtool.errors import AirtoolError

Config = TypeVar("Config")


def config_from(kind: type[Config], values: Mapping[str, Any], title: str) -> Config:
    """The frozen dataclass `kind` from the plain values of a weights file; `title` names the method in errors.

    Raises AirtoolError for a value that the dataclass does not know or refuses.
    """
    known = {each.name for each in fields(kind)}  # type: ignore[arg-type]  # dataclasses have no type of their own
    try:
        if set(values) - known:
            raise TypeError(f"unknown setting {min(set(values) - known)!r}")
        # JSON has no tuples.
        return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
    except (TypeError, ValueError) as error:
        raise AirtoolError(f"the weights file describes no {title} network: {error}") from None
