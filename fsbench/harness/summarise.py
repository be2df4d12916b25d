"""From outputs to values: rows per sample, summary, interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from torch import Tensor

from fsbench import guard
from fsbench.errors import NotScorable, PluginError, one_line, traceback_of
from fsbench.extraction.blocks import spans
from fsbench.harness.failures import Counted
from fsbench.images import ImageSet
from fsbench.interfaces import Batch, Evidence, Metric, Resampled, Sample
from fsbench.pairs import EvaluationSet, Pairs
from fsbench.record_types import SetName
from fsbench.results import FAULT, Value
from fsbench.stats.bootstrap import cluster_bootstrap, units

CHUNK = 64
CONFIDENCE = 0.95


def batches(
    pairs: Pairs, images: ImageSet, evidence: Mapping[str, Evidence], sample: Sample = "output"
) -> Iterator[Batch]:
    """Cut a model's outputs into batches of one source identity each, in the order of the pairs.

    For a metric of clips a batch is one whole clip, whatever its length. What batches hold are copies: a metric that
    writes into one changes nothing.
    """
    offset = 0
    for group in pairs.groups:
        n = len(group.index)
        clips = [
            slice(clip.start - offset, clip.stop - offset) for clip in pairs.clips if offset <= clip.start < offset + n
        ]
        for block in spans(n, CHUNK) if sample == "output" else clips:
            targets = group.targets.select(block)
            here = slice(offset + block.start, offset + block.stop)
            yield Batch(
                source=guard.copied(group.source),
                rows=targets.rows,
                output=images[here],
                target=targets.crops[:],
                mask=pairs.masks[here],
                evidence={
                    name: guard.call(f"evidence {name}", known.__getitem__, here) for name, known in evidence.items()
                },
            )
        offset += n


def measure(metric: Metric, name: str, pairs: Pairs, images: ImageSet, evidence: Mapping[str, Evidence]) -> np.ndarray:
    """Rows of one metric for all samples of a model, (N, K) float64; raises NotScorable, PluginError."""
    rows, sample = [], metric.info.sample
    for batch in batches(pairs, images, evidence, sample):
        measured = guard.copied(guard.run(f"metric {name}", metric.measure, batch))
        if not isinstance(measured, Tensor) or measured.is_complex():
            raise PluginError(f"metric {name} gave no tensor of real numbers", f"it owes one row per {sample}")
        n = len(batch.rows) if sample == "output" else 1
        if measured.ndim not in (1, 2) or len(measured) != n:
            raise PluginError(
                f"metric {name} gave {tuple(measured.shape)} for {n} {sample}{'s' if n > 1 else ''}",
                f"it owes one row per {sample}",
            )
        rows.append(measured.detach().double().cpu().numpy().reshape(len(measured), -1))
    if not rows:
        raise NotScorable("there are no clips" if sample == "clip" else "there are no outputs")
    return np.concatenate(rows)


def statistic(metric: Metric, rows: np.ndarray) -> Callable[[np.ndarray], float]:
    """Return the metric's value as a function of indices of rows (M, K), with repeats."""
    if isinstance(metric, Resampled):
        return metric.statistic(rows)
    return lambda index: metric.summarise(rows[index])


