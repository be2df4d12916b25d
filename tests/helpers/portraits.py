"""Painted portraits: a face, its neck and hair of known colours, and outputs pasted into them by the real paste."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from skimage.color import lab2rgb, rgb2lab

from fsbench import contracts
from fsbench.faces.align import TEMPLATE
from fsbench.faces.frames import cut_region, cut_weight
from fsbench.faces.paste import Mask, PasteBack, cut, put_back
from fsbench.interfaces import Batch

SIZE, SIDE = 64, 90.0
"""Pixels of a crop, and how many of the frame it covers."""

HARD = PasteBack(Mask("oval", blur=0.0))


def frame(seed: int = 0, tone: tuple[int, int, int] = (200, 150, 125), neck: float = -4.0) -> np.ndarray:
    """A portrait (240, 240, 3) uint8; `neck` is by how much the neck is lighter than the face, in CIE Lab."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:240, :240] + 0.5
    place = ((np.stack([x, y], -1) - 120) / SIDE) + 0.5  # in sides of the crop
    u, v = place[..., 0], place[..., 1]
    lab = np.empty((240, 240, 3))
    lab[:] = rgb2lab(np.array([[[90, 110, 150]]], np.uint8))[0, 0]
    hair, skin = (rgb2lab(np.array([[colour]], np.uint8))[0, 0] for colour in ((70, 45, 30), tone))
    lab[((u - 0.5) / 0.45) ** 2 + ((v - 0.45) / 0.5) ** 2 < 1] = hair
    lab[(abs(u - 0.5) < 0.17) & (v > 0.8)] = skin + np.array([neck, 0.0, 0.0])
    lab[((u - 0.5) / 0.33) ** 2 + ((v - 0.56) / 0.42) ** 2 < 1] = skin
    lab[((u - 0.5) / 0.12) ** 2 + ((v - 0.75) / 0.03) ** 2 < 1] = (45, 45, 25)
    for at in TEMPLATE[:2]:
        lab[((u - at[0]) / 0.05) ** 2 + ((v - at[1]) / 0.02) ** 2 < 1] = (25, 0, 0)
    lab[..., 0] += 4 * (u - 0.5) + random.normal(0, 1.0, (240, 240))
    return np.rint(255 * lab2rgb(lab)).clip(0, 255).astype(np.uint8)


def landmarks() -> np.ndarray:
    """Of the portrait's face, (5, 2)."""
    return ((TEMPLATE - 0.5) * SIDE + 120).astype(np.float32)


def shifted(image: np.ndarray, change: tuple[float, float, float]) -> np.ndarray:
    """(H, W, 3) in [0, 1] with another colour in CIE Lab."""
    return lab2rgb(rgb2lab(image) + change).clip(0, 1).astype(np.float32)


def batch(frames: list[np.ndarray], change: object, how: PasteBack = HARD, after: object = None) -> Batch:
    """Regions of frames into which crops were pasted back: `change` makes the output of a crop, `after` of a frame."""
    regions: dict[str, list[np.ndarray]] = {"output": [], "target": [], "weight": []}
    for image in frames:
        crop = cut(image, landmarks(), SIZE)
        pasted = put_back(image, change(crop.image), crop, how)  # type: ignore[operator]
        output = pasted.image if after is None else after(pasted.image)  # type: ignore[operator]
        regions["output"].append(cut_region(output, landmarks(), SIZE)[0])
        regions["target"].append(cut_region(image, landmarks(), SIZE)[0])
        regions["weight"].append(cut_weight(pasted, landmarks(), SIZE)[..., None])
    tensors = {name: torch.from_numpy(np.stack(images)).movedim(3, 1).float() / 255 for name, images in regions.items()}
    toy = contracts.toy_batch(len(frames))
    return replace(
        toy,
        output=tensors["output"],
        target=tensors["target"],
        mask=tensors["weight"],
        evidence={"paste_weight": tensors["weight"]},
    )
