"""From a pipeline as typed to a model that is ready to swap: parts are built, loaded, or trained at most once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import fsbench
from fsbench import guard
from fsbench.config import Pipeline
from fsbench.errors import CheckpointError, UsageError
from fsbench.extraction.codehash import plugin_key
from fsbench.harness.parts import Kind, Part, call, chain, check_signature
from fsbench.harness.train import is_trainable, read_sidecar, steps_or_seconds, train
from fsbench.interfaces import Context, Faces, WeightsFile
from fsbench.registry import PARTS, Entry, Registry, kind_of_part, swappers
from fsbench.results import TrainingRecord
from fsbench.specs import Spec, local_path
from fsbench.store import file_sha256, fingerprint

METHODS: dict[Kind, str] = {"swapper": "swap", "refiner": "refine", "wrapper": "wrap"}


@dataclass(frozen=True)
class Built:
    """A pipeline whose parts are made, with weights where paths name them; nothing is trained or wrapped yet."""

    pipeline: Pipeline
    parts: tuple[Part, ...]

    @property
    def needs_truth(self) -> bool:
        """Whether its first part only repeats exact answers."""
        return self.parts[0].needs_truth


@dataclass(frozen=True)
class Model:
    """A pipeline that is ready, and how it came to be."""

    label: str
    spec: str
    parts: tuple[Part, ...]  # the swapper first

    @property
    def summary(self) -> str:
        """First sentence of the swapper's docstring."""
        return self.parts[0].summary

    @property
    def needs_truth(self) -> bool:
        """Whether its first part only repeats exact answers."""
        return self.parts[0].needs_truth

    @property
    def kind(self) -> Literal["baseline", "ceiling", "ready", "loaded", "trained", "precomputed"]:
        """How it stands in tables: trained or loaded where one of its parts is."""
        first, origins = self.parts[0], {part.origin for part in self.parts}
        if self.needs_truth:
            return "ceiling"
        if len(self.parts) == 1 and guard.run(first.who, getattr, first.plugin, "baseline", False):
            return "baseline"
        if len(self.parts) == 1 and guard.run(first.who, getattr, first.plugin, "precomputed", False):
            return "precomputed"
        return "trained" if "trained" in origins else "loaded" if "loaded" in origins else "ready"

    @property
    def training(self) -> TrainingRecord | None:
        """How its swapper was trained."""
        return self.parts[0].training

    @property
    def coaches(self) -> tuple[str, ...]:
        """Families of recognisers that any of its parts was trained against, or is conditioned on."""
        trained = [part.training.coaches for part in self.parts if part.training is not None]
        ready = [guard.run(part.who, getattr, part.plugin, "coaches", ()) for part in self.parts]
        return tuple(dict.fromkeys(family for coaches in (*trained, *ready) for family in coaches))

    @property
    def weights_files(self) -> tuple[WeightsFile, ...]:
        """Pretrained files that its parts were made from."""
        files = [guard.run(part.who, getattr, part.plugin, "weights_files", ()) for part in self.parts]
        return tuple(dict.fromkeys(file for of_part in files for file in of_part))

    @property
    def notes(self) -> tuple[str, ...]:
        """What training said of each part."""
        return tuple(note for part in self.parts for note in part.notes)

    @property
    def identities(self) -> tuple[str | None, ...]:
        """Hash of all that decides the outputs after each part; None where it is not known."""
        keys = [part.key for part in self.parts]
        return tuple(None if None in keys[:n] else fingerprint(keys[:n]) for n in range(1, len(keys) + 1))

    @property
    def identity(self) -> str | None:
        """Hash of all that decides its outputs."""
        return self.identities[-1]


def build(pipeline: Pipeline, context: Context) -> Built:
    """Make the parts of a pipeline, with weights where a path names them.

    Raises UsageError for names and parameters that do not exist and for parts that do not fit, CheckpointError for a
    file that is missing or unfit, PluginError for a part that breaks its contract as far as that shows.
    """
    parts = tuple(
        _build(spec, label, i, context)
        for i, (spec, label) in enumerate(zip(pipeline.parts, pipeline.labels, strict=True))
    )
    for part in parts:
        if part.kind == "wrapper" and parts[0].needs_truth:
            raise UsageError(
                f"{part.who} cannot wrap {parts[0].label}: it only repeats the answers that it is shown",
                "wrap a model that swaps",
            )
    return Built(pipeline, parts)


