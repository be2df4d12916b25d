"""From outputs to values: rows per sample, summary, interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fsbench.errors import NotScorable, PluginError
from fsbench.harness.pairs import Pairs
from fsbench.images import ImageSet
from fsbench.interfaces import Batch, Judgement, Metric, Observation, Resampled
from fsbench.results import Value
from fsbench.stats.bootstrap import cluster_bootstrap

CHUNK = 64
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Passes:
    """What a model makes of some of its outputs when they are its targets, again and again."""

    rows: np.ndarray  # (K,) which outputs were fed back, in the order of the pairs
    images: Mapping[int, ImageSet]  # by number of passes, 1 being the outputs; (K, 3, S, S) each

    def cut(self, rows: slice) -> dict[int, Tensor]:
        """Return what `Batch.passes` holds of some of the outputs."""
        here = np.flatnonzero((self.rows >= rows.start) & (self.rows < rows.stop))
        found = {}
        for n, images in self.images.items():
            found[n] = torch.full((rows.stop - rows.start, *images[0].shape), torch.nan)
            found[n][self.rows[here] - rows.start] = images[here]
        return found


@dataclass(frozen=True)
class Evidence:
    """A model's outputs, and what the networks make of them, in the order of the pairs."""

    outputs: ImageSet  # (N, 3, S, S)
    judgement: Judgement | None = None
    observation: Observation | None = None
    passes: Passes | None = None


def batches(pairs: Pairs, evidence: Evidence) -> Iterator[Batch]:
    """Cut a model's outputs into batches of one source identity each, in the order of the pairs."""
    offset = 0
    for group in pairs.groups:
        for start in range(0, len(group.index), CHUNK):
            block = group.cut(slice(start, start + CHUNK))
            here = slice(offset, offset + len(block.index))
            yield Batch(
                source=block.source,
                rows=block.targets.rows,
                output=evidence.outputs[here],
                target=block.targets.crops[:],
                mask=pairs.masks[here],
                judgement=evidence.judgement and evidence.judgement.cut(here),
                observation=evidence.observation and evidence.observation.cut(here),
                exact=block.truth.exact[:] if block.truth else None,
                passes=None if evidence.passes is None else evidence.passes.cut(here),
            )
            offset = here.stop


def measure(metric: Metric, name: str, pairs: Pairs, evidence: Evidence) -> np.ndarray:
    """Rows of one metric for all outputs of a model, (N, K) float64; raises NotScorable, PluginError."""
    rows = []
    for batch in batches(pairs, evidence):
        measured: Tensor = metric.measure(batch)
        if measured.ndim not in (1, 2) or len(measured) != len(batch.rows):
            raise PluginError(
                f"metric {name} gave {tuple(measured.shape)} for {len(batch.rows)} outputs",
                "it owes one row per output",
            )
        rows.append(measured.detach().double().cpu().numpy().reshape(len(measured), -1))
    return np.concatenate(rows)


def statistic(metric: Metric, rows: np.ndarray) -> Callable[[np.ndarray], float]:
    """Return the metric's value as a function of indices of rows (M, K), with repeats."""
    if isinstance(metric, Resampled):
        return metric.statistic(rows)
    return lambda index: metric.summarise(rows[index])


def value(
    metric: Metric, name: str, model: str, judge: str | None, pairs: Pairs, rows: np.ndarray, resamples: int, seed: int
) -> Value:
    """Summarise the rows that could be scored, with an interval over sessions; too few give null and a reason."""
    scored = ~np.isnan(rows).any(1)
    labels: pd.DataFrame = pairs.rows[scored]
    sessions = (labels["identity"] + "/" + labels["session"]).to_numpy(str)
    people = labels["identity"].to_numpy(str)
    n_scored = int(scored.sum())
    counts: dict[str, Any] = {
        "model": model,
        "metric": name,
        "judge": judge,
        "n_scored": n_scored,
        "n_total": len(rows),
        "n_clusters": len(np.unique(sessions)),
    }
    info = metric.info
    if n_scored < info.min_samples:
        return Value(
            value=None, reason=f"{n_scored} outputs could be scored, {info.min_samples} are needed", **counts
        )
    try:
        of = statistic(metric, rows[scored])
        found = of(np.arange(n_scored))
    except NotScorable as why:
        return Value(value=None, reason=why.message, **counts)
    if not math.isfinite(found):
        return Value(value=None, reason=f"the metric's summary is {found}", **counts)
    interval = None
    if info.interval != "none":
        interval = cluster_bootstrap(
            of,
            sessions,
            people,
            resamples=min(resamples, info.resamples or resamples),
            confidence=CONFIDENCE,
            seed=seed,
            centre=found if info.interval == "centred" else None,
        )
    low, high = np.clip(interval, *info.bounds).tolist() if interval else (None, None)
    caution = next((said for n, said in sorted(info.cautions) if n_scored < n), "")
    return Value(value=found, low=low, high=high, caution=caution, **counts)


def unscorable(name: str, model: str, judge: str | None, total: int, why: NotScorable) -> Value:
    """Return null with the reason."""
    return Value(
        model=model, metric=name, judge=judge, value=None, n_scored=0, n_total=total, n_clusters=0, reason=why.message
    )
