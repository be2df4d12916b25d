"""Paired differences between models, of made-up rows whose differences are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fsbench.harness import differences, summarise
from fsbench.harness.differences import paired_differences
from fsbench.harness.failures import Counted, Floor
from fsbench.interfaces import Metric, MetricInfo
from fsbench.results import DifferenceRecord, Key, ModelRecord
from fsbench.stats import blocks
from fsbench.stats.summaries import mean

SESSIONS, IMAGES = 8, 3
N = 2 * SESSIONS * IMAGES
ROWS = pd.DataFrame(
    {
        "identity": np.repeat(["Ada", "Bo"], N // 2),
        "session": [f"s{i // IMAGES % SESSIONS}" for i in range(N)],
        "source": np.repeat(["Bo", "Ada"], N // 2),
    }
)
LEVEL = np.random.default_rng(0).normal(size=2 * SESSIONS).repeat(IMAGES)  # of each session, the same for all models
DESIGN = blocks.design(ROWS, 300, 0)


class Level:
    """A mean of rows."""

    info = MetricInfo(
        unit="", direction="higher", bounds=(-99, 99), needs=(), no_face="-", reference="closed form", min_samples=2
    )
    summarise = staticmethod(mean)


class Spread(Level):
    """Distance of two distributions: a row has two columns."""

    def summarise(self, rows: np.ndarray) -> float:
        return float(rows.mean() + rows.std())


class Broken(Level):
    """It fails where two outputs are lost."""

    def summarise(self, rows: np.ndarray) -> float:
        if len(np.unique(rows)) == N - 2:
            raise RuntimeError("it is broken")
        return float(rows.mean())


def compare(
    rows: Mapping[str, np.ndarray | Counted], metric: Metric | None = None, kinds: Mapping[str, str] | None = None
) -> dict[tuple[str, str], DifferenceRecord]:
    """Differences of models by name; all of them are contestants unless `kinds` says otherwise."""
    metric = metric or Level()
    models = []
    for name, of_model in rows.items():
        value, estimate = summarise.value(metric, "level", name, None, DESIGN, of_model)
        assert (estimate is None) == (value.value is None)
        record = ModelRecord(name=name, spec=name, summary="", kind=(kinds or {}).get(name, "ready"))
        models.append((record, {Key("level"): estimate} if estimate else {}))
    return {(one.model, one.other): one for one in paired_differences(models, {"level": metric}, [])}


def rows(shift: float = 0.0, seed: int = 0, noise: float = 0.1, columns: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    return LEVEL[:, None] + shift + noise * random.normal(size=(N, columns))


def without(values: np.ndarray, *lost: int) -> np.ndarray:
    return np.where(np.isin(np.arange(N), lost)[:, None], np.nan, values)


def test_a_paired_difference_is_seen_where_intervals_overlap() -> None:
    a, b = rows(0.2, seed=1), rows(0.0, seed=2)
    values = [summarise.value(Level(), "level", "m", None, DESIGN, of)[0] for of in (a, b)]
    assert values[0].low < values[1].high
    found = compare({"a": a, "b": b})["a", "b"]
    assert found.effect == pytest.approx(float(a.mean() - b.mean()), abs=1e-12)
    assert 0 < found.low < found.effect < found.high
    assert found.p < 1e-3
    assert 0 < found.detectable < 0.2
    assert (found.n, found.reason) == (N, "")


def test_intervals_apart_make_no_difference_where_few_sessions_disagree() -> None:
    """In one session of three the winner is far ahead, and little behind in the others."""
    table = ROWS.assign(identity="Ada", session=[f"s{i % 3}" for i in range(N)])
    a, b = (np.random.default_rng(i).normal(size=(N, 1)) * 1e-3 for i in (1, 2))
    a[np.arange(N) % 3 == 0] += 3.0
    a[np.arange(N) % 3 != 0] -= 0.1
    design = blocks.design(table, 300, 0)
    estimates = [summarise.value(Level(), "level", "m", None, design, of)[1] for of in (a, b)]
    names = [ModelRecord(name=name, spec=name, summary="", kind="ready") for name in "ab"]
    measured = [(name, {Key("level"): estimate}) for name, estimate in zip(names, estimates, strict=True)]
    (found,) = paired_differences(measured, {"level": Level()}, [])
    assert a.mean() - a.std() / np.sqrt(N) > b.mean() + b.std() / np.sqrt(N)  # were samples independent
    assert found.p > 0.3
    assert found.low < 0 < found.high
    assert found.detectable > found.effect


def test_contestants_are_compared_once_and_baselines_with_contestants_only() -> None:
    kinds = {"copy": "baseline", "paste": "baseline", "exact": "ceiling"}
    models = {name: rows(i / 10, seed=i) for i, name in enumerate(["copy", "paste", "x", "exact", "y"])}
    assert set(compare(models, kinds=kinds)) == {
        ("x", "copy"), ("x", "paste"), ("x", "exact"), ("x", "y"), ("y", "copy"), ("y", "paste"), ("y", "exact"),
    }  # fmt: skip


def test_differences_are_of_the_samples_that_both_have() -> None:
    a, b = rows(0.3, seed=1), rows(0.0, seed=2)
    lost_a, lost_b = without(a, 0, 1, 2, 7), without(b, 7, 30)
    found = compare({"a": lost_a, "b": lost_b})["a", "b"]
    both = ~np.isnan(lost_a + lost_b)[:, 0]
    assert found.n == both.sum() == N - 5
    assert found.effect == pytest.approx(float(a[both].mean() - b[both].mean()), abs=1e-12)
    assert found.p < 1e-3


def test_failures_count_as_the_worst_of_the_baselines_in_differences_too() -> None:
    floor = Floor()
    floor.add("level", None, np.full((N, 1), -50.0))
    failed = np.where(np.arange(N) < N // 2, "no_face", "").astype(object)
    good = rows(5.0, seed=1)
    counted = Counted.with_failures(Level(), good, failed, floor.at(Level(), "level", None))
    found = compare({"a": counted, "b": rows(0.0, seed=2)})["a", "b"]
    assert found.n == N
    assert found.effect == pytest.approx((-50 + 5) / 2, abs=1)


def test_distributions_are_compared_where_all_outputs_are_the_same_ones() -> None:
    a, b = rows(0.3, seed=1, columns=2), rows(0.0, seed=2, columns=2)
    assert compare({"a": a, "b": b}, Spread())["a", "b"].p < 1e-3
    assert compare({"a": without(a, 3), "b": without(b, 3)}, Spread())["a", "b"].n == N - 1
    other = compare({"a": without(a, 3), "b": without(b, 4)}, Spread())["a", "b"]
    assert (other.effect, other.low, other.p, other.detectable) == (None, None, None, None)
    assert "scored on different outputs" in other.reason


@pytest.mark.parametrize(
    ("a", "b", "metric", "reason"),
    [
        (rows(), without(rows(), *range(N // 2 - 3)), None, "images of one session"),
        (without(rows(), *range(1, N)), rows(), None, "no value"),
        (without(rows(), *range(N // 2)), without(rows(), *range(N // 2, N)), None, "both scored on 0 outputs"),
        (without(rows(), 6), without(rows(), 5), Broken(), "RuntimeError: it is broken"),
    ],
)
def test_what_cannot_be_compared_has_a_reason_and_no_number(a, b, metric, reason: str) -> None:
    found = compare({"a": a, "b": b}, metric)
    if reason == "no value":
        assert not found
    else:
        assert found["a", "b"].effect is None
        assert reason in found["a", "b"].reason


def test_a_metric_without_interval_has_no_differences() -> None:
    class Worst(Level):
        info = replace(Level.info, interval="none")

    assert "resampling would bias it" in compare({"a": rows(1), "b": rows()}, Worst())["a", "b"].reason


def test_the_order_of_models_turns_the_sign() -> None:
    a, b = rows(0.3, seed=1), rows(0.0, seed=2)
    one, other = compare({"a": a, "b": b})["a", "b"], compare({"b": b, "a": a})["b", "a"]
    assert one.of("b").model_dump() == pytest.approx(other.model_dump(), abs=1e-12)
    assert one.of("a") == one


def test_of_too_many_those_of_the_headline_are_kept_and_the_rest_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Headline(Level):
        info = replace(Level.info, needs=("judge",), headline=True)

    monkeypatch.setattr(differences, "MOST", 4)
    keys = [Key("level"), Key("first", "j"), Key("placed")]
    metrics = {"level": Level(), "first": Headline(), "placed": Level()}
    metrics["placed"].info = replace(Level.info, summary_rank=3)
    models = []
    for name in "abc":
        estimate = summarise.value(Level(), "level", name, None, DESIGN, rows(seed=ord(name)))[1]
        models.append((ModelRecord(name=name, spec=name, summary="", kind="ready"), dict.fromkeys(keys, estimate)))
    warnings: list[str] = []
    kept = paired_differences(models, metrics, warnings)
    assert {one.metric for one in kept} == {"first"}
    assert len(kept) == 3
    assert warnings[0].startswith("differences by placed, level are not kept")
