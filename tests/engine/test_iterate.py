"""The loop: what it removes in which order, when it ends, and what counts as an improvement."""

import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from fakes import FakeMethod
from loop_scripts import LEVEL, Satisfied, Scripted, photograph, said

from airtool.engine.detect import Views, crops
from airtool.engine.gain import Ledger, change, likeness, log_odds, must_be_steady, objection_to_pixels
from airtool.engine.iterate import MOST_STEPS, Rules, decide, iterate, look
from airtool.engine.tiles import Pixels
from airtool.engine.wanted import Wanted
from airtool.errors import UsageError


def test_one_after_the_other_until_it_is_clean() -> None:
    loop = Scripted([said(rain=0.5, noise=0.4, JPEG=0.1), said(noise=0.6, JPEG=0.4), said(JPEG=0.9), said(JPEG=0.1)])
    found = loop.run()
    assert loop.removed == ["rain", "noise", "JPEG"]
    assert (found.reason, found.kept, found.notes, found.tile) == ("clean", 3, ("short",), (48, 64))
    assert [step.objection for step in found.steps] == [None] * 3
    scores = [step.score for step in found.steps]
    assert scores == sorted(scores)
    first, ceiling = found.steps[0], 0.05 / 0.95
    assert first.score == pytest.approx(-math.log(ceiling), abs=1e-6)
    assert first.decision.verdict.further == (("noise", 0.4),)
    assert first.change == pytest.approx(-20 * math.log10(LEVEL), abs=0.3)


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (said(noise=0.2), "clean"),
        (said(noise=0.29, blur=0.29, rain=0.29), "unsure"),
        (said(noise=0.6, no=0.4), "unsure"),
        (said(noise=0.5, blur=0.25, no=0.25), None),
    ],
)
def test_what_is_clean_or_doubtful_is_left_alone(seen: dict[str, float], reason: str | None) -> None:
    loop = Scripted([seen, said()])
    found = loop.run()
    if reason is None:
        assert (found.kept, found.reason) == (1, "clean")
    else:
        assert (found.steps, found.kept, found.reason) == ((), 0, reason)
        assert found.picture is loop.before
        assert found.seen.probabilities == seen


def test_doubt_holds_at_any_threshold() -> None:
    assert Scripted([said(noise=0.6, no=0.4)]).run(threshold=0.0).reason == "unsure"
    loop = Scripted([said(noise=0.6, blur=0.4), said(blur=0.9), said()])
    assert loop.run(threshold=0.0).reason == "clean"
    assert Scripted([said(noise=0.6, blur=0.4)]).run(threshold=0.7).reason == "unsure"


def test_a_detector_that_flips_between_two_classes_is_stopped() -> None:
    loop = Scripted([said(noise=0.9), said(blur=0.9), said(noise=0.9), said(blur=0.9)])
    found = loop.run()
    assert loop.removed == ["noise", "blur"]
    assert (found.reason, found.kept) == ("no gain", 1)
    assert "something removed earlier is back" in (found.steps[1].objection or "")
    assert found.seen.choice == "blur", "what is still seen in the picture that was kept"


def test_a_class_may_come_back_once() -> None:
    loop = Scripted([said(noise=0.95), said(noise=0.88), said(noise=0.1)])
    found = loop.run()
    assert (loop.removed, found.reason) == (["noise", "noise"], "clean")
    loop = Scripted([said(noise=0.95), said(noise=0.88), said(noise=0.7), said()])
    found = loop.run()
    assert (loop.removed, found.reason, found.kept) == (["noise", "noise"], "out of reach", 2)
    assert found.seen.passed_over == {"noise": "removed 2 times already"}
    loop = Scripted([said(rain=0.6, noise=0.4), said(noise=0.9), said(rain=0.5, blur=0.45), said(blur=0.7), said()])
    assert loop.run().reason == "clean"
    assert loop.removed == ["rain", "noise", "rain", "blur"]


