"""Kinds of evidence that raise, lie or meddle: one sentence names them, and no other metric is harmed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from fsbench import contracts, registry
from fsbench.config import Plan
from fsbench.errors import NotScorable
from fsbench.evidence import references
from fsbench.evidence.needs import build_kinds
from fsbench.harness import evaluation as evaluations
from fsbench.harness.evaluation import PreparedSet
from fsbench.harness.instruments import Instruments
from fsbench.harness.summarise import FAULT
from fsbench.interfaces import Batch, Context, EvidenceOf, MetricInfo
from fsbench.pairs import EvaluationSet, Group, Outputs, Pairs

pytestmark = pytest.mark.usefixtures("registering")
N = 12


class Asks:
    """Mean of the evidence `odd`."""

    info = MetricInfo("", "lower", (0, 1), ("odd",), "-", "-", measures=("colour",))

    def measure(self, batch: Batch) -> torch.Tensor:
        values: torch.Tensor = batch["odd"]
        return values.float().reshape(len(batch.rows), -1).mean(1)

    def summarise(self, rows: np.ndarray) -> float:
        return float(rows.mean())


class Harmless(Asks):
    """Mean of the output."""

    info = replace(Asks.info, needs=())

    def measure(self, batch: Batch) -> torch.Tensor:
        return batch.output.mean((1, 2, 3))


def rows_with(prepare: Callable[[EvaluationSet], EvidenceOf], context: Context, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the two metrics measure where the kind `odd` is prepared so."""

    @registry.evidence.register("odd")
    class Odd:
        """Is odd."""

        def prepare(self, evaluation: EvaluationSet) -> EvidenceOf:
            return prepare(evaluation)

    registry.metrics.register("asks")(Asks)
    registry.metrics.register("harmless")(Harmless)
    for module in (evaluations, references):
        monkeypatch.setattr(
            module, "find_landmarks", lambda crops, title, context: np.zeros((len(crops), 5, 2), np.float32)
        )
    faces = contracts.toy_faces(2, sessions=3, images=4, size=16)
    index = np.flatnonzero(faces.rows["identity"] == "toy1")
    pairs = Pairs((Group("toy0", faces.of("toy0").crops.select(slice(2)), index, faces.select(index), None),), "all")
    instruments = replace(Instruments.of(Plan(metrics=("asks", "harmless")), context), judges=[])
    evaluation = PreparedSet.prepare(instruments, pairs, faces, None, context)
    return {name: rows for name, _, rows in evaluation.measure(evaluation.extract("m", pairs.targets))}


def fails(_: object) -> Any:
    raise ZeroDivisionError("one over nothing")


def gives(value: object) -> Callable[[EvaluationSet], EvidenceOf]:
    return lambda evaluation: lambda outputs: value  # type: ignore[return-value]


