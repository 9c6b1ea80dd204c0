"""The losses of SA-BIQA agree with values worked out independently, and never lose their gradient."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from airtool.methods.autodir.biqa import fidelity, released_fidelity, semantic_agnostic


@pytest.fixture(scope="module", params=["logit_scale_1", "logit_scale_100"])
def case(request: pytest.FixtureRequest, reference_folder: Path) -> dict:
    """Logits of degraded and clean pictures, one-hot labels, and what should come out."""
    vectors = json.loads((reference_folder / "vectors" / "biqa" / "losses_A.json").read_text())
    scale = float(request.param.removeprefix("logit_scale_"))
    logits = {
        side: (scale * torch.tensor(vectors[f"cosine_{side}"], dtype=torch.float64)).requires_grad_()
        for side in ("degraded", "clean")
    }
    y = torch.nn.functional.one_hot(torch.tensor(vectors["labels_index"]), len(vectors["classes"])).double()
    return {**vectors[request.param], "logits": logits, "y": y, "lambda": vectors["lambda_"]}


def close(ours: Tensor, theirs: object) -> None:
    torch.testing.assert_close(ours, torch.tensor(theirs, dtype=torch.float64), rtol=0, atol=1e-9)


def test_values_and_gradients_of_the_paper(case: dict) -> None:
    seen = fidelity(case["logits"]["degraded"], case["y"])
    scene = semantic_agnostic(case["logits"]["clean"], case["y"])
    close(seen, case["L_FID"])
    close(scene, case["L_SA"])
    total = (seen + case["lambda"] * scene).mean()
    close(total, case["mean_L_BIQA"])
    total.backward()
    for side in ("degraded", "clean"):
        gradient = case["logits"][side].grad
        assert gradient is not None
        close(gradient, case[f"grad_meanBIQA_wrt_logits_{side}"])


def test_value_of_the_released_code(case: dict) -> None:
    close(released_fidelity(case["logits"]["degraded"].detach(), case["y"]).mean(), case["mean_code_fid"])


def test_shares_are_best_met_by_themselves() -> None:
    y = torch.tensor([[0.75, 0.25, 0.0]])
    best = fidelity(y.log(), y).item()
    assert best == pytest.approx(0.0, abs=1e-6)
    for other in ([1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.6, 0.2, 0.2]):
        assert fidelity(torch.tensor([other]).clamp(min=1e-9).log(), y).item() > best + 0.01


def test_the_gradient_is_finite_where_a_probability_is_nothing() -> None:
    logits = torch.tensor([[300.0, 0.0, -300.0]], requires_grad=True)
    y = torch.tensor([[0.0, 1.0, 0.0]])
    (fidelity(logits, y) + semantic_agnostic(logits, y) + released_fidelity(logits, y)).sum().backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
