"""Outputs fed back as targets: what a model makes of its own outputs, pass after pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from fsbench.errors import NotScorable
from fsbench.harness.bench import Bench, look, measure
from fsbench.harness.folder import RunFolder
from fsbench.harness.generate import feed_of
from fsbench.harness.models import Model
from fsbench.harness.pairs import Pairs
from fsbench.harness.scoring import Evidence, Passes, batches
from fsbench.images import ImageSet, write_png
from fsbench.metrics._skin import delta_e, grown, skin
from fsbench.registry import metrics
from fsbench.results import column, slug

PASSES = (1, 2, 10, 50)
"""Numbers of passes that are looked at, as in experiment 7 of the faceswap-GAN notes; 1 is an output."""

FED_BACK = 8
"""Outputs of a model that are fed back, evenly chosen over sources and sessions."""

PATIENCE = 600.0
"""Seconds above which only a plan that names such a metric has outputs fed back."""

IDENTITY = "id_similarity"


def feed_back(bench: Bench, model: Model, outputs: ImageSet, seconds: float) -> Passes | NotScorable | None:
    """Feed some outputs back, `seconds` being the time of one swap; cached by source and by everything that decides it.

    Returns None where no metric of the plan looks at it, and the reason for a model that is not fed back.
    """
    if not any("recursion" in metric.info.needs for metric in bench.scorers.values()):
        return None
    if isinstance(feed := feed_of(model, bench.context), NotScorable):
        return feed
    rows = choose(bench.pairs.rows)
    swaps = len(rows) * (PASSES[-1] - PASSES[0])
    if (expected := seconds * swaps) > PATIENCE and not bench.plan.metrics:
        return NotScorable(
            f"{swaps} swaps would take about {expected / 60:.0f} minutes, and are done only where --metrics names it"
        )
    progress, done = bench.context.stage(f"feeding back: {model.label}"), 0

    def told(n: int) -> None:
        nonlocal done
        done += n
        progress(done, swaps, {})

    images = {PASSES[0]: outputs.select(rows)}
    for before, n in pairwise(PASSES):
        parts, start = [], 0
        for group in few(bench.pairs, rows).groups:
            here = images[before].select(np.arange(start, start + len(group.index)))
            parts.append(feed(group, here, n - before, told).pixels)
            start += len(group.index)
        images[n] = ImageSet(np.concatenate(parts))
    return Passes(rows, images)


def choose(rows: pd.DataFrame) -> np.ndarray:
    """Which of the pairs with these rows are fed back, at most FED_BACK, in their order.

    Sessions of a source lie side by side on a line and have the same length, however many pairs they have; the pairs
    nearest to evenly spaced points are taken.
    """
    sessions = rows.groupby(["source", "identity", "session"], sort=False)
    size = sessions["id"].transform("size")
    place = (sessions.ngroup() + (sessions.cumcount() + 0.5) / size).to_numpy()
    points = (np.arange(FED_BACK) + 0.5) * sessions.ngroups / FED_BACK
    return np.unique(np.abs(place - points[:, None]).argmin(1))


def few(pairs: Pairs, rows: np.ndarray) -> Pairs:
    """Return some of the pairs, by ascending numbers of their rows."""
    groups, start = [], 0
    for group in pairs.groups:
        here = rows[(rows >= start) & (rows < start + len(group.index))] - start
        groups += [group.cut(here)] if len(here) else []
        start += len(group.index)
    return Pairs(tuple(groups), pairs.rule)


def write(bench: Bench, folder: RunFolder, fed_back: Mapping[str, Passes]) -> None:
    """Write what became of the outputs of each model, as images and as a table; nothing where nothing was fed back."""
    for label, passes in fed_back.items():
        for n, images in passes.images.items():
            for row, pixels in zip(passes.rows, images.pixels, strict=True):
                write_png(folder.path / "recursion" / slug(label) / str(row) / f"{n}.png", pixels)
    if fed_back:
        tables = [describe(bench, label, passes) for label, passes in fed_back.items()]
        folder.write_table("recursion.parquet", pd.concat(tables, ignore_index=True))


def describe(bench: Bench, label: str, passes: Passes) -> pd.DataFrame:
    """Rows of recursion.parquet for one model."""
    fed = few(bench.pairs, passes.rows)
    pairs = Pairs(fed.groups * len(passes.images), fed.rule)  # once per number of passes
    images = ImageSet(np.concatenate([some.pixels for some in passes.images.values()]))
    first = passes.images[PASSES[0]][:].repeat(len(passes.images), 1, 1, 1)
    seen = [(one.target, one.mask) for one in batches(pairs, Evidence(images))]
    target, mask = (torch.cat(parts) for parts in zip(*seen, strict=True))
    table = pd.DataFrame({
        "model": label,
        "row": np.tile(passes.rows, len(passes.images)),
        "n": np.repeat(list(passes.images), len(passes.rows)),
        "colour": delta_e(images[:], first, skin(mask)).numpy(),
        "sharpness": (sharpness(images[:], mask) / sharpness(target, mask)).numpy(),
    })
    identity = {IDENTITY: metrics.build(IDENTITY, bench.context)}
    narrow = replace(bench, pairs=pairs, watchers={}, targets={}, missing={}, scorers=identity)
    for name, judge, rows in measure(narrow, look(narrow, images, f"{label}, fed back")):
        table[column(name, judge)] = np.nan if isinstance(rows, NotScorable) else rows[:, 0]
    return table.replace([np.inf, -np.inf], np.nan)


def sharpness(images: Tensor, mask: Tensor) -> Tensor:
    """Variance of the Laplacian of the luminance inside face masks, border left out, (N,) float64; NaN for no pixel.

    (N, 3, S, S) images in [0, 1] and (N, 1, S, S) masks. Pech-Pacheco et al., ICPR 2000; luminance of ITU-R BT.601.
    """
    luminance = (images.double() * images.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    kernel = luminance.new_tensor([[0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    edges = conv2d(torch.nn.functional.pad(luminance, (1, 1, 1, 1), mode="replicate"), kernel)  # (N, 1, S, S)
    inside = (~grown(mask <= 0.5)).double()
    n = inside.sum((1, 2, 3))
    mean = (edges * inside).sum((1, 2, 3)) / n
    return (edges.square() * inside).sum((1, 2, 3)) / n - mean.square()
