"""An evaluation that all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from blending import SMALL, TINY

import fsbench

METRICS = "id_similarity,id_leakage,pose_error_five,background,kid_face,tl_id"


@pytest.fixture(scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of `evaluation`, which no other process of this session writes into: a test looks at its files."""
    return tmp_path_factory.mktemp("evaluation") / "cache"


@pytest.fixture(scope="session")
def evaluation(own_cache: Path) -> fsbench.Evaluation:
    """Six metrics of stills and clips on a small set of synthetic people."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FSBENCH_CACHE", str(own_cache))
        return fsbench.Evaluation(dataset=SMALL, metrics=METRICS)


@pytest.fixture(scope="session")
def quick(session_folder: Path) -> fsbench.Evaluation:
    """One metric of a few stills, without a judge."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FSBENCH_CACHE", str(session_folder / "cache"))
        return fsbench.Evaluation(dataset=TINY, metrics="background", baselines=False)


@pytest.fixture
def _plain_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs write no page, and nothing that only illustrates numbers: both take long, and other tests look at them."""
    monkeypatch.setattr("fsbench.harness.illustrations.TABLES", {})
    monkeypatch.setattr("fsbench.report.write", lambda folder: folder)
