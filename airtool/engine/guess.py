"""What to tell a method that has to be told, when the user has not said what is wrong with a picture."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from airtool.engine.look import crops
from airtool.engine.tiles import Pixels
from airtool.methods.base import LabelledMethod, Method, Request

REFEREE = "ndr"
"""The blind method whose embedded weights decide."""


def guess(method: LabelledMethod, referee: Method, rgb: Pixels, device: torch.device, candidates: Sequence[str]) -> str:
    """The candidate whose result by `method` is nearest to what a blind method makes of the picture.

    Our own rule, as such methods' papers always tell them: every candidate restores up to four crops of the picture
    (H, W, 3), and the one with the least mean squared difference from `referee`'s result wins, the earlier one among
    equals. It is as good a judge as the referee is. One pass over the crops a candidate.
    """
    cut = crops(rgb, math.lcm(method.facts.size_multiple, referee.facts.size_multiple))
    batch = torch.from_numpy(cut).permute(0, 3, 1, 2).to(device).contiguous(memory_format=torch.channels_last)
    seeds = (0,) * len(batch)
    with torch.inference_mode():
        wanted = referee.restore(batch, Request(seeds)).float().clamp(0, 1)

        def error(candidate: str) -> float:
            restored: Tensor = method.restore(batch, Request(seeds, (candidate,))).float().clamp(0, 1)
            return float((restored - wanted).square().mean())

        return candidates[int(np.argmin([error(candidate) for candidate in candidates]))]
