"""From a pipeline as typed to a model that is ready to swap: built, loaded, or trained at most once."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import fsbench
from fsbench.config import Pipeline, parse_budget
from fsbench.errors import CheckpointError, UsageError
from fsbench.interfaces import Budget, Context, Faces, Oracle, Refiner, Swapper, Trainable, Training
from fsbench.registry import Entry, refiners, swappers
from fsbench.results import TrainingRecord
from fsbench.store import file_sha256, fingerprint, write_text


@dataclass(frozen=True)
class Model:
    """A pipeline that is ready, and how it came to be."""

    label: str
    spec: str
    summary: str
    swapper: Swapper | Oracle
    refiners: tuple[Refiner, ...]
    identity: str  # hash of everything that decides its outputs
    kind: str
    training: TrainingRecord | None = None
    weights: Path | None = None
    notes: tuple[str, ...] = ()


def code_hash(factory: Callable[..., Any]) -> str:
    """Hash of the Python files beside the plug-in's own, so that editing a plug-in never meets its old outputs."""
    try:
        folder = Path(inspect.getfile(factory)).parent
    except TypeError:
        return ""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def steps_or_seconds(budget: str, model: Trainable, device: str, seed: int) -> tuple[str, Budget]:
    """Return the budget's name and what it means for this model; raises UsageError."""
    name = ("full" if device == "cuda" else "short") if budget == "auto" else budget
    amount = parse_budget(name)
    if isinstance(amount, str):
        if amount not in model.budgets:
            raise UsageError(
                f"{type(model).__name__} does not say what --budget {amount} is",
                f"it knows {', '.join(model.budgets)}; a number of steps or seconds (180s) always works",
            )
        return name, Budget(steps=model.budgets[amount], seed=seed)
    return name, Budget(steps=amount, seed=seed) if isinstance(amount, int) else Budget(seconds=amount, seed=seed)


def build(pipeline: Pipeline, context: Context) -> tuple[Entry[Swapper], Swapper | Oracle, tuple[Refiner, ...]]:
    """Make the parts of a pipeline, with weights where a path names them.

    Raises UsageError for names and parameters that do not exist, CheckpointError for a file that is missing or unfit.
    """
    entry = swappers.get(pipeline.swapper.name)
    swapper = entry.build(pipeline.swapper, context)
    if pipeline.swapper.path:
        if not isinstance(swapper, Trainable):
            raise UsageError(
                f"{entry.name} has no weights to load from {pipeline.swapper.path}", f"write {entry.name} alone"
            )
        weights = weights_path(pipeline)
        if not weights.is_file():
            raise CheckpointError(
                f"no file {weights}", f"name a file that a run wrote: {entry.name}@DIR/models/{entry.name}.safetensors"
            )
        swapper.load(weights)
    return entry, swapper, tuple(refiners.build(spec, context) for spec in pipeline.refiners)


def weights_path(pipeline: Pipeline) -> Path:
    """The file that a specification names after `@`."""
    return Path(pipeline.swapper.path).expanduser()


def obtain(pipeline: Pipeline, train: Callable[[], Faces], budget: str, seed: int, context: Context) -> Model:
    """Build a pipeline's models, and load or train where there are weights. A finished training is never repeated."""
    entry, swapper, stages = build(pipeline, context)
    recipe: dict[str, Any] = {
        "pipeline": pipeline.label,
        "version": fsbench.__version__,
        "device": context.device.type,
        "code": [code_hash(entry.factory), *(code_hash(refiners.get(spec.name).factory) for spec in pipeline.refiners)],
    }
    made: dict[str, Any] = {"kind": "ceiling" if isinstance(swapper, Oracle) else "baseline"}
    if isinstance(swapper, Trainable) and pipeline.swapper.path:
        made = {"kind": "loaded", "weights": weights_path(pipeline)}
    elif isinstance(swapper, Trainable):
        name, amount = steps_or_seconds(budget, swapper, context.device.type, seed)
        faces = train()
        recipe |= {"budget": asdict(amount), "data": faces.crops.content_hash()}
        made = {"kind": "trained", **_train(swapper, faces, name, amount, fingerprint(recipe), pipeline.label, context)}
    if "weights" in made:
        recipe["weights"] = file_sha256(made["weights"])
    return Model(pipeline.label, str(pipeline.swapper), entry.summary, swapper, stages, fingerprint(recipe), **made)


def _train(
    swapper: Trainable, faces: Faces, name: str, budget: Budget, key: str, label: str, context: Context
) -> dict[str, Any]:
    folder = context.store.folder("models", key)
    weights, record = folder / "model.safetensors", folder / "training.json"
    done = _finished(record, weights)
    if done is not None:
        context.log(f"{label}: trained before ({done.steps:,} steps, {done.seconds:.0f} s); loaded from the cache")
        swapper.load(weights)
    else:
        done = swapper.fit(faces, budget, context.stage(f"training {label}"), folder / "checkpoint.pt")
        swapper.save(weights)
        write_text(
            record, json.dumps({"sha256": file_sha256(weights), **asdict(done)})
        )  # last: says that the rest is whole
        (folder / "checkpoint.pt").unlink(missing_ok=True)
    training = TrainingRecord(
        budget=name,
        steps=done.steps,
        seconds=done.seconds,
        device=str(context.device),
        settings=dict(done.settings),
        coaches=tuple(done.coaches),
    )
    return {"training": training, "weights": weights, "notes": tuple(done.notes)}


def _finished(record: Path, weights: Path) -> Training | None:
    try:
        said = json.loads(record.read_text())
        return Training(**said) if said.pop("sha256") == file_sha256(weights) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not there, or damaged from outside: train again
