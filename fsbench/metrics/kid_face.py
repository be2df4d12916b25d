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

    The statistic of `kid`: do the outputs, all together, look like faces to a recogniser? It does not tell whether they
    show the right people: where the same people are sources and targets, swapping all faces or none gives the same set
    of people, and identity that leaks from the target does not move it. Read it beside `exact`. On unit vectors x.y / D
    is small and the kernel nearly linear, so that it tells the means apart and little more: `mmd` sees the rest.
    """

    info = replace(
        Kid.info,
        needs=("judge",),
        no_face="not scored, and counted",
        reference="Bińkowski et al., ICLR 2018, section 4, on the judge's unit vectors",
        measures=("detail",),
        observer="",
        digits=3,
        summary_rank=0,
    )

    def measure(self, batch: Batch) -> Tensor:
        return face_vectors(batch)  # (N, 2 D)
