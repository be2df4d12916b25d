"""Expression by blendshape coefficients: known distances."""

from __future__ import annotations

import pytest
import torch
from metric_observations import KNOWN, N, observed_batch

from fsbench.metrics._blendshapes import BLENDSHAPES
from fsbench.metrics.expression_error import COMPARED, ExpressionError
from fsbench.metrics.gt_expression_error import GtExpressionError


def test_expression_error_is_the_distance_over_mouth_jaw_and_blink() -> None:
    target = {"blendshapes": torch.full((N, 52), 0.25)}
    moved = target["blendshapes"].clone()
    moved[:, BLENDSHAPES.index("jawOpen")] += 0.3
    moved[:, BLENDSHAPES.index("eyeBlinkLeft")] += 0.4
    for ignored in ("_neutral", "browInnerUp", "eyeLookInLeft", "eyeSquintLeft", "cheekPuff", "noseSneerLeft"):
        moved[:, BLENDSHAPES.index(ignored)] = 1.0
    assert len(BLENDSHAPES) == len(set(BLENDSHAPES)) == 52
    assert len(COMPARED) == 29
    assert ExpressionError().measure(observed_batch({"blendshapes": moved}, target)).tolist() == pytest.approx(
        [0.5] * N
    )
    opposite = observed_batch({"blendshapes": torch.ones(N, 52)}, {"blendshapes": torch.zeros(N, 52)})
    assert ExpressionError().measure(opposite).tolist() == pytest.approx([ExpressionError.info.bounds[1]] * N)


def test_true_expressions_are_at_zero_and_errors_are_averaged() -> None:
    scores = torch.zeros(N, 52, dtype=torch.float64)
    scores[:, BLENDSHAPES.index("jawOpen")] = torch.tensor(KNOWN["mouth_open"].to_numpy())
    for stem in ("smile", "blink"):
        for side, step in (("Left", 0.1), ("Right", -0.1)):  # the mean of both sides counts
            name = {"smile": "mouthSmile", "blink": "eyeBlink"}[stem] + side
            scores[:, BLENDSHAPES.index(name)] = torch.tensor(KNOWN[stem].to_numpy()) + step
    assert GtExpressionError().measure(observed_batch({"blendshapes": scores})).tolist() == pytest.approx([0.0] * N)
    scores[:, BLENDSHAPES.index("jawOpen")] += 0.3
    assert GtExpressionError().measure(observed_batch({"blendshapes": scores})).tolist() == pytest.approx([0.1] * N)
