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
from fsbench.images import ImageSet, to_bytes
from fsbench.interfaces import Context, Oracle, Source, Truth

ROUNDING = 1e-3
"""How far an output may lie outside [0, 1]; a quarter of a level of 255, more than half precision makes of 1."""


def swap_all(model: Model, pairs: Pairs, context: Context) -> tuple[ImageSet, float]:
    """Outputs of all pairs, 8-bit, and seconds per image; cached in blocks by everything that decides them.

    The time is the one that was measured when the outputs were made.
    """
    progress = context.stage(f"swapping: {model.label}")
    parts: list[np.ndarray] = []
    seconds = 0.0
    for group in pairs.groups:
        source = Source(group.source.identity, group.source.images.to(context.device))
        for start in range(0, len(group.index), BLOCK):
            block = group.cut(slice(start, start + BLOCK))

            def compute(source: Source = source, block: Group = block) -> dict[str, np.ndarray]:
                target = block.targets.crops[:].to(context.device)
                _synchronise(context.device)
                began = time.perf_counter()
                output = swap(model, source, target, block.truth)
                _synchronise(context.device)
                spent = time.perf_counter() - began
                progress(sum(map(len, parts)) + len(target), len(pairs), {})
                return {"outputs": to_bytes(output), "seconds": np.array([spent])}

            found = context.store.arrays("outputs", {"model": model.identity, "pairs": block.fingerprint()}, compute)
            parts.append(found["outputs"])
            seconds += float(found["seconds"][0])
    return ImageSet(np.concatenate(parts)), seconds / len(pairs)


def swap(model: Model, source: Source, target: Tensor, truth: Truth | None) -> Tensor:
    """Outputs for some targets of one source, through swapper and refiners, (N, 3, S, S) float32 in [0, 1].

    Raises PluginError for what is no image, and for whatever a part raises that is no FsbenchError.
    """
    with torch.inference_mode():
        if not isinstance(model.swapper, Oracle):
            output = guard.call(model.label, model.swapper.swap, source, target)
        elif truth is not None:
            output = guard.call(model.label, model.swapper.reveal, truth.exact[:].to(target.device))
        else:
            raise UsageError(f"{model.label} needs a data set that knows the exact swaps", "try --dataset synthetic")
        output = check_images(model.label, output, target)
        for refiner in model.refiners:
            who = f"{type(refiner).__name__} of {model.label}"
            output = check_images(who, guard.call(who, refiner.refine, output, target, source), target)
    return output


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
