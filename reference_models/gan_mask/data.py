"""The training images of gan_mask: what is packed for the device, and how often each image is drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Generator, Tensor

from fsbench.images import ImageSet
from fsbench.interfaces import Faces
from reference_models.augment import TrainingImages
from reference_models.crops import eye_boxes, face_masks, landmark_map, pack
from reference_models.gan_mask.networks import SwapnetShape
from reference_models.gan_mask.recipe import Recipe
from reference_models.part_swaps import swap_parts

OTHERS = "*"
"""Name of the decoder for everybody but the one identity of `many_to_one`."""


def domains(data: Faces, many_to_one: bool) -> dict[str, Faces]:
    """What each decoder is trained on: an identity each, or the first identity and, together, all others."""
    if not many_to_one:
        return {name: data.of(name) for name in data.identities}
    one = data.rows["identity"].to_numpy() == data.identities[0]
    return {data.identities[0]: data.select(one), OTHERS: data.select(~one)}


def training_images(
    groups: Sequence[Faces], shape: SwapnetShape, recipe: Recipe, device: torch.device, seed: int = 0
) -> list[TrainingImages]:
    """Pack what each decoder is trained on, with parts of look-alikes where the recipe has them."""
    packed = [pack(channels(faces, shape.landmarks), shape.resolution, device) for faces in groups]
    swapped: list[Tensor | None] = [None] * len(groups)
    if recipe.augmentation.part_swaps:
        generator = Generator(device).manual_seed(seed)
        points = [torch.from_numpy(faces.landmarks / faces.crops.shape[1]).to(device) for faces in groups]
        for i, (own, at) in enumerate(zip(packed, points, strict=True)):
            others = [crops[:, :3] for j, crops in enumerate(packed) if j != i]
            at_others = [of for j, of in enumerate(points) if j != i]
            swapped[i] = swap_parts(own[:, :3], at, torch.cat(others), torch.cat(at_others), generator)
    chances = [session_chances(faces.rows, device) if recipe.sampling == "session" else None for faces in groups]
    return [TrainingImages.of(*each) for each in zip(packed, chances, swapped, strict=True)]


def session_chances(rows: pd.DataFrame, device: torch.device) -> Tensor:
    """How often each image is drawn, (N,), so that every session of every identity is drawn equally often."""
    session = rows["identity"].astype(str) + "/" + rows["session"].astype(str)
    counts = session.map(session.value_counts()).to_numpy(np.float32)
    return torch.from_numpy(1 / counts).to(device)


def channels(data: Faces, landmarks: bool = False) -> ImageSet:
    """Crops, face masks and eye masks as images of five channels; maps of landmarks are a sixth."""
    masks, (n, height, width, _) = face_masks(data), data.crops.shape

    def read(rows: np.ndarray) -> np.ndarray:
        parts = [data.crops.levels(rows), masks.levels(rows), eye_boxes(data.landmarks[rows], height)]
        if landmarks:
            parts.append(landmark_map(data.landmarks[rows], height))
        return np.concatenate(parts, -1)

    return ImageSet.made((n, height, width, 6 if landmarks else 5), read)
