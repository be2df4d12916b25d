"""What becomes of a model's outputs when it swaps them again."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from fsbench.interfaces import Batch, MetricInfo
from fsbench.metrics._skin import DELTA_E, delta_e, skin
from fsbench.registry import metrics

FIRST, LAST = 1, 50
"""Numbers of passes whose images are compared."""


@metrics.register("recursion_drift")
class RecursionDrift:
    """Change of the mean skin colour over 49 further passes of an output through its model, CIEDE2000; 0 is stable.

    A few outputs are fed back as targets, 8-bit after each pass; the others are not scored. The mean is that of
    `skin_colour`. A model that leaves the source's own face as it is stays at 0; one whose small errors of colour add
    up, which a single pass hides, does not. Colour, because it needs no judge: identity and sharpness after each number
    of passes stand in the run's files and in the report. Copying is stable as well, so 0 says nothing of a swap.
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

    def measure(self, batch: Batch) -> Tensor:
        passes = batch["recursion"].images
        return delta_e(passes[LAST], passes[FIRST], skin(batch.mask))  # (N,)

    def summarise(self, rows: np.ndarray) -> float:
        return float(rows.mean())
