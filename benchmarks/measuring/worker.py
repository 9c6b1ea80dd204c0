"""One contender in this process, which restores one picture each time it is told to. Run by `measuring.alone`."""

import gc
import json
import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from airtool.images.decode import read
from airtool.images.picture import Metadata, Picture
from measuring.contenders import Case, photograph, restorer
from measuring.memory import begin_peak, end_peak


class Worker:
    """A contender that is loaded and ready. name: as `measuring.contenders.restorer` has it."""

    def __init__(self, case: Case, name: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self.case = case
        self.restore = restorer(case, name, threads)

    def turn(
        self,
        path: str | None = None,
        size: tuple[int, int] | None = None,
        memory: bool = False,
        flops: bool = False,
        output: str | None = None,
    ) -> dict[str, Any]:
        """Restore one picture: "seconds", from an array to an array, and the largest "tile" of ours.

        path: of a picture; None makes one, of `size` (height, width) or the case's. memory: "added_mib", the peak while
        restoring over what the process held before, with weights, libraries and the decoded picture in it, and
        "total_mib", that peak itself; a kept heap is handed back first. flops: "flops" of the network's convolutions
        and products; counting them takes time. output: an .npy file to be written with the restored picture.
        """
        device = torch.device(self.case.device)
        picture = read(Path(path)) if path else _made(*(size or (self.case.height, self.case.width)))
        gc.collect()
        before = begin_peak(device) if memory else 0
        with FlopCounterMode(display=False) if flops else nullcontext() as counter:
            start = time.perf_counter()
            restored, tile = self.restore(picture)
            seconds = time.perf_counter() - start
        answer: dict[str, Any] = {"seconds": seconds, "tile": tile}
        if memory:
            peak = end_peak(device)
            answer |= {"added_mib": (peak - before) / 2**20, "total_mib": peak / 2**20}
        if counter is not None:
            answer["flops"] = counter.get_total_flops()
        if output is not None:
            np.save(output, restored)
        return answer


def _made(height: int, width: int) -> Picture:
    return Picture(photograph(height, width), None, 8, False, "png", Metadata())


def main() -> int:
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    told = json.loads(sys.argv[1])
    worker = Worker(Case(**told["case"]), told["name"], told["threads"])
    for line in sys.stdin:
        print(json.dumps(worker.turn(**json.loads(line))), file=answers, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
