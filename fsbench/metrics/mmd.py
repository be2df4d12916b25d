"""Maximum mean discrepancy in a recogniser's feature space."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from torch import Tensor

from fsbench.errors import BadParameter
from fsbench.interfaces import Batch
from fsbench.metrics._distribution import Statistic, discrepancy, face_vectors
from fsbench.metrics.kid import Kid
from fsbench.registry import metrics
from fsbench.stats.kernels import gaussian


@metrics.register("mmd")
class Mmd:
    """Gaussian kernel distance between a judge's vectors of outputs and of targets, in thousandths; 0 is no difference.

    MMD^2 as in CMMD, on the judge instead of CLIP, and unbiased: it may be negative. `mmd(sigma=10)` has the published
    bandwidth; on unit vectors, which are never more than 2 apart, that kernel is nearly linear and sees the means only.
    The default of 1 sees spread and shape as well. Like `kid_face` it tells whether the set of outputs looks like faces
    to that network, not whether they show the right people; read it beside `exact`. Pairs that share a target image are
    left out.
    """

    def __init__(self, *, sigma: float = 1.0) -> None:
        try:
            self._kernel = gaussian(sigma)
        except ValueError as error:
            raise BadParameter(f"mmd(sigma={sigma:g}): {error}", "its default is 1.0") from error
        self.info = replace(
            Kid.info,
            needs=("judge",),
            no_face="not scored, and counted",
            reference="Jayasumana et al., Rethinking FID, CVPR 2024, section 4; unbiased as in Gretton et al., "
            "JMLR 13, 2012, Lemma 6",
            measures=("detail", "diversity"),
            observer="",
            summary_rank=0,
        )

    def measure(self, batch: Batch) -> Tensor:
        return face_vectors(batch)  # (N, 2 D)

    def statistic(self, rows: np.ndarray) -> Statistic:
        return discrepancy(rows, self._kernel)

    def summarise(self, rows: np.ndarray) -> float:
        return self.statistic(rows)(np.arange(len(rows)))
