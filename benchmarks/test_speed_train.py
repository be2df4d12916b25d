"""Speed of training: one step of each size, what varying its images takes of it, and what fused attention is worth.

`pytest benchmarks/test_speed_train.py --benchmark-enable`, on one thread; standard and lite take seconds a step on a
CPU, so that they are measured where a GPU is present.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from comparisons import DEVICE

from fsbench.contracts import toy_faces
from fsbench.training import Learner, one_thread
from reference_models.augment import draw_batch
from reference_models.crops import pack
from reference_models.cyclegan.learner import CycleGanLearner
from reference_models.cyclegan.model import channels as four_channels
from reference_models.cyclegan.networks import ARCHITECTURES
from reference_models.gan_mask.data import training_images
from reference_models.gan_mask.learner import GanMaskLearner
from reference_models.gan_mask.networks import SelfAttention, Size
from reference_models.gan_mask.recipe import configure

FACES = toy_faces(2, 2, 8, 128, 0)
on_gpu = pytest.mark.skipif(DEVICE.type == "cpu", reason="takes seconds a step on a CPU")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread(DEVICE.type == "cpu"):
        yield


def stepper(learner: Learner) -> Callable[[], None]:
    """One step in the middle of the schedule; the first, which warms up, is done already."""
    generator = torch.Generator(DEVICE).manual_seed(0)

    def step() -> None:
        learner.step(0.5, generator)
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()

    step()
    return step


@pytest.mark.parametrize("size", ["tiny", pytest.param("lite", marks=on_gpu), pytest.param("standard", marks=on_gpu)])
def test_step_of_gan_mask(benchmark: Any, size: Size) -> None:
    configured = configure({"size": size})
    images = training_images([FACES.of(name) for name in FACES.identities], *configured, DEVICE)
    benchmark(stepper(GanMaskLearner(*configured, images, None, seed=0)))


@pytest.mark.parametrize("size", ["tiny", pytest.param("standard", marks=on_gpu)])
def test_step_of_cyclegan(benchmark: Any, size: Any) -> None:
    shape = ARCHITECTURES[size]
    crops = [pack(four_channels(FACES.of(name)), shape.resolution, DEVICE) for name in FACES.identities]
    benchmark(stepper(CycleGanLearner(shape, False, crops, seed=0, half_precision=DEVICE.type == "cpu")))


@pytest.mark.parametrize("batch", [8, 64])
def test_augmentation(benchmark: Any, batch: int) -> None:
    shape, recipe = configure({"size": "tiny"})
    images, *_ = training_images([FACES.of(name) for name in FACES.identities], shape, recipe, DEVICE)
    drawn = images, images.colours, batch, shape.resolution, recipe.augmentation
    generator = torch.Generator(DEVICE).manual_seed(0)
    benchmark(lambda: draw_batch(*drawn, generator))


@pytest.mark.parametrize("kind", ["fused", "materialised"])
def test_attention_at_full_resolution(benchmark: Any, kind: str) -> None:
    """Forward and backward of the decoder's last attention: 4,096 pixels, 64 channels, batch 2."""
    layer = SelfAttention(64).to(DEVICE)
    torch.nn.init.ones_(layer.gamma)
    x = torch.randn(2, 64, 64, 64, device=DEVICE, generator=torch.Generator(DEVICE).manual_seed(0))

    def materialised(x: torch.Tensor) -> torch.Tensor:
        key, query, value = (part(x).flatten(2) for part in (layer.key, layer.query, layer.value))
        shares = (query.transpose(1, 2) @ key).softmax(-1)  # (N, HW, HW) in memory
        return x + layer.gamma * (shares @ value.transpose(1, 2)).transpose(1, 2).view_as(x)

    attend = layer if kind == "fused" else materialised

    def step() -> None:
        attend(x).square().mean().backward()
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()

    assert torch.allclose(layer(x), materialised(x), atol=1e-4)
    benchmark(step)
