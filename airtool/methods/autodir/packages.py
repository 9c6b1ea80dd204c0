"""The packages of the extra "autodir", which only the authors' size of the networks needs."""

from contextlib import suppress
from importlib import import_module
from typing import Any

from airtool.errors import AirtoolError, missing_extra
from airtool.torchvision import mend_torchvision


def package(name: str) -> Any:
    """A package of the extra, imported when it is asked for: that takes seconds.

    Raises AirtoolError when it is not installed.
    """
    with suppress(ImportError):  # not needed, but they import it where it is installed
        mend_torchvision()
    try:
        return import_module(name)
    except ImportError:
        raise AirtoolError(missing_extra("the authors' AutoDIR needs further packages", "autodir")) from None
