"""Whether outputs and source are taken for the same people, all images together."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fsbench.interfaces import Batch, MetricInfo
from fsbench.registry import metrics


@metrics.register("id_topk_jsd")
class IdTopkJsd:
    """Jensen-Shannon divergence between whom the outputs and whom the source's real images are taken for, in bits.

    Counts of the nearest look-alike, as the bar charts show them; 0 is the same distribution, 1 are people that never
    coincide. Mean over sources. Few images make two samples of one distribution differ: the value is biased upwards,
    and `exact`, on the same number of images, shows by how much. There is no interval: resampling would add that bias a
    second time.

    `fsbench validate` (dlib_resnet): 30 outputs are too few for it, it does not notice a face that is wholly the
    target's, and its two halves agree by 0.76 only.
    """

    info = MetricInfo(
        unit="bits",
        direction="lower",
        bounds=(0.0, 1.0),
        needs=("judge",),
        group="identity",
        measures=("identity",),
        no_face="not scored, and counted",
        reference="Lin, Divergence measures based on the Shannon entropy, IEEE Trans. Information Theory 37(1), 1991; "
        "counts as in experiment 13 of the faceswap-GAN notes",
        interval="none",
    )

    def measure(self, batch: Batch) -> Tensor:
        """(N, 3): the source as a number, the person that the output is taken for, the share of the source's images."""
        seen, rows = batch.lookalikes, batch.embeddings.reference_rows
        held_out = (rows["split"] == "test").to_numpy()
        people = np.unique(rows["identity"][held_out].to_numpy(str))
        own = torch.from_numpy(held_out & (rows["identity"] == batch.source.identity).to_numpy())
        theirs, taken = seen.references.cpu()[own, 0], seen.output.cpu()[:, 0]
        theirs = theirs[theirs >= 0]
        share = torch.bincount(theirs, minlength=len(seen.people)).double() / len(theirs)  # NaN of no image
        code = torch.full_like(share[taken], float(np.searchsorted(people, batch.source.identity)))
        measured = torch.stack([code, taken.double(), share[taken]], 1)
        return measured.masked_fill((taken < 0)[:, None], torch.nan)

    def summarise(self, rows: np.ndarray) -> float:
        return float(np.mean([_divergence(rows[rows[:, 0] == source]) for source in np.unique(rows[:, 0])]))


def _divergence(rows: np.ndarray) -> float:
    """Divergence for one source, from rows that name only the people whom outputs are taken for.

    People that only real images are taken for have q = 0, and each adds p log2(p / (p / 2)) / 2 = p / 2.
    """
    _, first, counts = np.unique(rows[:, 1], return_index=True, return_counts=True)
    p, q = rows[first, 2], counts / len(rows)
    middle = (p + q) / 2
    shared = p * np.log2(np.where(p > 0, p / middle, 1)) + q * np.log2(q / middle)
    return float(shared.sum() + 1 - p.sum()) / 2
