"""Several degradations in order, from a line such as "rain:0.6,noise:25"."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from airtool.degradations import DEGRADATIONS, Degradation
from airtool.errors import UsageError


@dataclass(frozen=True)
class Step:
    """One degradation with its amount."""

    name: str
    """A key of DEGRADATIONS."""
    amount: float
    """In the degradation's own unit, within its legal range."""


def _find(name: str) -> Degradation:
    if name not in DEGRADATIONS:
        raise UsageError(f"unknown degradation {name!r}; known are {', '.join(DEGRADATIONS)}")
    return DEGRADATIONS[name]


def _check(step: Step) -> Degradation:
    """The degradation of a step. Raises UsageError for an unknown name or an amount out of range, NaN included."""
    found = _find(step.name)
    if not found.low <= step.amount <= found.high:
        raise UsageError(
            f"{step.name}:{step.amount:g} is out of range: {found.parameter} goes from {found.low:g} to {found.high:g}"
        )
    return found


def parse_steps(text: str) -> tuple[Step, ...]:
    """Read "name[:amount],..." in the order in which the steps are applied; without a number, the default amount.

    Raises UsageError for an unknown name, a number that is none, an amount out of range, or an empty list.
    """
    steps = []
    for item in text.split(","):
        name, colon, number = (part.strip() for part in item.partition(":"))
        found = _find(name)
        try:
            amount = float(number) if colon else found.default
        except ValueError:
            raise UsageError(f"{item.strip()!r}: the amount must be a number ({found.parameter})") from None
        steps.append(Step(name, amount))
        _check(steps[-1])
    return tuple(steps)


def shown_steps(steps: Sequence[Step]) -> str:
    """Steps as `parse_steps` reads them, amounts to six digits."""
    return ",".join(f"{step.name}:{step.amount:.6g}" for step in steps)


def compose(
    image: np.ndarray, steps: tuple[Step, ...] | list[Step], rng: np.random.Generator
) -> tuple[np.ndarray, list[dict]]:
    """Apply the steps in order to a float32 picture (H, W, 3), sRGB-encoded RGB in [0, 1].

    Returns a new picture of the same shape, dtype and range, and one JSON-able record a step: its name, its amount,
    and everything that was drawn. Raises UsageError for an unknown name or an amount out of range.
    """
    checked = [(_check(step), step.amount) for step in steps]
    result, records = image.copy(), []
    for found, amount in checked:
        result, drawn = found.apply(result, amount, rng)
        records.append({"name": found.name, "amount": amount, **drawn})
    return result, records


def sample_step(name: str, rng: np.random.Generator) -> Step:
    """A step with an amount drawn evenly from the degradation's training range. Raises UsageError when unknown."""
    return Step(name, float(rng.uniform(*_find(name).training)))


def picture_rng(seed: int, image: np.ndarray) -> np.random.Generator:
    """The generator for one picture, from the run's seed and the picture's shape and values alone.

    So neither the order of a folder nor the number of workers changes a result. image: any float32 array.
    """
    digest = hashlib.blake2b(repr((seed, image.shape)).encode(), digest_size=32)
    digest.update(np.ascontiguousarray(image, dtype=np.float32).data)
    return np.random.default_rng(np.frombuffer(digest.digest(), np.uint32))
