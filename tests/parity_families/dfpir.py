"""DFPIR cases: text vectors become orders of channels as at an import; then the network without its text layers.

Orders are found in float32 as ever. The network runs in float64: it magnifies rounding so much that the authors' own
float32 outputs are up to 1.5e-5 off, and ours would come on top.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from airtool.methods.dfpir.network import DFPIRNet
from airtool.methods.dfpir.official import PERTURBATIONS, channel_scores, convert_with
from airtool.methods.dfpir.texts import Texts

INPUTS = ("input", "text_code")


def compare(
    case: Mapping[str, Any], weights: Mapping[str, Tensor], vectors: Mapping[str, Tensor]
) -> Iterator[tuple[str, Tensor, Tensor]]:
    for size in sorted({name.partition(".")[0] for name in vectors}):
        wanted = {name.partition(".")[2]: each for name, each in vectors.items() if name.startswith(f"{size}.")}
        ours = _outputs(weights, wanted["input"], wanted["text_code"])
        for name, theirs in wanted.items():
            if name not in INPUTS:
                yield f"{size}.{name}", ours[name].float(), theirs.float()


def _outputs(weights: Mapping[str, Tensor], x: Tensor, text: Tensor) -> dict[str, Tensor]:
    labels = tuple(str(row) for row in range(text.shape[0]))
    config, state = convert_with(weights, Texts(labels, lambda: text, "the case"))
    network = DFPIRNet(config).eval().double()
    network.load_state_dict(state, strict=True)
    found: dict[str, Tensor] = {}

    def record(block: nn.Module, inputs: tuple[Tensor, Tensor], out: Tensor) -> None:
        level = PERTURBATIONS.index(names[block]) + 1
        found[f"enc{level}"], found[f"dgpb{level}"] = inputs[0], out
        found[f"Q{level}"] = block.perturb(*inputs)  # type: ignore[operator]

    names: dict[nn.Module, str] = {network.get_submodule(name): name for name in PERTURBATIONS}
    for level, (block, name) in enumerate(names.items(), 1):
        found[f"shuffle_index{level}"] = state[f"{name}.order"]
        found[f"mlp_out{level}"] = channel_scores(weights, name, text)
        block.register_forward_hook(record)
    # One text may serve a whole batch.
    prompts = torch.arange(x.shape[0]) if len(labels) > 1 else torch.zeros(x.shape[0], dtype=torch.long)
    found["out"] = network(x.double(), prompts)
    return found