def value(
    metric: Metric,
    name: str,
    model: str,
    judge: str | None,
    evaluation: EvaluationSet,
    rows: np.ndarray | Counted,
    resamples: int,
    seed: int,
    tracebacks: dict[str, str] | None = None,
) -> Value:
    """Summarise the rows that count, with an interval over sessions; too few give null and a reason.

    Where a target person has images of one session only, the interval is over people (`stats.bootstrap.units`). The
    traceback of what the metric raises is put into `tracebacks` under its name, unless one is there.
    """
    counted = rows if isinstance(rows, Counted) else Counted.of(rows)
    info, scored = metric.info, counted.scored | counted.failed
    labels: pd.DataFrame = evaluation.pairs.samples(info.sample)[scored]
    people = labels["identity"].to_numpy(str)
    sessions = (labels["identity"] + "/" + labels["session"]).to_numpy(str)
    clusters, strata, whole_people = units(sessions, people) if len(people) else (sessions, people, False)
    n_scored, n_failed = (int(counts.sum()) for counts in (counted.scored, counted.failed))
    fields: dict[str, Any] = {
        "model": model,
        "metric": name,
        "judge": judge,
        "set": evaluation.name,
        "n_scored": n_scored,
        "n_total": len(scored),
        "n_clusters": len(np.unique(clusters)),
        "n_failed": n_failed,
    }
    if counted.empty and n_failed:
        return Value(value=None, reason="the model failed on every pair that can be scored", **fields)
    if scored.sum() < info.min_samples:
        few = f"{scored.sum() or 'none'} of {len(scored)} {info.sample}s could be scored"
        few += f", at least {info.min_samples} are needed" if info.min_samples > 1 else ""
        return Value(value=None, reason=few, **fields)
    try:
        summary = guard.run(f"metric {name}", _summary, metric, counted, clusters, strata, resamples, seed)
    except NotScorable as why:
        return Value(value=None, reason=why.message, **fields)
    except Exception as error:  # noqa: BLE001 - a metric's fault must not cost what the others say
        if tracebacks is not None:
            tracebacks.setdefault(name, traceback_of(error))
        return Value(value=None, reason=fault(error).message, **fields)
    if not math.isfinite(summary.value):
        return Value(value=None, reason=f"the metric's summary is {summary.value}", **fields)
    low, high = np.clip(summary.interval, *info.bounds).tolist() if summary.interval else (None, None)
    of_scored = summary.of_scored
    return Value(
        value=summary.value,
        low=low,
        high=high,
        value_of_scored=of_scored if of_scored is None or math.isfinite(of_scored) else None,
        resampled="people" if whole_people else "sessions",
        caution="; ".join(_cautions(metric, counted)),
        **fields,
    )


class _Summary(NamedTuple):
    value: float
    of_scored: float | None  # without the pairs on which the model failed, where there are some
    interval: tuple[float, float] | None = None


def _summary(
    metric: Metric, counted: Counted, clusters: np.ndarray, strata: np.ndarray, resamples: int, seed: int
) -> _Summary:
    info, scored = metric.info, counted.scored | counted.failed
    of = statistic(metric, counted.rows[scored])
    whole, of_scored = of(np.arange(scored.sum())), None
    if counted.failed.any() and counted.scored.sum() >= info.min_samples:
        of_scored = of(np.flatnonzero(counted.scored[scored]))
    if not math.isfinite(whole) or info.interval == "none":
        return _Summary(whole, of_scored)
    return _Summary(
        whole,
        of_scored,
        cluster_bootstrap(
            of,
            clusters,
            strata,
            resamples=min(resamples, info.resamples or resamples),
            confidence=CONFIDENCE,
            seed=seed,
            centre=whole if info.interval == "centred" else None,
        ),
    )


def _cautions(metric: Metric, counted: Counted) -> list[str]:
    n = int((counted.scored | counted.failed).sum())
    few = [caution for fewest, caution in sorted(metric.info.cautions) if n < fewest][:1]
    lost = [f"{counted.n_absent} of {len(counted.rows)} outputs are failures and not in it"] if counted.n_absent else []
    return few + lost


def fault(error: Exception) -> NotScorable:
    """Return why there is no value of a metric where it, or what it needs, raised `error`, which is its cause."""
    why = NotScorable(f"{FAULT}: {one_line(error)}")
    why.__cause__ = error
    return why


def unscorable(
    name: str, model: str, judge: str | None, total: int, why: NotScorable, set_name: SetName = "stills"
) -> Value:
    """Return null with the reason."""
    return Value(
        model=model,
        metric=name,
        judge=judge,
        set=set_name,
        value=None,
        n_scored=0,
        n_total=total,
        n_clusters=0,
        reason=why.message,
    )
