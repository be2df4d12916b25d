"""From outputs to values: rows per sample, summary, interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from torch import Tensor

from fsbench import guard
from fsbench.errors import NotScorable, PluginError, RemoteError, one_line, traceback_of
from fsbench.extraction.blocks import spans
from fsbench.harness.failures import Counted
from fsbench.harness.measurements import Measured, column, is_framewise, resample, statistic, subset_caution, undrawn
from fsbench.images import ImageSet
from fsbench.interfaces import Batch, Evidence, Framewise, Metric, RowMetric, Sample
from fsbench.pairs import Pairs
from fsbench.record_types import SetName, Stage
from fsbench.results import FAULT, Value
from fsbench.stats.resampling import Design, Spread

if TYPE_CHECKING:
    from fsbench.harness.kept_estimates import KeptEstimates

CHUNK = 64
NO_RESAMPLING = "this metric has no interval: resampling would bias it"


def batches(
    pairs: Pairs, images: ImageSet, evidence: Mapping[str, Evidence], sample: Sample = "output", *, copies: bool = True
) -> Iterator[Batch]:
    """Cut a model's outputs into batches of one source identity each, in the order of the pairs.

    For a metric of clips a batch is one whole clip, whatever its length. What batches hold are copies: a metric that
    writes into one changes nothing. Without `copies` the evidence is shared: a judge's is all of its references, over
    again for every batch.
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
                source=group.source,
                rows=targets.rows,
                output=images[here],
                target=targets.crops[:],
                mask=pairs.masks[here],
                evidence={
                    name: (guard.call if copies else guard.run)(f"evidence {name}", known.__getitem__, here)
                    for name, known in evidence.items()
                },
            )
        offset += n


def measure(
    metric: RowMetric, name: str, pairs: Pairs, images: ImageSet, evidence: Mapping[str, Evidence]
) -> np.ndarray:
    """Rows of one metric for all samples of a model, (N, K) float64; raises NotScorable, PluginError.

    Those of all frames, where the rows of clips are made of these (`Framewise`).
    """
    rows, sample = [], metric.info.sample
    built_in = type(metric).__module__.startswith("fsbench.")
    for batch in batches(pairs, images, evidence, sample, copies=not built_in):
        rows.append((frame_rows if is_framewise(metric) else rows_of)(metric, name, batch))
    if not rows:
        raise NotScorable("there are no clips" if sample == "clip" else "there are no outputs")
    return np.concatenate(rows)


def rows_of(metric: RowMetric, name: str, batch: Batch) -> np.ndarray:
    """Rows of one metric for the samples of a batch, (n, K) float64; raises NotScorable, PluginError."""
    sample = metric.info.sample
    return _checked(metric.measure, name, batch, len(batch.rows) if sample == "output" else 1, sample)


def frame_rows(metric: RowMetric, name: str, batch: Batch) -> np.ndarray:
    """Rows of the frames of a clip, (N, K) float64; raises NotScorable, PluginError."""
    return _checked(cast(Framewise, metric).frame_rows, name, batch, len(batch.rows), "frame")


def _checked(measure: Callable[[Batch], Tensor], name: str, batch: Batch, n: int, of: str) -> np.ndarray:
    measured = guard.copied(guard.run(f"metric {name}", measure, batch))
    if not isinstance(measured, Tensor) or measured.is_complex():
        raise PluginError(f"metric {name} gave no tensor of real numbers", f"it owes one row per {of}")
    if measured.ndim not in (1, 2) or len(measured) != n:
        raise PluginError(
            f"metric {name} gave {tuple(measured.shape)} for {n} {of}{'s' if n > 1 else ''}",
            f"it owes one row per {of}",
        )
    rows: np.ndarray = measured.detach().double().cpu().numpy().reshape(len(measured), -1)
    return rows


@dataclass(frozen=True)
class Estimate:
    """A value, and what a difference to another model's is made of."""

    value: float
    design: Design  # of all samples
    kept: np.ndarray  # (N,) bool: samples that are in the value
    rows: Measured | None  # one number per sample, failures as what they count as; None for a metric of more
    resampled: np.ndarray | None  # values over the resamples of the kept samples, (1 or 3, B)
    no_interval: str  # why there are none
    set_name: SetName = "stills"

    @property
    def spread(self) -> Spread:
        """The standard error; raises NotScorable where there is none."""
        if self.resampled is None:
            raise NotScorable(self.no_interval)
        return self.design.among(self.kept).spread(self.resampled)


