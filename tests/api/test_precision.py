"""Judges may compute in bfloat16: values stay within what the guide says, and are not taken for those of float32."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from blending import SMALL, TINY, Blend
from torch import Tensor

import fsbench
from fsbench.config import Plan
from fsbench.errors import DeviceError, UsageError
from fsbench.extraction.extractor import Extractor
from fsbench.harness.instruments import Instruments
from fsbench.interfaces import Context, ObserverInfo
from fsbench.registry import observers, swappers

MOST = {"id_similarity": 2e-3, "id_leakage": 2e-3, "tl_id": 2e-3, "kid_face": 0.01}
"""Of metrics that ask the judge, the largest change; dlib's vectors change by 1.6 % of their length."""

UNTOUCHED = ("pose_error_five", "background")


def run(precision: str, out: Path) -> fsbench.Run:
    return fsbench.run("blend", SMALL, metrics=[*MOST, *UNTOUCHED], precision=precision, baselines=False, out=out)


@pytest.mark.usefixtures("_plain_runs")
def test_values_change_little_and_only_where_the_judge_is_asked(registering: None, tmp_path: Path) -> None:
    swappers.register("blend")(Blend)
    first, reduced, again = (
        run(name, tmp_path / f"{k}") for k, name in enumerate(("float32", "bfloat16", "float32"))
    )  # what one precision keeps, the other does not find
    pd.testing.assert_frame_equal(again.values, first.values, check_exact=True)
    both = first.values.merge(reduced.values, on=["model", "metric", "judge"], suffixes=("", "_reduced"))
    assert len(both) == len(first.values)
    for metric, values in both.groupby("metric"):
        change = (values["value"] - values["value_reduced"]).abs()
        if metric in UNTOUCHED:
            assert (change == 0).all(), metric
        else:
            assert 0 < change.max() < MOST[str(metric)], metric
    assert [run.result.judges[0].precision for run in (first, reduced)] == ["float32", "bfloat16"]
    assert not any("computed in" in warning for warning in first.warnings)
    assert any("dlib_resnet computed in bfloat16" in warning for warning in reduced.warnings)

    compared = first.compare(reduced, metrics=[*MOST, *UNTOUCHED])
    assert "precision of judge dlib_resnet: float32 in the first, bfloat16 in the second" in " ".join(
        compared.mismatches
    )
    refused = compared.table["verdict"] == "refused"
    assert set(compared.table.loc[refused, "metric"]) == set(MOST)
    assert set(compared.table.loc[~refused, "metric"]) == set(UNTOUCHED)

    evaluation = fsbench.Evaluation(SMALL, metrics=[*MOST, *UNTOUCHED], precision="bfloat16", baselines=False)
    scores = evaluation(Blend(), "blend")
    assert scores.values["value"].tolist() == reduced.values["value"].tolist()


def test_what_takes_no_precision_is_computed_once(registering: None, context: Context) -> None:
    @observers.register("plain")
    class Plain:
        """Tells how light an image is, in float32 whatever the context says."""

        info = ObserverInfo((), "mean")

        def observe(self, crops: Tensor, landmarks: Tensor) -> Mapping[str, Tensor]:
            return {"light": crops.mean((2, 3))}

    keys = {
        Extractor.build(observers, "plain", replace(context, precision=precision)).key
        for precision in ("float32", "bfloat16", "float16")
    }
    assert len(keys) == 1


@pytest.mark.parametrize("precision", ["half", "float64", "FLOAT32", "", "bf16"])
def test_no_other_precision_is_known(precision: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="precision"):
        fsbench.run("alpha_paste", TINY, precision=precision, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_float16_on_a_cpu_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"float16 is for GPUs.*\n?.*bfloat16"):
        fsbench.run("alpha_paste", TINY, precision="float16", device="cpu", out=tmp_path / "out")
    with pytest.raises(DeviceError, match="float16 is for GPUs"):
        fsbench.Evaluation(TINY, precision="float16", device="cpu")


@pytest.mark.parametrize(("flags", "told"), [({"avx2", "avx512f"}, True), ({"avx512f", "avx512_bf16"}, False)])
def test_a_processor_that_emulates_bfloat16_is_told(
    flags: set[str], told: bool, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsbench.training.processor_features", lambda: flags)
    messages: list[str] = []
    for precision in ("float32", "bfloat16"):
        plan = Plan(metrics=("id_similarity",), precision=precision)  # type: ignore[arg-type]
        Instruments.of(plan, replace(context, log=messages.append))
    assert any("emulate bfloat16" in message for message in messages) == told
    assert len(messages) == told
