"""A training loop that keeps a budget, shows progress, survives interruption, and averages weights.

A model brings a `Learner`: its networks, its optimisers, and what one step does. `train` owns the rest: how far the
schedule is, the random generator, the running average of the weights, and a checkpoint from which an interrupted run
goes on to exactly the same weights. `save_model` and `load_model` keep finished models as safetensors files.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from fsbench.atomic import atomic_path
from fsbench.environment import processor_features
from fsbench.errors import CheckpointError, DeviceError, FsbenchError
from fsbench.guard import one_thread as one_thread  # these two are part of what a model's author imports from here
from fsbench.guard import side_by_side as side_by_side
from fsbench.interfaces import Budget, Progress
from fsbench.store import in_fixed_order

SAVE_EVERY = 20.0  # seconds between checkpoints
SAVE_SHARE = 0.05  # of the time may go into writing them: large ones are written less often
SHOW_EVERY = 0.5  # seconds between progress calls, each of which waits for the device


class Learner(Protocol):
    """What `train` needs of a model. All state lives in `networks` (pools and counters as buffers) and `optimisers`."""

    @property
    def networks(self) -> nn.Module: ...

    @property
    def optimisers(self) -> Mapping[str, torch.optim.Optimizer]: ...

    def step(self, fraction: float, generator: torch.Generator) -> Mapping[str, Tensor]:
        """Update the weights once and return the losses to show.

        `fraction`, in [0, 1), is how much of the budget is used: schedules depend on nothing else. All randomness
        comes from `generator`, which lives on the device.
        """
        ...


@dataclass
class Trained:
    """How long a training run was, over all sessions."""

    steps: int
    seconds: float


def train(
    learner: Learner,
    budget: Budget,
    *,
    recipe: Mapping[str, Any],
    device: torch.device,
    progress: Progress,
    checkpoint: Path,
    decay: float = 0.999,
) -> Trained:
    """Train until the budget is used, and leave the averaged weights in `learner.networks`.

    `recipe` holds as JSON values everything that decides the result (architecture, parameters, hash of the data); the
    budget is added to it. Where `checkpoint` is there, training goes on from it. A run of a step budget that was
    interrupted at any moment gives the same weights as one that was not, bit for bit, on one machine and thread count.
    `decay` is that of the exponential moving average of the weights, which starts short and grows with the steps.
    Raises CheckpointError for a checkpoint that is damaged or was made by another recipe; FsbenchError where losses or
    weights are no longer finite, and DeviceError where memory does not suffice: the last good checkpoint stays.
    """
    recipe = {**recipe, "budget": [budget.steps, budget.seconds, budget.seed]}
    state = _State(learner, torch.Generator(device).manual_seed(budget.seed))
    if checkpoint.exists():
        state.load(checkpoint, recipe, device)
    total = float(budget.steps if budget.steps is not None else budget.seconds or 0)
    begin, spent_before = time.monotonic(), state.seconds
    shown, shown_steps, save_at = begin, state.steps, begin + SAVE_EVERY

    def used() -> float:
        return float(state.steps) if budget.steps is not None else state.seconds

    progress(min(used(), total), total, {})  # an interrupted run is seen to go on where it was
    while used() < total:
        try:
            losses = learner.step(used() / total, state.generator)
        except torch.OutOfMemoryError as error:
            raise _out_of_memory(recipe, device, state.steps) from error
        state.steps += 1
        state.average(decay)
        now = time.monotonic()
        state.seconds = spent_before + now - begin
        saving = now >= save_at or used() >= total
        if saving or now - shown >= SHOW_EVERY:
            figures = {name: float(value) for name, value in losses.items()}
            state.check_finite(figures, checkpoint, weights=saving)
            rate = (state.steps - shown_steps) / max(now - shown, 1e-9)
            progress(min(used(), total), total, {**figures, "steps/s": rate})
            shown, shown_steps = now, state.steps
        if saving:
            state.save(checkpoint, recipe)
            written = time.monotonic()
            save_at = written + max(SAVE_EVERY, (written - now) / SAVE_SHARE)
    state.use_averages()
    return Trained(state.steps, round(state.seconds, 3))


class _State:
    """All that a checkpoint holds."""

    def __init__(self, learner: Learner, generator: torch.Generator) -> None:
        self.learner = learner
        self.generator = generator
        self.steps = 0
        self.seconds = 0.0
        self.saved_at: int | None = None  # steps of the checkpoint that is there
        self.weights = dict(learner.networks.named_parameters())
        self.averages = {name: weight.detach().clone() for name, weight in self.weights.items()}

    def average(self, decay: float) -> None:
        now = min(decay, (1 + self.steps) / (10 + self.steps))
        weights = [weight.detach() for weight in self.weights.values()]
        torch._foreach_lerp_(list(self.averages.values()), weights, 1 - now)

    def use_averages(self) -> None:
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(self.averages[name])

    def save(self, path: Path, recipe: Mapping[str, Any]) -> None:
        content = {
            "recipe": json.dumps(recipe, sort_keys=True),
            "steps": self.steps,
            "seconds": self.seconds,
            "generator": self.generator.get_state(),
            "networks": self.learner.networks.state_dict(),
            "averages": self.averages,
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.learner.optimisers.items()},
        }
        with atomic_path(path) as partial, partial.open("wb") as file:  # opened here: a full disk is then an OSError
            torch.save(content, file)
        self.saved_at = self.steps

    def check_finite(self, figures: Mapping[str, float], checkpoint: Path, weights: bool) -> None:
        """Raise FsbenchError for a loss, or one of the weights, that is not finite: it is never saved."""
        wrong = [f"loss {name!r} is {value}" for name, value in figures.items() if not math.isfinite(value)]
        if weights and not wrong:
            wrong = [
                f"{name} is not finite" for name, w in self.weights.items() if not bool(w.detach().isfinite().all())
            ]
        if wrong:
            kept = (
                f"the checkpoint of step {self.saved_at:,} is kept, {checkpoint}" if self.saved_at else "none was saved"
            )
            raise FsbenchError(
                f"training diverged: {wrong[0]} after {self.steps:,} steps; {kept}", "try another seed, or fewer steps"
            )

    def load(self, path: Path, recipe: Mapping[str, Any], device: torch.device) -> None:
        again = f"delete {path} to train from the start"
        try:
            content = torch.load(path, map_location=device, weights_only=True)
            made_by = json.loads(content["recipe"])
            if made_by == json.loads(json.dumps(recipe)):
                self.learner.networks.load_state_dict(content["networks"])
                for name, optimiser in self.learner.optimisers.items():
                    optimiser.load_state_dict(content["optimisers"][name])
                self.averages = content["averages"]
                self.generator.set_state(content["generator"].cpu())
                self.steps, self.seconds = content["steps"], content["seconds"]
                self.saved_at = self.steps
        except Exception as error:  # a damaged pickle may raise anything
            raise CheckpointError(f"the checkpoint {path} is damaged or no checkpoint", again) from error
        wrong = [
            f"{key} is {made_by.get(key)!r}, not {recipe.get(key)!r}"
            for key in sorted({*made_by, *recipe})
            if made_by.get(key) != json.loads(json.dumps(recipe.get(key)))
        ]
        if wrong:
            raise CheckpointError(f"the checkpoint {path} was made by another recipe: {'; '.join(wrong)}", again)


def _out_of_memory(recipe: Mapping[str, Any], device: torch.device, steps: int) -> DeviceError:
    batch = recipe.get("batch")
    lower = f"try batch={batch // 2}" if isinstance(batch, int) and batch > 1 else ""
    return DeviceError(
        f"training ran out of memory on {device} after {steps:,} steps, with batch={batch}",
        lower or "try a smaller size, or --device cpu",
    )


def fast_bfloat16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 itself: a CPU that has to emulate it takes ten times as long as in float32.

    False where the system does not tell what its processor can do.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return not processor_features().isdisjoint(("avx512_bf16", "amx_bf16", "bf16"))


def save_model(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and facts (JSON values; among them `architecture`) as one safetensors file, atomically."""
    packed = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    content = safetensors.torch.save(packed, {name: json.dumps(value) for name, value in facts.items()})
    with atomic_path(path) as partial:
        partial.write_bytes(in_fixed_order(content))


def load_model(
    path: Path, architecture: str, asked: Mapping[str, Any] | None = None, defaults: Mapping[str, Any] | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return what `save_model` wrote; facts in `asked` that are not "auto" have to be those of the file.

    `defaults` are facts that the file may leave out.
    Raises CheckpointError for a missing or damaged file, another architecture, and facts that contradict.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            facts = {name: json.loads(value) for name, value in (file.metadata() or {}).items()}
            facts = {**(defaults or {}), **facts}
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no model file {path}", "check the path after @") from error
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged or no safetensors file", "train again, or name another") from error
    if facts.get("architecture") != architecture:
        found = facts.get("architecture", "something else")
        raise CheckpointError(f"{path} holds {found}, not {architecture}", f"name a file that {architecture} saved")
    for name, wanted in (asked or {}).items():
        if wanted not in ("auto", facts.get(name)):
            raise CheckpointError(
                f"{path} was trained with {name}={facts.get(name)}, not {wanted}",
                f"leave {name} out: the file knows it",
            )
    return tensors, facts
