"""Training of gan_mask beside a plain loop: the same networks and losses in float32, images varied one by one.

The plain loop does what face-swap repositories do: each image is turned, warped and recoloured by OpenCV on the
processor, the batch is copied to the device, and the step runs eagerly in float32. On a CPU it has one thread: threads
of small networks wait for each other. gan_mask trains two groups of identities side by side there, so that seconds are
those of the clock.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Generator

from comparisons import DEVICE, Comparison, Missing, Work
from fsbench.contracts import toy_faces
from fsbench.training import fast_bfloat16, one_thread
from reference_models.augment import Augmentation, AugmentedBatch, TrainingImages
from reference_models.gan_mask.data import training_images
from reference_models.gan_mask.learner import GanMaskLearner
from reference_models.gan_mask.recipe import configure

STEPS = 4
MIDDLE = 0.5  # of the schedule: all losses are there


class PlainLearner(GanMaskLearner):
    """Varies images one by one on the processor, and computes all losses in one go."""

    def _groups(self) -> list[Sequence[int]]:
        return [range(len(self.images))]

    def _draw(self, identities: Sequence[int], generators: Sequence[Generator]) -> list[AugmentedBatch]:
        seed = int(torch.randint(2**31, (1,), generator=generators[0], device=generators[0].device))
        draws, n = np.random.default_rng(seed), self.recipe.batch
        return [
            _stacked([_varied(images, draws, self.shape.resolution, self.recipe.augmentation) for _ in range(n)])
            for images in (self.images[k] for k in identities)
        ]


def _varied(images: TrainingImages, draws: np.random.Generator, size: int, how: Augmentation) -> tuple[np.ndarray, ...]:
    """One image, warped and straight, and its masks, (size, size, 3) and (size, size, 2) float32 in [0, 1]."""
    import cv2  # of another package

    crop = images.crops[draws.integers(len(images.crops))].permute(1, 2, 0).cpu().numpy().astype(np.float32) / 255
    side = crop.shape[0]
    turn = cv2.getRotationMatrix2D(
        (side / 2, side / 2), draws.uniform(-how.rotation, how.rotation), 1 + draws.uniform(-how.zoom, how.zoom)
    )
    turn[:, 2] += draws.uniform(-how.shift, how.shift, 2) * side
    turned = np.concatenate(
        [cv2.warpAffine(np.ascontiguousarray(part), turn, (side, side), borderMode=cv2.BORDER_REPLICATE)
         for part in (crop[..., :3], crop[..., 3:5])], -1,
    )  # fmt: skip
    if draws.random() < how.flip:
        turned = turned[:, ::-1]
    own, other = images.colours[:, 0].cpu().numpy()[draws.integers(len(images.colours), size=2)]
    colours = np.clip((turned[..., :3] - own[0]) / (own[1] + 1e-3) * (other[1] + 1e-3) + other[0], 0, 1)
    line = np.linspace(0.17 * side, 0.83 * side, 5, dtype=np.float32)
    across, down = (np.ascontiguousarray(points) for points in np.meshgrid(line, line))
    maps = [
        cv2.resize((points + draws.normal(0, how.warp * side / 3, points.shape)).astype(np.float32), (size, size))
        for points in (across, down)
    ]
    straight = [cv2.resize(points, (size, size)) for points in (across, down)]
    colours = np.ascontiguousarray(colours, dtype=np.float32)
    return (
        cv2.remap(colours, *maps, cv2.INTER_LINEAR),
        cv2.remap(colours, *straight, cv2.INTER_LINEAR),
        cv2.remap(np.ascontiguousarray(turned[..., 3:]), *straight, cv2.INTER_LINEAR),
    )


def _stacked(images: list[tuple[np.ndarray, ...]]) -> AugmentedBatch:
    warped, real, masks = (
        torch.from_numpy(np.stack(part)).permute(0, 3, 1, 2).contiguous().to(DEVICE)
        for part in zip(*images, strict=True)
    )
    return AugmentedBatch(warped, real, masks[:, :1], masks[:, 1:2], None)


def learner(kind: type[GanMaskLearner], options: Mapping[str, object], half: bool) -> GanMaskLearner:
    """A learner of either side, with the same weights to begin with."""
    faces = toy_faces(2, 4, 16, 128, 0)
    shape, recipe = configure({**options})
    recipe = type(recipe)(**{**vars(recipe), "half_precision": half})
    images = training_images([faces.of(name) for name in faces.identities], shape, recipe, DEVICE)
    return kind(shape, recipe, images, None, seed=0, n_threads=torch.get_num_threads())


def _steps(made: GanMaskLearner) -> Work:
    generator = Generator(DEVICE).manual_seed(0)

    def work() -> None:
        with one_thread(DEVICE.type == "cpu"):
            for _ in range(STEPS):
                made.step(MIDDLE, generator)

    return work


def _sides(size: str, batch: int, folder: Path) -> tuple[Work, Work]:
    if find_spec("cv2") is None:
        raise Missing("the plain loop varies images with OpenCV")
    options = {"size": size, "batch": batch}
    ours = learner(GanMaskLearner, options, half=fast_bfloat16(DEVICE))
    return _steps(ours), _steps(learner(PlainLearner, options, half=False))


COMPARISONS = tuple(
    Comparison(
        f"gan_mask({size}), {STEPS} steps of {batch}", "a plain loop", least, partial(_sides, size, batch),
        clock=time.perf_counter,
    )
    for size, batch, least in (
        [("tiny", 8, 1.5)] if DEVICE.type == "cpu" else [("standard", batch, 3.0) for batch in (8, 32, 64)]
    )
)  # fmt: skip
"""Sizes that take seconds a step are compared where a GPU is present."""
