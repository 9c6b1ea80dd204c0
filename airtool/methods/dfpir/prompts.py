"""Prompt labels: the words by which a network of DFPIR is told the degradation, and which one a request means."""

import math
from collections.abc import Sequence

from airtool.degradations import lies_in_details
from airtool.errors import UsageError

CLEAN = "clean"
"""The label of a picture that suffers from nothing; no user asks for its removal."""

UNKNOWN = "unknown"
"""The label of a network that has not been told the degradation."""

PAPER_LABELS = ("noise-15", "noise-25", "noise-50", "rain", "haze", "motion-blur", "low-light")
"""What the paper trains on, in the order of the authors' degradation numbers; noise by its sigma of 255."""

LABELS = (
    *PAPER_LABELS[:6],
    *("defocus", "low-light", "jpeg", "camera-noise", CLEAN, UNKNOWN),
    *("raindrop", "snow", "downsample"),
)
"""What our own training adds; the last line later than the rest: an order of channels belongs to a place."""

DEFAULT_SIGMA = 25.0
"""Noise that is asked for without a number, as elsewhere in airtool."""

KIN = {"photo-noise": "camera-noise"}
"""Degradations that share the label of another one."""

_GRADED = "noise-"


def as_request(label: str) -> str:
    """A label as it is typed: "noise:15" for "noise-15"."""
    return f"noise:{label.removeprefix(_GRADED)}" if label.startswith(_GRADED) else label


FINE_LABELS = tuple(label for label in LABELS if lies_in_details(as_request(label)))
"""Those that the embedded weights restore by their second network."""


def find_label(request: str, labels: Sequence[str]) -> str | None:
    """The label that "name" or "name:amount" means; None when there is none for it, or several are joined by ",".

    Noise goes to the label with the nearest sigma, where the border between two is their geometric middle, and the
    noise of photographs to that of cameras. Other amounts make no difference. Raises UsageError for a sigma that is
    not a number of at least 0.
    """
    name, _, amount = request.partition(":")
    if "," in request:
        return None
    name = KIN.get(name, name)
    if name in labels:
        return name
    if name != "noise":
        return None
    sigma = _sigma(amount) if amount else DEFAULT_SIGMA
    graded = [label for label in labels if label.startswith(_GRADED)]
    # Without noise at all the logarithm ends: any sigma far below the labels means the lowest.
    return min(graded, key=lambda label: abs(math.log(max(sigma, 1e-3) / _sigma_of(label))), default=None)


def asked_labels(degradation: Sequence[str], labels: Sequence[str]) -> tuple[str, ...]:
    """The labels for a user's request, one after the other; for nothing "unknown", where the labels know that.

    Several degradations are undone from the last to the first, but what lies in the details before the scene: each
    prompt was learned from pictures that suffer from that alone, and noise disturbs the others most. Raises UsageError,
    which names what is known, for one that is not.
    """
    known = f"these weights know {', '.join(as_request(label) for label in labels if label not in (UNKNOWN, CLEAN))}"
    if not degradation:
        if UNKNOWN in labels:
            return (UNKNOWN,)
        raise UsageError(f"dfpir has to be told what to remove: name it with --degradation; {known}")
    found = []
    backwards = degradation[::-1]
    scenes = [each for each in backwards if not lies_in_details(each)]
    for each in (*filter(lies_in_details, backwards), *scenes):
        label = find_label(each, labels)
        if label is None:
            raise UsageError(f"dfpir cannot remove {each!r}: {known}")
        found.append(label)
    return tuple(found)


def training_label(label: str, labels: Sequence[str]) -> str:
    """The label for what was done to a training sample: "noise:17.3", "clean", "rain:0.4,jpeg:30".

    Several degradations, and those without a label of their own, are "unknown". Raises UsageError when that is not
    among the labels.
    """
    found = find_label(label, labels)
    if found is None and UNKNOWN not in labels:
        raise UsageError(
            f"this preset of dfpir has no prompt for {label!r}: take it out of the recipe's [mix], or give its "
            f"[pairs] a label; its prompts are {', '.join(labels)}"
        )
    return found or UNKNOWN


def _sigma_of(label: str) -> float:
    return float(label.removeprefix(_GRADED))


def _sigma(text: str) -> float:
    try:
        sigma = float(text)
    except ValueError:
        sigma = math.nan
    if not 0 <= sigma < math.inf:
        raise UsageError(f"noise:{text}: the amount must be a number (sigma on the 0..255 scale)")
    return sigma
