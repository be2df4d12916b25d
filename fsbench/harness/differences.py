"""Paired differences between the models of a run: by every metric and judge, on the samples that both have."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from fsbench import guard
from fsbench.errors import NotScorable
from fsbench.harness.measurements import resample, statistic
from fsbench.harness.summarise import NO_RESAMPLING, Estimate, fault
from fsbench.interfaces import Metric
from fsbench.results import DifferenceRecord, Key, ModelRecord
from fsbench.stats.ranking import CONTESTANTS
from fsbench.stats.resampling import Design, Difference

MOST = 100_000
"""Differences that a result holds: they have 20 MiB then. A hundred models under ten judges would have a million."""

Measured = tuple[ModelRecord, Mapping[Key, Estimate]]
"""A model, and its estimates."""


def paired_differences(
    models: Sequence[Measured], metrics: Mapping[str, Metric], warnings: list[str]
) -> tuple[DifferenceRecord, ...]:
    """Compare each contestant with every other model, two contestants once, under each metric and judge.

    Metrics without a value for either model are left out: their values say why. Of more than MOST differences those of
    headline metrics are kept first, then those of the summary; `warnings` are told what is left out.
    """
    compared = [(a, b) for i, a in enumerate(models) for b in models[i + 1 :] if _contest(a[0]) or _contest(b[0])]
    compared = [(a, b) if _contest(a[0]) else (b, a) for a, b in compared]
    names = sorted(metrics, key=lambda name: _place(metrics[name]))
    keys = dict.fromkeys(key for name in names for _, estimates in models for key in estimates if key[0] == name)
    records: list[DifferenceRecord] = []
    left_out: dict[str, None] = {}
    for key in keys:
        known = [(a, b) for a, b in compared if key in a[1] and key in b[1]]
        if len(records) + len(known) > MOST:
            left_out[key[0]] = None
        else:
            records += _of_metric(key, metrics[key[0]], known)
    if left_out:
        warnings.append(
            f"differences by {', '.join(left_out)} are not kept: a result holds {MOST:,} of them, and there are "
            f"{len(models)} models"
        )
    return tuple(records)


def _contest(model: ModelRecord) -> bool:
    return model.kind in CONTESTANTS


def _place(metric: Metric) -> tuple[bool, float]:
    return not metric.info.headline, metric.info.summary_rank or math.inf


def _of_metric(key: Key, metric: Metric, compared: Sequence[tuple[Measured, Measured]]) -> Iterator[DifferenceRecord]:
    for (model, of_model), (other, of_other) in compared:
        a, b = of_model[key], of_other[key]
        known: dict[str, Any] = {"model": model.name, "other": other.name, **key._asdict()}
        known |= {"set": a.set_name, "n": int((a.kept & b.kept).sum())}
        try:
            yield DifferenceRecord(**known, **asdict(_difference(key[0], metric, a, b)))
        except NotScorable as why:
            yield DifferenceRecord(**known, effect=None, reason=why.message)
        except Exception as error:  # noqa: BLE001 - a metric's fault must not cost the other differences
            yield DifferenceRecord(**known, effect=None, reason=fault(error).message)


def _difference(name: str, metric: Metric, a: Estimate, b: Estimate) -> Difference:
    """The first value less the second; raises NotScorable where the two cannot be compared."""
    both = a.kept & b.kept
    design = a.design.among(both)
    if metric.info.interval == "none":
        raise NotScorable(NO_RESAMPLING)
    if not np.array_equal(a.kept, b.kept):
        if a.rows is None or b.rows is None:
            raise NotScorable("the two models were scored on different outputs, and the metric compares distributions")
        if both.sum() < max(1, metric.info.min_samples):
            raise NotScorable(f"the two models were both scored on {both.sum()} outputs, too few to compare")
    if design.reason:
        raise NotScorable(design.reason)
    (value, resampled), (other, resampled_other) = (
        guard.run(f"metric {name}", _among, metric, estimate, both, design) for estimate in (a, b)
    )
    return design.difference(value - other, resampled, resampled_other)


def _among(metric: Metric, estimate: Estimate, both: np.ndarray, design: Design) -> tuple[float, np.ndarray]:
    """The value of some samples, and its resamples."""
    if estimate.resampled is not None and np.array_equal(estimate.kept, both):
        return estimate.value, estimate.resampled
    assert estimate.rows is not None
    of = statistic(metric, estimate.rows, both)
    return of(np.arange(both.sum())), resample(metric, estimate.rows, both, design)