class Uncuttable:
    def __getitem__(self, rows: slice) -> Any:
        raise KeyError(rows)


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (fails, "evidence odd raised ZeroDivisionError: one over nothing"),
        (lambda evaluation: fails, "evidence odd raised ZeroDivisionError"),
        (lambda evaluation: None, "evidence odd raised TypeError"),
        (gives(None), "evidence odd gave NoneType"),
        (gives(3.0), "evidence odd gave float"),
        (gives({"a": torch.zeros(N)}), "evidence odd gave dict"),
        (gives(torch.zeros(N - 1)), "evidence odd gave 11 entries for 12 outputs"),
        (gives(np.zeros(N + 5)), "evidence odd gave 17 entries for 12 outputs"),
        (gives(Uncuttable()), "evidence odd raised KeyError"),
        (gives(["a"] * N), "AttributeError"),
    ],
)
def test_its_fault_costs_one_metric(
    prepare: Any, said: str, fresh_context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = rows_with(prepare, fresh_context, monkeypatch)
    assert isinstance(measured["asks"], NotScorable)
    assert measured["asks"].message.startswith(FAULT)
    assert said in measured["asks"].message
    assert np.isfinite(measured["harmless"]).all()


def test_a_reason_of_its_own_is_no_fault(fresh_context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    def of(outputs: Outputs) -> Any:
        raise NotScorable("nothing is known of night scenes")

    measured = rows_with(lambda evaluation: of, fresh_context, monkeypatch)
    assert measured["asks"].message == "nothing is known of night scenes"


def test_it_is_nan_where_nothing_is_known(fresh_context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.linspace(0, 1, N)
    values[3] = torch.nan
    measured = rows_with(gives(values), fresh_context, monkeypatch)
    assert np.isnan(measured["asks"][:, 0]).tolist() == [i == 3 for i in range(N)]


def test_what_it_changes_and_prints_stays_its_own(
    fresh_context: Context, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    kept = torch.rand(N, generator=torch.Generator().manual_seed(0))

    def of(outputs: Outputs) -> torch.Tensor:
        print("looking at outputs")  # noqa: T201
        torch.manual_seed(1)
        torch.set_default_dtype(torch.float64)
        os.environ["ODD"] = "1"
        return kept

    def write(self: Asks, batch: Batch) -> torch.Tensor:
        zeros: torch.Tensor = batch["odd"].zero_()
        return zeros

    monkeypatch.setattr(Asks, "measure", write)
    before, state = kept.clone(), torch.get_rng_state()
    measured = rows_with(lambda evaluation: of, fresh_context, monkeypatch)
    assert np.isfinite(measured["harmless"]).all()
    assert torch.equal(kept, before)
    assert torch.get_default_dtype() == torch.float32
    assert torch.equal(torch.get_rng_state(), state)
    assert "ODD" not in os.environ
    assert "looking" not in capfd.readouterr().out


def test_what_it_writes_into_is_a_copy(fresh_context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    clean = rows_with(gives(torch.zeros(N)), fresh_context, monkeypatch)

    def prepare(evaluation: EvaluationSet) -> EvidenceOf:
        evaluation.pairs.targets.levels()[:] = 0
        evaluation.pairs.groups[0].targets.crops[:].zero_()
        evaluation.pairs.groups[0].targets.landmarks[:] = 0
        evaluation.real.test.crops.levels(slice(0, 3))[:] = 0

        def of(outputs: Outputs) -> torch.Tensor:
            outputs.images.levels()[:] = 0
            outputs.landmarks[:] = 0
            return torch.zeros(N)

        return of

    assert np.array_equal(rows_with(prepare, fresh_context, monkeypatch)["harmless"], clean["harmless"])
    assert (clean["harmless"] > 0).all()


@pytest.mark.parametrize(
    ("need", "hint"),
    [
        ("truth", "write exact"),
        ("observer", "name the observer itself"),
        ("tide", "known: judge, absent, exact, "),
        ("odd@file", "known: judge"),
        ("exakt", "known: judge, absent, exact, "),
    ],
)
def test_a_need_that_nothing_gives_is_told(need: str, hint: str, fresh_context: Context) -> None:
    class Needs(Asks):
        info = replace(Asks.info, needs=(need,))

    kinds = build_kinds([Needs()], (), fresh_context)
    assert f"there is no evidence and no observer {need!r}" in kinds.missing[need].message
    assert hint in kinds.missing[need].message


def test_the_name_of_the_judges_evidence_is_taken() -> None:
    registry.evidence.register("judge")(Asks)
    assert any("fsbench's own" in refused.reason for refused in registry.evidence.refused)
    assert not registry.evidence.has("judge")


def test_a_name_of_evidence_and_of_an_observer_is_no_name(fresh_context: Context) -> None:
    registry.evidence.register("five_points")(Asks)
    needs = type("Needs", (Asks,), {"info": replace(Asks.info, needs=("five_points",))})
    kinds = build_kinds([needs()], (), fresh_context)
    assert "of an observer of fsbench.observers.five_points" in kinds.missing["five_points"].message


def test_a_constructor_that_raises_is_told(fresh_context: Context) -> None:
    @registry.evidence.register("odd")
    class Odd:
        """Cannot be made."""

        def __init__(self) -> None:
            raise RuntimeError("no licence key")

    kinds = build_kinds([Asks()], (), fresh_context)
    assert "no licence key" in kinds.missing["odd"].message
    registry.metrics.register("asks")(Asks)
    with pytest.raises(NotScorable, match="no licence key"):
        Instruments.of(Plan(metrics=("asks",)), fresh_context)
