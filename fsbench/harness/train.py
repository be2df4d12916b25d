"""A part is trained at most once: what was finished before is taken from the cache."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fsbench import guard
from fsbench.config import parse_budget
from fsbench.errors import CheckpointError, PluginError, UsageError
from fsbench.interfaces import Budget, Context, Faces, Trainable, Training
from fsbench.results import TrainingRecord
from fsbench.store import content_digest, file_sha256, fingerprint, passing_folder, read_regular, write_text

WEIGHTS, RECORD, CHECKPOINT = "model.safetensors", "training.json", "checkpoint.pt"
METHODS = ("budgets", "fit", "save", "load")


def is_trainable(who: str, plugin: object) -> bool:
    """Whether a plug-in learns; raises PluginError for one that has some methods of Trainable, `fit` among them."""
    has = [name for name in METHODS if guard.run(who, hasattr, plugin, name)]
    if "fit" in has and len(has) < len(METHODS):
        missing = ", ".join(name for name in METHODS if name not in has)
        raise PluginError(f"{who} has fit, but no {missing}", "see fsbench.interfaces.Trainable")
    return "fit" in has


def steps_or_seconds(who: str, budget: str, plugin: Trainable, device: str, seed: int) -> tuple[str, Budget]:
    """Return the budget's name and what it means for this plug-in; raises UsageError, PluginError."""
    name = ("full" if device == "cuda" else "short") if budget == "auto" else budget
    amount = parse_budget(name)
    if isinstance(amount, str):
        budgets = guard.run(who, getattr, plugin, "budgets")
        if not isinstance(budgets, Mapping):
            raise PluginError(f"{who}: budgets is {type(budgets).__name__}, not steps by name", "see Trainable")
        if amount not in budgets:
            raise UsageError(
                f"{who} does not say what --budget {amount} is",
                f"it knows {', '.join(map(str, budgets))}; a number of steps or seconds (180s) always works",
            )
        amount = budgets[amount]
        if not isinstance(amount, int) or isinstance(amount, bool) or amount < 1:
            raise PluginError(f"{who}: --budget {name} is {amount!r} steps", "budgets are whole numbers from 1")
        if amount == budgets.get("full"):
            name = "full"  # nothing is cut short, and nothing is to be warned of
    return name, Budget(steps=amount, seed=seed) if isinstance(amount, int) else Budget(seconds=amount, seed=seed)


def train(
    who: str, plugin: Trainable, faces: Faces, name: str, budget: Budget, key: str | None, context: Context
) -> tuple[TrainingRecord, Path, tuple[str, ...]]:
    """Train a plug-in, or load what an earlier training with this key left; return its record, weights and notes.

    Raises PluginError for whatever it raises that is no FsbenchError, and for what it does not give or write.
    """
    folder = passing_folder() if key is None else context.store.folder("models", key)
    mirror, fitted = context.store.mirror, list[Training]()

    def is_finished(folder: Path) -> bool:
        mirror.fetch(folder / RECORD)
        mirror.fetch(folder / (WEIGHTS if (folder / RECORD).exists() else CHECKPOINT))
        return _finished(folder) is not None

    def fit(folder: Path) -> None:
        fitted.append(_fit(who, plugin, faces, budget, folder, context))

    if not is_finished(folder):
        folder = folder if context.store.can_write(folder) else passing_folder()
        list(context.store.claims.share([folder], str, is_finished, fit))
    done = fitted[0] if fitted else _finished(folder)
    assert done is not None  # else it would have been fitted
    if not fitted:
        context.log(f"{who}: trained before ({done.steps:,} steps, {done.seconds:.0f} s); loaded from the cache")
        guard.call(who, plugin.load, folder / WEIGHTS)
    training = TrainingRecord(
        budget=name,
        steps=done.steps,
        seconds=done.seconds,
        device=str(context.device),
        settings=dict(done.settings),
        coaches=tuple(done.coaches),
        inputs=dict(guard.run(who, getattr, plugin, "inputs", {})),
    )
    return training, folder / WEIGHTS, tuple(done.notes)


def _fit(who: str, plugin: Trainable, faces: Faces, budget: Budget, folder: Path, context: Context) -> Training:
    """Train, from a checkpoint where there is one that can be used, and write what `_finished` reads."""
    checkpoint = folder / CHECKPOINT
    if os.path.lexists(checkpoint) and not checkpoint.is_file():
        checkpoint = passing_folder() / checkpoint.name
    mirror, there = context.store.mirror, checkpoint.exists()
    progress = mirror.checkpointed(checkpoint, context.stage(f"training {who}"))
    try:
        done = _checked(who, guard.call(who, plugin.fit, faces, budget, progress, checkpoint))
    except CheckpointError as error:
        if not there:
            raise
        context.log(f"{who}: {error.message}: it is trained from the start")
        checkpoint.unlink()
        done = _checked(who, guard.call(who, plugin.fit, faces, budget, progress, checkpoint))
    guard.call(who, plugin.save, folder / WEIGHTS)
    if not (folder / WEIGHTS).is_file():
        raise PluginError(f"{who}: save wrote no file", "it is given the path to write")
    mirror.send(folder / WEIGHTS)
    # The record is written last: it says that the rest is whole.
    write_text(folder / RECORD, json.dumps({**asdict(done), "digest": _digest(folder, done)}))
    mirror.send(folder / RECORD)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    mirror.drop(folder / CHECKPOINT)
    return done


def _checked(who: str, done: object) -> Training:
    """Return what `fit` gave; raises PluginError for what is no Training that can be written down."""
    if not isinstance(done, Training):
        raise PluginError(f"{who}: fit gave {type(done).__name__}", "it owes a fsbench.interfaces.Training")
    for name in ("coaches", "notes"):
        texts = getattr(done, name)
        if not isinstance(texts, tuple | list) or not all(isinstance(text, str) for text in texts):
            raise PluginError(f"{who}: {name} of its Training is {texts!r}", "it is a tuple of texts")
    try:
        json.dumps(asdict(done), allow_nan=False)
        TrainingRecord(budget="", steps=done.steps, seconds=done.seconds, device="", settings=dict(done.settings))
    except (TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        hint = "settings are JSON values"
        raise PluginError(f"{who}: its Training cannot be written down: {reason}", hint) from error
    return done


def _finished(folder: Path) -> Training | None:
    """Return the training that was finished in this folder, if what lies there is what was written."""
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


def write_sidecar(training: TrainingRecord, trained_on: str, weights: Path) -> None:
    """Write beside a copy of trained weights how they came to be, for a later run that loads them."""
    facts: dict[str, Any] = {"trained_on": trained_on, "training": training.model_dump()}
    write_text(weights.with_suffix(".json"), json.dumps({"sha256": file_sha256(weights), **facts}, indent=1))


def read_sidecar(weights: Path) -> tuple[TrainingRecord | None, str]:
    """Return how loaded weights came to be, and the hash of their training split, as far as the file beside says."""
    try:
        facts = json.loads(read_regular(weights.with_suffix(".json")))
        if facts["sha256"] == file_sha256(weights):
            return TrainingRecord(**facts["training"]), str(facts["trained_on"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass  # not there, or not ours: what it was trained on and against is then not known, and the result says so
    return None, ""
