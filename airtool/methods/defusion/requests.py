"""What a user asks Defusion to remove."""

from collections.abc import Sequence

from airtool.degradations.compose import Step, parse_steps
from airtool.errors import UsageError


def wanted_steps(degradation: Sequence[str], names: Sequence[str]) -> tuple[Step, ...]:
    """The steps to undo, in the order in which they happened, for "name" or "name:amount" each; none for nothing.

    names: what the weights know. Raises UsageError, which names that, for anything else, and for an amount that is none
    or out of range.
    """
    steps: list[Step] = []
    for each in degradation:
        name = each.partition(":")[0].strip()
        if name not in names:
            raise UsageError(f"defusion cannot remove {each!r}: these weights know {', '.join(names)}")
        steps += parse_steps(each)
    return tuple(steps)
