"""Fréchet distance in a recogniser's feature space."""

from __future__ import annotations

from dataclasses import replace

from fsbench.metrics._distribution import FEW_FOR_FRECHET
from fsbench.metrics.fid import Fid
from fsbench.registry import metrics


@metrics.register("fid_face")
class FidFace(Fid):
    """Fréchet distance between a judge's vectors of outputs and of targets; 0 for outputs that are their targets.

    Do the outputs, all together, look like faces to a recogniser? It does not tell whether they show the right people:
    the reference is the targets, who are other people, so that a perfect swap is not at 0, identity that leaks from the
    target makes it *smaller*, and copying the target wins. Read it beside the value of `exact`, where that is known.
    Vectors have unit length, so that values are far below those of `fid`, on a scale of the judge's own.

    `fsbench validate`: blur and noise move it most; identity that is wholly the target's lowers it by 38 % of what blur
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
