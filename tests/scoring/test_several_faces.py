"""Targets that show several painted people, of whom a tool swaps one: coloured panels on grey ground, each a face."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage

from fsbench.config import Plan
from fsbench.faces import detect
from fsbench.faces.align import TEMPLATE
from fsbench.harness.external import face_choice
from fsbench.harness.external.face_choice import FaceRule
from fsbench.harness.external.files import ToolOutputs
from fsbench.harness.score import score
from fsbench.images import read_image
from fsbench.interfaces import Context
from fsbench.png import write_png
from fsbench.results import RunResult
from tests.scoring.conftest import COLOURS, FakeDetector

Photograph = Callable[..., None]
Panels = tuple[tuple[int, int, int], ...]  # left, top, side
PLAN = Plan(judges=("colour",), metrics=("id_similarity",), resamples=100)
SIZE = 64
TWO: Panels = ((10, 20, 120), (160, 60, 60))
THREE: Panels = ((70, 20, 100), (5, 40, 60), (190, 10, 40))
EVE, ZOE, ANN, BOB = COLOURS["eve"], (150, 20, 60), COLOURS["ann"], COLOURS["bob"]
TARGETS = 3


class PanelDetector(FakeDetector):
    """Finds a face in every panel, the larger before the smaller."""

    def detect_photo(self, image: np.ndarray) -> detect.Detections:
        labels, _ = ndimage.label(np.ptp(image.astype(int), 2) > 60)
        boxes = [(area[1].start, area[0].start, area[1].stop, area[0].stop) for area in ndimage.find_objects(labels)]
        boxes = sorted((box for box in boxes if box[2] - box[0] > 9), key=lambda box: -(box[2] - box[0]))
        if not boxes:
            return detect.Detections(
                *(np.full(shape, np.nan, np.float32) for shape in ((1, 4), (1, 5, 2))), np.zeros(1, np.float32)
            )
        found = np.array(boxes, np.float32)
        side, middle = (found[:, 2:] - found[:, :2]).min(1) * 0.8, (found[:, :2] + found[:, 2:]) / 2
        points = (TEMPLATE - 0.5) * side[:, None, None] + middle[:, None]
        return detect.Detections(found, points.astype(np.float32), np.ones(len(found), np.float32))


@pytest.fixture(autouse=True)
def _panels(monkeypatch: pytest.MonkeyPatch, painted: None) -> None:
    monkeypatch.setattr(detect, "Detector", PanelDetector)


def scene(colours: tuple[tuple[int, ...], ...], panels: Panels, seed: int, noise: float = 6) -> np.ndarray:
    """(160, 240, 3) uint8; the noise is that of the seed."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:160, :240]
    picture = np.stack([128 + 127 * np.sin(x / 15 + seed) * np.cos(y / 20)] * 3, 2)
    for colour, (left, top, side) in zip(colours, panels, strict=True):
        picture[top : top + side, left : left + side] = colour + random.normal(size=(side, side, 3)) * noise
    return picture.clip(0, 255).round().astype(np.uint8)


class Job:
    """Folders of a source bob, of targets, and of tools, each of which painted some of the panels in bob's colour."""

    def __init__(self, root: Path, photograph: Photograph, context: Context, panels: Panels = TWO) -> None:
        self.root, self.context, self.panels = root, context, panels
        self.before = (EVE, ZOE, ANN)[: len(panels)]
        for i in range(3):
            photograph(root / "people" / "bob" / f"{i}.png", "bob", i)
        for i in range(TARGETS):
            write_png(root / "targets" / "eve" / f"{i}.png", scene(self.before, panels, i))

    def tool(self, name: str, *swapped: int, change: Callable[[np.ndarray], np.ndarray] | None = None) -> None:
        """Write the outputs of a tool that swapped these panels, and changed the picture otherwise."""
        for i in range(TARGETS):
            colours = tuple(BOB if k in swapped else own for k, own in enumerate(self.before))
            picture = scene(colours, self.panels, i)
            write_png(self.root / name / f"bob_{i}.png", change(picture) if change else picture)

    def run(self, *names: str, face: FaceRule = "changed", out: str = "out") -> RunResult:
        """Score them."""
        outputs = [ToolOutputs.find(name, self.root / name) for name in names]
        return score(
            outputs,
            self.root / "people",
            self.root / "targets",
            PLAN,
            self.root / out,
            self.context,
            size=SIZE,
            face=face,
        )

    @property
    def samples(self) -> pd.DataFrame:
        return pd.read_parquet(self.root / "out" / "samples.parquet")


