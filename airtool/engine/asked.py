"""Whether what is asked for suits a method at all. Knows no torch, so that mistakes are found before it is loaded."""

from airtool.engine.settings import Settings
from airtool.errors import UsageError
from airtool.methods.facts import MethodFacts


def check_asked(facts: MethodFacts, settings: Settings) -> None:
    """Raise UsageError when `settings` tell a method what it cannot be told, or tell it twice.

    What its weights know is found out later, with them.
    """
    if facts.needs == "nothing" and settings.degradation:
        raise UsageError(f"{facts.name} finds out itself what to remove: leave the degradation out")
    for given, what, needs, able in (
        (bool(settings.prompt), "sentences", "prompt", "autodir"),
        (settings.structure_weight is not None, "structure weight", "prompt", "autodir"),
        (settings.instruction is not None, "example pair", "instruction", "defusion"),
    ):
        if given and facts.needs != needs:
            raise UsageError(f"{facts.name} takes no {what}: leave it out, or choose {able}")
    if settings.degradation and (settings.prompt or settings.instruction):
        raise UsageError("the degradation is given twice, by name and otherwise: leave one of them out")
