"""How each family of reference cases is rebuilt: one module a family, and the rule by which its cases are known."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from . import c2f_dft, defusion, dfpir, nafnet, ndr

Case = Mapping[str, Any]
Compare = Callable[[Case, Mapping[str, Tensor], Mapping[str, Tensor]], Iterator[tuple[str, Tensor, Tensor]]]
"""(case, weights, vectors) -> (name of the output, ours, theirs) for every output of the case."""


@dataclass(frozen=True)
class Family:
    """Cases that are rebuilt in one way."""

    name: str
    recognises: Callable[[Case], bool]
    """Whether a case is of this family."""
    compare: Compare
    tolerance: float = 2e-5
    """Largest absolute difference in float32 where the case names none."""


def _called(name: str) -> Callable[[Case], bool]:
    """By what the value of "method" begins with."""
    return lambda case: str(case.get("method", "")).startswith(name)


FAMILIES = (
    Family("C2F-DFT", _called("C2F-DFT"), c2f_dft.compare),
    Family("Defusion", _called("Defusion"), defusion.compare, tolerance=1e-4),
    Family("DFPIR", _called("DFPIR"), dfpir.compare),
    Family("NAFNet", nafnet.recognises, nafnet.compare, tolerance=1e-4),
    Family("NDR-Restore", _called("NDR-Restore"), ndr.compare),
)


def family(case: Case) -> Family:
    """Raises KeyError for a case that no family is for."""
    for each in FAMILIES:
        if each.recognises(case):
            return each
    known = ", ".join(each.name for each in FAMILIES)
    raise KeyError(f"no family for {case.get('method', 'this case')!r}; known are {known}")
