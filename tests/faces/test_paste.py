"""Back into the frame: where, with which border, in which colours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from clips import picture

from fsbench.faces.align import TEMPLATE, align
from fsbench.faces.colour import match_colours
from fsbench.faces.paste import PRESETS, Mask, PasteBack, cut, floor, paste, poisson

EVERYWHERE = PRESETS["exact"]


def landmarks(side: float = 110.0, degrees: float = 20.0, centre: tuple[float, float] = (150.3, 120.7)) -> np.ndarray:
    angle = np.radians(degrees)
    turn = side * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return ((TEMPLATE - 0.5) @ turn.T + centre).astype(np.float32)


FRAME = picture(320, 240, seed=3)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("size", [64, 128, 256])
@pytest.mark.parametrize("degrees", [0.0, 20.0, 180.0])
def test_an_unchanged_crop_leaves_the_frame_under_every_preset(preset: str, size: int, degrees: float) -> None:
    """The floor of a preset: what is seen of it without any network."""
    crop = cut(FRAME, landmarks(degrees=degrees), size)
    again = paste(FRAME, crop.image, crop, PRESETS[preset])
    difference = np.abs(again.astype(int) - FRAME)
    assert difference.mean() < 0.1
    assert difference.max() <= 12


def test_what_is_pasted_lies_where_it_was_cut() -> None:
    """A white square of the crop is a white square of the frame, to a twentieth of a pixel."""
    frame, points = np.zeros((240, 320, 3), np.uint8), landmarks(side=100, degrees=33)
    crop = cut(frame, points, 200)
    face = np.zeros((200, 200, 3), np.float32)
    face[60:100, 80:120] = 1
    again = paste(frame, face, crop, EVERYWHERE).astype(float)[..., 0]
    y, x = np.mgrid[:240, :320] + 0.5
    centre = np.array([(again * x).sum(), (again * y).sum()]) / again.sum()
    back = np.linalg.inv(np.vstack([crop.to_crop, (0, 0, 1)]))
    assert np.abs(centre - (back @ (100, 80, 1))[:2]).max() < 0.05
    assert abs(again.sum() / 255 - (40 * 40) / 4) < 2


def test_the_crop_is_the_one_that_models_are_trained_on() -> None:
    crop = cut(FRAME, landmarks(), 128)
    other, own = align(FRAME, landmarks(), 128)
    assert np.abs(crop.image * 255 - other).mean() < 0.5
    assert np.allclose(crop.landmarks, own, atol=1e-3)


def face_and_crop(size: int = 128) -> tuple[np.ndarray, object]:
    return np.full((size, size, 3), 1.0, np.float32), cut(FRAME, landmarks(), size)


@pytest.mark.parametrize("shape", ["alpha", "oval", "hull", "box"])
def test_outside_of_the_mask_nothing_changes(shape: str) -> None:
    white, crop = face_and_crop()
    alpha = np.zeros((128, 128), np.float32)
    alpha[40:90, 40:90] = 1
    how = PasteBack(Mask(shape, blur=0.01))  # type: ignore[arg-type]
    again = paste(FRAME, white, crop, how, alpha)  # type: ignore[arg-type]
    changed = (again != FRAME).any(-1)
    assert (again[121, 150] == 255).all()
    assert changed.mean() < 0.5
    assert not changed[:30].any()
    assert not changed[:, :60].any()


def test_erosion_and_blur_are_relative_to_the_face_or_pixels() -> None:
    """Areas that change with erosion: a fraction of the side keeps the ratio, pixels do not."""

    def share(side: float, mask: Mask) -> float:
        points = landmarks(side=side, degrees=0)
        crop = cut(FRAME, points, 128)
        again = paste(FRAME, np.ones((128, 128, 3), np.float32), crop, PasteBack(mask))
        return float((again == 255).all(-1).sum() / side**2)

    relative, pixels = Mask("box", erosion=0.1, blur=0.0), Mask("box", erosion=8.0, blur=0.0, pixels=True)
    assert share(60, relative) == pytest.approx(0.64, abs=0.06)
    assert share(160, relative) == pytest.approx(0.64, abs=0.04)
    assert share(160, pixels) == pytest.approx((144 / 160) ** 2, abs=0.04)
    assert share(60, pixels) == pytest.approx((44 / 60) ** 2, abs=0.06)
    soft = paste(FRAME, *_white(), PasteBack(Mask("box", erosion=0.1, blur=0.05)))
    hard = paste(FRAME, *_white(), PasteBack(Mask("box", erosion=0.1, blur=0.0)))
    assert len(np.unique(soft[120, :, 0])) > len(np.unique(hard[120, :, 0]))


def _white() -> tuple[np.ndarray, object]:
    return face_and_crop()


def test_without_the_models_mask_it_is_an_oval() -> None:
    white, crop = face_and_crop()
    oval = paste(FRAME, white, crop, PasteBack(Mask("oval")))  # type: ignore[arg-type]
    assert np.array_equal(paste(FRAME, white, crop, PasteBack(Mask("alpha"))), oval)  # type: ignore[arg-type]


def test_an_output_is_not_blended_by_the_models_mask_twice() -> None:
    """Where the mask is a half, the output has half of the face, and so has the frame."""
    white, crop = face_and_crop()
    alpha = np.full((128, 128), 0.5, np.float32)
    output = (0.5 * white + 0.5 * crop.image).astype(np.float32)  # type: ignore[attr-defined]
    again = paste(FRAME, output, crop, PRESETS["fsbench"], alpha)  # type: ignore[arg-type]
    assert np.abs(again[121, 150] - (0.5 * 255 + 0.5 * FRAME[121, 150])).max() < 4


@pytest.mark.parametrize("centre", [(5.0, 8.0), (318.0, 235.0), (-200.0, 90.0)])
def test_a_face_at_the_border_or_outside(centre: tuple[float, float]) -> None:
    crop = cut(FRAME, landmarks(centre=centre), 96)
    assert crop.image.shape == (96, 96, 3)
    again = paste(FRAME, crop.image, crop, EVERYWHERE)
    assert again.shape == FRAME.shape
    assert np.abs(again.astype(int) - FRAME).mean() < 0.2


def noise(seed: int, mean: float, deviation: float) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.clip(random.normal(mean, deviation, (64, 64, 3)), 0, 1).astype(np.float32)


@pytest.mark.parametrize("how", ["rgb", "lab", "xyz", "histogram"])
def test_colours_become_those_of_the_other_picture_inside_the_mask(how: str) -> None:
    image, like = noise(0, 0.35, 0.05), noise(1, 0.6, 0.1) * (1.0, 0.8, 0.9)
    mask = np.zeros((64, 64), np.float32)
    mask[16:48, 16:48] = 1
    like[mask == 0] = 0  # says nothing
    matched = match_colours(image, like.astype(np.float32), mask, how)  # type: ignore[arg-type]
    inside = mask > 0
    for statistic, tolerance in ((np.mean, 0.02), (np.std, 0.03)):
        assert np.abs(statistic(matched[inside], 0) - statistic(like[inside], 0)).max() < tolerance
    assert np.array_equal(match_colours(image, like, mask, "none"), image)
    assert np.array_equal(match_colours(image, like, 0 * mask, how), image)  # type: ignore[arg-type]


def test_matching_by_mean_and_deviation_is_exact_in_its_space() -> None:
    image, like, mask = noise(0, 0.4, 0.05), noise(1, 0.5, 0.05), np.ones((64, 64), np.float32)
    matched = match_colours(image, like, mask, "rgb")
    assert np.allclose(matched.mean((0, 1)), like.mean((0, 1)), atol=1e-4)
    assert np.allclose(matched.std((0, 1)), like.std((0, 1)), atol=1e-4)


def test_poisson_keeps_gradients_and_meets_the_border() -> None:
    y, x = np.mgrid[:40, :40] / 40
    target = np.stack([x, y, x * y], -1).astype(np.float32) * 0.4 + 0.2
    inside = np.zeros((40, 40), bool)
    inside[8:32, 8:32] = True
    assert np.allclose(poisson(target + 0.3, target, inside), target, atol=1e-5)  # a shift of all colours goes
    face = target + 0.05 * np.sin(12 * x)[..., None].astype(np.float32)
    blended = poisson(face, target, inside)
    assert np.array_equal(blended[~inside], target[~inside])
    laplacian = [4 * p[1:-1, 1:-1] - p[:-2, 1:-1] - p[2:, 1:-1] - p[1:-1, :-2] - p[1:-1, 2:] for p in (blended, face)]
    assert np.abs(laplacian[0] - laplacian[1])[8:30, 8:30].max() < 1e-4


def test_poisson_hides_a_shift_of_colour_at_the_border() -> None:
    crop = cut(FRAME, landmarks(), 128)
    bright = np.clip(crop.image + 0.2, 0, 1)
    linear, blended = (
        paste(FRAME, bright, crop, replace(PasteBack(Mask("oval", blur=0.0)), blend=blend))  # type: ignore[arg-type]
        for blend in ("linear", "poisson")
    )
    assert np.abs(blended.astype(int) - FRAME).mean() < 0.3 * np.abs(linear.astype(int) - FRAME).mean()


def test_the_floor_of_a_preset_is_what_its_paste_alone_does() -> None:
    crop = cut(FRAME, landmarks(side=110), 128)
    floors = {name: floor(FRAME, crop, how) for name, how in PRESETS.items()}
    assert 0 <= floors["exact"] < 1
    noise = np.random.default_rng(5).integers(0, 256, FRAME.shape).astype(np.uint8)
    coarse = cut(noise, landmarks(side=200), 64)  # a crop with fewer pixels than the frame has there
    assert floor(noise, coarse, PRESETS["exact"]) > 20
    assert floor(noise, coarse, PRESETS["insightface"]) < floor(noise, coarse, PRESETS["exact"])
    far = cut(FRAME, landmarks(centre=(-900, -900)), 64)
    assert floor(FRAME, far, PRESETS["exact"]) == 0
