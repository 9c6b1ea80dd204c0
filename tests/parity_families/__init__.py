"""How each family of reference cases is rebuilt: one module a family, listed by the name in its case file."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor

from . import c2f_dft, dfpir, ndr

Compare = Callable[
    [Mapping[str, Any], Mapping[str, Tensor], Mapping[str, Tensor]], Iterator[tuple[str, Tensor, Tensor]]
]
"""(case, weights, vectors) -> (name of the output, ours, theirs) for every output of the case."""

FAMILIES: dict[str, Compare] = {
    "C2F-DFT": c2f_dft.compare,
    "DFPIR": dfpir.compare,
    "NDR-Restore": ndr.compare,
}
"""By what the value of "method" in case.json begins with."""


def family(method: str) -> Compare:
    """Raises KeyError for a method that no family is for."""
    for name, compare in FAMILIES.items():
        if method.startswith(name):
            return compare
    raise KeyError(f"no family for {method!r}; known are {', '.join(FAMILIES)}")
