"""Change of a model's outputs when it swaps them again."""

from __future__ import annotations

from torch import Tensor

from fsbench.interfaces import Batch, MetricInfo
from fsbench.metrics._skin import DELTA_E, delta_e, skin
from fsbench.registry import metrics
from fsbench.stats.summaries import mean

FIRST, LAST = 1, 50
"""Numbers of passes whose images are compared."""


@metrics.register("recursion_drift")
class RecursionDrift:
    """Change of the mean skin colour over 49 further passes of an output through its model, CIEDE2000; 0 is stable.

    A few outputs are fed back as targets, as 8-bit images after each pass. The others are not scored. The mean colour
    is that of `skin_colour`. A model that leaves the source's own face as it is stays at 0. A model whose small errors
    of colour add up does not, although a single pass hides them. Colour is compared because it needs no judge: identity
    and sharpness after each number of passes are in the run's files and in the report. Copying the target is stable as
    well: 0 does not show that a model swaps.
    """

    info = MetricInfo(
        unit="Delta E",
        direction="lower",
        bounds=DELTA_E,
        needs=("recursion",),
        group="attributes",
        measures=("colour",),
        no_face="scored like any other",
        reference="experiment 7 of the faceswap-GAN notes; CIE 142-2001, as in `skin_colour`",
        digits=2,
    )
    summarise = staticmethod(mean)

    def measure(self, batch: Batch) -> Tensor:
        passes = batch["recursion"].images
        return delta_e(passes[LAST], passes[FIRST], skin(batch.mask))  # (N,)
