"""Frames of synthetic people: the crop in its place, its surroundings, and a second person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fsbench.config import Plan
from fsbench.datasets.synthetic import Synthetic
from fsbench.errors import DataError
from fsbench.faces.align import TEMPLATE, similarity
from fsbench.faces.frames import cut_region, side_of
from fsbench.faces.paste import PRESETS, FrameCrop, floor, paste
from fsbench.harness import illustrations
from fsbench.harness.run import run
from fsbench.interfaces import Context, Faces, WithFrames

SMALL: dict[str, Any] = {"sessions": 2, "images": 4, "gallery": 1, "clips": 1, "frames": 3}


@pytest.fixture(params=[48, 49])
def drawn(request: pytest.FixtureRequest, context: Context) -> tuple[Synthetic, Faces]:
    dataset = Synthetic(**SMALL, size=request.param, context=context)
    return dataset, dataset.faces("test")


def test_the_crop_is_in_the_middle_of_its_frame(drawn: tuple[Synthetic, Faces]) -> None:
    dataset, faces = drawn
    assert isinstance(dataset, WithFrames)
    size, margin = dataset.info.size, dataset.info.size // 2
    for i, (frame, points) in enumerate(dataset.frames(faces)):
        assert frame.shape == (size + 2 * margin, 2 * (size + 2 * margin), 3)
        assert np.array_equal(frame[margin : margin + size, margin : margin + size], faces.crops.levels(i))
        to_crop = similarity(points[0], TEMPLATE * size)
        assert to_crop == pytest.approx(np.array([[1, 0, -margin], [0, 1, -margin]]), abs=1e-4)
        crop = FrameCrop(faces.crops.levels(i) / np.float32(255), faces.landmarks[i], to_crop)
        assert floor(frame, crop, PRESETS["exact"]) < 0.01
        region, _ = cut_region(frame, points[0], size)
        assert region.shape == (side_of(size), side_of(size), 3)
    assert i == len(faces) - 1


def test_what_is_around_the_crop_goes_on_from_it(drawn: tuple[Synthetic, Faces]) -> None:
    """Steps across the crop's border are as large as those beside it: grain, and what the scene has there."""
    dataset, faces = drawn
    margin, across, beside = dataset.info.size // 2, [], []
    for frame, _ in dataset.frames(faces):
        levels = frame.astype(int)[margin : -margin or None, : frame.shape[1] // 2]
        across.append(np.abs(levels[:, margin] - levels[:, margin - 1]).mean())
        beside.append(np.abs(levels[:, margin - 1] - levels[:, margin - 2]).mean())
    assert np.mean(across) == pytest.approx(np.mean(beside), rel=0.4)
    assert np.mean(beside) > 0


def test_the_next_person_stands_beside_at_the_same_moment(drawn: tuple[Synthetic, Faces]) -> None:
    dataset, faces = drawn
    size, places = dataset.info.size, {name: i for i, name in enumerate(faces.rows["id"])}
    for name, (frame, points) in zip(faces.rows["id"], dataset.frames(faces), strict=True):
        other = places[name.replace("p000", "p001") if "p000" in name else name.replace("p001", "p000")]
        left, top = np.rint(points[1].min(0) - TEMPLATE.min(0) * size).astype(int)
        assert np.array_equal(frame[top : top + size, left : left + size], faces.crops.levels(other))


def test_frames_are_read_in_any_order_and_strangers_stand_alone(context: Context) -> None:
    dataset = Synthetic(**SMALL, size=48, context=context)
    faces = dataset.faces("test")
    whole = [frame for frame, _ in dataset.frames(faces)]
    some = np.array([4, 0])
    for i, (frame, _) in zip(some, dataset.frames(faces.select(some)), strict=True):
        assert np.array_equal(frame, whole[i])
    ((frame, points), *_) = dataset.frames(dataset.faces("gallery"))
    assert (frame.shape, points.shape) == ((96, 96, 3), (1, 5, 2))
    foreign = Faces(faces.crops, faces.rows.assign(id="nobody"), faces.landmarks)
    with pytest.raises(DataError, match="nobody"):
        next(iter(dataset.frames(foreign)))


def test_keys_of_what_is_drawn_without_frames_are_what_they_were(context: Context) -> None:
    """The margin of a chunk without frames is no part of its key: nothing is drawn again."""
    chunk = Synthetic(context=context)._plan.chunks("test")[0]
    assert set(chunk.recipe["chunk"]) == {"items", "seed", "size", "jitter", "source", "swap"}


def test_metrics_of_frames_know_what_is_exact(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seam and colour are least for the exact swap, and an exact swap is what the paste makes of it."""
    monkeypatch.setattr(illustrations, "TABLES", {})
    spec = "synthetic(sessions=2,images=4,gallery=1,clips=1,frames=3,size=64)"
    plan = Plan(
        dataset=spec, models=("alpha_paste", "copy_source"), stage="frame", judges=("dlib_resnet",), device="cpu",
        metrics=("seam", "colour_inside_outside", "wrong_face_rate"), resamples=100,
    )  # fmt: skip
    result = run(plan, tmp_path / "out", context)
    values = {(value.model, value.metric): value.value for value in result.values}
    for metric in ("seam", "colour_inside_outside"):
        assert 0 <= values["exact", metric] < values["copy_source", metric]
    assert values["exact", "wrong_face_rate"] == 0
    assert result.protocol.frames is not None
    assert result.protocol.frames.floors["exact"] < 0.01


def test_an_exact_swap_is_pasted_without_a_trace(context: Context) -> None:
    """But for the border: the square is drawn about the true landmarks, and the crop about those with a mistake."""
    dataset = Synthetic(**SMALL, size=48, context=context)
    faces = dataset.faces("test").of("p001")
    exact = dataset.truth("p000", faces).exact
    for i, (frame, points) in enumerate(dataset.frames(faces)):
        to_crop = similarity(points[0], TEMPLATE * 48)
        crop = FrameCrop(faces.crops.levels(i) / np.float32(255), faces.landmarks[i], to_crop)
        pasted = paste(frame, exact.levels(i) / np.float32(255), crop, PRESETS["exact"])
        assert np.abs(pasted[24:72, 24:72].astype(int) - exact.levels(i))[3:-3, 3:-3].max() <= 1
