"""What the detector learns from: which pictures, which labels, which clean partners."""

import math
from collections.abc import Iterator, Sequence

import pytest
import torch
import torch.nn.functional as F
from test_detector import TINY

from airtool.errors import UsageError
from airtool.methods.autodir.detector_objective import (
    LEAST_NOISE,
    LIGHT_KEPT,
    DetectorObjective,
    DetectorSettings,
    DetectorTraining,
)
from airtool.methods.autodir.vocabulary import CLASSES, NOTHING
from airtool.methods.objective import Batch

PLAIN = {"shift": 0, "grey_share": 0.0, "saved_share": 0.0, "warmup": 0}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def objective(**settings: object) -> DetectorObjective:
    torch.manual_seed(0)
    return DetectorObjective(TINY, DetectorSettings(**(PLAIN | settings)))


def batch(*labels: str) -> Batch:
    generator = torch.Generator().manual_seed(1)
    return Batch(*torch.rand(2, len(labels), 3, 40, 40, generator=generator), labels)


def seen_by(trained: DetectorObjective, given: Batch, step: int = 0) -> list[torch.Tensor]:
    """The pictures that go through the network."""
    seen: list[torch.Tensor] = []
    handle = trained.network.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach().clone()))
    trained(given, step)
    handle.remove()
    return seen


def test_only_visibly_degraded_pictures_bring_their_partners() -> None:
    given = batch("noise:25", "clean", "noise:1", "haze:1")
    (pictures,) = seen_by(objective(), given)
    torch.testing.assert_close(pictures, torch.cat([given.degraded, given.clean[[0, 3]]]))
    assert len(seen_by(objective(semantic_weight=0.0), given)[0]) == 4
    losses = objective()(batch("clean", "jpeg:95"), 0)
    assert "semantic" not in losses
    assert losses["loss"].item() == pytest.approx(losses["fidelity"].item())


def test_the_loss_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = objective(semantic_weight=0.5)
    # Even odds for each class.
    monkeypatch.setattr(
        trained.network, "compare", lambda pictures, sentences: torch.zeros(len(pictures), len(CLASSES))
    )
    losses = trained(batch("rain:0.5", "clean"), 0)
    root = 1 / math.sqrt(len(CLASSES))
    assert losses["fidelity"].item() == pytest.approx(1 - root)
    assert losses["semantic"].item() == pytest.approx(root)
    assert losses["loss"].item() == pytest.approx(1 - root + 0.5 * root)
    # The first class wins ties: it is noise.
    assert losses["correct"].item() == 0.0
    assert trained(batch("noise:25", "clean"), 0)["correct"].item() == 0.5


def test_the_warm_up_trades_cross_entropy_for_the_semantic_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = objective(semantic_weight=0.5, warmup=10)
    monkeypatch.setattr(trained.network, "compare", lambda pictures, _: torch.zeros(len(pictures), len(CLASSES)))
    root, entropy = 1 / math.sqrt(len(CLASSES)), math.log(len(CLASSES))
    for step, warm in ((0, 0.0), (4, 0.4), (10, 1.0), (99, 1.0)):
        losses = trained(batch("rain:0.5", "noise:50,rain:0.85"), step)
        expected = losses["fidelity"].item() + warm * 0.5 * losses["semantic"].item() + (1 - warm) * entropy
        assert losses["loss"].item() == pytest.approx(expected)
    # Half the shares each: sqrt(1/2 p) twice.
    assert losses["semantic"].item() == pytest.approx((root + math.sqrt(2) * root) / 2)


def test_both_encoders_learn() -> None:
    trained = objective()
    trained(batch("noise:25", "clean", "rain:0.5,noise:20"), 0)["loss"].backward()
    assert [key for key, parameter in trained.named_parameters() if parameter.grad is None] == []
    assert set(trained.exported(trained.state_dict())) == set(trained.network.state_dict())


def test_crops_move_and_some_are_grey_the_same_way_at_the_same_step() -> None:
    given = batch(*["noise:25"] * 8)
    trained = objective(shift=8, grey_share=0.5)
    (first,), (again,) = seen_by(trained, given, 3), seen_by(trained, given, 3)
    torch.testing.assert_close(first, again)
    assert first.shape == (16, 3, 32, 32)
    places, grey = set(), 0
    for step in range(12):
        (pictures,) = seen_by(trained, given, step)
        is_grey = (pictures == pictures[:, :1]).flatten(1).all(1)
        torch.testing.assert_close(is_grey[:8], is_grey[8:])
        grey += int(is_grey.sum())
        places.update(
            (top, left)
            for top in range(9)
            for left in range(9)
            if torch.equal(pictures[:8, 1], given.degraded[:, 1, top : top + 32, left : left + 32])
            and torch.equal(pictures[8:, 1], given.clean[:, 1, top : top + 32, left : left + 32])
        )
    assert len(places) >= 8
    assert all(max(place) < 8 for place in places)
    assert 0.3 < grey / (12 * 16) < 0.7


def test_saving_is_real_and_told_where_it_shows() -> None:
    labels = ("clean", "rain:0.5", "rain")
    coarse, fine = (objective(saved_share=1.0, saved_quality=[quality] * 2) for quality in (10, 92))
    asked: list[Sequence[str]] = []
    for trained in (coarse, fine):
        targets = trained.targets
        trained.targets = lambda given, targets=targets: asked.append(given) or targets(given)  # type: ignore[method-assign]
    noise = batch(*labels)
    degraded, clean = (
        F.interpolate(each[..., :5, :5], size=(40, 40), mode="bilinear") for each in (noise.degraded, noise.clean)
    )
    given = Batch(degraded, clean, labels)
    (saved,), (kept,) = seen_by(coarse, given), seen_by(fine, given)
    assert asked[0] == ("jpeg:10", "rain:0.5,jpeg:10", "rain,jpeg:10")
    assert (saved[:3] - given.degraded).abs().mean() > 2 * (kept[:3] - given.degraded).abs().mean() > 0
    # Clean partners are not saved; those of the first are only there where the saving shows.
    torch.testing.assert_close(saved[3:], given.clean)
    torch.testing.assert_close(kept[3:], given.clean[1:])


