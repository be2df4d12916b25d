"""Position maps of synthetic people: their layout, where points lie, and which of them are seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fsbench.datasets.synthetic import Synthetic
from fsbench.datasets.synthetic.asset import load_asset
from fsbench.datasets.synthetic.layout import FaceLayout, load_layout
from fsbench.datasets.synthetic.render import Drawing, Renderer
from fsbench.datasets.synthetic.scenes import sample_session, sample_shot
from fsbench.datasets.synthetic.truth import face_points
from fsbench.interfaces import Context

CPU = torch.device("cpu")
EYES, MOUTH = slice(36, 48), slice(48, 68)


@pytest.fixture(scope="module")
def layout() -> FaceLayout:
    return load_layout(CPU, 128)


def draw(seed: int = 5, size: int = 96, **changes: object) -> Drawing:
    renderer = Renderer(CPU, size)
    person = renderer.person(seed)
    session = replace(sample_session(person, 1), glasses="")
    shot = replace(sample_shot(seed, (1,)), **{"occluder": "", "yaw": 0.0, "pitch": 0.0, "actions": {}, **changes})
    return renderer.draw(session, shot, person)


def at(landmarks: Tensor, maps: Tensor) -> Tensor:
    """(U, U, C) map -> (68, C) at the landmarks of its layout."""
    return F.grid_sample(maps.permute(2, 0, 1)[None], landmarks[None, None], align_corners=False)[0, :, 0].T


def test_texels_of_landmarks_lie_at_the_landmarks(layout: FaceLayout) -> None:
    drawing = draw(yaw=20.0, actions={"jawOpen": 0.5})
    points, _ = face_points(layout, drawing)
    found = at(layout.landmarks, layout.map(points))[:, :2]
    eyes = (drawing.landmarks[36:42].mean(0) - drawing.landmarks[42:48].mean(0)).norm()
    assert float((found - drawing.landmarks).norm(dim=1).mean() / eyes) < 0.01
    assert float((found - drawing.landmarks).norm(dim=1)[MOUTH].max() / eyes) < 0.04


def test_the_layout_covers_the_face_and_is_almost_one_to_one(layout: FaceLayout) -> None:
    assert float(layout.valid.float().mean()) > 0.9
    assert set(layout.membrane.unique().tolist()) == {0, 1, 2}
    assert bool(layout.valid[layout.membrane > 0].all())
    assert float(layout.face.max()) <= 1
    normals = layout.map(layout.points(load_asset(CPU).canonical_normals))[layout.valid & (layout.membrane == 0)]
    assert float((normals.norm(dim=1) > 0.3).float().mean()) > 0.99  # neighbours in the layout are neighbours


def test_a_layout_has_the_same_points_at_any_side(layout: FaceLayout) -> None:
    coarse = FaceLayout(load_asset(CPU), 32)
    assert torch.equal(coarse.vertices, layout.vertices)
    torch.testing.assert_close(coarse.landmarks, layout.landmarks)


def test_between_the_lips_lies_what_is_seen_there(layout: FaceLayout) -> None:
    """Texels of the mouth's membrane show red or dark where the mouth is open, and lie between the inner lips."""
    drawing = draw(actions={"jawOpen": 0.7})
    places = layout.map(face_points(layout, drawing)[0])[layout.membrane == 2]
    inner = drawing.landmarks[60:68]
    low, high = inner.amin(0), inner.amax(0)
    inside = ((places[:, :2] > low - 1) & (places[:, :2] < high + 1)).all(1)
    assert float(inside.float().mean()) > 0.95
    shut = layout.map(face_points(layout, draw())[0])[layout.membrane == 2]
    assert float(shut[:, 1].std()) < 0.4 * float(places[:, 1].std())


def test_z_grows_towards_the_camera(layout: FaceLayout) -> None:
    points, _ = face_points(layout, draw())
    marks = at(layout.landmarks, layout.map(points))
    assert float(points[:, 2].min()) == 0
    assert float(marks[30, 2]) > float(marks[EYES, 2].max()) > float(marks[[0, 16], 2].max())


