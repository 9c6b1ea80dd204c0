"""The training loop: one for all methods, one process or many, resumable to the same state."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from airtool.errors import AirtoolError, UsageError, missing_extra
from airtool.heap import keep_heap
from airtool.images.limits import MAX_PIXELS
from airtool.methods.objective import Batch, Objective
from airtool.methods.weights import write_weights
from airtool.native import native_bf16
from airtool.training.checkpoint import BEST, WEIGHTS, check_unused, load_checkpoint, plain_recipe, save_checkpoint
from airtool.training.data import SampleMaker, load_folder, load_pairs
from airtool.training.ema import EMA
from airtool.training.optimiser import Optimiser
from airtool.training.recipe import Recipe
from airtool.training.samples import batches
from airtool.training.start import start_from
from airtool.training.stopping import postponed
from airtool.training.subjects import subject, subject_config
from airtool.training.validation import held_out

Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """How a run is carried out, apart from what it learns."""

    data: Path
    """The data folder."""
    out: Path
    """Folder for checkpoint, logs and weights; a checkpoint found there is resumed."""
    max_minutes: float | None = None
    """Stop after this time at the next step, with a checkpoint."""
    device: str = "auto"
    """auto, cpu or cuda."""
    precision: str = "auto"
    """auto, fp32 or bf16 (autocast)."""
    workers: int = 1
    """Processes a training process that make samples."""
    start: tuple[Path, ...] = ()
    """Weights files to begin from, of which later ones win; a checkpoint in `out` goes before them."""
    shard_state: bool = False
    """Share weights, gradients, optimiser state and average out over the processes, in place of a whole copy in each.
    Checkpoints are the same either way."""
    max_pixels: int = MAX_PIXELS
    """Most pixels of a training picture."""


@dataclass(frozen=True)
class Outcome:
    """Where a run stands when it ends."""

    step: int
    """Steps done in all."""
    finished: bool
    """Whether the recipe's steps are done."""
    weights: Path
    """Averaged weights as of now."""


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up, then a cosine from the peak to the end, for step number `step` from 0."""
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    progress = min(1.0, (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup))
    span = recipe.learning_rate - recipe.final_learning_rate
    return recipe.final_learning_rate + span * 0.5 * (1.0 + math.cos(math.pi * progress))


def train(recipe: Recipe, options: Options, say: Say) -> Outcome:
    """Train, or go on training, until the recipe's steps or the time are used up. `say` receives lines of progress.

    Leaves in `options.out`: ``checkpoint.pt``, ``weights.safetensors`` (average, latest), ``best.safetensors``
    (average with the best figure on the held-out pictures), and TensorBoard files. Raises UsageError for a recipe
    or data that do not fit, for weights there that no checkpoint goes with, and for shards without processes to hold
    them; AirtoolError when accelerate is missing, a picture cannot be read, or the loss stops being finite.
    """
    try:
        from accelerate import Accelerator, DistributedDataParallelKwargs
    except ImportError:
        raise AirtoolError(missing_extra("training needs accelerate and tensorboard", "train")) from None
    started = time.monotonic()
    # Not every step uses every parameter: NDR-Degrad may sit out some.
    accelerator = Accelerator(
        cpu=options.device == "cpu", kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)]
    )
    return _Run(recipe, options, say, accelerator, started).go()


class _Run:
    """One call of `train`."""

    def __init__(self, recipe: Recipe, options: Options, say: Say, accelerator: Any, started: float) -> None:
        if recipe.batch % (accelerator.num_processes * recipe.accumulate):
            parts = f" in {recipe.accumulate} parts" if recipe.accumulate > 1 else ""
            raise UsageError(
                f"batch {recipe.batch} cannot be shared out over {accelerator.num_processes} processes{parts}"
            )
        if options.shard_state and recipe.optimiser != "adamw":
            raise UsageError(f"--shard-state works with the optimiser adamw, not with {recipe.optimiser}")
        if options.shard_state and accelerator.num_processes == 1:
            raise UsageError("--shard-state needs several processes: start them with accelerate launch or torchrun")
        self.recipe, self.options, self.accelerator, self.started = recipe, options, accelerator, started
        self.checkpoint = options.out / "checkpoint.pt"
        if not self.checkpoint.exists():
            check_unused(options.out, recipe)
        self.say: Say = say if accelerator.is_main_process else _silent
        self.device: torch.device = accelerator.device
        if self.device.type == "cpu":
            keep_heap()
        data, most = options.data, options.max_pixels
        clean = [picture for folder in recipe.clean for picture in load_folder(data / folder, most)]
        pairs = {
            name: load_pairs(data / each.degraded, data / each.ground_truth, each.use, each.label, most)
            for name, each in recipe.pairs.items()
            if name in recipe.mix
        }
        self.maker = SampleMaker(recipe, clean, pairs)
        self.validation = held_out(recipe, data, most)
        torch.manual_seed(recipe.seed)
        self.config = subject_config(recipe.method, recipe.preset)
        objective = self._untrained()
        if recipe.patch % objective.patch_multiple:
            wanted = f"make it a multiple of {objective.patch_multiple}"
            raise UsageError(f"patch {recipe.patch} does not suit {recipe.method}: {wanted}")
        for path in () if self.checkpoint.exists() else options.start:
            taken, all_tensors = start_from(objective, path)
            self.say(f"started from {path}: {taken} of {all_tensors} tensors")
        self.objective: Objective = objective
        if options.shard_state:
            # Not at the top: it takes half a second, and not every PyTorch is built with what it needs.
            from airtool.training.sharding import shard

            self.model: Any = shard(objective, self.device, accelerator.num_processes)
        else:
            # PyTorch's stubs lack the overload with a device and a memory format.
            objective.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            self.model = accelerator.prepare(objective)
        self.optimiser = Optimiser(objective, recipe)
        self.average = EMA(objective, recipe.ema)
        self.step, self.best = 0, -math.inf
        self.precision = options.precision
        if self.precision == "auto":
            self.precision = "bf16" if native_bf16(self.device) else "fp32"
        if self.checkpoint.exists():
            self._resume()
        self.before = self.validation.before() if objective.relative else {}

    def _untrained(self) -> Objective:
        return subject(self.recipe.method).objective(self.config, self.recipe.objective)

    def _resume(self) -> None:
        state = load_checkpoint(self.checkpoint, self.recipe)
        if self.options.shard_state:
            from airtool.training.sharding import parted

            state = parted(state, self.objective, self.optimiser)
        self.objective.load_state_dict(state["objective"])
        self.average.load(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.best = state["step"], state["best"]
        if self.options.precision == "auto":
            self.precision = state["precision"]
        self.say(f"resumed at step {self.step} from {self.checkpoint}")
        if (laid_out := state["recipe"]["steps"]) != self.recipe.steps:
            self.say(f"laid out for {self.recipe.steps} steps now, not for {laid_out}: the learning rate follows")

    def go(self) -> Outcome:
        """Train. Raises KeyboardInterrupt, with everything saved, when a signal asks for the end."""
        with postponed() as asked:
            outcome = self._go(asked)
            if asked and not outcome.finished:
                self.say(f"stopped at step {outcome.step}; the same command goes on from there")
        return outcome

    def _go(self, asked: Sequence[int]) -> Outcome:
        recipe, accelerator = self.recipe, self.accelerator
        from torch.utils.tensorboard import SummaryWriter

        out = self.options.out
        try:
            out.mkdir(parents=True, exist_ok=True)
            log = SummaryWriter(str(out / "tensorboard")) if accelerator.is_main_process else None
        except OSError as error:
            raise AirtoolError(f"cannot write to {out} ({error.strerror}): give another output folder") from None
        parameters = sum(p.numel() for p in self.objective.parameters())
        self.say(
            f"{recipe.name}: {parameters:,} parameters, {self.device}, {self.precision}, "
            f"{accelerator.num_processes} processes, steps {self.step} to {recipe.steps}"
        )
        sources = batches(
            self.maker, self.step, recipe.steps, self.options.workers,
            accelerator.process_index, accelerator.num_processes,
        )  # fmt: skip
        try:
            if self.step == 0 and self.options.start:
                # What the stage begins from is what it has to beat.
                self._validate(log)
            mark, mark_step = time.monotonic(), self.step
            for degraded, clean, labels in sources:
                losses = self._train_step(degraded, clean, tuple(labels))
                done = self.step
                validating = done % recipe.validate_every == 0 or done == recipe.steps
                stopping = self._has_to_stop(bool(asked))
                if done % 50 == 0 or validating or stopping:
                    values = {name: float(value.detach()) for name, value in losses.items()}
                    if not math.isfinite(values["loss"]):
                        raise AirtoolError(f"the loss is {values['loss']} at step {done}: lower the learning rate")
                    now = time.monotonic()
                    rate = (done - mark_step) * recipe.batch / max(now - mark, 1e-9)
                    mark, mark_step = now, done
                    if log:
                        for name, value in values.items():
                            log.add_scalar(f"train/{name}", value, done)
                        log.add_scalar("train/learning_rate", learning_rate(recipe, done - 1), done)
                        log.add_scalar("train/pictures_a_second", rate, done)
                    left = (recipe.steps - done) * recipe.batch / max(rate, 1e-9) / 60
                    parts = "  ".join(f"{name} {value:.4f}" for name, value in values.items())
                    self.say(f"step {done}/{recipe.steps}  {parts}  {rate:.1f} pictures/s  {left:.0f} min left")
                if validating:
                    self._validate(log)
                    self._save()
                    mark, mark_step = time.monotonic(), done
                if stopping:
                    break
        finally:
            if log:
                log.close()
        self._save()
        return Outcome(self.step, self.step >= recipe.steps, self.options.out / WEIGHTS)

    def _train_step(
        self, degraded: torch.Tensor, clean: torch.Tensor, labels: tuple[str, ...]
    ) -> dict[str, torch.Tensor]:
        self.optimiser.zero_grad()
        parts = self.recipe.accumulate
        size = len(labels) // parts
        total: dict[str, torch.Tensor] = {}
        processes, process = self.accelerator.num_processes, self.accelerator.process_index
        for index, start in enumerate(range(0, len(labels), size)):
            part = slice(start, start + size)
            here, there = (
                each[part].to(self.device, non_blocking=True).contiguous(memory_format=torch.channels_last)
                for each in (degraded, clean)
            )
            # Processes exchange their gradients once a step, with the last part.
            last = start + size == len(labels)
            if self.options.shard_state:
                self.model.set_requires_gradient_sync(last)
            with nullcontext() if last or self.options.shard_state else self.accelerator.no_sync(self.model):
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
                    batch = Batch(here, there, labels[part], index * processes + process, parts * processes)
                    losses: dict[str, torch.Tensor] = self.model(batch, self.step)
                self.accelerator.backward(losses["loss"] / parts)
            for name, value in losses.items():
                total[name] = total.get(name, torch.zeros_like(value)) + value.detach() / parts
        torch.nn.utils.clip_grad_norm_(self.objective.parameters(), self.recipe.clip_norm)
        self.optimiser.step(learning_rate(self.recipe, self.step) / self.recipe.learning_rate)
        self.average.update(self.objective, self.step)
        self.step += 1
        return total

    def _has_to_stop(self, asked: bool) -> bool:
        """Whether to stop now; the same answer in all processes, so that none waits for another for ever."""
        minutes = self.options.max_minutes
        stop = asked or (minutes is not None and time.monotonic() - self.started > 60 * minutes)
        if self.accelerator.num_processes == 1:
            return stop
        return bool(self.accelerator.reduce(torch.tensor(float(stop), device=self.device), "max").item())

    def _validate(self, log: Any) -> None:
        average = self._whole(self.average.average)
        if not self.accelerator.is_main_process:
            return
        with self._averaged(average) as network:
            report = self.validation.report(network, self.device, self.before)
        for kind, figure in report.figures.items():
            log.add_scalar(f"validation/{kind}", figure, self.step)
        log.add_scalar(f"validation/{report.title.replace(' ', '_')}", report.score, self.step)
        self.say(f"validation at step {self.step}: {report.line}")
        if report.score > self.best:
            self.best = report.score
            self._export(BEST, average)

    @contextmanager
    def _averaged(self, average: Mapping[str, torch.Tensor]) -> Iterator[Objective]:
        """The network with the whole averaged weights, ready to restore."""
        if self.options.shard_state:
            # One of its own: in a sharded one all processes would have to compute.
            with torch.random.fork_rng(devices=[]):
                network = self._untrained()
            network.load_state_dict(average)
            yield network.to(self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
            return
        self.objective.eval()
        with self.average.applied(self.objective):
            yield self.objective
        self.objective.train()

    def _whole(self, state: dict[str, Any]) -> dict[str, Any]:
        """A state without shards, in the main process; all processes have to ask for it."""
        if not self.options.shard_state:
            return state
        from airtool.training.sharding import whole

        return cast(dict[str, Any], whole(state, keep=self.accelerator.is_main_process))

    def _save(self) -> None:
        learned = self._whole(
            {
                "objective": self.objective.state_dict(),
                "average": self.average.average,
                "optimiser": self.optimiser.state_dict(),
            }
        )
        if not self.accelerator.is_main_process:
            return
        state = {
            **learned,
            "step": self.step,
            "best": self.best,
            "precision": self.precision,
            "recipe": plain_recipe(self.recipe),
        }
        save_checkpoint(self.checkpoint, state)
        self._export(WEIGHTS, state["average"])

    def _export(self, name: str, average: Mapping[str, torch.Tensor]) -> None:
        origin = {"recipe": self.recipe.name, "preset": self.recipe.preset, "steps": self.step}
        tensors = self.objective.exported(average)
        write_weights(self.options.out / name, self.recipe.method, self.config, tensors, origin, half=True)


def _silent(line: str) -> None:
    """What the other processes say."""
