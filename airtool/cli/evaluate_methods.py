"""`airtool evaluate --method`: one or several methods, opened one after the other."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airtool.cli.options import USELESS_PRESET
from airtool.engine.asked import check_detector
from airtool.engine.settings import Settings, parse_degradation
from airtool.errors import UsageError

if TYPE_CHECKING:
    from airtool.benches.evaluate import Restorer


@dataclass(frozen=True)
class MethodRequest:
    """Which methods are to restore, and how."""

    names: tuple[str, ...]
    """In the order in which they were typed; at least one."""
    weights: Mapping[str, str]
    """Files by the method's name; the others take their embedded weights."""
    preset: str
    settings: Settings
    """Their degradation goes to those methods only that can be told one, unless there is one method only."""

    def open(self, name: str) -> "Restorer":
        """Make one of them ready. Raises AirtoolError when its weights are missing or damaged, or it cannot run so."""
        from airtool.engine.session import open_with
        from airtool.methods.registry import check_method

        settings = self.settings
        if len(self.names) > 1 and check_method(name).needs == "nothing":
            settings = replace(settings, degradation=())
        return open_with(settings, name, self.weights.get(name), self.preset)

    def check_device(self) -> None:
        """Raises UsageError when the device is not there: for all methods at once, rather than for each."""
        from airtool.engine.device import pick_device

        pick_device(self.settings.device)


def parse_methods(
    names: str | None, weights: str | None, preset: str | None, settings: Settings, degradation: str | None
) -> MethodRequest:
    """What --method and its companions ask for; imports no torch, so that mistakes are found at once.

    names: one method, or several with commas; None for the one that `weights` are for, or the default. weights: the
    file of the one method, or ``METHOD=FILE`` for several, with commas. Raises UsageError for a name that is unknown
    or is repeated, and for a contradiction, and AirtoolError for a file that has to say its method and cannot be read,
    and for a detector's that is missing.
    """
    from airtool.methods.registry import check_method, which_method

    if names is None and None not in (weights, preset):
        raise UsageError(USELESS_PRESET)
    names = which_method(names, weights)
    chosen = tuple(part.strip() for part in names.split(",") if part.strip()) or (names,)
    facts = [check_method(name) for name in chosen]
    if repeated := [name for index, name in enumerate(chosen) if name in chosen[:index]]:
        raise UsageError(f"--method {names} names {repeated[0]} twice: leave one out")
    files = _files(weights, chosen)
    if preset is not None and len(files) == len(chosen):
        raise UsageError(USELESS_PRESET)
    told = parse_degradation(degradation)
    if told and len(chosen) > 1 and not any(each.needs != "nothing" for each in facts):
        raise UsageError(f"--degradation has no effect on {names}, which find out themselves what to remove")
    settings = replace(settings, degradation=told)
    check_detector(facts, settings)
    return MethodRequest(chosen, files, preset or "small", settings)


def _files(weights: str | None, methods: tuple[str, ...]) -> dict[str, str]:
    """Weights files by the method's name."""
    if weights is None:
        return {}
    if len(methods) == 1:
        return {methods[0]: weights}
    files: dict[str, str] = {}
    for part in weights.split(","):
        name, found, file = part.strip().partition("=")
        if not found or not file or name not in methods or name in files:
            raise UsageError(
                f"--weights {weights}: say which method each file is for, as in {methods[0]}=FILE; the methods are "
                f"{', '.join(methods)}"
            )
        files[name] = file
    return files
