"""What holds of every network that computes in less than float32 where the user asks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.module import register_module_forward_pre_hook

from fsbench.contracts.toys import toy_faces
from fsbench.interfaces import Context

MOST = {"bfloat16": 0.05, "float16": 0.01}
"""Length of the change of an image's features, as a share of theirs."""


def assert_reduced(build: Callable[[Context], Any], context: Context) -> None:
    """Only the network computes in it: what it is shown is the same, and what it gives is float32 again."""
    faces = toy_faces(2, 1, 3, 96)
    crops, landmarks = faces.crops[:], torch.from_numpy(faces.landmarks.copy())
    plain = build(context)
    assert plain.info.precision == "float32"
    shown, expected = _look(plain, crops, landmarks)
    for precision, most in MOST.items():
        network = build(replace(context, precision=precision))
        assert network.info == replace(plain.info, precision=precision)
        seen, given = _look(network, crops, landmarks)
        assert torch.equal(seen, shown), "chips are cut and resized in float32"
        assert given.dtype == torch.float32
        assert not torch.equal(given, expected)
        error = (given - expected).norm(dim=1) / expected.norm(dim=1)
        assert error.max() < most, f"{precision} changes features by {error.max():.1%}"


def _look(network: Any, crops: Tensor, landmarks: Tensor) -> tuple[Tensor, Tensor]:
    """What the network behind an embedder or an observer is shown first, and its features."""
    shown: list[Tensor] = []
    with register_module_forward_pre_hook(lambda module, given: shown.append(given[0])):
        if hasattr(network, "embed"):
            features: Tensor = network.embed(crops, landmarks)
        else:
            (features, *_) = network.observe(crops, landmarks).values()
    return shown[0].clone(), features