def _build(spec: Spec, label: str, place: int, context: Context) -> Part:
    kind: Kind = "swapper" if place == 0 else "wrapper" if kind_of_part(spec.name) == "wrapper" else "refiner"
    shelf: Registry[Any] = swappers if kind == "swapper" else PARTS[kind]
    entry = shelf.get(spec.name)
    plugin = entry.build(spec, context)
    part = Part(label, spec, kind, plugin, entry.summary)
    if not part.needs_truth:
        check_signature(part.who, plugin, METHODS[kind])
    is_trainable(part.who, plugin)
    weights = _load(part)
    return part if weights is None else replace(part, weights=weights, origin="loaded")


def _load(part: Part) -> Path | None:
    """Load the file that a specification names into a plug-in with `load`; another has read the path for itself."""
    load: Callable[[Path], None] | None = guard.run(part.who, getattr, part.plugin, "load", None)
    if not part.spec.path or load is None:
        return None
    name = part.spec.name
    weights = local_path(part.spec.path, f"{name}@")
    if not weights.is_file():
        there = "a folder" if weights.is_dir() else "no regular file" if weights.exists() else "not there"
        raise CheckpointError(
            f"no file {weights}: it is {there}",
            f"name a file that a run wrote: {name}@DIR/models/{file_name(part.kind, name)}",
        )
    guard.call(part.who, load, weights)
    return weights


def file_name(kind: Kind, name: str) -> str:
    """Return the name of the file in which a run keeps the weights of a part."""
    return f"{name}.safetensors" if kind == "swapper" else f"{name}.{kind}.safetensors"


def check_budget(built: Built, budget: str, seed: int, context: Context) -> None:
    """Raise UsageError where a part of a pipeline has to be trained and does not know the budget."""
    for part in built.parts:
        if part.origin != "loaded" and is_trainable(part.who, part.plugin):
            steps_or_seconds(part.who, budget, part.plugin, context.device.type, seed)


def prepare_model(built: Built, train_split: Callable[[], Faces], budget: str, seed: int, context: Context) -> Model:
    """Train the parts that need it, or take a training that was finished before, and wrap what wrappers wrap.

    A part is trained once, in whatever pipelines it stands. `train_split` is called only where one is trained.
    """
    parts: list[Part] = []
    for part in built.parts:
        part = _prepare(part, train_split, budget, seed, context)
        if part.kind == "wrapper":
            part = _wrap(part, parts)
        parts.append(part)
    if any(part.key is None for part in parts):
        context.log(
            f"{built.pipeline.label}: its outputs are not kept for later runs (it holds an object, or has no source)"
        )
    return Model(built.pipeline.label, str(built.pipeline), tuple(parts))


def _prepare(part: Part, train_split: Callable[[], Faces], budget: str, seed: int, context: Context) -> Part:
    entry: Entry[Any] = (swappers if part.kind == "swapper" else PARTS[part.kind]).get(part.spec.name)
    recipe: dict[str, Any] = {
        "part": guard.run(part.who, plugin_key, entry, part.spec, part.plugin),
        "kind": part.kind,
        "version": fsbench.__version__,
        "device": context.device.type,
    }
    if part.weights is not None:
        training, trained_on = read_sidecar(part.weights)
        part = replace(part, training=training, trained_on=trained_on)
    elif is_trainable(part.who, part.plugin):
        name, amount = steps_or_seconds(part.who, budget, part.plugin, context.device.type, seed)
        faces = train_split()
        recipe |= {"budget": asdict(amount), "data": faces.content_hash()}
        record, weights, notes = train(part.who, part.plugin, faces, name, amount, _key(recipe), context)
        part = replace(part, origin="trained", training=record, weights=weights, notes=notes, trained_on=recipe["data"])
    if part.weights is not None:
        recipe["weights"] = file_sha256(part.weights)
    return replace(part, key=_key(recipe))


def _key(recipe: dict[str, Any]) -> str | None:
    return None if recipe["part"] is None else fingerprint(recipe)


def _wrap(part: Part, before: list[Part]) -> Part:
    """Let a wrapper make a swapper of the parts before it."""
    wrapped = call(part.who, "wrap", part.plugin.wrap, chain(before, part.who))
    check_signature(f"{part.who}, what wrap gave,", wrapped, "swap")
    return replace(part, wrapped=wrapped)
