"""AutoDIR's loop over one picture: look, remove the dominant degradation, look again (paper Fig. 7).

What the paper leaves open is our own: a class may come back once, a step has to be an improvement by the measure of
`airtool.engine.gain`, and nothing is remembered from one picture to the next.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np

from airtool.engine.detect import CLEAN, THRESHOLD, UNSURE, Verdict, Views, judge, views
from airtool.engine.gain import TWICE, Ledger, change, must_be_steady, objection_to_pixels
from airtool.engine.session import Restored
from airtool.engine.wanted import Wanted, wanted_for
from airtool.errors import UsageError
from airtool.images.picture import Picture
from airtool.methods.autodir.vocabulary import CLASSES, NOTHING
from airtool.methods.base import Method

NO_GAIN, LIMIT, OUT_OF_REACH = "no gain", "limit", "out of reach"
REASONS = (CLEAN, UNSURE, NO_GAIN, LIMIT, OUT_OF_REACH)
"""Why a loop ends: the picture is clean; nobody can say what is wrong; the last step was no improvement; there were as
many steps as allowed; what is wrong cannot be removed by this method, or was removed as often as a class may be."""

TIMES = 2
"""How often one class may be removed: it may come back once."""

MOST_STEPS = TIMES * (len(CLASSES) - 1)
"""More steps than this there cannot be."""


class Looker(Protocol):
    """What says what is wrong: `airtool.engine.detect.Detector`."""

    @property
    def network(self) -> Any: ...

    def probabilities_of(self, seen: Views) -> dict[str, float]: ...


class Restorer(Protocol):
    """What removes it: `airtool.engine.session.Session`."""

    @property
    def method(self) -> Method: ...

    def restore(self, picture: Picture, *, in_place: bool = False, wanted: Wanted | None = None) -> Restored: ...


@dataclass(frozen=True)
class Rules:
    """When the loop ends. Raises UsageError for numbers that make no sense."""

    max_steps: int = 5
    threshold: float = THRESHOLD
    """Probability from which on a degradation is named."""

    def __post_init__(self) -> None:
        if not 1 <= self.max_steps <= MOST_STEPS:
            raise UsageError(f"--max-steps {self.max_steps} is out of range: choose 1 to {MOST_STEPS}")
        if not 0 <= self.threshold <= 1:
            raise UsageError(f"--threshold {self.threshold} is no probability: choose 0 to 1")


@dataclass(frozen=True)
class Decision:
    """What to do about a picture."""

    probabilities: Mapping[str, float]
    """What was seen in it, for every class."""
    verdict: Verdict
    choice: str | None
    """The class to remove next; None: nothing is removed any more."""
    wanted: Wanted
    """How the method is told so."""
    aims: tuple[str, ...]
    """What the step is measured by: the choice, or for a blind method everything that was named."""
    passed_over: Mapping[str, str]
    """Named classes that come before the choice, and why they are not it."""
    stop: str | None
    """One of `REASONS` where there is no choice."""


@dataclass(frozen=True)
class Step:
    """One step that was tried."""

    number: int
    """From 1."""
    decision: Decision
    """What led to it."""
    asked: Wanted
    """What the method was asked in the end."""
    probabilities: Mapping[str, float]
    """What was seen in the result."""
    score: float
    """By the measure of `airtool.engine.gain`; that of the input is 0."""
    change: float
    """PSNR in dB between the result and what it was made from."""
    seconds: float
    """Restoring and looking."""
    objection: str | None
    """Why the result was not kept; None: it was the best so far."""


@dataclass(frozen=True)
class Course:
    """How the loop went with one picture: all but the pixels."""

    kept: int
    """The number of the last step that was kept; 0: none was."""
    steps: tuple[Step, ...]
    seen: Decision
    """What is left in the result, by which the loop ended."""
    reason: str
    """One of `REASONS`."""
    tile: tuple[int, int]
    """(height, width) of the largest piece that went through the network; (0, 0) when none did."""
    notes: tuple[str, ...]
    """What did not go as planned, in words."""


@dataclass(frozen=True)
class Iteration(Course):
    """What became of one picture."""

    picture: Picture
    """The best one: the result of the last step that was kept, or the input as it was."""

    @property
    def course(self) -> Course:
        """The same without the picture, which may be large."""
        return Course(**{entry.name: getattr(self, entry.name) for entry in fields(Course)})


def look(detector: Looker, picture: Picture) -> dict[str, float]:
    """The probabilities of every class, for the values that a lossless file of the picture would hold."""
    white = np.float32(2**picture.depth - 1)
    return detector.probabilities_of(views(np.rint(picture.rgb * white) / white, detector.network.side))


def decide(
    method: Method, probabilities: Mapping[str, float], threshold: float, removed: Mapping[str, int] | None = None
) -> Decision:
    """What to remove from a picture of which the detector says `probabilities`, if anything.

    The most probable class of those named (as `airtool.engine.detect.judge` has it) that `method` can remove and that
    `removed` says was removed less than `TIMES` times. A class that is not `TWICE` as probable as "clean" is left
    alone: a step that is not needed costs more than one that is left out.
    """
    verdict = judge(probabilities, threshold)

    def stopped(reason: str, passed_over: Mapping[str, str]) -> Decision:
        return Decision(dict(probabilities), verdict, None, Wanted(), (), passed_over, reason)

    if verdict.verdict in (CLEAN, UNSURE):
        return stopped(verdict.verdict, {})
    named = (verdict.verdict, *(name for name, _ in verdict.further))
    passed_over: dict[str, str] = {}
    for name in named:
        if probabilities[name] < TWICE * probabilities[NOTHING]:
            passed_over[name] = "clean is more than half as probable"
            reason = UNSURE if name == verdict.verdict else OUT_OF_REACH
            return stopped(reason, passed_over)
        if removed is not None and removed.get(name, 0) >= TIMES:
            passed_over[name] = f"removed {TIMES} times already"
            continue
        try:
            wanted = wanted_for(method, name)
        except UsageError as error:
            passed_over[name] = str(error)
            continue
        aims = named if method.facts.needs == "nothing" else (name,)
        return Decision(dict(probabilities), verdict, name, wanted, aims, passed_over, None)
    return stopped(OUT_OF_REACH, passed_over)


def iterate(
    picture: Picture,
    detector: Looker,
    restorer: Restorer,
    rules: Rules,
    seen: Callable[[Step, Picture], None] | None = None,
) -> Iteration:
    """Remove one degradation after the other until one of `REASONS` ends it. `picture` stays as it is.

    seen: is shown every step that was tried with its result, kept or not. Raises as `Session.restore` does.
    """
    removed: Counter[str] = Counter()
    steps: list[Step] = []
    notes: dict[str, None] = {}
    tile, kept = (0, 0), 0
    probabilities = look(detector, picture)
    ledger = Ledger(probabilities)
    while True:
        decision = decide(restorer.method, probabilities, rules.threshold, removed)
        reason = decision.stop or (LIMIT if len(steps) == rules.max_steps else None)
        if decision.choice is None or reason is not None:
            break
        start = time.perf_counter()
        restored = restorer.restore(picture, wanted=decision.wanted)
        after = look(detector, restored.picture)
        seconds = time.perf_counter() - start
        changed = change(picture.rgb, restored.picture.rgb)
        steady = must_be_steady(probabilities, decision.aims)
        ledger.aim(decision.aims)
        step = Step(
            number=len(steps) + 1,
            decision=decision,
            asked=restored.wanted,
            probabilities=after,
            score=ledger.score(after),
            change=changed,
            seconds=seconds,
            objection=objection_to_pixels(picture.rgb, restored.picture.rgb, changed, steady)
            or ledger.objection(after),
        )
        steps.append(step)
        tile = max(tile, restored.tile)
        notes |= dict.fromkeys(restored.notes)
        if seen is not None:
            seen(step, restored.picture)
        if step.objection is not None:
            reason = NO_GAIN
            break
        ledger.accept(after)
        picture, probabilities, kept = restored.picture, after, step.number
        removed[decision.choice] += 1
    assert reason is not None
    return Iteration(kept, tuple(steps), decision, reason, tile, tuple(notes), picture)
