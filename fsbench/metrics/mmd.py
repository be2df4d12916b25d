"""Maximum mean discrepancy in a recogniser's feature space."""

from __future__ import annotations

from dataclasses import replace

from fsbench.errors import BadParameter
from fsbench.metrics.kid import Kid
from fsbench.registry import metrics
from fsbench.stats.kernels import gaussian


@metrics.register("mmd")
class Mmd(Kid):
    """Gaussian kernel distance between a judge's vectors of outputs and of targets, in thousandths; 0 is no difference.

    It is MMD^2 as in CMMD, with the judge instead of CLIP, and unbiased: it may be negative. `mmd(sigma=10)` has the
    published bandwidth. Unit vectors are never more than 2 apart, so that this kernel is nearly linear on them and
    compares the means only. The default of 1 compares spread and shape as well. Like `kid_face` it measures whether the
    set of outputs looks like faces to the judge, not whether they show the right people. Read it beside `exact`. Pairs
    that share a target image are left out.
    """

    info = replace(
        Kid.info,
        needs=("judge",),
        no_face="not scored, and counted",
        reference="Jayasumana et al., Rethinking FID, CVPR 2024, section 4; unbiased as in Gretton et al., "
        "JMLR 13, 2012, Lemma 6",
        measures=("detail", "diversity"),
        summary_rank=0,
    )

    def __init__(self, *, sigma: float = 1.0) -> None:
        try:
            self.kernel = gaussian(sigma)
        except ValueError as error:
            raise BadParameter(f"mmd(sigma={sigma:g}): {error}", "its default is 1.0") from error