def value(
    metric: Metric,
    name: str,
    model: str,
    judge: str | None,
    design: Design,
    rows: Measured | Counted,
    tracebacks: dict[str, str] | None = None,
    set_name: SetName = "stills",
    kept_estimates: KeptEstimates | None = None,
    stage: Stage = "crop",
) -> tuple[Value, Estimate | None]:
    """Summarise the rows that count, with an interval; too few give null and a reason, and no estimate.

    The traceback of what the metric raises is put into `tracebacks` under its name, unless one is there.
    """
    counted = rows if isinstance(rows, Counted) else Counted.of(rows)
    info, kept = metric.info, counted.scored | counted.failed
    drawn = design.among(kept)
    n_scored, n_failed = (int(counts.sum()) for counts in (counted.scored, counted.failed))
    fields: dict[str, Any] = {
        "model": model,
        "metric": name,
        "judge": judge,
        "stage": stage,
        "set": set_name,
        "n_scored": n_scored,
        "n_total": len(kept),
        "n_clusters": drawn.n_clusters,
        "n_failed": n_failed,
    }
    if counted.empty and n_failed:
        return Value(value=None, reason="the model failed on every pair that can be scored", **fields), None
    if kept.sum() < info.min_samples:
        few = f"{kept.sum() or 'none'} of {len(kept)} {info.sample}s could be scored"
        few += f", at least {info.min_samples} are needed" if info.min_samples > 1 else ""
        return Value(value=None, reason=few, **fields), None
    try:
        estimate, of_scored = guard.run(
            f"metric {name}", _estimate, metric, name, counted, design, set_name, kept_estimates
        )
    except NotScorable as why:
        return Value(value=None, reason=why.message, **fields), None
    except RemoteError:
        raise
    except Exception as error:  # noqa: BLE001 - a metric's fault must not cost what the others say
        if tracebacks is not None:
            tracebacks.setdefault(name, traceback_of(error))
        return Value(value=None, reason=fault(error).message, **fields), None
    if not math.isfinite(estimate.value):
        return Value(value=None, reason=f"the metric's summary is {estimate.value}", **fields), None
    try:
        fields["low"], fields["high"] = np.clip(estimate.spread.interval(estimate.value), *info.bounds).tolist()
    except NotScorable as why:
        fields["no_interval"] = why.message
    return Value(
        value=estimate.value,
        value_of_scored=of_scored if of_scored is None or math.isfinite(of_scored) else None,
        resampled=drawn.unit,
        caution="; ".join(_cautions(metric, counted)),
        **fields,
    ), estimate


def _estimate(
    metric: Metric, name: str, counted: Counted, design: Design, set_name: SetName, known: KeptEstimates | None
) -> tuple[Estimate, float | None]:
    """The value over resamples; and without the pairs on which the model failed, where there are some."""
    info, kept = metric.info, counted.scored | counted.failed
    drawn = design.among(kept)
    no_interval = NO_RESAMPLING if info.interval == "none" else undrawn(counted.rows, kept, drawn)

    def compute() -> dict[str, np.ndarray]:
        of = statistic(metric, counted.rows, kept)
        arrays = {"value": np.array([of(np.arange(kept.sum()))])}
        if counted.failed.any() and counted.scored.sum() >= info.min_samples:
            arrays["of_scored"] = np.array([of(np.flatnonzero(counted.scored[kept]))])
        if not no_interval and np.isfinite(arrays["value"]).all():
            with guard.one_blas_thread():
                arrays["resampled"] = resample(metric, counted.rows, kept, drawn)
        return arrays

    arrays = known.get(metric, name, counted, design, compute) if known else compute()
    whole, of_scored = float(arrays["value"][0]), arrays.get("of_scored")
    rows = None if column(counted.rows) is None else counted.rows
    estimate = Estimate(whole, design, kept, rows, arrays.get("resampled"), no_interval, set_name)
    return estimate, None if of_scored is None else float(of_scored[0])


def _cautions(metric: Metric, counted: Counted) -> list[str]:
    n = int((counted.scored | counted.failed).sum())
    few = [caution for fewest, caution in sorted(metric.info.cautions) if n < fewest][:1]
    lost = [f"{counted.n_absent} of {len(counted.rows)} outputs are failures and not in it"] if counted.n_absent else []
    return [*few, *subset_caution(metric.info, n), *lost]


def fault(error: Exception) -> NotScorable:
    """Return why there is no value of a metric where it, or what it needs, raised `error`, which is its cause."""
    why = NotScorable(f"{FAULT}: {one_line(error)}")
    why.__cause__ = error
    return why


def unscorable(
    name: str,
    model: str,
    judge: str | None,
    total: int,
    why: NotScorable,
    set_name: SetName = "stills",
    stage: Stage = "crop",
) -> Value:
    """Return null with the reason."""
    return Value(
        model=model,
        metric=name,
        judge=judge,
        stage=stage,
        set=set_name,
        value=None,
        n_scored=0,
        n_total=total,
        n_clusters=0,
        reason=why.message,
    )
