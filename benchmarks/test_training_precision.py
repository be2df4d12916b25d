"""What computing in bfloat16 changes of training.

uv run pytest benchmarks/test_training_precision.py -s
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from comparisons import DEVICE
from comparisons.training import learner

from fsbench.training import fast_bfloat16, one_thread
from reference_models.gan_mask.learner import GanMaskLearner


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
