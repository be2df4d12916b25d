"""Divergence of the nearest look-alikes of all outputs and of the source's images."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fsbench.interfaces import Batch
from fsbench.metrics._identity import identity_info
from fsbench.registry import metrics


@metrics.register("id_topk_jsd")
class IdTopkJsd:
    """Jensen-Shannon divergence between the look-alikes of the outputs and of the source, in bits; 0 is the same.

    It compares counts of the nearest look-alike of outputs and of real images, as the bar charts show them. At 0 both
    have the same distribution; at 1 they never have a look-alike in common. The value is the mean over sources. Few
    images make two samples of one distribution differ: the value is biased upwards, and `exact`, on the same number of
    images, shows by how much. There is no interval: resampling would add that bias a second time.

    `fsbench validate` (dlib_resnet): 30 outputs are too few. It does not respond to a face that is wholly the target's,
    and its two halves agree by 0.76 only.
    """

    info = identity_info(
        unit="bits",
        direction="lower",
        bounds=(0.0, 1.0),
        no_face="not scored, and counted",
        reference="Lin, Divergence measures based on the Shannon entropy, IEEE Trans. Information Theory 37(1), 1991; "
        "counts as in experiment 13 of the faceswap-GAN notes",
        interval="none",
    )

    def measure(self, batch: Batch) -> Tensor:
        """(N, 3): the source as a number, the output's nearest look-alike, its share among the source's images."""
        lookalikes, references = batch.lookalikes, batch.embeddings.by_person
        of_source = torch.from_numpy(references.held_out(batch.source.identity).index)
        real, output = lookalikes.references[of_source, 0].cpu(), lookalikes.output.cpu()[:, 0]
        real = real[real >= 0]
        share = torch.bincount(real, minlength=len(lookalikes.people)).double() / len(real)  # NaN of no image
        number = float(np.searchsorted(references.held_out_people, batch.source.identity))
        source = torch.full_like(share[output], number)
        measured = torch.stack([source, output.double(), share[output]], 1)
        return measured.masked_fill((output < 0)[:, None], torch.nan)

    def summarise(self, rows: np.ndarray) -> float:
        return float(np.mean([_divergence(rows[rows[:, 0] == source]) for source in np.unique(rows[:, 0])]))


def _divergence(rows: np.ndarray) -> float:
    """Divergence for one source, from rows that name only the look-alikes of outputs.

    Look-alikes of real images alone have q = 0, and each adds p log2(p / (p / 2)) / 2 = p / 2.
    """
    _, first, counts = np.unique(rows[:, 1], return_index=True, return_counts=True)
    p, q = rows[first, 2], counts / len(rows)
    middle = (p + q) / 2
    shared = p * np.log2(np.where(p > 0, p / middle, 1)) + q * np.log2(q / middle)
    return float(shared.sum() + 1 - p.sum()) / 2
