"""Observers: what networks tell of images, once per image set, whatever number of metrics asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from fsbench import guard
from fsbench.errors import FsbenchError, NotScorable, PluginError, UsageError
from fsbench.harness.codehash import plugin_key
from fsbench.harness.judging import BLOCK, portions
from fsbench.images import ImageSet
from fsbench.interfaces import Context, Metric, Observer
from fsbench.registry import observers, parse_spec
from fsbench.specs import result_name
from fsbench.store import Arrays, fingerprint


@dataclass(frozen=True)
class Watcher:
    """An observer under the name that results use."""

    name: str  # its specification
    observer: Observer
    key: str | None  # hash of everything that decides what it tells, but the images; None where that is not known

    @classmethod
    def build(cls, text: str, context: Context, path: str = "") -> Watcher:
        """Make an observer from its specification, of its own files or of the one at `path`.

        Raises FsbenchError where its files or packages are missing.
        """
        spec = replace(parse_spec(text), path=path)
        entry = observers.get(spec.name)
        observer = entry.build(spec, context)
        weights = {file.name: file.sha256 for file in observer.info.weights}
        own = plugin_key(entry, spec, observer)
        recipe = {"plugin": own, "version": [observer.info.version, observer.info.description], "weights": weights}
        return cls(text, observer, None if own is None else fingerprint(recipe))


def build_watchers(
    metrics: Iterable[Metric], files: Sequence[str], context: Context
) -> tuple[dict[str, Watcher], dict[str, NotScorable]]:
    """Make the observers that metrics need, by specification; and why there is none, where it cannot be made.

    `files` are specifications NAME@PATH of those that are to be made from a file of the user's: raises UsageError for
    one that is not so written, and FsbenchError for a file that is not of that network.
    """
    paths = {observers.get(spec.name).full_name: spec.path for spec in map(parse_spec, files)}
    for name, path in paths.items():
        if not path:
            name = result_name(name)
            raise UsageError(f"--observers {name} names no file", f"write {name}@PATH; without it {name} has its own")
    found: dict[str, Watcher] = {}
    missing: dict[str, NotScorable] = {}
    for name in dict.fromkeys(metric.info.observer for metric in metrics if metric.info.observer):
        path = ""
        try:
            path = paths.get(observers.get(parse_spec(name).name).full_name, "")
            found[name] = Watcher.build(name, context, path)
        except FsbenchError as error:
            if path:
                raise
            missing[name] = NotScorable(error.sentence)
    return found, missing


def observe(watcher: Watcher, crops: ImageSet, landmarks: np.ndarray, title: str, context: Context) -> Arrays:
    """Show an observer some images: arrays by name, (N, ...) float32. Cached by content, in blocks."""
    progress = context.stage(f"{watcher.name}: {title}")
    parts = []
    for start in range(0, len(crops), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(crops)))

        def compute(rows: np.ndarray = rows) -> Arrays:
            points = torch.from_numpy(landmarks[rows]).to(context.device)
            who = f"observer {watcher.name}"
            with torch.inference_mode(), guard.one_thread(context.device.type == "cpu"):
                told = [_checked(who, guard.call(who, watcher.observer.observe, *part), len(part[0]))
                        for part in portions(crops[rows].to(context.device), points)]
            progress(int(rows[-1]) + 1, len(crops), {})
            return _join(who, told)

        recipe = {
            "images": crops.select(rows).content_hash(),
            "landmarks": fingerprint(np.nan_to_num(landmarks[rows], nan=-1).tolist()),
            "observer": watcher.key,
            "device": context.device.type,
        }
        parts.append(context.store.arrays("observations", recipe, compute))
    return _join(f"observer {watcher.name}", parts)


def _join(who: str, parts: Sequence[Arrays]) -> Arrays:
    """Put arrays together, in their order; raises PluginError where names or shapes are not the same throughout."""
    shapes = [{name: array.shape[1:] for name, array in part.items()} for part in parts]
    if any(shape != shapes[0] for shape in shapes):
        raise PluginError(f"{who} gives other arrays for other images", "it owes the same for all")
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}


def _checked(who: str, told: object, n: int) -> Arrays:
    """Return what an observer tells of `n` images as float32; raises PluginError for what it does not owe."""
    if not isinstance(told, Mapping):
        raise PluginError(f"{who} gave {type(told).__name__}", "it owes arrays by name")
    for name, array in told.items():
        if not isinstance(array, torch.Tensor) or array.is_complex() or array.ndim == 0:
            raise PluginError(f"{who} gave {name} that is no tensor of real numbers, one row an image")
        if len(array) != n:
            raise PluginError(f"{who} gave {len(array)} rows of {name} for {n} images", "it owes one row per image")
    return {str(name): array.float().cpu().numpy() for name, array in told.items()}


def pick(told: Mapping[str, np.ndarray], index: np.ndarray) -> dict[str, torch.Tensor]:
    """What is told of some of the images, as tensors."""
    return {name: torch.from_numpy(array[index]) for name, array in told.items()}