@pytest.fixture
def job(tmp_path: Path, photograph: Photograph, fresh_context: Context) -> Job:
    """Two faces a target."""
    return Job(tmp_path, photograph, fresh_context)


@pytest.fixture
def three(tmp_path: Path, photograph: Photograph, fresh_context: Context) -> Job:
    """Three faces a target."""
    return Job(tmp_path, photograph, fresh_context, THREE)


def likeness(result: RunResult, model: str) -> float:
    (found,) = result.find(model, "id_similarity")
    assert found.value is not None
    return found.value


def failures(result: RunResult, model: str) -> dict[str, int]:
    (record,) = [one for one in result.models if one.name == model]
    return dict(record.failures)


def said(result: RunResult, text: str) -> bool:
    return any(text in warning for warning in result.warnings)


@pytest.mark.parametrize("rule", ["changed", "nearest-to-source"])
def test_the_smaller_face_is_measured_where_it_was_swapped(job: Job, rule: FaceRule) -> None:
    job.tool("small", 1)
    result = job.run("small", face=rule)
    assert likeness(result, "small") > 0.95
    assert likeness(result, "copy_target") < 0.5
    assert failures(result, "small") == {}
    rows = job.samples[job.samples["model"] == "small"]
    assert rows["faces"].tolist() == [2] * TARGETS
    assert rows["face"].tolist() == [2] * TARGETS
    assert rows["identity"].tolist() == [f"eve/{i}~face2" for i in range(TARGETS)]
    assert said(result, f"{TARGETS} of {TARGETS} targets show several faces, eve/0.png, eve/1.png, eve/2.png: measured")
    assert said(result, f"--face {rule}")
    assert "of a target with several faces, the one" in result.protocol.pairing
    assert said(result, f"in {TARGETS} pairs the face that is measured is not the largest")
    references = pd.read_parquet(job.root / "out" / "references.parquet")
    assert (references["identity"] == "eve").sum() == TARGETS  # the largest face is still the folder's person


def test_by_the_largest_face_such_a_tool_failed(job: Job) -> None:
    job.tool("small", 1)
    result = job.run("small", face="largest")
    assert failures(result, "small") == {"unchanged": TARGETS}
    assert job.samples["face"].eq(1).all()
    assert said(result, f"small changed another face of its target than the one that is measured in {TARGETS} pairs")


@pytest.mark.parametrize("swapped", [(0,), (0, 1)])
def test_the_largest_face_is_measured_where_it_was_swapped(job: Job, swapped: tuple[int, ...]) -> None:
    job.tool("tool", *swapped)
    result = job.run("tool")
    assert likeness(result, "tool") > 0.95
    assert job.samples["face"].eq(1).all()
    assert job.samples["identity"].eq("eve").all()
    assert said(result, "targets show several faces")
    assert not said(result, "not the largest")


def test_the_face_is_one_for_all_tools(job: Job) -> None:
    """Most decide; who swapped another face failed, and it is said."""
    job.tool("one", 1)
    job.tool("two", 1)
    job.tool("other", 0)
    result = job.run("one", "two", "other")
    assert likeness(result, "one") > 0.95
    assert likeness(result, "two") > 0.95
    assert failures(result, "other") == {"unchanged": TARGETS}
    assert job.samples["face"].eq(2).all()
    assert said(result, "other changed another face of its target than the one that is measured in 3 pairs")
    assert not said(result, "one changed")


def test_a_tool_that_swaps_all_and_one_that_swaps_one(job: Job) -> None:
    job.tool("all", 0, 1)
    job.tool("small", 1)
    result = job.run("all", "small")
    assert job.samples["face"].eq(2).all()
    assert min(likeness(result, name) for name in ("all", "small")) > 0.95


@pytest.mark.parametrize("third", [0, 1, 2])
def test_any_of_three_faces(three: Job, third: int) -> None:
    three.tool("tool", third)
    result = three.run("tool")
    assert likeness(result, "tool") > 0.95
    assert three.samples["face"].eq(third + 1).all()
    assert three.samples["faces"].eq(3).all()


def brighter(picture: np.ndarray) -> np.ndarray:
    """What a codec or a tone curve does: all of the picture changes by more than an unchanged face may."""
    return np.minimum(picture.astype(int) + 12, 255).astype(np.uint8)


def twice(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((480, 320), Image.Resampling.NEAREST))


def rounded(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((361, 240), Image.Resampling.NEAREST))


