"""The noise field is one field, whoever looks at it through whatever window."""

import numpy as np
import pytest
import torch

from airtool.diffusion.field import noise_window

SEED = 2**62 + 12345


@pytest.mark.parametrize(
    ("top", "left", "height", "width"),
    [(0, 0, 96, 160), (64, 64, 64, 64), (63, 1, 2, 127), (17, 130, 70, 61), (5, 5, 1, 1), (120, 0, 8, 8)],
)
def test_windows_agree_where_they_overlap(top: int, left: int, height: int, width: int) -> None:
    whole = noise_window(SEED, 0, 0, 160, 224)
    part = noise_window(SEED, top, left, height, width)
    assert torch.equal(part, whole[:, top : top + height, left : left + width])


def test_the_field_goes_on_beyond_the_picture() -> None:
    around = noise_window(SEED, -70, -5, 100, 50)
    assert torch.equal(around[:, 70:, 5:], noise_window(SEED, 0, 0, 30, 45))
    # The blocks left of and above the origin are not those right of and below it.
    assert not torch.equal(around[:, :30, 5:], around[:, 70:, 5:])


def test_the_same_seed_gives_the_same_numbers_for_ever() -> None:
    corner = noise_window(1, 0, 0, 1, 3)[:, 0]
    known = [
        [-0.70453066, 1.0304251, 0.04397169],
        [-0.35711962, 1.7481575, -0.8827105],
        [-0.93507284, -0.3398925, -0.497283],
    ]
    np.testing.assert_array_equal(corner.numpy(), np.array(known, np.float32))


def test_it_is_standard_normal_and_differs_by_seed_place_and_channel() -> None:
    field = noise_window(7, 0, 0, 256, 256)
    assert abs(field.mean()) < 0.01
    assert field.std() == pytest.approx(1, abs=0.01)
    blocks = [
        field[0, :64, :64], field[1, :64, :64], field[0, :64, 64:128], field[0, 64:128, :64],
        noise_window(8, 0, 0, 64, 64)[0],
    ]  # fmt: skip
    correlation = torch.corrcoef(torch.stack([block.flatten() for block in blocks])) - torch.eye(5)
    assert correlation.abs().max() < 0.06
