"""Run by several processes: trains with sharded state at one go and in two, and tells what each process holds.

Arguments: recipe, data folder, folder for results.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch.distributed.tensor import DTensor

from airtool.training import sharding
from airtool.training.loop import Options, _Run
from airtool.training.recipe import load_recipe


def local(tensor: torch.Tensor) -> int:
    return tensor.to_local().numel() if isinstance(tensor, DTensor) else tensor.numel()


def main() -> None:
    from accelerate import Accelerator

    torch.set_num_threads(1)
    # So that this small network has blocks of its own, too.
    sharding.SMALLEST = 20_000
    recipe, data, out = load_recipe(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    accelerator = Accelerator(cpu=True)

    def run(name: str, steps: int) -> _Run:
        options = Options(data, out / name, device="cpu", precision="fp32", workers=0, shard_state=True)
        made = _Run(replace(recipe, steps=steps), options, lambda line: None, accelerator, 0.0)
        made.go()
        return made

    done = run("straight", 4)
    held = {
        "weights": sum(local(each) for each in done.objective.parameters()),
        "average": sum(local(each) for each in done.average.average.values()),
        "moments": sum(
            local(value)
            for part in done.optimiser.parts.values()
            for entry in part.state.values()
            for key, value in entry.items()
            if key != "step"
        ),
        "all weights": sum(each.numel() for each in done.objective.parameters()),
        "blocks": sum(isinstance(each, sharding.FSDPModule) for each in done.objective.modules()),
    }
    (out / f"held-{accelerator.process_index}.json").write_text(json.dumps(held))
    run("halves", 2)
    run("halves", 4)


if __name__ == "__main__":
    main()
