from __future__ import annotations

import numpy as np
import pytest
import torch

from fsbench.faces.align import TEMPLATE, similarity
from fsbench.faces.chips import ARCFACE, cut_chips, paste_chips
from fsbench.faces.masks import box
from fsbench.faces.templates import TEMPLATES
from fsbench.faces.warp import inverse, warp

PUBLISHED = {  # x of eyes, nose, mouth corners; y
    "arcface_112_v1": (
        (0.35473214, 0.64526786, 0.5, 0.37913393, 0.62086607),
        (0.45658929, 0.45658929, 0.61154464, 0.776875, 0.776875),
    ),
    "arcface_112_v2": (
        (0.34191607, 0.65653393, 0.500225, 0.37097589, 0.63151696),
        (0.46157411, 0.45983393, 0.64050536, 0.82469196, 0.82325089),
    ),
    "arcface_128": (
        (0.36167656, 0.63696719, 0.50019687, 0.38710391, 0.61507734),
        (0.40387734, 0.40235469, 0.56044219, 0.72160547, 0.72034453),
    ),
    "ffhq_512": (
        (0.37691676, 0.62285697, 0.50123859, 0.39308822, 0.61150205),
        (0.46864664, 0.46912813, 0.61331904, 0.725411, 0.72490465),
    ),
    "mtcnn_512": (
        (0.36562865, 0.63305391, 0.50019127, 0.39032951, 0.61178945),
        (0.46733799, 0.46585885, 0.61942959, 0.77598822, 0.77476328),
    ),
    "dfl_whole_face": (
        (0.35342266, 0.62797622, 0.48660713, 0.38839287, 0.59821427),
        (0.39285716, 0.39285716, 0.5401786, 0.68750011, 0.68750011),
    ),
    "styleganex_384": (
        (0.42353745, 0.57725008, 0.50123859, 0.43364461, 0.57015325),
        (0.52289879, 0.52319972, 0.61331904, 0.68337652, 0.68306005),
    ),
}
"""As facefusion's face_helper.py has them (commit 33cc6b40)."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_template_is_the_published_one(name: str) -> None:
    assert np.abs(TEMPLATES[name].T - PUBLISHED[name]).max() < 6e-8


def test_our_own_templates_are_those_that_crops_and_chips_use() -> None:
    assert np.array_equal(TEMPLATES["fsbench"], TEMPLATE)
    assert np.allclose(TEMPLATES["arcface_112_v2"], ARCFACE, atol=1e-7)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_a_face_and_cannot_be_changed(name: str) -> None:
    points = TEMPLATES[name]
    assert points.shape == (5, 2)
    assert ((points > 0.2) & (points < 0.9)).all()
    assert points[0, 0] < points[2, 0] < points[1, 0]  # the nose between the eyes
    assert points[:2, 1].max() < points[2, 1] < points[3:, 1].min()  # eyes above nose above mouth
    with pytest.raises(ValueError, match="read-only"):
        points[0, 0] = 0


def turned(scale: float, degrees: float, shift: tuple[float, float]) -> np.ndarray:
    angle = np.radians(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.concatenate([turn, np.array(shift)[:, None]], 1)


def test_the_inverse_takes_points_back_exactly() -> None:
    random = np.random.default_rng(0)
    points = random.uniform(-500, 500, (50, 5, 2))
    there = similarity(points, random.uniform(0, 1, (50, 5, 2)) * 256)
    back = inverse(there)
    moved = points @ there[:, :, :2].swapaxes(1, 2) + there[:, None, :, 2]
    again = moved @ back[:, :, :2].swapaxes(1, 2) + back[:, None, :, 2]
    assert np.abs(again - points).max() < 1e-9


def test_warping_nothing_is_the_image() -> None:
    images = torch.rand(2, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(warp(images, np.stack([turned(1, 0, (0, 0))] * 2), 20), images, atol=1e-6)


def test_beyond_the_image_is_its_border_or_nothing() -> None:
    images, away = torch.ones(1, 1, 8, 8), turned(1, 0, (20, 0))[None]
    assert warp(images, away, 8).min() == 1
    assert warp(images, away, 8, beyond="zeros").max() == 0


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("size", [64, 300])
def test_a_chip_that_is_pasted_back_lies_where_it_was(name: str, size: int) -> None:
    """A smooth spot stays within 0.05 pixels of its place, from crop to chip and back."""
    side, centre = 128, np.array([66.3, 60.8])
    grid = torch.from_numpy(
        np.stack(np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5), 0) - centre[:, None, None]
    )
    crops = torch.exp(-(grid**2).sum(0) / (2 * 4**2)).float().expand(1, 3, -1, -1)
    landmarks = torch.from_numpy(TEMPLATE * side @ turned(1, 20, (0, 0))[:, :2].T + (20, -18))[None]
    chips = cut_chips(crops, landmarks, TEMPLATES[name], size)
    pasted, weight = paste_chips(chips, box(size, 0.1), torch.zeros_like(crops), landmarks, TEMPLATES[name])
    assert weight[0, 0, 60, 66] == 1

    def place(image: torch.Tensor) -> torch.Tensor:
        near = image[0, 0] * (grid.norm(dim=0) < 14)
        return (near * grid).sum((1, 2)) / near.sum()

    assert (place(pasted) - place(crops)).abs().max() < 0.05


def test_landmarks_that_coincide_leave_the_crop_as_it_is() -> None:
    crops = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    pasted, weight = paste_chips(torch.ones(1, 3, 8, 8), box(8, 0), crops, torch.ones(1, 5, 2), ARCFACE)
    assert torch.equal(pasted, crops)
    assert weight.max() == 0


def test_a_box_fades_to_its_border() -> None:
    mask = box(100, 0.4)[0, 0]
    assert mask[50, 50] == 1
    assert mask[50, 21] == mask[21, 50] == 1
    assert abs(float(mask[50, 10]) - 0.5) < 0.05  # half way
    assert mask[50, 0] < 0.01
    assert box(10, 0).min() == 1