def test_soft_photographs_keep_less_of_their_noise_and_all_of_its_name() -> None:
    labels = ("camera-noise:0.8", "camera-noise:0.8", "noise:25", "camera-noise:0.4,jpeg:50")
    trained = objective(soft_share=1.0)
    asked: list[Sequence[str]] = []
    targets = trained.targets
    trained.targets = lambda given: asked.append(given) or targets(given)  # type: ignore[method-assign,func-returns-value]
    given = batch(*labels)
    clean = 0.4 + 0.2 * given.clean
    given = Batch((clean + 0.05 * (given.degraded - 0.5)).clamp(0, 1), clean, labels)
    (pictures,) = seen_by(trained, given)
    degraded, partners = pictures[:4], pictures[4:]
    torch.testing.assert_close(degraded[2:], given.degraded[2:])
    for row in (0, 1):
        name, _, amount = asked[0][row].partition(":")
        assert name == "camera-noise"
        assert LEAST_NOISE <= float(amount) <= 0.8
        assert partners[row].std() < 0.9 * clean[row].std()
        noise = given.degraded[row] - clean[row]
        kept = noise * (float(amount) / 0.8)
        torch.testing.assert_close(degraded[row] - partners[row], kept, atol=0.501 / 255, rtol=0)
        torch.testing.assert_close(255 * degraded[row], (255 * degraded[row]).round(), atol=1e-3, rtol=0)
    assert asked[0][0] != asked[0][1]
    assert asked[0][2:] == labels[2:]


def test_a_scene_lit_from_behind_is_dark_where_it_was_dark() -> None:
    scene = torch.full((1, 3, 40, 40), 0.2)
    scene[..., :16, :] = 0.9  # the sky
    dark = 0.3 * scene
    given = Batch(torch.cat([dark, dark]), torch.cat([scene, scene]), ("low-light:2", "low-light:2,noise:20"))
    (pictures,) = seen_by(objective(backlit_share=1.0), given)
    lit, mixed = pictures[0], pictures[1]
    torch.testing.assert_close(mixed, dark[0])
    torch.testing.assert_close(lit[:, 20:], dark[0, :, 20:], atol=0.501 / 255, rtol=0)
    kept = ((lit - dark[0]) / (scene - dark)[0])[:, :12]
    assert kept.std() < 1e-4
    torch.testing.assert_close(255 * lit, (255 * lit).round(), atol=1e-3, rtol=0)
    assert LIGHT_KEPT <= kept.mean() <= 1
    # An even scene has no part that is light.
    even = torch.full((1, 3, 40, 40), 0.5)
    (pictures,) = seen_by(objective(backlit_share=1.0), Batch(0.3 * even, even, ("low-light:2",)))
    assert pictures[0].std() < 1e-6


def test_measuring_counts_what_is_named_right(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = objective()
    pictures = torch.rand(1, 3, 32, 32)
    for name, right in (("rain", 100.0), ("noise", 100.0), ("haze", 0.0), (NOTHING, 0.0)):
        logits = torch.nn.functional.one_hot(torch.tensor([CLASSES.index(name)]), len(CLASSES)).float()
        monkeypatch.setattr(trained.network, "compare", lambda *_, logits=logits: logits)
        assert trained.measure(pictures, pictures, "rain:0.5,noise:20") == right


def test_what_makes_no_sense_is_refused() -> None:
    for settings in (
        {"fidelity": "code"},
        {"semantic_weight": -1.0},
        {"warmup": -1},
        {"shift": 3},
        {"grey_share": 2.0},
        {"soft_share": -0.1},
        {"backlit_share": 1.1},
        {"saved_quality": [90, 70]},
        {"lambda": 1.0},
    ):
        with pytest.raises(UsageError, match=r"\[objective\] of the recipe"):
            DetectorTraining.objective(TINY, settings)
    trained = objective(saved_share=1.0)
    with pytest.raises(UsageError, match="give the recipe's"):
        trained(batch("", "clean"), 0)
    trained.classes = ("noise", "no")
    with pytest.raises(UsageError, match="know no 'rain'"):
        trained(batch("rain:0.5"), 0)


def test_training_tells_noise_from_dark_from_clean() -> None:
    """Without the warm-up one class is given up for good."""
    trained = objective(shift=2, warmup=50)
    optimiser = torch.optim.AdamW(trained.parameters(), lr=2e-3)
    generator = torch.Generator().manual_seed(2)

    def drawn() -> Batch:
        scenes = torch.rand(12, 3, 4, 4, generator=generator) * 0.5 + 0.4
        clean = F.interpolate(scenes, size=(34, 34), mode="bicubic").clamp(0, 1)
        noise = torch.randn(clean.shape, generator=generator) * (25 / 255)
        degraded = torch.cat([clean[:4] + noise[:4], 0.2 * clean[4:8], clean[8:]]).clamp(0, 1)
        return Batch(degraded, clean, (*["noise:25"] * 4, *["low-light:3"] * 4, *["clean"] * 4))

    for step in range(100):
        losses = trained(drawn(), step)
        optimiser.zero_grad()
        losses["loss"].backward()
        torch.nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
        optimiser.step()
    last = trained(drawn(), 99)
    assert last["correct"].item() == 1.0
    assert last["fidelity"].item() < 0.1
    assert last["semantic"].item() < 0.1
