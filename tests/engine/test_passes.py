"""What of a picture goes through the network: reduced copies, as far as a change can be carried over from them."""

import numpy as np
import pytest

from airtool.engine.passes import passes, seen
from airtool.engine.settings import Settings
from airtool.engine.tone import LONGEST, ChangeMap
from airtool.engine.wanted import Wanted
from airtool.errors import PictureError
from airtool.images.opencv import cv2

RAIN = Wanted(degradation=("rain", "haze"))
DRY = Wanted(degradation=("rain",))


def picture(width: int, height: int) -> np.ndarray:
    """One of which nothing but the size is asked: without memory of its own."""
    return np.broadcast_to(np.zeros((), np.float32), (height, width, 3))


def sizes(width: int, height: int, **settings: object) -> list[tuple[tuple[int, int], Wanted]]:
    return passes(picture(width, height), Settings(device="cpu", **settings), RAIN)  # type: ignore[arg-type]


def test_weather_is_first_removed_from_copies_that_are_not_too_long() -> None:
    assert sizes(3000, 2000) == [((775, 516), DRY), ((1549, 1033), DRY), ((3000, 2000), RAIN)]
    # A copy may be as long as that, and not a pixel longer.
    assert sizes(67_101, 25) == [((LONGEST, 12), DRY), ((67_101, 25), RAIN)]
    assert sizes(67_104, 25) == [((67_104, 25), RAIN)]
    # The larger copy is the first that is left out.
    assert [size for size, _ in sizes(100_000, 100)] == [(20_000, 20), (100_000, 100)]
    assert [size for size, _ in sizes(100, 100_000)] == [(20, 20_000), (100, 100_000)]
    assert sizes(200_000, 30) == [((200_000, 30), RAIN)]
    assert sizes(30, 200_000) == [((30, 200_000), RAIN)]


@pytest.mark.parametrize(("width", "height"), [(100_000, 20), (20, 100_000)])
def test_a_work_size_at_which_a_strip_is_too_long_is_refused(width: int, height: int) -> None:
    long = sorted([10, 50_000], reverse=width > height)
    said = (
        rf"0\.5 megapixels it has {long[0]} x {long[1]} pixels, and {LONGEST} a side .* smaller --work-size, or leave"
    )
    for work_size in ((0.5,), (0.1, 0.5)):
        with pytest.raises(PictureError, match=said):
            sizes(width, height, work_size=work_size)
        with pytest.raises(PictureError, match=said):  # before a detector looks at it
            seen(picture(width, height), Settings(device="cpu", work_size=work_size))
    # The remedies.
    short = sizes(width, height, work_size=(0.1,))
    assert [sorted(size) for size, _ in short] == [[4, 22_361]]
    assert sizes(width, height) == [((width, height), RAIN)]
    # One above the picture's own stands for the picture, from which nothing has to be carried over.
    assert sizes(width, height, work_size=(2.5,)) == [((width, height), RAIN)]


def test_the_limit_is_opencvs() -> None:
    half = np.full((3, LONGEST + 1, 3), 0.5, np.float32)
    target = np.full((3, LONGEST + 10, 3), 0.5, np.float32)
    ChangeMap(half[:, :LONGEST], half[:, :LONGEST]).apply(target)
    np.testing.assert_allclose(target, 0.75, atol=1e-6)
    with pytest.raises(cv2.error):
        ChangeMap(half, half).apply(target)
