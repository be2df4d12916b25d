"""Texture editing with exact maps of synthetic people: what the refiner would do if its network made no mistakes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from fsbench.datasets.synthetic.layout import load_layout
from fsbench.datasets.synthetic.render import Drawing, Renderer
from fsbench.datasets.synthetic.scenes import EXACT, Change, expression, sample_session, sample_shot
from fsbench.datasets.synthetic.shapes import make_head_model
from fsbench.datasets.synthetic.truth import face_points
from fsbench.interfaces import Swapped
from reference_models.prnet import shape
from reference_models.prnet.edit import Editor
from reference_models.prnet.face import Layout
from reference_models.prnet.network import Maps
from reference_models.prnet.render import MapRenderer
from reference_models.prnet.shape import ExpressionModel, fit_expressions

CPU, SIDE, SIZE = torch.device("cpu"), 64, 96
TEXELS = load_layout(CPU, SIDE)
LAYOUT = Layout(TEXELS.face, TEXELS.valid.float(), TEXELS.membrane.float(), TEXELS.landmarks)
MOUTH, EYES = slice(48, 68), slice(36, 48)
STILLS = tuple(expression(name) for name in ("open", "smile", "blink", "funnel"))


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(CPU, SIZE)


@pytest.fixture(scope="module")
def expressions(renderer: Renderer) -> ExpressionModel:
    texels = load_layout(CPU, shape.SIDE)
    heads = make_head_model(renderer.asset, texels, 120, 300)
    return fit_expressions(heads, texels.face, None, torch.Generator().manual_seed(0))


class Scenes:
    """Targets of one person, weak swaps of another into them that lost their expression, and the exact swaps."""

    def __init__(self, renderer: Renderer, occluder: str = "") -> None:
        target, source = renderer.person(3), renderer.person(11)
        session = replace(sample_session(target, 1), glasses="")
        still = replace(sample_shot(3, (1,), yaw=20), occluder=occluder)
        shots = [replace(still, yaw=15.0 * k - 20, actions=actions) for k, actions in enumerate(STILLS)]
        lost = Change(expression=0.1, blink=0.1)
        self.target = [renderer.draw(session, shot, target) for shot in shots]
        self.weak = [renderer.draw(session, shot, target, source, change=lost) for shot in shots]
        self.exact = [renderer.draw(session, shot, target, source, change=EXACT) for shot in shots]


@pytest.fixture(scope="module")
def scenes(renderer: Renderer) -> Scenes:
    return Scenes(renderer)


def maps(drawings: list[Drawing]) -> Maps:
    both = [face_points(TEXELS, drawing) for drawing in drawings]
    position, visible = (
        torch.stack([TEXELS.map(points).permute(2, 0, 1) for points in table])
        for table in ([points for points, _ in both], [seen[:, None] for _, seen in both])
    )
    return Maps(position, visible)


def images(drawings: list[Drawing]) -> Tensor:
    return torch.stack([drawing.image for drawing in drawings])


def error(landmarks: Tensor, exact: list[Drawing], part: slice) -> Tensor:
    """(N,) mean distance in percent of a quarter of the crop, about the distance of the eyes."""
    goal = torch.stack([drawing.landmarks for drawing in exact])
    return (landmarks[:, part, :2] - goal[:, part]).norm(dim=-1).mean(1) * 400 / SIZE


def test_equal_maps_change_nothing(scenes: Scenes, expressions: ExpressionModel) -> None:
    same = maps(scenes.target)
    output = Swapped(images(scenes.target), torch.rand(4, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0)))
    for parts in ("features", "whole"):
        edited = Editor(LAYOUT, expressions, parts, False).edit(output, output.images, same, same)
        torch.testing.assert_close(edited.images, output.images, atol=2e-3, rtol=0)


def test_the_mouth_follows_the_target_and_keeps_the_source(scenes: Scenes, expressions: ExpressionModel) -> None:
    weak, target = maps(scenes.weak), maps(scenes.target)
    before = error(LAYOUT.at_landmarks(weak.position), scenes.exact, MOUTH)
    moved = Editor(LAYOUT, expressions, "features", True).geometry(weak, target)
    after = error(LAYOUT.at_landmarks(moved), scenes.exact, MOUTH)
    assert float(after.mean()) < 0.4 * float(before.mean())
    raw = Editor(LAYOUT, None, "features", True).geometry(weak, target)  # the target's shape: not the source's mouth
    assert float(error(LAYOUT.at_landmarks(raw), scenes.exact, MOUTH).mean()) > 3 * float(after.mean())


def test_eyes_follow_where_they_are_asked_for(scenes: Scenes, expressions: ExpressionModel) -> None:
    weak, target = maps(scenes.weak), maps(scenes.target)
    before = error(LAYOUT.at_landmarks(weak.position), scenes.exact, EYES)[2]  # the blink
    both, mouth = (
        error(LAYOUT.at_landmarks(Editor(LAYOUT, expressions, parts, True).geometry(weak, target)), scenes.exact, EYES)
        for parts in ("features", "mouth")
    )
    assert float(both[2]) < 0.5 * float(before)
    assert float(mouth[2]) > 0.9 * float(before)


def test_pictures_come_nearer_to_the_exact_swap(scenes: Scenes, expressions: ExpressionModel) -> None:
    output, exact = Swapped(images(scenes.weak)), images(scenes.exact)
    edited = Editor(LAYOUT, expressions, "features", True).edit(
        output, images(scenes.target), maps(scenes.weak), maps(scenes.target)
    )
    assert edited.alpha is None
    apart = [(picture - exact).square().mean((1, 2, 3)) for picture in (output.images, edited.images)]
    assert bool((apart[1] < apart[0]).all())
    assert float(apart[1].sum()) < 0.85 * float(apart[0].sum())  # the rest: cheeks and chin, and the noise of both


def test_whole_takes_the_targets_shape(scenes: Scenes, expressions: ExpressionModel) -> None:
    target = maps(scenes.target)
    assert Editor(LAYOUT, expressions, "whole", True).geometry(maps(scenes.weak), target) is target.position


def test_alpha_grows_where_pixels_change_and_nowhere_else(scenes: Scenes, expressions: ExpressionModel) -> None:
    output = Swapped(images(scenes.weak), torch.full((4, 1, SIZE, SIZE), 0.25))
    edited = Editor(LAYOUT, expressions, "mouth", True).edit(
        output, images(scenes.target), maps(scenes.weak), maps(scenes.target)
    )
    assert edited.alpha is not None
    changed = (edited.images - output.images).abs().amax(1, keepdim=True) > 1e-3
    assert bool((edited.alpha[changed] > 0.25).all())
    assert bool((edited.alpha >= 0.25 - 1e-6).all())
    assert float((edited.alpha == 0.25).float().mean()) > 0.7
    assert float(edited.alpha.max()) <= 1


@pytest.mark.parametrize("occluder", ["microphone", "hand"])
def test_occluders_stay_where_they_are(renderer: Renderer, expressions: ExpressionModel, occluder: str) -> None:
    """The notes saw a displaced microphone: without the mask its pixels move with the mouth."""
    scenes, free = Scenes(renderer, occluder), Scenes(renderer)
    held = torch.stack(
        [(a.depth < b.depth - 0.05) & b.depth.isfinite() for a, b in zip(scenes.exact, free.exact, strict=True)]
    )[:, None].float()  # where the occluder is, (4, 1, S, S)
    output = Swapped(images(scenes.weak))
    change = []
    for mask in (True, False):
        editor = Editor(LAYOUT, expressions, "mouth", mask)
        edited = editor.edit(output, images(scenes.target), maps(scenes.weak), maps(scenes.target))
        change.append(float(((edited.images - output.images).abs() * held).sum() / held.sum()))
    assert change[0] < 0.25 * change[1]
    assert change[0] < 2e-3


def test_the_renderer_shows_what_is_nearest() -> None:
    """Against a loop over pixels and triangles, of a folded sheet of which the right half lies before the left."""
    line = torch.linspace(0, 1, 6)
    y, x = torch.meshgrid(line, line, indexing="ij")
    position = torch.stack([4 + 16 * (0.5 - (x - 0.5).abs()) * 2, 3 + 12 * y, 10 * x])
    values = torch.stack([x, y])
    renderer = MapRenderer(torch.ones(6, 6))
    drawn, covered = renderer.draw(position, values, 24)
    screen, table = position.flatten(1).T.double().numpy(), values.flatten(1).T.double().numpy()
    for row in range(24):
        for column in range(24):
            best, found = -np.inf, None
            for corners in renderer.faces.numpy():
                a, b, c = screen[corners]
                area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
                if area >= -1e-6:
                    continue
                p = np.array([column + 0.5, row + 0.5])
                u = ((b[0] - p[0]) * (c[1] - p[1]) - (b[1] - p[1]) * (c[0] - p[0])) / area
                v = ((c[0] - p[0]) * (a[1] - p[1]) - (c[1] - p[1]) * (a[0] - p[0])) / area
                weights = np.array([u, v, 1 - u - v])
                if weights.min() > 1e-9 and weights @ screen[corners][:, 2] > best:
                    best, found = weights @ screen[corners][:, 2], weights @ table[corners]
            if found is not None:
                assert bool(covered[row, column])
                np.testing.assert_allclose(drawn[:, row, column].numpy(), found, atol=1e-4)


def test_expressions_are_told_apart_from_people(renderer: Renderer, expressions: ExpressionModel) -> None:
    """The same expression on two people is estimated alike, another one on the same person is not."""
    scenes = Scenes(renderer)
    target, exact, weak = (expressions.estimate(maps(of).position) for of in (scenes.target, scenes.exact, scenes.weak))
    leading = slice(0, 3)  # the jaw, the corners of the mouth
    assert float((target - exact)[:, leading].norm()) < 0.3 * float((exact - weak)[:, leading].norm())
