"""From a pipeline as typed to a model that is ready to swap: built, loaded, or trained at most once."""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import fsbench
from fsbench import guard
from fsbench.config import Pipeline, parse_budget
from fsbench.errors import CheckpointError, PluginError, UsageError
from fsbench.interfaces import Budget, Context, Faces, Oracle, Refiner, Swapper, Trainable, Training
from fsbench.registry import Entry, refiners, swappers
from fsbench.results import TrainingRecord
from fsbench.store import file_sha256, fingerprint, write_text

TRAINABLE = ("budgets", "fit", "save", "load")
SHARED_CODE = ("training.py", "images.py", "faces/*.py")


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
    identity: str  # hash of everything that decides its outputs
    kind: Literal["baseline", "ceiling", "ready", "loaded", "trained"]
    training: TrainingRecord | None = None
    weights: Path | None = None
    trained_on: str = ""  # content hash of the training split; "" where it is not known
    notes: tuple[str, ...] = ()


def code_hash(factory: Callable[..., Any]) -> str:
    """Hash of a plug-in's package and of what fsbench shares with it: edited code never meets its old outputs."""
    digest = hashlib.sha256()
    for path in _code_files(factory):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _code_files(factory: Callable[..., Any]) -> Iterator[Path]:
    own = Path(fsbench.__file__).parent
    for pattern in SHARED_CODE:
        yield from sorted(own.glob(pattern))
    try:
        file = Path(inspect.getfile(factory))
    except TypeError:
        return
    package = sys.modules.get(factory.__module__.partition(".")[0])
    folder = Path(package.__file__).parent if package is not None and package.__file__ else file.parent
    if "." not in factory.__module__ and file.name != "__init__.py":
        yield file  # a module of its own: what lies beside it is somebody else's
    else:
        yield from sorted((file.parent if folder == own else folder).rglob("*.py"))


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
    weights = None
    if pipeline.swapper.path:
        if not isinstance(swapper, Trainable):
            raise UsageError(
                f"{entry.name} has no weights to load from {pipeline.swapper.path}", f"write {entry.name} alone"
            )
        weights = Path(pipeline.swapper.path).expanduser()
        if not weights.is_file():
            raise CheckpointError(
                f"no file {weights}", f"name a file that a run wrote: {entry.name}@DIR/models/{entry.name}.safetensors"
            )
        guard.call(entry.name, swapper.load, weights)
    return Built(pipeline, entry, swapper, tuple(refiners.build(one, context) for one in pipeline.refiners), weights)


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
    """Train what needs training, or take a training that was finished before: it is never repeated."""
    pipeline, swapper = built.pipeline, built.swapper
    files = [Path(spec.path).expanduser() for spec in pipeline.refiners if spec.path]
    recipe: dict[str, Any] = {
        "pipeline": str(pipeline),
        "version": fsbench.__version__,
        "device": context.device.type,
        "code": [
            code_hash(built.entry.factory),
            *(code_hash(refiners.get(spec.name).factory) for spec in pipeline.refiners),
        ],
        "files": [file_sha256(path) if path.is_file() else "" for path in files],
    }
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
        recipe |= {"budget": asdict(amount), "data": faces.content_hash(), "inputs": getattr(swapper, "inputs", {})}
        made = {"kind": "trained", "trained_on": recipe["data"]}
        made |= _train(swapper, faces, name, amount, fingerprint(recipe), pipeline.label, context)
    if "weights" in made:
        recipe["weights"] = file_sha256(made["weights"])
    return Model(
        pipeline.label, str(pipeline), built.entry.summary, swapper, built.refiners, fingerprint(recipe), **made
    )


def _train(
    swapper: Trainable, faces: Faces, name: str, budget: Budget, key: str, label: str, context: Context
) -> dict[str, Any]:
    folder = context.store.folder("models", key)
    weights, record = folder / "model.safetensors", folder / "training.json"
    done = _finished(record, weights)
    if done is not None:
        context.log(f"{label}: trained before ({done.steps:,} steps, {done.seconds:.0f} s); loaded from the cache")
        guard.call(label, swapper.load, weights)
    else:
        progress = context.stage(f"training {label}")
        done = guard.call(label, swapper.fit, faces, budget, progress, folder / "checkpoint.pt")
        guard.call(label, swapper.save, weights)
        # The record is written last: it says that the rest is whole.
        write_text(record, json.dumps({"sha256": file_sha256(weights), **asdict(done)}))
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
    return {"training": training, "weights": weights, "notes": tuple(done.notes)}


def _finished(record: Path, weights: Path) -> Training | None:
    try:
        said = json.loads(record.read_text())
        return Training(**said) if said.pop("sha256") == file_sha256(weights) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not there, or damaged from outside: train again


def tell_beside(model: Model, weights: Path) -> None:
    """Write beside a run's copy of trained weights how they came to be, for a later run that loads them."""
    assert model.training is not None
    said = {"sha256": file_sha256(weights), "trained_on": model.trained_on, "training": model.training.model_dump()}
    write_text(weights.with_suffix(".json"), json.dumps(said, indent=1))


def _told_beside(weights: Path) -> dict[str, Any]:
    """How loaded weights came to be, as far as the file beside them says so."""
    try:
        said = json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))
        if said["sha256"] == file_sha256(weights):
            return {"training": TrainingRecord(**said["training"]), "trained_on": str(said["trained_on"])}
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not there, or not ours: what it was trained on and against is then not known, and the result says so
    return {}
