"""Judges that cannot tell the real people of a run apart: seen by all, counted by none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fsbench import report
from fsbench.cli.summary import print_summary
from fsbench.config import Plan
from fsbench.harness.run import run as run_plan
from fsbench.interfaces import Context, EmbedderInfo, Source, Targets
from fsbench.registry import embedders, swappers
from fsbench.report.run import read
from fsbench.report.verdict import sentences
from fsbench.results import RunResult

DATA = "synthetic(people=2,sessions=8,images=4,gallery=8,clips=0,size=64)"
pytestmark = pytest.mark.slow
REASONS = {
    "onnx(random.onnx)": "it cannot tell the people of the real images apart: d' ",
    "onnx(imagenet.onnx)": "it cannot tell the people of the real images apart: d' ",
    "not_a_number": "it gave NaN, infinity or zeros for 40 of 40 real images with a face",
    "one_vector": "it gives all 40 real images the same vector",
}


@pytest.fixture
def _toys(registering: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsbench.harness.umap.FEWEST", 1000)  # UMAP takes half a minute to compile

    class NotANumber:
        """Divides zero by zero."""

        def __init__(self, *, context: Context) -> None:
            self.info = EmbedderInfo("not_a_number", 4, (), "a toy")

        def embed(self, crops: Tensor, landmarks: Tensor) -> Tensor:
            return crops.new_full((len(crops), 4), torch.nan)

    class OneVector(NotANumber):
        """Sees the same in every face."""

        def __init__(self, *, context: Context) -> None:
            self.info = EmbedderInfo("one_vector", 4, (), "a toy")

        def embed(self, crops: Tensor, landmarks: Tensor) -> Tensor:
            return crops.new_tensor([1.0, 2.0, 3.0, 4.0]).expand(len(crops), 4).clone()

    class First:
        """Gives the first source image."""

        def swap(self, source: Source, targets: Targets) -> Tensor:
            return source.images[:1].to(targets.images).expand_as(targets.images).clone()

    class Blend(First):
        """Gives the mean of the first source image and the target."""

        def swap(self, source: Source, targets: Targets) -> Tensor:
            return (super().swap(source, targets) + targets.images) / 2

    embedders.register("not_a_number")(NotANumber)
    embedders.register("one_vector")(OneVector)
    swappers.register("first")(First)
    swappers.register("blend")(Blend)


@pytest.fixture
def unfit(write_onnx: Callable[..., Path], tmp_path: Path) -> tuple[str, ...]:
    """A recogniser with random weights, one that names 1,000 things, and two that are broken."""
    random = np.random.default_rng(0)
    faces = random.normal(0, 0.1, (8, 3, 7, 7)), random.normal(0, 0.2, (64, 8, 3, 3))
    small = write_onnx(tmp_path / "random.onnx", *faces)
    things = random.normal(0, 0.05, (16, 3, 7, 7)), random.normal(0, 0.2, (1000, 16, 3, 3))
    large = write_onnx(tmp_path / "imagenet.onnx", *things, size=224, last="Softmax")
    return f"onnx({small})", f"onnx({large})", "not_a_number", "one_vector"


def run(out: Path, context: Context, *judges: str) -> RunResult:
    plan = Plan(
        dataset=DATA,
        models=("blend", "first"),
        judges=judges,
        metrics=("id_similarity", "id_nearer_source", "id_verified", "skin_colour"),
    )
    return run_plan(plan, out, context)


def page(out: Path) -> str:
    return report.write(out).read_text()


@pytest.mark.usefixtures("_toys")
def test_they_count_neither_in_ranks_nor_in_headlines(
    unfit: tuple[str, ...], tmp_path: Path, context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(tmp_path / "out", context, *unfit[:2], "dlib_resnet", *unfit[2:])
    stored = json.loads((tmp_path / "out/result.json").read_text())
    told = {judge["name"]: judge["unfit"] for judge in stored["judges"]}
    assert told.pop("dlib_resnet") == ""
    assert {name: told[name][: len(reason)] for name, reason in REASONS.items()} == REASONS

    assert result.ranking.judges == ("dlib_resnet",)
    assert set(result.ranking.left_out) == set(REASONS)
    order = sorted(
        ("blend", "first"),
        key=lambda name: (
            -next(value.value for value in result.find(name, "id_similarity") if value.judge == "dlib_resnet")
        ),
    )
    assert [(rank.model, rank.mean) for rank in result.ranking.ranks] == [(order[0], 1), (order[1], 2)]
    assert "dlib_resnet is the only judge that counts" in result.ranking.advice

    print_summary(result)
    seen = " ".join(capsys.readouterr().out.split())
    html = page(tmp_path / "out")
    for name, reason in REASONS.items():
        assert f"{name} is left out of the ranks: {reason}" in seen
        assert any(
            warning.startswith(f"{name} counts neither in ranks nor in headlines: {reason}")
            for warning in result.warnings
        )
        assert reason.replace("'", "&#39;") in html
    assert "dlib_resnet is the only judge that counts" in seen
    assert "only judge that counts" in html

    lines = sentences(read(tmp_path / "out"))
    assert any("dlib_resnet" in line for line in lines)
    assert not [line for line in lines for name in REASONS if name in line]


@pytest.mark.usefixtures("_toys")
def test_without_a_judge_that_works_nobody_is_ranked(
    unfit: tuple[str, ...], tmp_path: Path, context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(tmp_path / "out", context, *unfit)
    assert result.ranking.judges == ()
    assert {rank.mean for rank in result.ranking.ranks} == {None}
    assert result.ranking.advice.startswith("no judge counts, two or more of different families are wanted")
    print_summary(result)
    assert "mean rank" not in (seen := " ".join(capsys.readouterr().out.split()))
    assert "no judge counts" in seen
    lines = sentences(read(tmp_path / "out"))
    assert "No judge of this run can tell the real people apart" in lines[0]
    assert not [line for line in lines for name in (*REASONS, "id_") if name in line]
    assert "no judge counts" in page(tmp_path / "out")