def test_the_limit() -> None:
    script = [said(rain=0.5, noise=0.4), said(noise=0.9), said(blur=0.9), said()]
    found = Scripted(script).run(max_steps=2)
    assert (found.reason, found.kept, found.seen.choice) == ("limit", 2, "blur")
    assert Scripted(script).run(max_steps=3).reason == "clean", "clean after the last step is clean, not the limit"
    for number in (0, MOST_STEPS + 1):
        with pytest.raises(UsageError, match="max-steps"):
            Rules(number)
    with pytest.raises(UsageError, match="threshold"):
        Rules(threshold=math.nan)


@pytest.mark.parametrize("after", [said(noise=0.9), said(noise=0.85, blur=0.1)])
def test_no_improvement_gives_the_input_back(after: dict[str, float]) -> None:
    loop = Scripted([said(noise=0.9), after, said()])
    found = loop.run()
    assert (found.reason, found.kept, len(found.steps)) == ("no gain", 0, 1)
    assert found.picture is loop.before


def test_a_clean_picture_that_is_accused_and_then_looks_less_clean_comes_back() -> None:
    loop = Scripted([said(haze=0.5, blur=0.26, no=0.24), said(blur=0.9, no=0.1)])
    found = loop.run()
    assert (found.reason, found.kept) == ("no gain", 0)
    assert found.steps[0].objection == "the odds of clean fell below half of what they were"


@pytest.mark.parametrize(
    ("result", "objection"),
    [
        (lambda rgb: rgb + np.float32(1e-5), "nothing was removed"),
        (lambda rgb: 0.6 - rgb, "the result does not show what the picture shows"),
        (lambda rgb: np.full_like(rgb, 0.3), "the result does not show what the picture shows"),
        (lambda rgb: np.ascontiguousarray(rgb[::-1]), "the result does not show what the picture shows"),
    ],
)
def test_the_same_or_another_picture_is_not_kept_however_content_the_detector_is(
    result: Callable[[Pixels], Pixels], objection: str
) -> None:
    loop, before = Satisfied([], result=result), photograph()
    found = iterate(before, loop, loop, Rules())
    assert (found.kept, found.reason, found.steps[0].objection) == (0, "no gain", objection)
    assert found.picture is before
    assert (found.steps[0].change >= 60) == (objection == "nothing was removed")


def test_what_the_method_cannot_remove_is_passed_over() -> None:
    method = FakeMethod(needs="label")  # knows haze and low light
    decision = decide(method, said(snow=0.5, haze=0.4), 0.3)
    assert (decision.choice, decision.wanted, decision.aims) == ("haze", Wanted(degradation=("haze",)), ("haze",))
    assert decision.passed_over == {"snow": "these weights of fake cannot remove snow"}
    found = Scripted([said(snow=0.8, haze=0.15)], method).run()
    assert (found.reason, found.kept, list(found.seen.passed_over)) == ("out of reach", 0, ["snow"])
    assert decide(method, said(snow=0.5, haze=0.3, no=0.2), 0.3).stop == "out of reach", "haze is too near to clean"


def test_a_blind_method_is_measured_by_all_that_was_named() -> None:
    script = [said(rain=0.5, noise=0.45), said(rain=0.94), said(rain=0.1)]
    loop = Scripted(script, FakeMethod())
    found = loop.run()
    assert loop.asked == [Wanted(), Wanted()]
    assert found.steps[0].decision.aims == ("rain", "noise")
    assert (found.reason, found.kept) == ("clean", 2)
    # Told to remove the rain, the same result would not have been what was asked for.
    assert Scripted(script).run().kept == 0


