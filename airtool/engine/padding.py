"""Sizes a network can take: pad right and bottom, crop back."""

from torch import Tensor
from torch.nn import functional as F


def round_up(length: int, multiple: int) -> int:
    """The smallest multiple of `multiple` that is at least `length`."""
    return -(-length // multiple) * multiple


def pad(pictures: Tensor, multiple: int) -> Tensor:
    """Grow (N, C, H, W) at the right and the bottom until H and W are multiples of `multiple`.

    The new pixels mirror those at the edge without repeating the edge itself; where the picture is too small for
    that (1 pixel wide, or narrower than what is missing) the edge is repeated. Dtype and device stay.
    """
    height, width = pictures.shape[-2:]
    right, bottom = round_up(width, multiple) - width, round_up(height, multiple) - height
    if right:
        pictures = F.pad(pictures, (0, right, 0, 0), mode="reflect" if right < width else "replicate")
    if bottom:
        pictures = F.pad(pictures, (0, 0, 0, bottom), mode="reflect" if bottom < height else "replicate")
    return pictures


def crop(pictures: Tensor, height: int, width: int) -> Tensor:
    """The top left `height` x `width` of (N, C, H, W): undoes `pad`."""
    return pictures[..., :height, :width]
