"""Training of gan_mask beside a plain loop: the same networks and losses in float32, images varied one by one.

    uv run pytest benchmarks/test_speed_training_loop.py -s

The plain loop does what face-swap repositories do: each image is turned, warped and recoloured by OpenCV on the
processor, the batch is copied to the device, and the step runs eagerly in float32, on a CPU with all threads or with
one, whichever is faster. Both sides take turns in one process; images per second of the median step are told. Where no
GPU is present the sizes that need one are skipped.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
import torch
from torch import Generator

from fsbench.contracts import toy_faces
from fsbench.training import fast_bfloat16, one_thread
from reference_models.augment import Augmentation, AugmentedBatch, TrainingImages
from reference_models.gan_mask.data import training_images
from reference_models.gan_mask.learner import GanMaskLearner
from reference_models.gan_mask.recipe import configure

cv2 = pytest.importorskip("cv2", reason="the plain loop varies images with OpenCV")

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
LEAST = {"cpu": 1.5, "cuda": 3.0}
"""Times the images per second of the plain loop."""

FACES = toy_faces(2, 4, 16, 128, 0)
ROUNDS, STEPS = 5, 4
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
    shape, recipe = configure({**options})
    recipe = type(recipe)(**{**vars(recipe), "half_precision": half})
    images = training_images([FACES.of(name) for name in FACES.identities], shape, recipe, DEVICE)
    return kind(shape, recipe, images, None, seed=0, n_threads=torch.get_num_threads())


def stepper(made: GanMaskLearner) -> Callable[[], float]:
    """A function that trains some steps and returns the seconds of one; the first step, which warms up, is done."""
    generator = torch.Generator(DEVICE).manual_seed(0)

    def step() -> float:
        began = time.perf_counter()
        for _ in range(STEPS):
            made.step(MIDDLE, generator)
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - began) / STEPS

    step()
    return step


on_gpu = pytest.mark.skipif(DEVICE.type == "cpu", reason="takes seconds a step on a CPU")


@pytest.mark.parametrize(
    ("size", "batch"), [("tiny", 8), *(pytest.param("standard", batch, marks=on_gpu) for batch in (8, 32, 64))]
)
def test_training_is_faster_than_a_plain_loop(size: str, batch: int) -> None:
    options = {"size": size, "batch": batch}
    plain = stepper(learner(PlainLearner, options, half=False))
    ours = stepper(learner(GanMaskLearner, options, half=fast_bfloat16(DEVICE)))
    rounds = []
    for _ in range(ROUNDS):
        slow = plain()
        with one_thread(DEVICE.type == "cpu"):  # threads of the plain loop wait for each other on a busy machine
            rounds.append((min(slow, plain()), ours()))
    slow, fast = (statistics.median(side) for side in zip(*rounds, strict=True))
    ratio = statistics.median(first / second for first, second in rounds)
    images = 2 * batch
    print(f"\n{size}, batch {batch}, {DEVICE}: {images / fast:.0f} images/s against {images / slow:.0f}, {ratio:.2f} x")
    assert ratio >= LEAST[DEVICE.type]


def test_losses_are_those_of_float32() -> None:
    """After 200 steps on the same images the losses differ by less than .01, though steps compute in bfloat16."""
    if not fast_bfloat16(DEVICE):
        pytest.skip("this device does not compute in bfloat16: both sides would be float32")
    last: list[Mapping[str, float]] = []
    for half in (False, True):
        made = learner(GanMaskLearner, {"size": "tiny"}, half)
        generator = torch.Generator(DEVICE).manual_seed(0)
        with one_thread(DEVICE.type == "cpu"):
            losses = [made.step(k / 200, generator) for k in range(200)]
        last.append({name: float(torch.stack([each[name] for each in losses[-50:]]).mean()) for name in losses[-1]})
    whole, rounded = last
    print("\n" + ", ".join(f"{name} {loss:.4f} and {rounded[name]:.4f}" for name, loss in whole.items()))
    assert rounded == pytest.approx(whole, rel=1e-2, abs=1e-2)