@pytest.mark.parametrize(("yaw", "hidden", "shown"), [(70.0, 0, 1), (-70.0, 1, 0)])
def test_the_far_cheek_is_not_seen(layout: FaceLayout, yaw: float, hidden: int, shown: int) -> None:
    """Turned to the image's right, the subject hides the cheek at the right of the layout."""
    _, seen = face_points(layout, draw(yaw=yaw))
    visible = layout.map(seen[:, None])[..., 0]
    cheeks = [visible[48:72, 100:116].mean(), visible[48:72, 12:28].mean()]
    assert float(cheeks[hidden]) < 0.2
    assert float(cheeks[shown]) > 0.8


@pytest.mark.parametrize("occluder", ["microphone", "hand"])
def test_what_is_before_the_face_hides_it(layout: FaceLayout, occluder: str) -> None:
    def visible(occluder: str) -> Tensor:
        return layout.map(face_points(layout, draw(occluder=occluder))[1][:, None])[..., 0]

    free, covered = visible(""), visible(occluder)
    assert float((covered - free).max()) < 1e-6 + 0.5
    lower, upper = slice(64, 120), slice(0, 40)
    assert float((free - covered)[lower].mean()) > 0.03
    assert float((free - covered)[upper].abs().mean()) < 0.01


def test_points_outside_of_the_picture_are_not_seen(layout: FaceLayout) -> None:
    drawing = draw(size=96)
    moved = replace(drawing, vertices=drawing.vertices + torch.tensor([200.0, 0.0, 0.0]))
    assert float(face_points(layout, moved)[1].max()) == 0


def test_the_data_set_gives_points_of_its_own_images(context: Context) -> None:
    data = Synthetic(people=2, sessions=2, images=2, gallery=0, clips=0, size=48, seed=7, context=context)
    faces, points, seen = data.face_points("train")
    assert np.array_equal(faces.crops.levels(np.arange(4)), data.faces("train").crops.levels(np.arange(4)))
    assert points.shape == (4, len(data.layout(64).vertices) + 3, 3)
    assert seen.shape == points.shape[:2]
    maps = data.layout(64).map(torch.from_numpy(points[1]))
    known = torch.from_numpy(data.landmarks68("train")[1])
    assert float((at(data.layout(64).landmarks, maps)[:, :2] - known).norm(dim=1).mean()) < 0.6
    truth = data.describe(str(faces.rows["id"][1]))
    torch.testing.assert_close(
        truth.uv_position, data.layout(256).map(torch.from_numpy(points[1])), atol=1e-4, rtol=1e-4
    )


def test_parameters_of_stills_change_nothing_unless_they_are_set(context: Context) -> None:
    plain, same, other = (
        Synthetic(people=2, sessions=2, images=8, gallery=0, clips=0, size=32, context=context, **more)
        for more in ({}, {"yaw": 40.0, "occluded": 0.03}, {"yaw": 80.0, "occluded": 1.0})
    )
    assert plain.info.revision == same.info.revision != other.info.revision
    assert plain.faces("train").content_hash() == same.faces("train").content_hash()
    rows = other.faces("train").rows
    assert bool((rows["occluded"] == 1).all())
    assert float(rows["yaw"].abs().max()) > 40


def test_heads_of_a_model_are_maps_at_rest(context: Context) -> None:
    heads = Synthetic(context=context).head_model(32, 3, 5)
    assert heads.mean.shape == (32, 32, 3)
    assert heads.people.shape == (3, 32, 32, 3)
    assert heads.moves.shape[0] == heads.expressions.shape[1]
    assert heads.expressions.shape[0] == 5
    assert float(heads.expressions.min()) >= 0
    assert float(heads.expressions.max()) <= 1
    named = [name for name in load_asset(CPU).names if name.startswith("action/")]
    jaw = heads.moves[named.index("action/jawOpen")]
    layout = load_layout(CPU, 32)
    assert float(at(layout.landmarks, jaw)[57, 1]) > 0.1  # the lower lip sinks, y being down
    assert float(jaw.norm(dim=-1)[:8].max()) < 0.05  # the forehead stays
