"""Swaps that are exact but for a known change: what they show is what the change says."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from fsbench.datasets.synthetic import Synthetic
from fsbench.datasets.synthetic.asset import LEFT_EYE, RIGHT_EYE, Asset, load_asset
from fsbench.datasets.synthetic.geometry import five_points, rotation
from fsbench.datasets.synthetic.plan import SyntheticPlan
from fsbench.datasets.synthetic.render import Drawing, Framing, Renderer
from fsbench.datasets.synthetic.scenes import EXACT, Change, sample_session, sample_shot, true_gaze
from fsbench.errors import BadParameter, DataError
from fsbench.images import to_bytes
from fsbench.interfaces import Context, Faces
from fsbench.store import fingerprint

SMALL: dict[str, Any] = {"people": 2, "sessions": 2, "images": 4, "gallery": 0, "size": 64, "clips": 0}
ROW = "p000/s00/0001"


@pytest.fixture
def small(context: Context) -> Synthetic:
    return Synthetic(**SMALL, context=context)


@pytest.fixture
def targets(small: Synthetic) -> Faces:
    return small.faces("train").of("p000")


@pytest.fixture(scope="module")
def asset() -> Asset:
    return load_asset(torch.device("cpu"))


def in_space(drawing: Drawing) -> np.ndarray:
    """Vertices (V, 3) in decimetres, camera axes: the projection undone."""
    camera, vertices = drawing.camera, drawing.vertices.double()
    flat = camera.to_frame(vertices[:, :2]) * vertices.new_tensor([1, -1]) - vertices.new_tensor(camera.offset)
    return torch.cat([flat * vertices[:, 2:] / camera.focal, camera.distance - vertices[:, 2:]], 1).numpy()


def turn_of(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, float]:
    """The rotation (3, 3) that takes some points to others about their middles, and what it leaves, decimetres."""
    turn, left = Rotation.align_vectors(after - after.mean(0), before - before.mean(0))
    return turn.as_matrix(), left / len(before) ** 0.5


def test_no_change_is_the_exact_swap(small: Synthetic, targets: Faces) -> None:
    exact = small.truth("p001", targets).exact
    np.testing.assert_array_equal(small.variants("p001", targets, Change()).levels(), exact.levels())
    again = small.describe(ROW, "p001", Change()).drawing.image
    np.testing.assert_array_equal(to_bytes(again), exact.levels()[1])


@pytest.mark.parametrize("swap", ["face", "head"])
def test_nothing_of_the_source_is_the_target(swap: Any, context: Context) -> None:
    dataset = Synthetic(**SMALL, swap=swap, context=context)
    targets = dataset.faces("train").of("p000")
    left = dataset.variants("p001", targets, Change(shape=0, texture=0))
    np.testing.assert_array_equal(left.levels(), targets.crops.levels())


@pytest.mark.parametrize("swap", ["face", "head"])
@pytest.mark.parametrize("part", ["shape", "texture"])
def test_a_mixture_lies_between(swap: Any, part: str, context: Context) -> None:
    dataset = Synthetic(**SMALL, swap=swap, context=context)
    targets = dataset.faces("train").of("p000")
    inside = dataset.truth("p001", targets).mask.levels()[..., 0] > 200

    def differ(one: float, other: float) -> float:
        images = [dataset.variants("p001", targets, Change(**{part: share})).levels()[inside] for share in (one, other)]
        return float(np.abs(np.subtract(*images, dtype=float)).mean())

    whole = differ(1, 0)
    assert whole > 4
    assert 0 < differ(1, 0.5) < 0.85 * whole
    assert 0 < differ(0, 0.5) < 0.85 * whole


def test_shape_and_texture_are_apart(small: Synthetic) -> None:
    exact, shape, skin = (
        small.describe(ROW, "p001", change).drawing for change in (EXACT, Change(shape=0), Change(texture=0))
    )
    own = small.describe(ROW).drawing
    torch.testing.assert_close(skin.vertices, exact.vertices, atol=0, rtol=0)
    torch.testing.assert_close(shape.vertices, own.vertices, atol=0, rtol=0)
    solid = (skin.face[0] == 1) & (own.face[0] == 1)
    assert float((shape.vertices - exact.vertices).abs().amax()) > 1
    assert float((skin.albedo - exact.albedo)[:, solid].abs().mean()) > 0.02


def test_a_changed_swap_has_a_key_of_its_own_and_the_exact_one_keeps_its() -> None:
    plan = SyntheticPlan(people=2, sessions=2, images=4, gallery=0, size=64, seed=0, jitter=0.01, swap="face")
    exact = plan.exact(plan.chunks("train")[0], 1)
    changed = replace(exact, change=Change(yaw=5.0))
    assert set(exact.recipe["chunk"]) == {"items", "seed", "size", "jitter", "source", "swap"}
    assert changed.recipe["chunk"]["change"] == dataclasses.asdict(Change(yaw=5.0))
    others = [replace(exact, change=Change(**{field.name: 0.5})) for field in dataclasses.fields(Change)]
    assert len({fingerprint(chunk.recipe) for chunk in (exact, changed, *others)}) == 9
    assert type(changed).from_json(dataclasses.asdict(changed)) == changed


def test_changed_swaps_are_drawn_once(small: Synthetic, targets: Faces, monkeypatch: pytest.MonkeyPatch) -> None:
    change = Change(pitch=3.0)
    first = small.variants("p001", targets, change)
    monkeypatch.setattr("fsbench.datasets.synthetic.dataset.draw_missing", None)
    turned = small.variants("p001", targets.select([3, 1]), change)
    np.testing.assert_array_equal(turned.levels(), first.levels()[[3, 1]])


@pytest.mark.parametrize("source", ["p000", "p001"])
@pytest.mark.parametrize("change", [Change(yaw=15), Change(pitch=10), Change(yaw=-8, pitch=4)])
def test_the_head_turns_as_the_rotation_says(small: Synthetic, asset: Asset, source: str, change: Change) -> None:
    exact, changed = (small.describe(ROW, source, what) for what in (EXACT, change))
    head = (asset.head_weight[:, 0] == 1).numpy()
    assert head.sum() > 1000
    turn, left = turn_of(*(in_space(truth.drawing)[head] for truth in (exact, changed)))
    yaw, pitch, roll = exact.pose
    expected = rotation(yaw + change.yaw, pitch + change.pitch, roll) @ rotation(yaw, pitch, roll).T
    np.testing.assert_allclose(turn, expected, atol=1e-5)
    assert left < 1e-4
    assert changed.pose == (yaw + change.yaw, pitch + change.pitch, roll)


def test_the_head_turns_on_the_spot_in_the_same_crop(small: Synthetic) -> None:
    exact, changed = (small.describe(ROW, "p001", what).drawing for what in (EXACT, Change(yaw=20)))
    np.testing.assert_array_equal(exact.camera.plane, changed.camera.plane)
    moved = five_points(changed.landmarks) - five_points(exact.landmarks)
    assert float(moved.mean(0).norm()) < 1  # pixels of 64
    assert float(moved.norm(dim=1).amax()) > 2
    corners = (..., slice(2), slice(-2, None))  # the background stays
    torch.testing.assert_close(changed.image[corners], exact.image[corners], atol=0, rtol=0)


@pytest.mark.parametrize("gaze", [(12.0, 0.0), (-20.0, 0.0), (0.0, 12.0), (0.0, -12.0)])
def test_gaze_is_what_the_eyeballs_turn_by(asset: Asset, gaze: tuple[float, float]) -> None:
    renderer, turned = Renderer(torch.device("cpu"), 64), []
    shot = replace(sample_shot(0, (1,)), actions={})

    def eyes(seed: int, gaze: tuple[float, float]) -> list[np.ndarray]:
        rest: Tensor = renderer._expressed(renderer.person(seed), replace(shot, gaze=gaze))
        return [rest[asset.part_vertices[part]].double().numpy() for part in (LEFT_EYE, RIGHT_EYE)]

    for seed in (200, 166, 0, 1, 2, 3):
        for before, after in zip(eyes(seed, (0.0, 0.0)), eyes(seed, gaze), strict=True):
            turn, left = turn_of(before, after)
            assert left < 0.005  # they turn without changing their form
            down, right, _ = Rotation.from_matrix(turn).as_rotvec(degrees=True)
            turned.append((right, -down))
    np.testing.assert_allclose(np.mean(turned, 0), true_gaze(np.array(gaze)), atol=0.35)
    assert np.abs(np.array(turned) - true_gaze(np.array(gaze))).max() < 1.3


@pytest.mark.parametrize("degrees", [5.0, 18.0])
def test_a_change_of_gaze_is_in_degrees(small: Synthetic, asset: Asset, degrees: float) -> None:
    exact, changed = (small.describe(ROW, "p001", what) for what in (EXACT, Change(gaze=degrees)))
    assert changed.gaze == pytest.approx((exact.gaze[0] + degrees, exact.gaze[1]))
    assert changed.pose == exact.pose
    for part in (LEFT_EYE, RIGHT_EYE):
        ball = asset.part_vertices[part].numpy()
        turn, _ = turn_of(*(in_space(truth.drawing)[ball] for truth in (exact, changed)))
        assert np.degrees(Rotation.from_matrix(turn).magnitude()) == pytest.approx(degrees, rel=0.1)
    assert float((changed.drawing.landmarks - exact.drawing.landmarks)[48:].norm(dim=1).amax()) < 0.1  # not the mouth


def test_expression_and_blinks_are_lost_apart() -> None:
    renderer = Renderer(torch.device("cpu"), 64)
    person = renderer.person(3)
    session, shot = sample_session(person, 1), sample_shot(3, (1,))
    smile, blink = {"mouthSmileLeft": 0.8, "jawOpen": 0.5, "eyeSquintLeft": 0.4}, {"eyeBlinkLeft": 0.9}

    def drawn(actions: dict[str, float], change: Change = EXACT, framing: Framing = "crop") -> Drawing:
        return renderer.draw(session, replace(shot, actions=actions), person, framing=framing, change=change)

    damped = Change(expression=0).of(replace(shot, actions=smile | blink))
    assert {name: value for name, value in damped.actions.items() if value} == blink
    smiling = Change(blink=0).of(replace(shot, actions=smile | blink))
    assert {name: value for name, value in smiling.actions.items() if value} == smile
    halved = Change(expression=0.5).of(replace(shot, actions=smile))
    assert halved.actions == {name: value / 2 for name, value in smile.items()}
    with torch.inference_mode():
        both, neutral, closed = drawn(smile | blink), drawn(smile, Change(expression=0)), drawn(blink)
        np.testing.assert_array_equal(drawn(smile).camera.plane, neutral.camera.plane)  # of the target, smile and all
        torch.testing.assert_close(drawn(blink, Change(expression=0)).image, closed.image, atol=0, rtol=0)
        awake, plain = drawn(blink, Change(blink=0), "frame"), drawn({}, framing="frame")
        torch.testing.assert_close(awake.image, plain.image, atol=0, rtol=0)
        assert float((drawn(smile | blink, Change(blink=0)).image - both.image).abs().amax()) > 0.1


def test_bad_changes_and_names_are_refused(small: Synthetic, targets: Faces) -> None:
    for change in ({"shape": 1.2}, {"texture": -0.1}, {"expression": float("nan")}, {"yaw": 90.0}, {"gaze": -46.0}):
        with pytest.raises(BadParameter, match=next(iter(change))):
            Change(**change)
    with pytest.raises(DataError, match="p999"):
        small.variants("p999", targets, EXACT)