def test_the_score_by_hand() -> None:
    ledger = Ledger(said(noise=0.8, no=0.1))
    ledger.aim(("noise",))
    after = said(noise=0.2, blur=0.6, no=0.2)
    expected = math.log(0.8 / 0.2) - math.log(0.2 / 0.8) + math.log(0.2 / 0.8) - math.log(0.1 / 0.9)
    assert ledger.score(said(noise=0.8, no=0.1)) == 0
    assert ledger.score(after) == pytest.approx(expected)
    assert ledger.objection(after) is None
    ledger.accept(after)
    assert ledger.best == pytest.approx(expected)
    # What is left shares the probability of what has gone: not a loss, and not a gain before it falls again.
    ledger.aim(("noise", "blur"))
    assert ledger.score(after) == ledger.best
    rest = said(blur=0.75, no=0.25)
    gone = math.log(0.8 / 0.2) + math.log(0.95 / 0.05) + math.log(0.25 / 0.75) - math.log(0.1 / 0.9)
    assert ledger.score(rest) == pytest.approx(gone)
    # Half of the odds of 0.2 are those of one ninth.
    assert ledger.objection(said(blur=0.8, no=0.1)) == "the odds of clean fell below half of what they were"
    assert log_odds(0.0) == log_odds(0.05) == pytest.approx(-math.log(19))
    assert log_odds(1.0) == pytest.approx(math.log(1e6), abs=1e-3)


def test_pixels_that_object() -> None:
    rgb = photograph().rgb
    assert change(rgb, rgb) == math.inf
    assert likeness(rgb, np.clip(4 * rgb, 0, 1)) > 0.8, "far brighter, but the same"
    noisy = np.random.default_rng(0).normal(rgb, 0.2).astype(np.float32)
    assert likeness(noisy, rgb) > 0.8
    grey = np.full((40, 40, 3), 0.5, np.float32)
    assert likeness(np.random.default_rng(0).normal(grey, 0.05).astype(np.float32), grey) == 1.0
    assert objection_to_pixels(rgb, rgb * 0, change(rgb, rgb * 0), steady=False) is not None
    for size in ((1, 1), (1, 500), (3, 7)):
        tiny = np.full((*size, 3), 0.25, np.float32)
        assert objection_to_pixels(tiny, tiny * 2, change(tiny, tiny * 2), steady=False) is None


@pytest.mark.parametrize(
    ("seen", "kept"),
    [
        (said(noise=0.9), 0),
        (said(noise=0.8, JPEG=0.15), 0),
        (said(noise=0.8, haze=0.15), 1),
        (said(low_light=0.9), 1),
        (said(rain=0.9), 1),
    ],
)
def test_brightness_changes_only_where_something_dims(seen: dict[str, float], kept: int) -> None:
    """A blind method that removes haze for the second time would pass, as far as the detector can tell."""
    loop, before = Satisfied([], FakeMethod(), result=lambda rgb: rgb + np.float32(0.07)), photograph()
    loop.probabilities_of = lambda cut: said() if loop.asked else seen  # type: ignore[method-assign]
    found = iterate(before, loop, loop, Rules())
    assert found.kept == kept
    if not kept:
        assert "neither haze nor low light" in (found.steps[0].objection or "")
    # Noise itself is no brightness, however strong.
    noisy = np.clip(np.random.default_rng(0).normal(before.rgb, 0.2), 0, 1).astype(np.float32)
    assert objection_to_pixels(noisy, before.rgb, change(noisy, before.rgb), steady=True) is None
    assert must_be_steady(said(noise=0.8, haze=0.03), ("noise",))


def test_what_is_looked_at_is_what_a_file_would_hold() -> None:
    seen: list[Pixels] = []

    class Recording:
        network = SimpleNamespace(side=192)

        def probabilities_of(self, found: Views) -> dict[str, float]:
            seen.append(found.near)
            return said()

    picture = photograph()
    look(Recording(), picture)
    look(Recording(), replace(picture, depth=16))
    for cut, white in zip(seen, (255, 65535), strict=True):
        assert cut.dtype == np.float32
        assert np.array_equal(np.rint(cut * white), (cut * white).round(3))
        assert np.abs(cut - crops(picture.rgb)).max() <= 0.5 / white + 1e-6
    assert not np.array_equal(seen[0], seen[1])
