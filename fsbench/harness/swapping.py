"""Outputs: what a model makes of the pairs."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor

from fsbench import guard
from fsbench.errors import PluginError, UsageError
from fsbench.harness.judging import BLOCK
from fsbench.harness.obtain import Model
from fsbench.harness.pairs import Group, Pairs
from fsbench.images import ImageSet, to_bytes, to_float
from fsbench.interfaces import Context, Oracle, Source, Truth

ROUNDING = 1e-3
"""How far an output may lie outside [0, 1]; a quarter of a level of 255, more than half precision makes of 1."""


def swap_all(model: Model, pairs: Pairs, context: Context) -> tuple[ImageSet, float]:
    """Outputs of all pairs, 8-bit, and seconds per image; cached in blocks, after each part, by all that decides them.

    The time is the one that was measured when the outputs were made.
    """
    progress = context.stage(f"swapping: {model.label}")
    blocks: list[np.ndarray] = []
    seconds = 0.0
    for group in pairs.groups:
        source = Source(group.source.identity, group.source.images.to(context.device))
        for start in range(0, len(group.index), BLOCK):
            block = group.cut(slice(start, start + BLOCK))
            outputs, spent = _block(model, len(model.refiners) + 1, source, block, context)
            blocks.append(outputs)
            seconds += spent
            progress(sum(map(len, blocks)), len(pairs), {})
    return ImageSet(np.concatenate(blocks)), seconds / len(pairs)


def _block(model: Model, n_parts: int, source: Source, block: Group, context: Context) -> tuple[np.ndarray, float]:
    """What the first parts of a pipeline make of some pairs, (N, S, S, 3) uint8, and seconds; cached."""

    def compute() -> dict[str, np.ndarray]:
        output, before = None, 0.0
        if n_parts > 1:
            outputs, before = _block(model, n_parts - 1, source, block, context)
            output = to_float(outputs).to(context.device)
        target = block.targets.crops[:].to(context.device)
        _synchronise(context.device)
        began = time.perf_counter()
        with torch.inference_mode():
            output = _part(model, n_parts - 1, output, source, target, block.truth)
        _synchronise(context.device)
        return {"outputs": to_bytes(output), "seconds": np.array([before + time.perf_counter() - began])}

    recipe = {"model": model.identities[n_parts - 1], "pairs": block.fingerprint()}
    found = context.store.arrays("outputs", recipe, compute)
    return found["outputs"], float(found["seconds"][0])


def swap(model: Model, source: Source, target: Tensor, truth: Truth | None) -> Tensor:
    """Outputs for some targets of one source, through swapper and refiners, (N, 3, S, S) float32 in [0, 1].

    A part gets the 8-bit levels of the part before it: those that are measured where the pipeline ends there.
    Raises PluginError for what is no image, and for whatever a part raises that is no FsbenchError.
    """
    with torch.inference_mode():
        output = _part(model, 0, None, source, target, truth)
        for i in range(1, len(model.refiners) + 1):
            output = _part(model, i, (output * 255).round() / 255, source, target, truth)
    return output


def _part(
    model: Model, number: int, output: Tensor | None, source: Source, target: Tensor, truth: Truth | None
) -> Tensor:
    """What one part makes of the output of the part before it, None for the swapper."""
    if output is not None:
        refiner = model.refiners[number - 1]
        who = f"{type(refiner).__name__} of {model.label}"
        return check_images(who, guard.call(who, refiner.refine, output, target, source), target)
    if not isinstance(model.swapper, Oracle):
        output = guard.call(model.label, model.swapper.swap, source, target)
    elif truth is not None:
        output = guard.call(model.label, model.swapper.reveal, truth.exact[:].to(target.device))
    else:
        raise UsageError(f"{model.label} needs a data set that knows the exact swaps", "try --dataset synthetic")
    return check_images(model.label, output, target)


def check_images(who: str, output: object, target: Tensor) -> Tensor:
    """Return what a part gave for some targets as float32 on their device; raises PluginError for what is no image.

    Values outside [0, 1] by more than ROUNDING are an error: clipped in silence, they would be another picture.
    """
    if not isinstance(output, Tensor):
        raise PluginError(f"{who} gave {type(output).__name__}, not a tensor", "an output is a tensor (N, 3, H, W)")
    if output.shape != target.shape:
        given = f"{who} gave {tuple(output.shape)} for {tuple(target.shape)}"
        raise PluginError(given, "an output has its target's shape")
    if not output.is_floating_point() or output.layout != torch.strided:
        given = f"{who} gave {output.dtype} of layout {output.layout}".replace("torch.", "")
        raise PluginError(given, "pixels are float32 in [0, 1]: divide 8-bit levels by 255")
    output = output.to(target.device, torch.float32)
    if not bool(output.isfinite().all()):
        given = f"{who} gave values that are not finite"
        raise PluginError(given, "its training may have diverged: try another seed or budget")
    low, high = (float(end) for end in output.aminmax())
    if low < -ROUNDING or high > 1 + ROUNDING:
        given = f"{who} gave values from {low:.4g} to {high:.4g}"
        raise PluginError(given, "pixels are in [0, 1]: scale or clamp them")
    return output.clamp(0, 1)


def _synchronise(device: torch.device) -> None:
    """Wait for a GPU, so that a clock read next counts its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
