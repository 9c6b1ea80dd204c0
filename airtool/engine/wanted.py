"""What to ask of a method for one picture, in whatever way that kind of method is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from airtool.engine.detect import CLEAN, THRESHOLD, UNSURE, judge
from airtool.engine.tiles import Pixels
from airtool.errors import UsageError
from airtool.methods.autodir.vocabulary import NOTHING, class_of
from airtool.methods.base import LabelledMethod, Method, PromptedMethod


@dataclass(frozen=True)
class Wanted:
    """What is to be removed; empty: the method finds out itself."""

    degradation: tuple[str, ...] = ()
    """Degradations in order, with or without amounts ("noise:25")."""
    shares: tuple[tuple[str, float], ...] = ()
    """Weights of the detector's classes, which add up to 1, for methods that are prompted."""
    prompt: str = ""
    """The user's own sentence."""
    among: tuple[str, ...] = ()
    """Degradations of which one fits, where it takes a look at the picture to say which."""
    example: tuple[Pixels, Pixels] | None = field(default=None, repr=False, compare=False)
    """One scene, clean and degraded, that shows what to remove, for methods that are instructed."""

    def weather(self) -> "Wanted | None":
        """What of this falls from the sky or hangs on the lens, and grows with a picture; None where nothing does.

        Haze and darkness are no part of it: to be told of them twice would be to lift them twice.
        """
        falling = [(name, share) for name, share in self.shares if name in WEATHER and share >= LEAST_SHARE]
        total = sum(share for _, share in falling)
        if falling:
            return Wanted(shares=tuple((name, share / total) for name, share in falling))
        named = tuple(each for each in self.degradation if each != CLEAN and class_of(each) in WEATHER)
        return Wanted(degradation=named) if named else None


WEATHER = ("rain", "snow", "raindrop")
"""Classes of things whose size in pixels grows with a picture."""

LEAST_SHARE = 0.2
"""Probability or share of a class from which on it counts."""

NOTHING_SAID = Wanted()
"""For blind methods, and for nothing to remove."""


DOUBT = 1.25
"""How many times as probable as "clean" the dominant degradation has to be for a picture to be touched unasked: a name
that is wrong does no harm, a clean picture without its pale sky does."""

SURE = 0.7
"""Probability from which on the detector's dominant answer is believed where one answer has to be chosen and there is
something else to ask."""


def wanted_for(method: Method, class_name: str) -> Wanted:
    """How to ask `method` to remove what the detector calls `class_name`.

    Raises UsageError when it cannot; a blind method is asked for nothing in particular.
    """
    needs = method.facts.needs
    if needs == "nothing":
        return Wanted()
    if needs == "prompt":
        if class_name not in cast(PromptedMethod, method).classes():
            raise UsageError(f"these weights of {method.facts.name} cannot remove {class_name}")
        return Wanted(shares=((class_name, 1.0),))
    fitting = _candidates(cast(LabelledMethod, method), class_name)
    if not fitting:
        raise UsageError(f"these weights of {method.facts.name} cannot remove {class_name}")
    if needs == "label" and len(fitting) > 1:
        return Wanted(among=fitting)
    return Wanted(degradation=fitting[:1])


def wanted_from(method: Method, probabilities: Mapping[str, float]) -> Wanted:
    """What to ask of `method` for a picture of which the detector says `probabilities`.

    A prompted method takes the mixture (AutoDIR, Eq. 3) of what reaches `LEAST_SHARE`, one that is told several
    degradations all that reach the detector's threshold; neither is asked for anything where the picture may be clean
    (`DOUBT`). One that is told a single degradation takes the dominant one. Where the detector is not `SURE` of that,
    or names what the method cannot remove, all that the method can be told is left to choose from.
    """
    likeliest = max(share for name, share in probabilities.items() if name != NOTHING)
    doubtful = likeliest < DOUBT * probabilities.get(NOTHING, 0.0)
    needs = method.facts.needs
    if needs == "prompt":
        known = cast(PromptedMethod, method).classes()
        shares = {name: share for name, share in probabilities.items() if name in known}
        if doubtful:
            return Wanted(shares=((NOTHING, 1.0),))
        # What is hardly probable would be removed a little everywhere: a touch of haze from every pale sky.
        least = min(LEAST_SHARE, max(shares.values()))
        shares = {name: share for name, share in shares.items() if share >= least}
        total = sum(shares.values())
        return Wanted(shares=tuple((name, share / total) for name, share in shares.items()))
    verdict = judge(probabilities, THRESHOLD)
    labelled = cast(LabelledMethod, method)
    everything = labelled.candidates()
    if needs == "instruction":
        left = doubtful or verdict.verdict == UNSURE
        found = () if left else (verdict.verdict, *(name for name, _ in verdict.further))
        fitting = [_candidates(labelled, name)[:1] for name in found]
        return Wanted(degradation=tuple(name for names in fitting for name in names))
    if verdict.verdict == CLEAN:
        named: tuple[str, ...] = (CLEAN,) if CLEAN in everything else ()
    else:
        named = _candidates(labelled, verdict.verdict)
    if not named or verdict.probability < SURE:
        return Wanted(among=everything)
    return Wanted(degradation=named) if len(named) == 1 else Wanted(among=named)


def _candidates(method: LabelledMethod, class_name: str) -> tuple[str, ...]:
    return tuple(each for each in method.candidates() if each != CLEAN and class_of(each) == class_name)
