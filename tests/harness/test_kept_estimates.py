"""A value and its resamples are computed once, and again where anything that decides them changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from torch import Tensor

from fsbench.errors import NotScorable
from fsbench.harness.failures import Counted
from fsbench.harness.kept_estimates import KeptEstimates
from fsbench.harness.summarise import value
from fsbench.interfaces import Batch, Context, MetricInfo, PairedFeatures
from fsbench.registry import metrics
from fsbench.results import Value
from fsbench.stats.resampling import Design
from fsbench.stats.summaries import mean

N = 24
CALLS: list[int] = []
RANDOM = np.random.default_rng(4)
FEATURES = PairedFeatures.of(*RANDOM.normal(size=(2, N, 3)).astype(np.float32))
LABELS = (np.arange(N) % 2, np.arange(N) // 2 % 6, 1 - np.arange(N) % 2)


class Gap:
    """Distance of the mean features."""

    info = MetricInfo(unit="", direction="lower", bounds=(0, 9), needs=("inception",), no_face="", reference="",
                      group="realism")  # fmt: skip
    array = "features"

    def statistic(self, features: PairedFeatures) -> Callable[[np.ndarray], float]:
        CALLS.append(len(features))
        targets = features.target[features.target_of]
        return lambda index: float(np.abs(features.output[index].mean(0) - targets[index].mean(0)).sum())


@pytest.fixture(autouse=True)
def _metric(registering: None) -> None:
    CALLS.clear()
    metrics.register("gap")(Gap)


def design(resamples: int = 50, seed: int = 0, labels: tuple[np.ndarray, ...] = LABELS) -> Design:
    return Design.of(*labels, resamples=resamples, seed=seed)


def computed(
    context: Context, counted: Counted | None = None, drawn: Design | None = None, metric: Gap | None = None
) -> tuple[bool, Value]:
    """Whether something was computed, and the value."""
    before = len(CALLS)
    given = counted or Counted.of(FEATURES)
    record, estimate = value(
        metric or Gap(), "gap", "model", None, drawn or design(), given, kept_estimates=KeptEstimates(context)
    )
    assert (estimate is None) == (record.value is None)
    return len(CALLS) > before, record


def test_the_same_is_computed_once(fresh_context: Context) -> None:
    new, first = computed(fresh_context)
    known, again = computed(fresh_context)
    assert (new, known) == (True, False)
    assert first == again
    assert first.low is not None
    without, _ = value(Gap(), "gap", "model", None, design(), Counted.of(FEATURES))
    assert without == first, "what is kept is what is computed"


def shifted() -> PairedFeatures:
    output = np.array(FEATURES.output)
    output[7, 2] += 1e-3
    return replace(FEATURES, output=output)


CHANGES: dict[str, Callable[[Context], tuple[bool, Value]]] = {
    "one feature": lambda context: computed(context, Counted.of(shifted())),
    "one output less": lambda context: computed(context, Counted.of(FEATURES.only(np.arange(N) != 3))),
    "outputs in another order": lambda context: computed(context, Counted.of(FEATURES.take(np.arange(N)[::-1]))),
    "another seed": lambda context: computed(context, drawn=design(seed=1)),
    "more resamples": lambda context: computed(context, drawn=design(resamples=60)),
    "other sessions": lambda context: computed(context, drawn=design(labels=(LABELS[0], LABELS[1] // 2, LABELS[2]))),
    "a failure": lambda context: computed(context, replace(Counted.of(FEATURES), failed=np.arange(N) == 5)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_computed_of_something_else_is_computed(change: str, fresh_context: Context) -> None:
    computed(fresh_context)
    assert CHANGES[change](fresh_context)[0]
    assert not CHANGES[change](fresh_context)[0]
    assert not computed(fresh_context)[0], "the first is still known"


class Middle:
    """Median of rows."""

    info = MetricInfo(unit="", direction="lower", bounds=(0, 9), needs=(), no_face="", reference="")

    def measure(self, batch: Batch) -> Tensor:
        raise NotImplementedError

    def summarise(self, rows: np.ndarray) -> float:
        CALLS.append(len(rows))
        return float(np.median(rows))


class Average(Middle):
    """Mean of rows."""

    summarise = staticmethod(mean)


def test_rows_are_summarised_once_where_the_value_is_no_mean(fresh_context: Context) -> None:
    metrics.register("middle")(Middle)
    metrics.register("average")(Average)
    rows = np.random.default_rng(1).normal(size=(N, 1))
    kept = KeptEstimates(fresh_context)

    def of(given: np.ndarray, metric: Middle, name: str) -> Value:
        return value(metric, name, "model", None, design(), Counted.of(given), kept_estimates=kept)[0]

    first, n_calls = of(rows, Middle(), "middle"), len(CALLS)
    assert n_calls > 50
    assert of(rows, Middle(), "middle") == first
    assert len(CALLS) == n_calls
    rows = rows.copy()
    rows[3] = np.nan
    assert of(rows, Middle(), "middle").n_scored == N - 1
    assert len(CALLS) > n_calls
    assert of(rows, Average(), "average").value == pytest.approx(np.nanmean(rows))
    assert len([*(fresh_context.store.root / "estimates").iterdir()]) == 2, "means are not kept"


def test_another_version_is_computed(fresh_context: Context) -> None:
    computed(fresh_context)
    newer = Gap()
    newer.info = replace(Gap.info, version=2)  # type: ignore[misc]
    assert computed(fresh_context, metric=newer)[0]


def test_a_metric_that_cannot_score_is_asked_again(fresh_context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: Gap, features: PairedFeatures) -> Callable[[np.ndarray], float]:
        CALLS.append(0)
        raise NotScorable("never")

    with monkeypatch.context() as patch:
        patch.setattr(Gap, "statistic", never)
        assert computed(fresh_context)[1].reason == "never"
        assert computed(fresh_context)[0]
    assert computed(fresh_context)[1].value is not None
