"""What the detector can name, the sentences that stand for it, and what a training label says about it."""

from collections import defaultdict
from dataclasses import dataclass

from airtool.degradations.compose import Step, parse_steps
from airtool.errors import UsageError

NOTHING = "no"
"""The class of a picture that needs no restoration."""

CLASSES = ("noise", "blur", "rain", "haze", "low light", "raindrop", "low resolution", "snow", "JPEG", NOTHING)
"""What the embedded weights tell apart: the paper's classes (underexposure is called low light), snow and JPEG."""

TEMPLATE = "A photo needs {} artifact reduction"
"""The sentence for a class. The paper prints a full stop, its authors' code has none; so do we."""

UNDEGRADED = "clean"
"""The label of a training sample that nothing was done to."""


def prompt(name: str) -> str:
    """The sentence that stands for a class."""
    return TEMPLATE.format(name)


@dataclass(frozen=True)
class Scale:
    """What the amounts of one degradation mean to somebody who looks at the picture."""

    name: str
    """The class that it belongs to."""
    invisible: float
    """The amount at which nothing is seen yet; whatever is weaker counts as not degraded."""
    strong: float
    """The amount at which it is as bad as training makes it. May be the smaller one of the two."""

    def severity(self, amount: float) -> float:
        """0 (not seen) to 1 (strong), in proportion to the amount between the two."""
        return min(1.0, max(0.0, (amount - self.invisible) / (self.strong - self.invisible)))


SCALES = {
    "noise": Scale("noise", 3.0, 50.0),
    "camera-noise": Scale("noise", 0.1, 0.8),
    "photo-noise": Scale("noise", 0.1, 0.8),
    "motion-blur": Scale("blur", 2.0, 17.0),
    "defocus": Scale("blur", 0.6, 4.0),
    "rain": Scale("rain", 0.05, 0.85),
    "haze": Scale("haze", 0.15, 2.2),
    "low-light": Scale("low light", 0.75, 4.5),
    "raindrop": Scale("raindrop", 0.02, 0.5),
    "downsample": Scale("low resolution", 1.2, 4.0),
    "snow": Scale("snow", 0.05, 0.9),
    # Cameras write 85 to 95 and web sites 60 to 85: that is how photographs come, and not what is wrong with them.
    "jpeg": Scale("JPEG", 60.0, 8.0),
}
"""Every degradation of `airtool.degradations.DEGRADATIONS`, in its own unit."""


def class_of(degradation: str) -> str:
    """The class of "name" or "name:amount". Raises UsageError for an unknown degradation."""
    return SCALES[parse_steps(degradation)[0].name].name


def shares(label: str) -> dict[str, float]:
    """Which classes a training sample has, and how much of the damage is each one's; the shares add up to 1.

    label: as `airtool.methods.objective.Batch` has it. One degradation has the whole share, as in the paper, whose
    samples have one dominant degradation each. Of several, each gets what its severity is of their sum, so that the
    dominant one is the most severe one, wherever it stands in the order; parts of one class (noise and camera noise)
    add up. When none can be seen, `NOTHING` has the whole share. Raises UsageError for a label that says nothing.
    """
    if label == UNDEGRADED:
        return {NOTHING: 1.0}
    if not label:
        raise UsageError("the detector has to know what its samples suffer from: give the recipe's [pairs] a label")
    severities: dict[str, float] = defaultdict(float)
    for step in parse_steps(label):
        if (severity := _severity(step)) > 0.0:
            severities[SCALES[step.name].name] += severity
    total = sum(severities.values())
    return {name: severity / total for name, severity in severities.items()} if total else {NOTHING: 1.0}


def _severity(step: Step) -> float:
    return SCALES[step.name].severity(step.amount)
