"""Outputs: what a model makes of the pairs, kept after each of its parts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch

from fsbench.errors import FsbenchError, ModelError
from fsbench.extraction.blocks import in_blocks, length, spans
from fsbench.feedback import feed_back
from fsbench.harness.models import Model
from fsbench.harness.parts import Chain, run_part
from fsbench.images import ImageSet, to_bytes, to_float
from fsbench.interfaces import Context, Source, Swapped, Targets
from fsbench.pairs import Feed, Group, Pairs
from fsbench.record_types import ABSENT
from fsbench.store import Arrays

_STATES = ("", *ABSENT)


class SwappedPairs(NamedTuple):
    """What a model made of all pairs, in their order."""

    images: ImageSet  # (N, 3, S, S), 8-bit
    seconds: float  # per image, as measured when they were made
    absent: np.ndarray  # (N,) of str, which outputs are not there: one of ABSENT, "" for the others
    alpha: ImageSet | None = None  # (N, 1, S, S), None where the model has no masks


def swap_all(model: Model, pairs: Pairs, context: Context) -> SwappedPairs:
    """Return the outputs of all pairs; cached in blocks, by all that decides them."""
    n_parts = len(model.parts)
    blocks = [(group, rows) for group in pairs.groups for rows in spans(len(group.index))]
    entries = in_blocks(
        f"swapping: {model.label}",
        "outputs",
        blocks,
        lambda block: _recipe(model, n_parts, block[0].take(block[1])),
        lambda block: _swap(model, n_parts, block[0].take(block[1]), context),
        context,
        length=lambda block: length(block[1]),
    )
    seconds = sum(float(entry["seconds"][0]) for entry in entries)
    absent = [name for entry, (_, rows) in zip(entries, blocks, strict=True) for name in _absent(entry, length(rows))]
    alpha = ImageSet.stored(entries, "alpha") if all("alpha" in entry for entry in entries) else None
    return SwappedPairs(ImageSet.stored(entries, "outputs"), seconds / len(pairs), np.array(absent, object), alpha)


def _recipe(model: Model, n_parts: int, pairs: Group) -> dict[str, Any]:
    return {"model": model.identities[n_parts - 1], "pairs": pairs.fingerprint()}


def _swap(model: Model, n_parts: int, pairs: Group, context: Context) -> Arrays:
    """What the first parts of a model make of some pairs of one source; that of the parts before the last is kept.

    Arrays `outputs` (N, S, S, 3) uint8, `alpha` (N, S, S, 1) uint8 where it is known, `seconds` (1,), and `absent` (N,)
    uint8 where an output is: 1 and its place in ABSENT, 0 for those that are there.
    """
    part, output, before = model.parts[n_parts - 1], None, 0.0
    if part.kind == "refiner":  # a wrapper calls the parts before it itself
        arrays = context.store.arrays(
            "outputs", _recipe(model, n_parts - 1, pairs), lambda: _swap(model, n_parts - 1, pairs, context)
        )
        output, before = _swapped(arrays, context.device), float(arrays["seconds"][0])
    source, targets = _source(pairs, context), Targets.of(pairs.targets, context.device)
    _synchronise(context.device)
    began = time.perf_counter()
    with torch.inference_mode():
        output = run_part(part, output, source, targets, pairs.truth)
    _synchronise(context.device)
    arrays = {"outputs": to_bytes(output.images), "seconds": np.array([before + time.perf_counter() - began])}
    if output.alpha is not None:
        arrays["alpha"] = to_bytes(output.alpha)
    if any(output.absent):
        arrays["absent"] = np.array([_STATES.index(name) for name in output.absent], np.uint8)
    return arrays


def _swapped(arrays: Arrays, device: torch.device) -> Swapped:
    alpha = to_float(arrays["alpha"]).to(device) if "alpha" in arrays else None
    images = to_float(arrays["outputs"]).to(device)
    return Swapped(images, alpha, _absent(arrays, len(images)))


def _absent(arrays: Mapping[str, np.ndarray], n: int) -> tuple[str, ...]:
    return tuple(_STATES[code] for code in arrays["absent"]) if "absent" in arrays else ("",) * n


def feed_of(model: Model, context: Context) -> Feed | str:
    """Return what feeds images to a model as its targets, again and again; or why that has no meaning.

    Images are rounded to 8 bits after each pass; the outputs of the last one are cached. The function raises ModelError
    where the model fails.
    """
    if model.needs_truth:
        return "it only repeats the answers that it is shown"

    def feed(group: Group, images: ImageSet, passes: int, done: Callable[[int], None]) -> ImageSet:
        def compute() -> Arrays:
            targets = replace(Targets.of(group.targets, context.device), images=images.on(context.device))
            try:
                fed = feed_back(Chain(model.parts, model.label), _source(group, context), targets, passes, done)
            except FsbenchError as error:
                raise ModelError(f"fed back its own outputs, {error.message}", error.hint) from error
            return {"outputs": to_bytes(fed.images)}

        recipe = {
            "model": model.identity,
            "pairs": group.fingerprint(),
            "images": images.content_hash(),
            "passes": passes,
        }
        return ImageSet(context.store.arrays("recursion", recipe, compute)["outputs"])

    return feed


def _source(group: Group, context: Context) -> Source:
    return Source(group.identity, group.references.on(context.device))


def _synchronise(device: torch.device) -> None:
    """Wait for a GPU, so that a clock read next counts its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
