"""Outputs: what a model makes of the pairs."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor

from fsbench.errors import PluginError, UsageError
from fsbench.harness.judging import BLOCK
from fsbench.harness.obtain import Model
from fsbench.harness.pairs import Group, Pairs
from fsbench.images import ImageSet, to_bytes
from fsbench.interfaces import Context, Oracle, Source, Truth


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
    """Outputs for some targets of one source, through swapper and refiners; raises PluginError for what is no image."""
    with torch.inference_mode():
        if not isinstance(model.swapper, Oracle):
            output = model.swapper.swap(source, target)
        elif truth is not None:
            output = model.swapper.reveal(truth.exact[:].to(target.device))
        else:
            raise UsageError(f"{model.label} needs a data set that knows the exact swaps", "try --dataset synthetic")
        for refiner in model.refiners:
            output = refiner.refine(output, target, source)
    if not isinstance(output, Tensor) or output.shape != target.shape:
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise PluginError(f"{model.label} gave {shape} for {tuple(target.shape)}", "an output has its target's shape")
    if not bool(torch.isfinite(output).all()):
        raise PluginError(
            f"{model.label} gave values that are not finite",
            "its training may have diverged: try another seed or budget",
        )
    return output


def _synchronise(device: torch.device) -> None:
    """Wait for a GPU, so that a clock read next counts its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
