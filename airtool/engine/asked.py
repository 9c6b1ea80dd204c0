"""Whether what is asked for suits a method at all. Knows no torch, so that mistakes are found before it is loaded."""

from collections.abc import Iterable
from pathlib import Path

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


def asks_detector(facts: MethodFacts, settings: Settings) -> bool:
    """Whether a method has to be told what to remove and `settings` do not say it, so that the detector does."""
    return facts.needs != "nothing" and not (settings.degradation or settings.prompt or settings.instruction)


def check_detector(methods: Iterable[MethodFacts], settings: Settings) -> None:
    """Find out whether the detector that `settings` name can be asked.

    Raises UsageError where none of the methods asks any, or its file is missing.
    """
    file = settings.detector_weights
    if file is None:
        return
    if not any(asks_detector(facts, settings) for facts in methods):
        raise UsageError(
            "--detector-weights has no effect where the method is told what to remove, or finds it out itself: leave "
            "it out"
        )
    if not Path(file).is_file():
        raise UsageError(f"--detector-weights: file {file} does not exist: check the spelling")
