"""Tiles cover everything, weigh something everywhere, and add up to one."""

import numpy as np
import pytest
import torch

from airtool.engine.memory import is_out_of_memory, tile_shape
from airtool.engine.padding import crop, pad
from airtool.engine.tiles import axis, run_tiled, weights


@pytest.mark.parametrize("length", [1, 63, 64, 65, 100, 513, 4000])
@pytest.mark.parametrize(
    ("tile", "overlap", "multiple"), [(64, 16, 8), (64, 64, 8), (70, 30, 4), (33, 0, 16), (16, 9, 16)]
)
def test_axis(length: int, tile: int, overlap: int, multiple: int) -> None:
    along = axis(length, tile, overlap, multiple)
    assert all(start % multiple == 0 for start in along.starts)
    assert along.tile % multiple == 0
    assert along.tile <= max(tile, 2 * multiple)
    assert along.starts[0] == 0
    assert along.end(len(along.starts) - 1) == length
    shared = [along.end(index) - start for index, start in enumerate(along.starts[1:])]
    assert all(count >= min(overlap, along.tile // 2 // multiple * multiple, 1 if overlap else 0) for count in shared)
    shares = weights(along)
    total = np.zeros(length)
    for index, share in enumerate(shares):
        assert share.min() > 0
        assert len(share) == along.end(index) - along.starts[index]
        total[along.starts[index] : along.end(index)] += share
    assert np.allclose(total, 1, atol=1e-6)


def test_overlap_is_as_wide_as_asked() -> None:
    along = axis(4000, 512, 64, 8)
    assert min(along.end(i) - start for i, start in enumerate(along.starts[1:])) >= 64
    # Evenly spread: no last tile that is nearly all overlap.
    assert along.tile * len(along.starts) - 64 * (len(along.starts) - 1) < 4000 + 8 * len(along.starts) * 2


def test_edges_inside_the_picture_hardly_count() -> None:
    along = axis(400, 128, 32, 8)
    first, second = weights(along)[:2]
    shared = along.end(0) - along.starts[1]
    assert shared >= 32
    assert second[: shared // 4].max() < 2e-4
    assert first[-(shared // 4) :].max() < 2e-4
    assert first[0] == 1


def test_run_tiled_returns_what_went_in_even_in_place() -> None:
    rgb = np.random.default_rng(0).random((203, 117, 3), dtype=np.float32)
    seen = np.zeros((203, 117), int)

    def piece(pixels: np.ndarray, top: int, left: int) -> np.ndarray:
        nonlocal seen
        height, width = pixels.shape[:2]
        # Overwriting must never reach a pixel that a later tile still reads.
        assert np.array_equal(pixels, rgb[top : top + height, left : left + width])
        seen[top : top + height, left : left + width] += 1
        return 1 - pixels

    work = rgb.copy()
    run_tiled(work, work, axis(203, 64, 24, 8), axis(117, 64, 24, 8), piece)
    assert np.allclose(work, 1 - rgb, atol=1e-6)
    assert seen.min() == 1
    assert seen.max() == 4


def test_padding_mirrors_and_repeats_where_it_cannot() -> None:
    line = torch.arange(6.0).view(1, 1, 1, 6)
    assert pad(line, 4)[0, 0].tolist() == [[0, 1, 2, 3, 4, 5, 4, 3]] * 4
    assert pad(torch.full((1, 3, 1, 1), 0.5), 8).shape == (1, 3, 8, 8)
    assert pad(torch.arange(3.0).view(1, 1, 1, 3), 8)[0, 0, 0].tolist() == [0, 1, 2, 2, 2, 2, 2, 2]
    picture = torch.rand(1, 3, 11, 13)
    assert torch.equal(crop(pad(picture, 8), 11, 13), picture)
    assert pad(picture[..., :8, :8], 8).shape[-2:] == (8, 8)


@pytest.mark.parametrize(("height", "width"), [(4000, 6000), (1, 5000), (5000, 16), (300, 300), (1, 1)])
def test_tile_shape_fills_the_budget(height: int, width: int) -> None:
    tile = tile_shape(height, width, 200_000, 8)
    assert tile[0] * tile[1] <= 200_000
    assert tile[0] % 8 == tile[1] % 8 == 0
    if height * width < 150_000:
        assert tile[0] >= height
        assert tile[1] >= width
    else:
        assert tile[0] * tile[1] > 150_000


def test_words_of_memory_errors() -> None:
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"))
    for words in ("create a primitive", "create a memory object", "execute a primitive"):
        assert is_out_of_memory(RuntimeError(f"could not {words}"))  # oneDNN
    assert not is_out_of_memory(RuntimeError("could not create a primitive descriptor for the matmul primitive"))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("out of memory"))
