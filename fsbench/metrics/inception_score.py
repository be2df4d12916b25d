"""Inception score."""

from __future__ import annotations

import numpy as np

from fsbench.interfaces import MetricInfo, PairedFeatures
from fsbench.interfaces.features import row_blocks
from fsbench.metrics._distribution import MANY, Statistic
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
    Above 5,000 images a resample is the value of all images and the first-order change.
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

    array = "logits"  # (N, 1008)

    def statistic(self, features: PairedFeatures) -> Statistic:
        """Divergence of images from the mean = entropy of the mean - mean of the entropies.

        Of many images a resample changes the mean of their divergences from the mean of all, which is the first-order
        change.
        """
        if len(features) > MANY:
            divergences = _divergences(features.output)
            return lambda index: float(np.exp(divergences[index].mean()))
        log_probabilities = _log_softmax(features.output)
        probabilities = np.exp(log_probabilities)
        entropies = -(probabilities * log_probabilities).sum(1)

        def value(index: np.ndarray) -> float:
            weights = np.bincount(index, minlength=len(features)) / len(index)
            mean = weights @ probabilities
            divergence = -(mean * np.log(mean, where=mean > 0, out=np.zeros_like(mean))).sum() - weights @ entropies
            return float(np.exp(max(divergence, 0.0)))

        return value


def _divergences(logits: np.ndarray) -> np.ndarray:
    """Kullback-Leibler divergence of each image's probabilities from the mean of all, (N,), block by block."""
    blocks = list(row_blocks(len(logits)))
    mean = sum(np.exp(_log_softmax(logits[block])).sum(0) for block in blocks) / len(logits)  # (classes,)
    log_mean = np.log(np.maximum(mean, np.finfo(np.float64).tiny))
    divergences = np.empty(len(logits))
    for block in blocks:
        log_probabilities = _log_softmax(logits[block])
        divergences[block] = (np.exp(log_probabilities) * (log_probabilities - log_mean)).sum(1)
    return divergences


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    """(N, classes) -> the same in float64."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(1, keepdims=True))
    return shifted
