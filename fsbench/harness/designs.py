"""How the samples of an evaluation set are drawn again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fsbench.extraction.blocks import length
from fsbench.harness.measurements import ClipRows, Measured
from fsbench.interfaces import Sample
from fsbench.pairs import Pairs
from fsbench.stats.blocks import design, or_blocks
from fsbench.stats.resampling import Design


@dataclass(frozen=True)
class Designs:
    """The designs of the pairs of one evaluation set, by what samples are."""

    outputs: Design
    clips: Design
    frames: Design  # of clips whose rows are made of rows of their frames: blocks of these where clips are too few

    @classmethod
    def of(cls, pairs: Pairs, resamples: int, seed: int) -> Designs:
        """Make them; the same pairs, number of resamples and seed give the same ones."""
        outputs, clips = (design(pairs.samples(sample), resamples, seed) for sample in ("output", "clip"))
        if not pairs.clips:
            return cls(outputs, clips, clips)
        sample = np.repeat(np.arange(len(pairs.clips)), [length(clip) for clip in pairs.clips])
        return cls(outputs, clips, or_blocks(clips, pairs.rows, sample))

    def of_samples(self, sample: Sample, measured: Measured) -> Design:
        """The design of what was measured of all samples."""
        if sample == "output":
            return self.outputs
        return self.frames if isinstance(measured, ClipRows) else self.clips
