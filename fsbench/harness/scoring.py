"""From outputs to values: rows per sample, summary, interval."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from torch import Tensor

from fsbench.errors import NotScorable, PluginError
from fsbench.harness.pairs import Pairs
from fsbench.images import ImageSet
from fsbench.interfaces import Batch, Judgement, Metric
from fsbench.results import Value
from fsbench.stats.bootstrap import cluster_bootstrap

CHUNK = 64
CONFIDENCE = 0.95


def batches(pairs: Pairs, outputs: ImageSet, judgement: Judgement | None) -> Iterator[Batch]:
    """Cut a model's outputs into batches of one source identity each, in the order of the pairs."""
    offset = 0
    for group in pairs.groups:
        for start in range(0, len(group.index), CHUNK):
            block = group.cut(slice(start, start + CHUNK))
            here = slice(offset, offset + len(block.index))
            yield Batch(
                source=block.source,
                rows=block.targets.rows,
                output=outputs[here],
                target=block.targets.crops[:],
                judgement=None if judgement is None else judgement.cut(here),
                exact=block.truth.exact[:] if block.truth else None,
                mask=block.truth.mask[:] if block.truth else None,
            )
            offset = here.stop


def measure(metric: Metric, name: str, pairs: Pairs, outputs: ImageSet, judgement: Judgement | None) -> np.ndarray:
    """Rows of one metric for all outputs of a model, (N, K) float64; raises NotScorable, PluginError."""
    rows = []
    for batch in batches(pairs, outputs, judgement):
        measured: Tensor = metric.measure(batch)
        if measured.ndim not in (1, 2) or len(measured) != len(batch.rows):
            raise PluginError(
                f"metric {name} gave {tuple(measured.shape)} for {len(batch.rows)} outputs",
                "it owes one row per output",
            )
        rows.append(measured.detach().double().cpu().numpy().reshape(len(measured), -1))
    return np.concatenate(rows)


def value(
    metric: Metric, name: str, model: str, judge: str | None, pairs: Pairs, rows: np.ndarray, resamples: int, seed: int
) -> Value:
    """Summarise the rows that could be scored, with an interval over sessions; too few give null and a reason."""
    scored = ~np.isnan(rows).any(1)
    labels: pd.DataFrame = pairs.rows[scored]
    sessions = (labels["identity"] + "/" + labels["session"]).to_numpy(str)
    people = labels["identity"].to_numpy(str)
    counts = {
        "model": model,
        "metric": name,
        "judge": judge,
        "n_scored": int(scored.sum()),
        "n_total": len(rows),
        "n_clusters": len(np.unique(sessions)),
    }
    if scored.sum() < metric.info.min_samples:
        return Value(
            value=None, reason=f"{scored.sum()} outputs could be scored, {metric.info.min_samples} are needed", **counts
        )
    kept = rows[scored]
    found = metric.summarise(kept)
    if not math.isfinite(found):
        return Value(value=None, reason=f"the metric's summary is {found}", **counts)
    interval = metric.info.interval and cluster_bootstrap(
        kept, sessions, people, metric.summarise, resamples=resamples, confidence=CONFIDENCE, seed=seed
    )
    low, high = interval if interval and np.isfinite(interval).all() else (None, None)
    return Value(value=found, low=low, high=high, **counts)


def unscorable(name: str, model: str, judge: str | None, total: int, why: NotScorable) -> Value:
    """Return null with the reason."""
    return Value(
        model=model, metric=name, judge=judge, value=None, n_scored=0, n_total=total, n_clusters=0, reason=why.message
    )
