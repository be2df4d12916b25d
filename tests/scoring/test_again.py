"""What was scored before is neither looked at nor measured again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fsbench.config import Plan
from fsbench.extraction import features
from fsbench.faces import detect
from fsbench.harness import summarise
from fsbench.harness.external.files import ToolOutputs
from fsbench.harness.score import score
from fsbench.interfaces import Context
from fsbench.results import RunResult

METRICS = ("id_similarity", "id_leakage", "background", "skin_colour", "pose_error_five", "id_nearer_source")
N_TARGETS = 6


@pytest.fixture
def folders(tmp_path: Path, photograph: Callable[..., None]) -> Path:
    """Two sources, targets of eve, and outputs of all pairs."""
    for k, name in enumerate(("ann", "bob")):
        for i in range(3):
            photograph(tmp_path / "people" / name / f"{i}.png", name, 10 * k + i)
    for i in range(N_TARGETS):
        photograph(tmp_path / "targets" / "eve" / f"s{i // 2}" / f"{i}.png", "eve", 100 + i)
        for name in ("ann", "bob"):
            photograph(tmp_path / "outputs" / f"{name}_{i}.png", name, 200 + 10 * i)
    return tmp_path


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Images that the detector and judges look at, and metrics that are measured."""
    counts: Counter[str] = Counter()
    embed, measure, look = features._embed_block, summarise.measure, detect.Detector.detect_crops  # type: ignore[attr-defined]

    def counted_embed(judge: object, crops: object, *rest: object) -> object:
        counts["embedded"] += len(crops)  # type: ignore[arg-type]
        return embed(judge, crops, *rest)  # type: ignore[arg-type]

    def counted_measure(metric: object, name: str, *rest: object) -> np.ndarray:
        counts[name] += 1
        return measure(metric, name, *rest)  # type: ignore[arg-type]

    def counted_look(self: object, crops: object) -> np.ndarray:
        counts["searched"] += len(crops)  # type: ignore[arg-type]
        return look(self, crops)  # type: ignore[arg-type]

    monkeypatch.setattr(features, "_embed_block", counted_embed)
    monkeypatch.setattr(summarise, "measure", counted_measure)
    monkeypatch.setattr(detect.Detector, "detect_crops", counted_look)
    return counts


def scored(folders: Path, out: str, context: Context, metrics: tuple[str, ...] = METRICS) -> RunResult:
    outputs = [ToolOutputs.find("tool", folders / "outputs")]
    plan = Plan(judges=("colour",), metrics=metrics, resamples=100)
    return score(outputs, folders / "people", folders / "targets", plan, folders / out, context, size=64)


def test_a_second_score_looks_at_nothing(folders: Path, fresh_context: Context, work: Counter[str]) -> None:
    first = scored(folders, "first", fresh_context)
    assert work["searched"] > 0
    assert work["embedded"] > 0
    assert set(METRICS) <= set(work)
    work.clear()
    again = scored(folders, "again", fresh_context)
    assert not work
    assert again.values == first.values


def test_one_metric_more_is_measured_alone(folders: Path, fresh_context: Context, work: Counter[str]) -> None:
    scored(folders, "first", fresh_context, METRICS[:-1])
    work.clear()
    scored(folders, "again", fresh_context)
    assert work == {METRICS[-1]: 3}  # of the tool and of two baselines


def test_one_output_more_is_looked_at_alone(
    folders: Path, fresh_context: Context, work: Counter[str], photograph: Callable[..., None]
) -> None:
    """A target and its outputs are put in front of all others."""
    scored(folders, "first", fresh_context)
    work.clear()
    photograph(folders / "targets" / "eve" / "s0" / "00.png", "eve", 900)
    photograph(folders / "outputs" / "ann_00.png", "ann", 901)
    scored(folders, "again", fresh_context)
    assert work["searched"] == work["embedded"] == 2  # copy_source repeats an image that is known
    assert work["background"] == 3
