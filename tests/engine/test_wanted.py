"""What a method is asked to remove, from the user's words or the detector's numbers."""

from typing import Any

import pytest
from fakes import FakeMethod

from airtool.engine.session import Session
from airtool.engine.settings import Settings
from airtool.engine.wanted import Wanted, wanted_for, wanted_from
from airtool.errors import UsageError
from airtool.methods.autodir.vocabulary import CLASSES


class Told(FakeMethod):
    """Knows noise by its strength, rain, haze, and that nothing is wrong."""

    def candidates(self) -> tuple[str, ...]:
        return ("noise:15", "noise:50", "rain", "haze", "clean")

    def classes(self) -> tuple[str, ...]:
        return ("rain", "haze", "no")

    def understand(self, prompt: str) -> tuple[tuple[str, float], ...]:
        if "drizzle" not in prompt:
            raise UsageError("the prompt names nothing that can be removed here")
        return (("rain", 1.0),)


def seen(**shares: float) -> dict[str, float]:
    return dict.fromkeys(CLASSES, 0.0) | {name.replace("_", " "): share for name, share in shares.items()}


@pytest.mark.parametrize(
    ("needs", "probabilities", "expected"),
    [
        ("label", seen(rain=0.9, no=0.1), Wanted(degradation=("rain",))),
        ("label", seen(noise=0.9, rain=0.1), Wanted(among=("noise:15", "noise:50"))),
        ("label", seen(no=0.9, rain=0.1), Wanted(degradation=("clean",))),
        # Not sure, or nothing that it knows: everything is left to choose from.
        ("label", seen(rain=0.6, no=0.4), Wanted(among=("noise:15", "noise:50", "rain", "haze", "clean"))),
        ("label", seen(snow=1.0), Wanted(among=("noise:15", "noise:50", "rain", "haze", "clean"))),
        ("instruction", seen(rain=0.5, noise=0.4, no=0.1), Wanted(degradation=("rain", "noise:15"))),
        ("instruction", seen(no=0.9, rain=0.1), Wanted()),
        ("instruction", seen(no=0.45, rain=0.55), Wanted()),
        ("instruction", seen(snow=1.0), Wanted()),
    ],
)
def test_the_detectors_numbers_become_what_the_method_can_be_told(
    needs: Any, probabilities: dict[str, float], expected: Wanted
) -> None:
    assert wanted_from(Told(needs=needs), probabilities) == expected


def test_a_prompted_method_gets_the_mixture_of_what_it_knows() -> None:
    wanted = wanted_from(Told(needs="prompt"), seen(rain=0.3, no=0.3, snow=0.4))
    assert dict(wanted.shares) == pytest.approx({"rain": 0.5, "no": 0.5})
    # Whatever else it suspects: what is called clean is left alone.
    wanted = wanted_from(Told(needs="prompt"), seen(rain=0.4, no=0.6))
    assert dict(wanted.shares) == {"no": 1.0}
    # So is what may well be clean.
    wanted = wanted_from(Told(needs="prompt"), seen(rain=0.5, no=0.42, noise=0.08))
    assert dict(wanted.shares) == {"no": 1.0}
    # What is hardly probable is not asked for, unless it is all there is to ask.
    wanted = wanted_from(Told(needs="prompt"), seen(rain=0.6, no=0.3, haze=0.1))
    assert dict(wanted.shares) == pytest.approx({"rain": 2 / 3, "no": 1 / 3})
    wanted = wanted_from(Told(needs="prompt"), seen(rain=0.1, no=0.02, snow=0.88))
    assert dict(wanted.shares) == pytest.approx({"rain": 1.0})


def test_one_class_is_said_to_each_kind_of_method() -> None:
    assert wanted_for(Told(needs="nothing"), "snow") == Wanted()
    assert wanted_for(Told(needs="prompt"), "rain") == Wanted(shares=(("rain", 1.0),))
    assert wanted_for(Told(needs="label"), "noise") == Wanted(among=("noise:15", "noise:50"))
    assert wanted_for(Told(needs="instruction"), "noise") == Wanted(degradation=("noise:15",))
    for needs in ("prompt", "label", "instruction"):
        with pytest.raises(UsageError, match="cannot remove snow"):
            wanted_for(Told(needs=needs), "snow")


@pytest.mark.parametrize(
    ("needs", "settings", "message"),
    [
        ("nothing", {"prompt": "less drizzle"}, "takes no sentences"),
        ("label", {"prompt": "less drizzle"}, "takes no sentences"),
        ("label", {"structure_weight": 0.5}, "takes no structure weight"),
        ("prompt", {"instruction": ("a.png", "b.png")}, "takes no example pair"),
        ("prompt", {"prompt": "less drizzle", "degradation": ("rain",)}, "given twice"),
        ("prompt", {"prompt": "paint it blue"}, "nothing that can be removed"),
        ("prompt", {"degradation": ("snow",)}, "cannot remove snow: they know rain, haze"),
        ("instruction", {"instruction": ("absent.png", "b.png")}, r"absent\.png is not a file"),
    ],
)
def test_what_does_not_suit_the_method_is_refused(needs: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        Session(Told(needs=needs), Settings(device="cpu", **settings))
    assert "\n" not in str(caught.value)


def test_what_the_user_says_is_asked_for() -> None:
    session = Session(Told(needs="prompt"), Settings(device="cpu", prompt="less drizzle"))
    assert session.asked == Wanted(shares=(("rain", 1.0),), prompt="less drizzle")
    named = Session(Told(needs="prompt"), Settings(device="cpu", degradation=("rain:0.4", "haze", "rain")))
    assert named.asked == Wanted(shares=(("rain", 0.5), ("haze", 0.5)))
