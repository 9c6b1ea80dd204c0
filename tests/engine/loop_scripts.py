"""Scripts for the loop: what a detector says, and pictures that change from step to step."""

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace

import numpy as np
from fakes import FakeMethod

from airtool.engine.detect import Views
from airtool.engine.iterate import Iteration, Rules, iterate
from airtool.engine.session import Restored
from airtool.engine.tiles import Pixels
from airtool.engine.wanted import Wanted
from airtool.errors import UsageError
from airtool.images.picture import Metadata, Picture
from airtool.methods.autodir.vocabulary import CLASSES, NOTHING

LEVEL = 0.03
"""How much brighter each step of `Scripted` makes a picture."""


def said(**shares: float) -> dict[str, float]:
    """Probabilities of all classes; what is left over goes to "clean"."""
    found = dict.fromkeys(CLASSES, 0.0) | {name.replace("_", " "): share for name, share in shares.items()}
    return found | {NOTHING: found[NOTHING] or 1.0 - sum(found.values())}


def photograph(height: int = 48, width: int = 64) -> Picture:
    """Something with structure, of mean 0.3."""
    rows, columns = np.mgrid[0:height, 0:width]
    rgb = 0.3 + 0.2 * np.sin(rows / 9)[..., None] * np.cos(columns / 11)[..., None] * np.ones(3)
    rgb = (rgb - rgb.mean() + 0.3).astype(np.float32)
    return Picture(rgb, None, 8, False, "png", Metadata())


class Prompted(FakeMethod):
    """A method that can be told every class."""

    def __init__(self) -> None:
        super().__init__(needs="prompt")

    def classes(self) -> tuple[str, ...]:
        return CLASSES

    def understand(self, prompt: str) -> tuple[tuple[str, float], ...]:
        raise UsageError(prompt)


class Scripted:
    """A detector and a method in one: every step makes the picture brighter, and brightness decides what is seen."""

    network = SimpleNamespace(side=192)

    def __init__(
        self,
        script: Sequence[Mapping[str, float]],
        method: FakeMethod | None = None,
        result: Callable[[Pixels], Pixels] = lambda rgb: rgb + np.float32(LEVEL),
    ) -> None:
        self.script, self.method, self.result = script, method or Prompted(), result
        self.asked: list[Wanted] = []

    def probabilities_of(self, seen: Views) -> dict[str, float]:
        return dict(self.script[round((float(seen.near.mean()) - 0.3) / LEVEL)])

    def restore(self, picture: Picture, *, in_place: bool = False, wanted: Wanted | None = None) -> Restored:
        assert wanted is not None
        assert not in_place
        self.asked.append(wanted)
        return Restored(picture.with_rgb(self.result(picture.rgb)), (48, 64), 0.1, ("short",), wanted)

    def run(self, max_steps: int = 5, threshold: float = 0.3) -> Iteration:
        self.before = photograph()
        found = iterate(self.before, self, self, Rules(max_steps, threshold))
        assert np.array_equal(self.before.rgb, photograph().rgb), "the input is not written to"
        level = round((float(found.picture.rgb.mean()) - 0.3) / LEVEL)
        assert level == found.kept, "the picture is that of the step that was kept"
        return found

    @property
    def removed(self) -> list[str]:
        return [wanted.shares[0][0] for wanted in self.asked]


class Satisfied(Scripted):
    """Sees noise first and nothing wrong after any step."""

    def probabilities_of(self, seen: Views) -> dict[str, float]:
        return said() if self.asked else said(noise=0.9)
