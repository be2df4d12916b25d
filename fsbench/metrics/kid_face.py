"""Kernel distance in a recogniser's feature space."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from fsbench.interfaces import Batch
from fsbench.metrics._distribution import face_vectors
from fsbench.metrics.kid import Kid
from fsbench.registry import metrics


@metrics.register("kid_face")
class KidFace(Kid):
    """Kernel distance between a judge's vectors of outputs and of targets, in thousandths; 0 is no difference.

    The statistic of `kid`. A recogniser sees people, and the targets are other people: a perfect swap is not at 0, and
    copying the target wins; read it beside `exact`. On unit vectors x.y / D is small and the kernel nearly linear, so
    that it tells the means apart and little more: `mmd` sees the rest.
    """

    info = replace(
        Kid.info,
        needs=("judge",),
        no_face="not scored, and counted",
        reference="Bińkowski et al., ICLR 2018, section 4, on the judge's unit vectors",
        measures=("identity",),
        observer="",
        digits=3,
    )

    def measure(self, batch: Batch) -> Tensor:
        return face_vectors(batch)  # (N, 2 D)
