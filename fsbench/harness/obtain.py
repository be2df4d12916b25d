"""From a pipeline as typed to a model that is ready to swap: built, loaded, or trained at most once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import fsbench
from fsbench import guard
from fsbench.config import Pipeline, parse_budget
from fsbench.errors import CheckpointError, PluginError, UsageError
from fsbench.harness.codehash import plugin_key
from fsbench.interfaces import Budget, Context, Faces, Oracle, Refiner, Swapper, Trainable, Training
from fsbench.registry import Entry, refiners, swappers
from fsbench.results import TrainingRecord
from fsbench.specs import Spec, local_path
from fsbench.store import content_digest, file_sha256, fingerprint, passing_folder, read_regular, write_text

WEIGHTS, RECORD = "model.safetensors", "training.json"
TRAINABLE = ("budgets", "fit", "save", "load")


@dataclass(frozen=True)
class Built:
    """A pipeline whose parts are made, and whose weights are loaded where a path names them."""

    pipeline: Pipeline
    entry: Entry[Swapper]
    swapper: Swapper | Oracle
    refiners: tuple[Refiner, ...]
    weights: Path | None = None


@dataclass(frozen=True)
class Model:
    """A pipeline that is ready, and how it came to be."""

    label: str
    spec: str
    summary: str
    swapper: Swapper | Oracle
    refiners: tuple[Refiner, ...]
    identities: tuple[str | None, ...]  # hash of all that decides the outputs of each part; None where it is not known
    kind: Literal["baseline", "ceiling", "ready", "loaded", "trained"]
    training: TrainingRecord | None = None
    weights: Path | None = None
    trained_on: str = ""  # content hash of the training split; "" where it is not known
    notes: tuple[str, ...] = ()

    @property
    def identity(self) -> str | None:
        """Hash of everything that decides its outputs; None where that cannot be known."""
        return self.identities[-1]


def build(pipeline: Pipeline, context: Context) -> Built:
    """Make the parts of a pipeline, with weights where a path names them.

    Raises UsageError for names and parameters that do not exist, CheckpointError for a file that is missing or unfit,
    PluginError for a model that can be trained by half.
    """
    entry = swappers.get(pipeline.swapper.name)
    swapper = entry.build(pipeline.swapper, context)
    has = [name for name in TRAINABLE if hasattr(swapper, name)]
    if "fit" in has and not isinstance(swapper, Trainable):
        missing = ", ".join(name for name in TRAINABLE if name not in has)
        raise PluginError(f"{entry.name} has fit, but no {missing}", "see fsbench.interfaces.Trainable")
    weights = _load(swapper, pipeline.swapper)
    made = []
    for spec in pipeline.refiners:
        made.append(refiners.build(spec, context))
        _load(made[-1], spec)
    return Built(pipeline, entry, swapper, tuple(made), weights)


def _load(plugin: object, spec: Spec) -> Path | None:
    """Load the file that a specification names into a plug-in with `load`; another has read the path for itself."""
    load: Callable[[Path], None] | None = getattr(plugin, "load", None)
    if not spec.path or load is None:
        return None
    weights = local_path(spec.path, f"{spec.name}@")
    if not weights.is_file():
        there = "a folder" if weights.is_dir() else "no regular file" if weights.exists() else "not there"
        raise CheckpointError(
            f"no file {weights}: it is {there}",
            f"name a file that a run wrote: {spec.name}@DIR/models/{spec.name}.safetensors",
        )
    guard.call(spec.name, load, weights)
    return weights


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


def obtain(built: Built, train: Callable[[], Faces], budget: str, seed: int, context: Context) -> Model:
    """Train what needs training, or take a training that was finished before: it is never repeated.

    A swapper is trained once, in whatever pipelines it stands.
    """
    pipeline, swapper = built.pipeline, built.swapper
    parts = [
        plugin_key(built.entry, pipeline.swapper, swapper),
        *(plugin_key(refiners.get(spec.name), spec, refiner)
          for spec, refiner in zip(pipeline.refiners, built.refiners, strict=True)),
    ]
    recipe: dict[str, Any] = {"version": fsbench.__version__, "device": context.device.type}
    if None in parts:
        context.log(f"{pipeline.label}: its outputs are not kept for later runs (it holds an object, or has no source)")
    made: dict[str, Any] = {"kind": "ready"}
    if isinstance(swapper, Oracle):
        made["kind"] = "ceiling"
    elif getattr(swapper, "baseline", False) and not pipeline.refiners:
        made["kind"] = "baseline"
    elif built.weights is not None:
        made = {"kind": "loaded", "weights": built.weights, **_told_beside(built.weights)}
    elif isinstance(swapper, Trainable):
        name, amount = steps_or_seconds(budget, swapper, context.device.type, seed)
        faces = train()
        recipe |= {"budget": asdict(amount), "data": faces.content_hash()}
        made = {"kind": "trained", "trained_on": recipe["data"]}
        label = Pipeline(swapper=pipeline.swapper).label
        made |= _train(swapper, faces, name, amount, _key(parts[:1], recipe), label, context)
    if "weights" in made:
        recipe["weights"] = file_sha256(made["weights"])
    identities = tuple(_key(parts[:n], recipe) for n in range(1, len(parts) + 1))
    return Model(pipeline.label, str(pipeline), built.entry.summary, swapper, built.refiners, identities, **made)


def _key(parts: Sequence[dict[str, Any] | None], recipe: dict[str, Any]) -> str | None:
    return None if None in parts else fingerprint({**recipe, "parts": parts})


def _train(
    swapper: Trainable, faces: Faces, name: str, budget: Budget, key: str | None, label: str, context: Context
) -> dict[str, Any]:
    folder = passing_folder() if key is None else context.store.folder("models", key)
    done = _finished(folder)
    if done is not None:
        context.log(f"{label}: trained before ({done.steps:,} steps, {done.seconds:.0f} s); loaded from the cache")
        guard.call(label, swapper.load, folder / WEIGHTS)
    else:
        if not context.store.can_write(folder):
            folder = passing_folder()
        done = _fit(swapper, faces, budget, label, folder / "checkpoint.pt", context)
        guard.call(label, swapper.save, folder / WEIGHTS)
        # The record is written last: it says that the rest is whole.
        write_text(folder / RECORD, json.dumps({**asdict(done), "digest": _digest(folder, done)}))
        (folder / "checkpoint.pt").unlink(missing_ok=True)
    training = TrainingRecord(
        budget=name,
        steps=done.steps,
        seconds=done.seconds,
        device=str(context.device),
        settings=dict(done.settings),
        coaches=tuple(done.coaches),
        inputs=dict(getattr(swapper, "inputs", {})),
    )
    return {"training": training, "weights": folder / WEIGHTS, "notes": tuple(done.notes)}


def _fit(
    swapper: Trainable, faces: Faces, budget: Budget, label: str, checkpoint: Path, context: Context
) -> Training:
    """Train, from a checkpoint where there is one that can be used."""
    if os.path.lexists(checkpoint) and not checkpoint.is_file():
        checkpoint = passing_folder() / checkpoint.name
    found = checkpoint.exists()
    try:
        return guard.call(label, swapper.fit, faces, budget, context.stage(f"training {label}"), checkpoint)
    except CheckpointError as error:
        if not found:
            raise
        context.log(f"{label}: {error.message}: it is trained from the start")
        checkpoint.unlink()
        return guard.call(label, swapper.fit, faces, budget, context.stage(f"training {label}"), checkpoint)


def _finished(folder: Path) -> Training | None:
    """A training that was finished in this folder, if what lies there is what was written."""
    try:
        fields = json.loads(read_regular(folder / RECORD))
        digest = fields.pop("digest")
        done = Training(**fields)
        return done if digest == _digest(folder, done) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None  # not there, or damaged from outside: train again


def _digest(folder: Path, training: Training) -> str:
    """Of the key, the record and the weights: files of another training do not pass for this one's."""
    return fingerprint([folder.name, content_digest(folder / WEIGHTS), asdict(training)])


def tell_beside(model: Model, weights: Path) -> None:
    """Write beside a run's copy of trained weights how they came to be, for a later run that loads them."""
    assert model.training is not None
    said = {"sha256": file_sha256(weights), "trained_on": model.trained_on, "training": model.training.model_dump()}
    write_text(weights.with_suffix(".json"), json.dumps(said, indent=1))


def _told_beside(weights: Path) -> dict[str, Any]:
    """How loaded weights came to be, as far as the file beside them says so."""
    try:
        said = json.loads(read_regular(weights.with_suffix(".json")))
        if said["sha256"] == file_sha256(weights):
            return {"training": TrainingRecord(**said["training"]), "trained_on": str(said["trained_on"])}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass  # not there, or not ours: what it was trained on and against is then not known, and the result says so
    return {}
