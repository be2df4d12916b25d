"""Inception score."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fsbench.errors import NotScorable
from fsbench.interfaces import Batch, MetricInfo
from fsbench.metrics._distribution import Statistic
from fsbench.registry import metrics

CLASSES = 1008


@metrics.register("is")
class InceptionScore:
    """Number of classes into which Inception sorts the outputs, weighted by how surely; 1 is a single class.

    The score is exp of the mean divergence between an image's class probabilities and those of all images, over the
    1,008 outputs of the network of 2015-12-05. The classes are ImageNet's, which has no people: on faces the score
    responds to ties and wigs, and a value has a meaning only beside that of the targets (`copy_target`). The score does
    not use the targets. All images are one split. Papers print the mean of ten splits of 5,000, which depends on the
    order of the images. Few images make the score smaller: values for different numbers of images cannot be compared.
    """

    info = MetricInfo(
        unit="",
        direction="higher",
        bounds=(1.0, float(CLASSES)),
        needs=("inception",),
        no_face="scored like any other",
        reference="Salimans et al., Improved techniques for training GANs, NeurIPS 2016, section 4; one split",
        group="realism",
        measures=("detail", "diversity"),
        cautions=((5000, "few images make the Inception score smaller: compare at the same number of images only"),),
        min_samples=2,
        digits=2,
        interval="centred",
    )

    def measure(self, batch: Batch) -> Tensor:
        if "logits" not in batch["inception"].output:
            raise NotScorable("the Inception file at hand has no classifier: inception gives no logits")
        return batch.observed("inception", "logits")[0]  # (N, 1008)

    def statistic(self, rows: np.ndarray) -> Statistic:
        """Divergence of images from the mean = entropy of the mean - mean of the entropies."""
        if not np.isfinite(rows).all():
            raise NotScorable("logits of some images are not finite: the network, or what it was given, is broken")
        log_probabilities = torch.from_numpy(rows).double().log_softmax(1).numpy()
        probabilities = np.exp(log_probabilities)
        entropies = -(probabilities * log_probabilities).sum(1)

        def value(index: np.ndarray) -> float:
            weights = np.bincount(index, minlength=len(rows)) / len(index)
            mean = weights @ probabilities
            divergence = -(mean * np.log(mean, where=mean > 0, out=np.zeros_like(mean))).sum() - weights @ entropies
            return float(np.exp(max(divergence, 0.0)))

        return value

    def summarise(self, rows: np.ndarray) -> float:
        return self.statistic(rows)(np.arange(len(rows)))
