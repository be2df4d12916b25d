"""Blinks that are lost, added or late by known numbers of frames."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from fsbench import contracts
from fsbench.interfaces import Batch, Observed
from fsbench.metrics._blendshapes import BLENDSHAPES
from fsbench.metrics.blink import Blink

N = 60
BLINKS = (5, 6, 7, 20, 21, 22, 35, 36, 37, 50, 51, 52)
EYES = [BLENDSHAPES.index(name) for name in ("eyeBlinkLeft", "eyeBlinkRight")]


def side(closed: object, rest: float = 0.1, depth: float = 0.6, noise: float = 0.0, seed: int = 0) -> torch.Tensor:
    shapes = torch.rand(N, len(BLENDSHAPES), generator=torch.Generator().manual_seed(seed))
    shapes[:, EYES] = rest + noise * (shapes[:, EYES] - 0.5)
    shapes[np.ix_(list(closed), EYES)] += depth  # type: ignore[call-overload]
    return shapes


def clip(output: torch.Tensor, target: torch.Tensor) -> Batch:
    toy = contracts.toy_clip(8, needs=("face_mesh",))
    observed = Observed("face_mesh", {"blendshapes": output}, {"blendshapes": target})
    return replace(toy, evidence={"face_mesh": observed})


def value(output: torch.Tensor, target: torch.Tensor) -> float:
    (row,) = Blink().measure(clip(output, target)).tolist()
    return row


@pytest.mark.parametrize("lost", [0, 3, 6, 9, 12])
def test_lost_blinks(lost: int) -> None:
    kept = len(BLINKS) - lost
    assert value(side(BLINKS[lost:]), side(BLINKS)) == pytest.approx(200 * kept / (kept + len(BLINKS)))


def test_the_later_the_worse() -> None:
    seen = [value(side([frame + late for frame in BLINKS]), side(BLINKS)) for late in (0, 1, 2, 3)]
    assert seen == pytest.approx([100, 200 / 3, 100 / 3, 0])


def test_blinks_that_the_target_does_not_have() -> None:
    seen = [value(side([*BLINKS, *range(40, 40 + more)]), side(BLINKS)) for more in (0, 2, 6)]
    assert all(less < more for more, less in pairwise(seen))


def test_narrow_eyes_and_noise_are_no_blinks() -> None:
    assert value(side(BLINKS, rest=0.35), side(BLINKS, rest=0.05)) == 100
    assert value(side(BLINKS, noise=0.3, seed=1), side(BLINKS, noise=0.3, seed=2)) == 100
    assert value(side(BLINKS, depth=0.4), side(BLINKS, depth=0.8)) == 100


def test_what_cannot_be_compared() -> None:
    assert np.isnan(value(side(BLINKS), side(())))
    assert value(side(()), side(BLINKS)) == 0
    lost = side(BLINKS)
    lost[20:] = torch.nan
    assert value(lost, side(BLINKS)) == 100
    assert np.isnan(value(torch.full_like(lost, torch.nan), side(BLINKS)))
