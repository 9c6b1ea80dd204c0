"""NDR-Restore cases: both published passes on the same weights, with the recognised degradations and NDR-Degrad."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from airtool.methods.ndr.degrad import NDR
from airtool.methods.ndr.network import NDRConfig, RestorationNet

RESIDUAL = "_residual"
DEGRADATION = "degradation_net."
RECOGNISED = re.compile(r"U([123])(?:_every(\d+)px)?")


def config_of(case: Mapping[str, Any], residual: bool) -> NDRConfig:
    """The config that the authors' constructor arguments stand for."""
    restoration = case["constructor"]["RestorationNet"]
    wired = case.get("hardwired", {})
    return NDRConfig(
        dim=restoration["dim"],
        blocks=tuple(restoration["num_blocks"]),
        refinement_blocks=restoration["num_refinement_blocks"],
        heads=tuple(restoration["heads"]),
        expansion=restoration["ffn_expansion_factor"],
        bias=restoration["bias"],
        norm=restoration["LayerNorm_type"],
        atoms=restoration["dr"][1],
        atom_dim=restoration["dr"][2],
        feature_dim=wired.get("n_feat", 64),
        rank=wired.get("K", 16),
        residual=residual,
        degrad_dim=case["constructor"].get("DegradationNet", {}).get("dim", NDRConfig.degrad_dim),
    )


def compare(
    case: Mapping[str, Any], weights: Mapping[str, Tensor], vectors: Mapping[str, Tensor]
) -> Iterator[tuple[str, Tensor, Tensor]]:
    sizes = sorted({name.partition(".")[0] for name in vectors})
    for residual in (False, True):
        network, degradation = _build(config_of(case, residual), weights)
        for size in sizes:
            wanted = {
                name.partition(".")[2]: tensor
                for name, tensor in vectors.items()
                if name.startswith(f"{size}.") and name.endswith(RESIDUAL) == residual
            }
            clean = vectors.get(f"{size}.clean")
            ours = _outputs(network, degradation, vectors[f"{size}.input"], clean)
            for name, theirs in wanted.items():
                if name not in ("input", "clean"):
                    yield f"{size}.{name}", _pick(ours, name.removesuffix(RESIDUAL)), theirs


def _build(config: NDRConfig, weights: Mapping[str, Tensor]) -> tuple[RestorationNet, nn.Module | None]:
    if any(key.startswith(DEGRADATION) for key in weights):
        both = NDR(config).eval()
        both.load_state_dict(weights, strict=True)
        return both.restoration_net, both.degradation_net
    network = RestorationNet(config, nn.Parameter(torch.empty(1, config.atoms, config.atom_dim))).eval()
    bare = {key.removeprefix("restoration_net."): value for key, value in weights.items()}
    bare.pop("degradation_representations", None)
    network.load_state_dict(bare, strict=True)
    return network, None


def _outputs(
    network: RestorationNet, degradation: nn.Module | None, x: Tensor, clean: Tensor | None
) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    hooks = []
    for level in (1, 2, 3):
        skip = getattr(network, f"res_connect{level}")
        hooks.append(skip.register_forward_hook(lambda _m, _i, out, level=level: found.update({f"DI{level}": out[0]})))
        query = skip.degradation_recog
        hooks.append(
            query.register_forward_hook(
                lambda module, inputs, _o, level=level: found.update({f"S{level}": module.affinity(*inputs)})
            )
        )
    try:
        found["out"], recognised = network.restore_and_recognise(x)
    finally:
        for hook in hooks:
            hook.remove()
    found.update({f"U{level}": u for level, u in enumerate(recognised, 1)})
    if degradation is not None and clean is not None:
        found["degrad_out"] = degradation(clean, recognised)
    return found


def _pick(ours: Mapping[str, Tensor], name: str) -> Tensor:
    sampled = RECOGNISED.fullmatch(name)
    if sampled and sampled[2]:
        every = int(sampled[2])
        return ours[f"U{sampled[1]}"][..., ::every, ::every]
    return ours[name]
