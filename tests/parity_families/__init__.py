"""How each family of reference cases is rebuilt: one module a family, listed by the name in its case file."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor

from . import ndr

Compare = Callable[
    [Mapping[str, Any], Mapping[str, Tensor], Mapping[str, Tensor]], Iterator[tuple[str, Tensor, Tensor]]
]
"""(case, weights, vectors) -> (name of the output, ours, theirs) for every output of the case."""

FAMILIES: dict[str, Compare] = {
    "NDR-Restore": ndr.compare,
}
"""By the value of "method" in case.json."""
