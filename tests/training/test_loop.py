"""Training learns, resumes to the same state, and survives damage."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from airtool.cli.app import main
from airtool.errors import AirtoolError, UsageError
from airtool.methods.ndr.network import NDRConfig
from airtool.methods.ndr.objective import NDRObjective
from airtool.methods.objective import Batch
from airtool.methods.registry import load_method
from airtool.methods.weights import read_weights, write_weights
from airtool.training.loop import Options, train
from airtool.training.recipe import Recipe


def options(data: Path, out: Path, **changes: object) -> Options:
    return replace(Options(data, out, device="cpu", precision="fp32", workers=0), **changes)


def checkpoint(out: Path) -> dict:
    return torch.load(out / "checkpoint.pt", weights_only=True)


def test_a_run_in_two_parts_equals_one_in_one_part(tiny: Recipe, training_data: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    whole = train(tiny, options(training_data, tmp_path / "whole"), lines.append)
    assert whole.finished
    assert sum(line.startswith("validation at step") for line in lines) == 2
    assert any("noise" in line and "clean" in line and "rain+jpeg" in line for line in lines)
    # No time at all: one step is done, then the run stops.
    first = train(tiny, options(training_data, tmp_path / "parts", max_minutes=0.0), lines.append)
    assert (first.step, first.finished) == (1, False)
    second = train(tiny, options(training_data, tmp_path / "parts"), lines.append)
    assert second.finished
    ours, theirs = checkpoint(tmp_path / "whole"), checkpoint(tmp_path / "parts")
    assert ours["step"] == theirs["step"] == tiny.steps
    for part in ("objective", "average"):
        for key, tensor in ours[part].items():
            assert torch.equal(tensor, theirs[part][key]), (part, key)
    for number, state in ours["optimiser"]["adamw"]["state"].items():
        assert all(
            torch.equal(value, theirs["optimiser"]["adamw"]["state"][number][key]) for key, value in state.items()
        )
    # What was trained is what restores.
    method = load_method("ndr", whole.weights)
    for key, tensor in method.network.state_dict().items():
        torch.testing.assert_close(tensor, ours["average"][f"both.restoration_net.{key}"], atol=1e-3, rtol=1e-3)


def test_accumulated_gradients_learn_what_the_whole_batch_learns(
    tiny: Recipe, training_data: Path, tmp_path: Path
) -> None:
    recipe = replace(tiny, batch=4, steps=3, objective={**tiny.objective, "loss": "rmse"})
    for parts in (1, 2):
        train(replace(recipe, accumulate=parts), options(training_data, tmp_path / str(parts)), str)
    whole, added = (checkpoint(tmp_path / parts)["objective"] for parts in ("1", "2"))
    for key, tensor in whole.items():
        torch.testing.assert_close(added[key], tensor, atol=2e-4, rtol=1e-3, msg=key)
    with pytest.raises(UsageError, match="batch 4 cannot be shared out over 1 processes in 3 parts"):
        train(replace(recipe, accumulate=3), options(training_data, tmp_path / "3"), str)


def test_training_learns(tiny: Recipe, training_data: Path, tmp_path: Path) -> None:
    recipe = replace(
        tiny, steps=60, mix={"noise": 1.0}, pairs={}, validate_every=60, warmup=5, learning_rate=2e-3, ema=0.9
    )
    lines: list[str] = []
    train(recipe, options(training_data, tmp_path), lines.append)
    gain = float(next(line for line in lines if line.startswith("validation")).split("mean gain ")[1].split()[0])
    assert gain > 2.0, lines


def test_pairs_are_enough(tiny: Recipe, training_data: Path, tmp_path: Path) -> None:
    pair = replace(tiny.pairs["streaks"], use="pairs", validation_degraded="lq", validation_ground_truth="gt")
    recipe = replace(tiny, clean=(), validation="", mix={"streaks": 1.0}, pairs={"streaks": pair})
    lines: list[str] = []
    assert train(recipe, options(training_data, tmp_path), lines.append).finished
    assert sum("validation at step" in line and "dB  streaks " in line for line in lines) == 2


def test_what_objectives_draw_differs_between_parts_and_steps(
    tiny: Recipe, training_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers: list[int] = []
    forward = NDRObjective.forward

    def noting(self: NDRObjective, batch: Batch, step: int) -> dict[str, torch.Tensor]:
        numbers.append(batch.number(step))
        return forward(self, batch, step)

    monkeypatch.setattr(NDRObjective, "forward", noting)
    recipe = replace(tiny, batch=4, accumulate=2)
    train(recipe, options(training_data, tmp_path / "two"), str)
    assert numbers == list(range(2 * recipe.steps))


def test_a_run_starts_from_weights_that_fit(tiny: Recipe, training_data: Path, tmp_path: Path) -> None:
    first = train(tiny, options(training_data, tmp_path / "first"), print)
    lines: list[str] = []
    # At a rate of almost nothing the weights stay what they were.
    slow = replace(tiny, seed=99, learning_rate=1e-12, final_learning_rate=1e-12)
    second = train(slow, options(training_data, tmp_path / "second", start=(first.weights,)), lines.append)
    started = next(line for line in lines if line.startswith("started from"))
    ours, theirs = (load_method("ndr", each.weights).network.state_dict() for each in (second, first))
    assert f"{len(theirs)} of {len(theirs)} tensors" in started
    # What a stage begins from is measured, and counts: nothing that is worse becomes the best.
    assert any(line.startswith("validation at step 0:") for line in lines)
    worse = replace(tiny, seed=98, learning_rate=0.03, warmup=0)
    spoilt = train(worse, options(training_data, tmp_path / "third", start=(first.weights,)), print)
    best = load_method("ndr", spoilt.weights.with_name("best.safetensors")).network.state_dict()
    for key, tensor in theirs.items():
        assert torch.equal(best[key], tensor), key
    for key, tensor in theirs.items():
        torch.testing.assert_close(ours[key], tensor, atol=1e-6, rtol=1e-3)
    lines.clear()
    train(slow, options(training_data, tmp_path / "second", start=(first.weights,)), lines.append)
    assert not any(line.startswith("started from") for line in lines), "a checkpoint goes first"


def test_of_several_weights_the_later_ones_win(tiny: Recipe, training_data: Path, tmp_path: Path) -> None:
    first = train(tiny, options(training_data, tmp_path / "first"), print)
    part = tmp_path / "part.safetensors"
    tensors = read_weights(first.weights).tensors
    write_weights(part, "ndr", NDRConfig(), {"extractor.bias": tensors["extractor.bias"] + 1}, {}, half=False)
    lines: list[str] = []
    slow = replace(tiny, learning_rate=1e-12, final_learning_rate=1e-12)
    for name, order, added in (("a", (first.weights, part), 1), ("b", (part, first.weights), 0)):
        done = train(slow, options(training_data, tmp_path / name, start=order), lines.append)
        bias = load_method("ndr", done.weights).network.get_parameter("extractor.bias")
        torch.testing.assert_close(bias, tensors["extractor.bias"] + added, atol=2e-3, rtol=1e-3)
    assert sum(line.startswith("started from") for line in lines) == 4


def test_weights_of_which_nothing_fits_are_refused(tiny: Recipe, training_data: Path, tmp_path: Path) -> None:
    strange = tmp_path / "strange.safetensors"
    write_weights(strange, "ndr", NDRConfig(), {"stranger": torch.zeros(3)}, {}, half=False)
    with pytest.raises(UsageError, match=r"no tensor of .*strange\.safetensors fits"):
        train(tiny, options(training_data, tmp_path / "out", start=(strange,)), print)


def test_crops_that_a_network_cannot_halve_are_refused(tiny: Recipe, training_data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="patch 60 does not suit ndr: make it a multiple of 8"):
        train(replace(tiny, patch=60), options(training_data, tmp_path), str)


def test_resuming_another_recipe_or_a_damaged_checkpoint_is_refused(
    tiny: Recipe, training_data: Path, tmp_path: Path
) -> None:
    train(replace(tiny, steps=1), options(training_data, tmp_path), str)
    with pytest.raises(UsageError, match="written with another patch"):
        train(replace(tiny, patch=48), options(training_data, tmp_path), str)
    lines: list[str] = []
    assert train(replace(tiny, steps=2), options(training_data, tmp_path), lines.append).step == 2
    assert "laid out for 2 steps now, not for 1: the learning rate follows" in lines
    # A checkpoint from before a setting existed had that setting's default.
    older = checkpoint(tmp_path)
    del older["recipe"]["soft"]
    torch.save(older, tmp_path / "checkpoint.pt")
    assert train(replace(tiny, steps=3), options(training_data, tmp_path), str).step == 3
    torch.save(older, tmp_path / "checkpoint.pt")
    with pytest.raises(UsageError, match="written with another soft"):
        train(replace(tiny, soft=0.5), options(training_data, tmp_path), str)
    for damaged in (b"damaged", b"", b"hello world" * 9):
        (tmp_path / "checkpoint.pt").write_bytes(damaged)
        with pytest.raises(AirtoolError, match=r"checkpoint\.pt is not a readable checkpoint"):
            train(tiny, options(training_data, tmp_path), str)
    torch.save({"step": 3}, tmp_path / "checkpoint.pt")
    with pytest.raises(AirtoolError, match=r"checkpoint\.pt was not written by airtool train"):
        train(tiny, options(training_data, tmp_path), str)


@pytest.mark.parametrize("name", ["weights.safetensors", "best.safetensors"])
def test_weights_that_no_checkpoint_goes_with_are_left_alone(
    name: str, tiny: Recipe, training_data: Path, tmp_path: Path
) -> None:
    (tmp_path / name).write_text("precious")
    with pytest.raises(UsageError, match=f"{name} is there, but no checkpoint to go on from"):
        train(tiny, options(training_data, tmp_path), str)
    assert (tmp_path / name).read_text() == "precious"


def test_a_run_begins_anew_that_was_killed_between_its_best_weights_and_its_checkpoint(
    tiny: Recipe, training_data: Path, tmp_path: Path
) -> None:
    short = replace(tiny, steps=1)
    train(short, options(training_data, tmp_path), str)
    best = (tmp_path / "best.safetensors").read_bytes()
    for name in ("checkpoint.pt", "weights.safetensors"):
        (tmp_path / name).unlink()
    with pytest.raises(UsageError, match=r"best\.safetensors is there"):
        train(replace(short, name="other"), options(training_data, tmp_path), str)
    assert (tmp_path / "best.safetensors").read_bytes() == best
    assert train(short, options(training_data, tmp_path), str).finished


def test_an_output_folder_that_cannot_be_is_one_line(tiny: Recipe, training_data: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(AirtoolError, match=r"cannot write to .*out \(File exists\): give another output folder"):
        train(tiny, options(training_data, tmp_path / "out"), str)
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere"], "data folder nowhere does not exist"),
        (["--recipe", "nothing"], "no recipe nothing"),
        (["--data", ".", "--precision", "fp8"], "--precision fp8"),
    ],
)
def test_command_line_mistakes(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", *arguments]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert message in line
