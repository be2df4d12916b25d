"""Photographs of two people side by side, of whom the smaller is swapped: found, chosen and judged by real networks."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fsbench.config import Plan
from fsbench.harness.external.face_choice import FaceRule
from fsbench.harness.external.files import ToolOutputs
from fsbench.harness.score import score
from fsbench.interfaces import Context
from fsbench.results import RunResult

LARGE, SMALL, TARGETS = 250, 170, 3


def side_by_side(large: Path, small: Path, path: Path) -> None:
    """(250, 420) photograph, saved as a tool would."""
    canvas = Image.new("RGB", (LARGE + SMALL, LARGE), (110, 110, 110))
    canvas.paste(Image.open(large), (0, 0))
    canvas.paste(Image.open(small).resize((SMALL, SMALL)), (LARGE, 60))
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.save(path, quality=90)


@pytest.fixture
def job(shared: Path, tmp_path: Path) -> Path:
    """A source, three targets of two people, and a tool that put another photograph of the source at the smaller."""
    people = [sorted(folder.glob("*.jpg")) for folder in sorted((shared / "data/lfw").iterdir())]
    source, *others = [photos for photos in people if len(photos) >= 4][: 1 + 2 * TARGETS]
    for photo in source[:2]:
        (tmp_path / "people/source").mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, tmp_path / "people/source" / photo.name)
    for i in range(TARGETS):
        large, small = others[2 * i][0], others[2 * i + 1][0]
        side_by_side(large, small, tmp_path / "targets" / f"{i}.jpg")
        side_by_side(large, source[2], tmp_path / "tool" / f"{i}.jpg")
    return tmp_path


def run(job: Path, face: FaceRule, context: Context) -> tuple[RunResult, pd.DataFrame]:
    plan = Plan(judges=("dlib_resnet",), metrics=("id_similarity",), resamples=100)
    result = score(
        [ToolOutputs.find("tool", job / "tool")], job / "people", job / "targets", plan, job / face, context, face=face
    )
    return result, pd.read_parquet(job / face / "samples.parquet").set_index("model").loc["tool"]


def test_the_face_that_was_swapped_is_the_one_that_is_judged(job: Path, context: Context) -> None:
    similarity = {}
    for rule, face in (("changed", 2), ("nearest-to-source", 2), ("largest", 1)):
        result, samples = run(job, rule, context)
        assert samples["face"].eq(face).all(), rule
        assert samples["faces"].ge(2).all()
        (tool,), (copy,) = (result.find(model, "id_similarity") for model in ("tool", "copy_target"))
        similarity[rule] = np.array([tool.value, copy.value], float)
        failed = {model.name: model.failures for model in result.models}["tool"]
        assert failed == ({"unchanged": TARGETS} if face == 1 else {})
    assert np.allclose(similarity["changed"], similarity["nearest-to-source"])
    tool, copy = similarity["changed"]
    assert tool > copy + 0.05  # of dlib's cosines, of which strangers have .85
    assert similarity["largest"][0] <= similarity["largest"][1] + 0.01
