"""Expression of outputs against their targets, by blendshape coefficients."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fsbench.interfaces import Batch, MetricInfo
from fsbench.metrics._blendshapes import BLENDSHAPES
from fsbench.registry import metrics
from fsbench.stats.summaries import mean

COMPARED = tuple(k for k, name in enumerate(BLENDSHAPES) if name.startswith(("mouth", "jaw", "eyeBlink")))
"""Indices of the 29 coefficients of mouth, jaw and blink."""


@metrics.register("expression_error")
class ExpressionError:
    """Mean distance between the blendshape coefficients of output and target by MediaPipe; 0 keeps the expression.

    The distance is L2 over 29 coefficients of mouth, jaw and blink. Each is from 0 to 1: two closed eyes that come out
    open make 1.4. The others are left out: gaze (eyeLook*), coefficients that are always 0 (_neutral, cheek*,
    noseSneer*), and brows, squint and wide eyes. On 100 synthetic people of seed 7 the last correlate with the truth by
    0.2 to 0.3 only, and identity explains 22 to 64 % of their variance (21 to 49 % on LFW).

    The metric is coarse. Identity explains up to 42 % of the variance of the 29 as well. `fsbench validate` finds it
    blind to a lost expression, to which `opening_error` responds. Between 60 pairs of people of seed 7 exact swaps are
    at 0.47, swaps drawn without expression at 0.58, exact swaps into other images at 0.70. Between the two synthetic
    people to swap, who were chosen to differ, these are at 0.68, 0.68 and 0.85; two images of one of these two are at
    0.73. Compare with `exact`, not with 0. `gt_expression_error` measures the network's error, on a scale of its own.
    Outputs in which no face is found are not scored and are counted.
    """

    info = MetricInfo(
        unit="",
        direction="lower",
        bounds=(0.0, math.sqrt(len(COMPARED))),
        needs=("face_mesh",),
        stages=("crop", "frame"),
        measures=("expression",),
        no_face="not scored, and counted",
        reference="MediaPipe Face Landmarker, blendshapes (Grishchenko et al., arXiv 2309.05782), 29 of 52 dimensions",
        digits=2,
    )
    summarise = staticmethod(mean)

    def measure(self, batch: Batch) -> Tensor:
        output, target = batch.observed("face_mesh", "blendshapes")
        distances: Tensor = torch.linalg.vector_norm((output - target).double()[:, COMPARED], dim=1)
        return distances  # (N,)
