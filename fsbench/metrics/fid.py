"""Fréchet distances between the features of outputs and of targets."""

from __future__ import annotations

import math
from dataclasses import replace

from fsbench.interfaces import MetricInfo
from fsbench.metrics._distribution import FEW_FOR_FID, FEW_FOR_FRECHET, FRECHET_RESAMPLES, frechet
from fsbench.registry import metrics


@metrics.register("fid")
class Fid:
    """Fréchet distance between the Inception features of outputs and targets; 0 for outputs that are their targets.

    There are 2,048 features an image, at 299 pixels by the original TensorFlow bilinear resize. The reference set is
    the targets that were swapped, not a set of other photographs. Two FIDs of fsbench can be compared where their pairs
    are the same; neither can be compared with a paper's. Copying the target wins: read FID beside `copy_target` and the
    identity metrics. Few images raise it, by about b / N (below 2,048 images the covariances are not of full rank): the
    values for 500 and for 5,000 images are different quantities. The interval shows the spread at this N and not that
    bias; therefore it is moved to have its mean at the value. Above 5,000 images a resample is the value of all images
    and the first-order change.

    `fsbench validate` (30 exact swaps of synthetic people, known faults): lost detail and noise move it most; a cast of
    colour, a seam or a shift move it by a tenth of that. It becomes *smaller* where the target's identity is left.
    Expression, pose and gaze do not move it.
    """

    info = MetricInfo(
        unit="",
        direction="lower",
        bounds=(0.0, math.inf),
        needs=("inception",),
        no_face="scored like any other",
        reference="Heusel et al., GANs trained by a two time-scale update rule, NeurIPS 2017, section 4; "
        "covariances divided by N - 1",
        group="realism",
        measures=("detail", "colour", "blending", "geometry", "diversity"),
        cautions=FEW_FOR_FID,
        min_samples=2,
        digits=2,
        interval="centred",
        resamples=FRECHET_RESAMPLES,
    )
    array = "features"  # (N, 2048)
    statistic = staticmethod(frechet)


@metrics.register("fid_clean")
class FidClean(Fid):
    """Fréchet distance between Inception features, images resized with antialiasing; 0 for outputs that are targets.

    Everything else is as in `fid`. For images larger than 299 pixels the original resize skips pixels, and the features
    take the aliasing for detail. For smaller images the two resizes differ little. Never compare a value of one with a
    value of the other.

    `fsbench validate` finds the same as for `fid`: it becomes smaller where the target's identity is left.
    """

    info = replace(
        Fid.info,
        needs=("inception(resize=clean)",),
        reference="Parmar et al., On aliased resizing and surprising subtleties in GAN evaluation, CVPR 2022",
    )


@metrics.register("fid_face")
class FidFace(Fid):
    """Fréchet distance between a judge's vectors of outputs and of targets; 0 for outputs that are their targets.

    It measures whether the outputs, all together, look like faces to a recogniser. It does not measure whether they
    show the right people. The reference set is the targets, who are other people: a perfect swap is not at 0, identity
    that leaks from the target makes the value *smaller*, and copying the target wins. Read it beside the value of
    `exact`, where that is known. Vectors have unit length: values are far below those of `fid`, on the judge's own
    scale.

    `fsbench validate`: blur and noise move it most. Identity that is wholly the target's lowers it by 38 % of what blur
    raises it.
    """

    info = replace(
        Fid.info,
        needs=("judge",),
        no_face="not scored, and counted",
        reference="Heusel et al., NeurIPS 2017, section 4, on the judge's unit vectors",
        measures=("detail", "diversity"),
        cautions=FEW_FOR_FRECHET,
        digits=4,
    )
