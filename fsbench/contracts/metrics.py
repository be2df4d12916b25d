"""Contracts of metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import torch

from fsbench.contracts.common import TOLERANCE, check_docstring
from fsbench.contracts.toys import crowded, toy_batch, toy_clip, with_evidence
from fsbench.errors import NotScorable
from fsbench.interfaces import (
    Batch,
    Context,
    Curved,
    DistributionMetric,
    Evidence,
    Framewise,
    Metric,
    Observed,
    PairedFeatures,
    Resampled,
    RowMetric,
)


def check_metric(metric: Metric, evidence: Mapping[str, Evidence] | None = None) -> None:
    """Facts complete; one row per sample; value independent of batch size and order, finite and within its bounds.

    A metric of distributions has no rows: its value must not depend on the order of outputs and of targets.
    `evidence` of a kind that is not built in is made up by the author, by its name, for eight outputs. A metric of
    clips is shown clips of eight frames.
    """
    check_docstring(metric)
    info = metric.info
    assert info.reference, "info.reference must say where the definition comes from"
    assert info.no_face, "info.no_face must say what happens to an output without a face"
    assert info.measures, "info.measures must name what the metric is meant to respond to"
    low, high = info.bounds
    assert low < high, "info.bounds must be (lowest, highest)"
    batches = _batches_for(metric, evidence)
    if isinstance(metric, DistributionMetric):
        value, shuffled = _of_features(metric, batches[0])
    else:
        value, shuffled = _of_rows(cast(RowMetric, metric), batches)
    assert math.isfinite(value), f"the value is {value}"
    assert low - TOLERANCE <= value <= high + TOLERANCE, f"{value} lies outside info.bounds {info.bounds}"
    assert math.isclose(value, shuffled, rel_tol=1e-9, abs_tol=1e-12), "the value depends on the order of samples"
    for lack in LACKING:
        check_nothing(metric, lack, evidence)


def _of_rows(metric: RowMetric, batches: Sequence[Batch]) -> tuple[float, float]:
    """The value, and that of the same rows in another order."""
    info = metric.info
    rows, alone = _rows(metric, batches), _rows(metric, _one_by_one(metric, batches))
    assert np.allclose(rows, alone, rtol=TOLERANCE, atol=1e-6, equal_nan=True), (
        "rows depend on the batch size, or on what was measured before"
    )
    scored = rows[~np.isnan(rows).any(1)]
    assert len(scored), f"no {info.sample} could be scored"
    if isinstance(metric, Framewise):
        _check_frames(metric, batches, rows)
    if isinstance(metric, Curved):
        assert info.sample == "clip", "a curve is of a clip"
        for batch in batches:
            assert metric.curve(batch).shape == (len(batch.rows),), "curve() owes one number per frame"
    value = metric.summarise(scored)
    shuffled = metric.summarise(scored[np.random.default_rng(0).permutation(len(scored))])
    if isinstance(metric, Resampled):
        again = metric.statistic(scored)(np.arange(len(scored)))
        assert math.isclose(value, again, rel_tol=1e-9, abs_tol=1e-12), "statistic() of all rows is not summarise()"
    return value, shuffled


def _check_frames(metric: Framewise, batches: Sequence[Batch], rows: np.ndarray) -> None:
    """Rows of clips are made of rows of their frames, in any order."""
    for batch, (expected,) in zip(batches, rows, strict=True):
        frames = metric.frame_rows(batch).double().numpy()
        assert len(frames) == len(batch.rows), "frame_rows() owes one row per frame"
        shuffled = np.random.default_rng(0).permutation(len(frames))
        for order in (np.arange(len(frames)), shuffled):
            row = metric.clip_row(frames[order])
            assert np.isclose(row, expected, rtol=1e-9, equal_nan=True), "clip_row() of frame_rows() is not measure()"


def _of_features(metric: DistributionMetric, batch: Batch) -> tuple[float, float]:
    """The value, and that of the same outputs and targets in another order."""
    features = _features(metric, batch)
    features = features.take(np.flatnonzero(features.scored))
    n, random = len(features), np.random.default_rng(0)
    assert n, "no output could be scored"
    order, targets = random.permutation(n), random.permutation(len(features.target))
    other = PairedFeatures(
        features.output[order],
        features.target[targets],
        np.argsort(targets)[features.target_of[order]],
        np.ones(n, bool),
    )
    value, shuffled = (metric.statistic(each)(np.arange(n)) for each in (features, other))
    of = metric.statistic(features)
    if metric.info.interval != "none":
        of(random.integers(0, n, n))
    again = of(np.arange(n)[::-1])
    assert math.isclose(value, again, rel_tol=1e-9, abs_tol=1e-12), "the value depends on what was asked before"
    return value, shuffled


def _features(metric: DistributionMetric, batch: Batch) -> PairedFeatures:
    needs = metric.info.needs
    assert len(needs) == 1, "a metric of distributions needs one network"
    assert metric.info.sample == "output", "a distribution is made of outputs"
    assert not hasattr(metric, "measure"), "a metric of distributions has no rows that measure() could give"
    features: PairedFeatures = batch[needs[0]].features(metric.array)
    return features


def _batches_for(metric: Metric, evidence: Mapping[str, Evidence] | None) -> list[Batch]:
    """Made-up outputs with the evidence that a metric needs: eight of them, or clips of eight frames.

    The last output, and every output of the last clip, has no face. There is a larger gallery where a metric needs it.
    """
    if metric.info.sample == "output":
        batches = [toy_batch(8, needs=metric.info.needs)]
    else:
        clips = [toy_clip(8, seed=seed, needs=metric.info.needs) for seed in range(3)]
        batches = [*clips[:-1], _without_output_faces(clips[-1])]
    batches = [replace(batch, evidence={**batch.evidence, **(evidence or {})}) for batch in batches]
    try:
        _scored(metric, batches)
    except NotScorable:
        return [crowded(batch) for batch in batches]
    return batches


def _scored(metric: Metric, batches: Sequence[Batch]) -> np.ndarray:
    """Which samples can be scored, (N,)."""
    if isinstance(metric, DistributionMetric):
        return _features(metric, batches[0]).scored
    rows = _rows(cast(RowMetric, metric), batches)
    assert not np.isinf(rows).any(), "there are infinite rows"
    known: np.ndarray = np.logical_not(np.isnan(rows).any(1))
    return known


def _one_by_one(metric: Metric, batches: Sequence[Batch]) -> list[Batch]:
    """Batches of one sample each, in their order."""
    if metric.info.sample == "clip":
        return list(batches)
    return [batch.take(slice(i, i + 1)) for batch in batches for i in range(len(batch.rows))]


def _rows(metric: RowMetric, batches: Sequence[Batch]) -> np.ndarray:
    parts = []
    for batch in batches:
        rows, n = metric.measure(batch), len(batch.rows) if metric.info.sample == "output" else 1
        assert rows.ndim in (1, 2) and len(rows) == n, f"measure() owes one row per {metric.info.sample}"
        parts.append(rows.double().numpy().reshape(len(rows), -1))
    return np.concatenate(parts)


def _without_people(*identities: str) -> Callable[[Batch], Batch]:
    """Judges see a face on no real image of these people; the target images themselves are others."""

    def change(batch: Batch) -> Batch:
        view = batch.embeddings
        gone = torch.from_numpy(view.reference_rows["identity"].isin(identities).to_numpy(copy=True))[:, None]
        look = replace(batch.lookalikes, references=batch.lookalikes.references.masked_fill(gone, -1))
        references = view.references.masked_fill(gone, torch.nan)
        return with_evidence(batch, judge=replace(view, references=references, lookalikes=look))

    return change


def _without_faces(batch: Batch) -> Batch:
    """No network sees a face, on any image."""
    view = _without_people("toy0", "toy1")(batch).embeddings
    blind: dict[str, Evidence] = {
        "judge": replace(
            view,
            output=torch.full_like(view.output, torch.nan),
            target=torch.full_like(view.target, torch.nan),
            lookalikes=view.lookalikes and replace(view.lookalikes, output=torch.full_like(view.lookalikes.output, -1)),
        )
    }
    for name, evidence in batch.evidence.items():
        if isinstance(evidence, Observed):
            nothing = {key: torch.full_like(array, torch.nan) for key, array in evidence.output.items()}
            blind[name] = replace(evidence, output=nothing, target=nothing)
    return with_evidence(batch, **blind)


def _without_output_faces(batch: Batch) -> Batch:
    """No network sees a face on an output."""
    view, lost = batch.embeddings, {}
    top = view.lookalikes and replace(view.lookalikes, output=torch.full_like(view.lookalikes.output, -1))
    for name, evidence in batch.evidence.items():
        if isinstance(evidence, Observed):
            nothing = {key: torch.full_like(array, torch.nan) for key, array in evidence.output.items()}
            lost[name] = replace(evidence, output=nothing)
    judge = replace(view, output=torch.full_like(view.output, torch.nan), lookalikes=top)
    return with_evidence(batch, **lost, judge=judge)


LACKING: dict[str, Callable[[Batch], Batch]] = {
    "images of the source": _without_people("toy0"),
    "images of the target": _without_people("toy1"),
    "images of anybody": _without_people("toy0", "toy1"),
    "any face": _without_faces,
    "a face in any mask": lambda batch: replace(batch, mask=torch.zeros_like(batch.mask)),
}
"""What a toy batch can be made to lack, so that comparing has no meaning whatever a model does."""


def check_nothing(metric: Metric, lack: str, evidence: Mapping[str, Evidence] | None = None) -> None:
    """No number is made of nothing: where an output with a face cannot be scored, one that lost it is not either.

    `lack` is a key of LACKING. Whether a metric looks at what is lacking shows itself: outputs with a face have no row,
    or clips that show one.
    """
    try:
        nothing = ~_scored(metric, [LACKING[lack](batch) for batch in _batches_for(metric, evidence)])
    except NotScorable:
        return
    assert nothing.all() or not nothing[:-1].all(), f"without {lack} a comparison means nothing, and gives a number"


def check_validity(
    metric: Metric,
    *,
    faults: Sequence[str] = (),
    judge: str = "dlib_resnet",
    dataset: str = "",
    budget: str = "smoke",
    context: Context | None = None,
) -> None:
    """It calls outputs worse as what it says it measures gets worse: known faults on synthetic people.

    `faults` are names of `fsbench.faults.FAULTS`, by default all of an aspect in `info.measures`; of one that it does
    not measure it is only asked that more of it is not better. A metric that needs a judge is shown what `judge` makes
    of the images. These are drawn once and kept in the cache: half a minute, then seconds. What the metric should
    ignore, and how well it does, is told by `fsbench validate`.
    """
    from fsbench.environment import make_context
    from fsbench.faults import FAULTS
    from fsbench.harness.validate import examine  # the very examination of `fsbench validate`; no other check needs it

    name = type(metric).__name__
    chosen = faults or [fault.name for fault in FAULTS.values() if fault.aspect in metric.info.measures]
    assert chosen, "info.measures names nothing that there is a fault of"
    try:
        validation = examine(
            {name: metric}, chosen, [judge], context or make_context("cpu"), dataset=dataset, budget=budget
        )
    except NotScorable as why:
        raise AssertionError(why.message) from why
    for missing in validation.unexamined:
        raise AssertionError(f"{name} cannot be examined: {missing.reason}")
    for response in validation.responses:
        fault = FAULTS[response.fault]
        assert response.verdict != "unexamined", f"{name} has no value under {fault.name}: {response.reason}"
        assert response.verdict != "blind", (
            f"{name} does not respond to {fault.name}, though it measures {fault.aspect}"
        )
        assert response.verdict != "wrong_way", f"{name} calls outputs better the more there is of {fault.name}"