@pytest.mark.parametrize("change", [brighter, twice, rounded])
def test_a_tool_may_change_the_whole_picture(job: Job, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Its colours a little, or its size."""
    job.tool("tool", 1, change=change)
    result = job.run("tool")
    assert likeness(result, "tool") > 0.9
    assert job.samples["face"].eq(2).all()
    (record,) = [one for one in result.models if one.name == "tool"]
    assert record.notes == ("0 of 3 outputs were cut by their own face, the others like their target",)


def test_an_output_of_another_size_is_cut_where_its_target_was(job: Job) -> None:
    """The larger face is its own face, and the smaller one the target's."""
    job.tool("small", 1)
    job.tool("large", 1, change=twice)
    job.run("small", "large")
    for i in range(TARGETS):
        place = f"bob/eve/{i}~face2.png"
        small, large = (read_image(job.root / "out/outputs" / name / place).astype(int) for name in ("small", "large"))
        assert np.abs(small - large).mean() < 4


def padded(picture: np.ndarray) -> np.ndarray:
    return np.pad(picture, ((0, 90), (0, 0), (0, 0)))


def zoomed(picture: np.ndarray) -> np.ndarray:
    """A part of the frame, whose sides are in the same ratio."""
    return np.ascontiguousarray(picture[32:, 48:])


def wider(picture: np.ndarray) -> np.ndarray:
    """More than the frame, whose sides are in the same ratio."""
    return np.pad(picture, ((40, 40), (60, 60), (0, 0)))


@pytest.mark.parametrize("change", [padded, zoomed, wider])
def test_outputs_of_another_frame_do_not_tell(job: Job, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Of their own two faces the larger is cut, and both facts are said."""
    job.tool("other", 1, change=change)
    result = job.run("other")
    assert job.samples["face"].eq(1).all()
    assert said(result, "in 3 pairs no output shows the frame of its target, which has several faces")
    assert said(result, "other: 3 of 3 outputs show several faces, and another frame than their target")


def test_a_pair_without_an_output_is_measured_at_the_largest_face(job: Job) -> None:
    job.tool("small", 1)
    job.tool("other", 1)
    for name in ("small", "other"):
        (job.root / name / "bob_1.png").write_bytes(b"no image")
    result = job.run("small", "other")
    assert failures(result, "small") == {"unreadable": 1}
    by_id = job.samples[job.samples["model"] == "small"].set_index("id")
    assert by_id["face"].to_dict() == {"eve/0~face2": 2, "eve/1": 1, "eve/2~face2": 2}
    assert said(result, "in 1 pairs no output shows the frame")


def test_sources_that_show_several_faces_are_told(job: Job) -> None:
    job.tool("tool", 0)
    write_png(job.root / "people/bob/9.png", scene((BOB, ZOE), TWO, 9))
    result = job.run("tool")
    assert said(
        result,
        "source: 1 of 4 images show several faces; of each the largest and most central one was taken "
        "for the person: bob/9.png",
    )


def test_one_face_needs_no_choice(tmp_path: Path, photograph: Photograph, fresh_context: Context) -> None:
    job = Job(tmp_path, photograph, fresh_context, TWO[:1])
    job.tool("tool", 0)
    for rule in ("changed", "nearest-to-source", "largest"):
        job.root = tmp_path
        result = score(
            [ToolOutputs.find("tool", tmp_path / "tool")],
            tmp_path / "people",
            tmp_path / "targets",
            PLAN,
            tmp_path / rule,
            fresh_context,
            size=SIZE,
            face=rule,
        )
        assert not said(result, "several faces")
        assert "several faces" not in result.protocol.pairing
        samples = pd.read_parquet(tmp_path / rule / "samples.parquet")
        assert samples["faces"].eq(1).all()
        assert samples["face"].eq(1).all()


def test_faces_are_compared_once_for_each_output(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[object] = []
    look = face_choice._look
    monkeypatch.setattr(face_choice, "_look", lambda k, *rest: looked.append(k) or look(k, *rest))
    job.tool("small", 1)
    job.tool("whole", 0, 1, change=lambda picture: picture[:80, :120])  # not the frame of its target
    first = job.run("small", "whole")
    assert len(looked) == TARGETS
    looked.clear()
    again = job.run("small", "whole", out="again")
    assert looked == []
    assert (again.values, again.warnings) == (first.values, first.warnings)
    job.tool("other", 0)
    job.run("small", "whole", "other", out="more")
    assert len(looked) == TARGETS
