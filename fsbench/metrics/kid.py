"""Kernel distances between the features of outputs and of targets."""

from __future__ import annotations

import math
from dataclasses import replace

from fsbench.interfaces import MetricInfo, PairedFeatures
from fsbench.metrics._distribution import FEW_FOR_KERNELS, MOST_FOR_KERNELS, Statistic, discrepancy
from fsbench.registry import metrics
from fsbench.stats.kernels import Kernel, polynomial


@metrics.register("kid")
class Kid:
    """Kernel distance between the Inception features of outputs and targets, in thousandths; 0 is no difference.

    It is unbiased: few images make it uncertain, not larger. Below 5,000 images read it before `fid`. It is negative
    where the two sets differ less than two samples of one distribution do on average. The published estimate also
    compares each output with its own target, and is therefore too small where outputs are made from targets. Here all
    pairs count whose targets differ (the u-statistic of Bińkowski's code). All such pairs are used, not 100 random
    subsets of 1,000, whose mean estimates this value. Copying the target is at 0 and wins.

    Frames of a session resemble each other. Pairs within a session add a little to the value, and resampling sessions
    adds it again; therefore the interval is moved to have its mean at the value (in simulations with 20 sessions of 5
    it covers 95 to 97 %; unmoved, as little as 64 %).

    `fsbench validate` (30 exact swaps of synthetic people, known faults): lost detail and noise move it most, colour
    and seams by a tenth of that. At this number of outputs it is blind to a shift of all outputs, and to many outputs
    that are one and the same.
    """

    info = MetricInfo(
        unit="1e-3",
        direction="lower",
        bounds=(-math.inf, math.inf),
        needs=("inception",),
        no_face="scored like any other",
        reference="Bińkowski et al., Demystifying MMD GANs, ICLR 2018, section 4; kernel (x.y / D + 1)^3",
        group="realism",
        measures=("detail", "colour", "blending", "geometry", "diversity"),
        cautions=FEW_FOR_KERNELS,
        min_samples=2,
        max_samples=MOST_FOR_KERNELS,
        digits=2,
        interval="centred",
        summary_rank=40,
    )
    array = "features"  # (N, 2048)
    kernel: Kernel = staticmethod(polynomial)

    def statistic(self, features: PairedFeatures) -> Statistic:
        return discrepancy(features, self.kernel)


@metrics.register("kid_clean")
class KidClean(Kid):
    """Kernel distance between Inception features, images resized with antialiasing, in thousandths; 0 is no difference.

    Everything else is as in `kid`. The resize is that of `fid_clean`.
    """

    info = replace(
        Kid.info,
        needs=("inception(resize=clean)",),
        reference="Bińkowski et al., ICLR 2018, section 4; resize of Parmar et al., CVPR 2022",
        summary_rank=0,
    )


@metrics.register("kid_face")
class KidFace(Kid):
    """Kernel distance between a judge's vectors of outputs and of targets, in thousandths; 0 is no difference.

    The statistic is that of `kid`. It measures whether the outputs, all together, look like faces to a recogniser. It
    does not measure whether they show the right people. Where the same people are sources and targets, swapping all
    faces or none gives the same set of people, and identity that leaks from the target does not move it. Read it beside
    `exact`. On unit vectors x.y / D is small and the kernel nearly linear: it compares the means and little more. `mmd`
    compares the rest.
    """

    info = replace(
        Kid.info,
        needs=("judge",),
        no_face="not scored, and counted",
        reference="Bińkowski et al., ICLR 2018, section 4, on the judge's unit vectors",
        measures=("detail",),
        digits=3,
        summary_rank=0,
    )
