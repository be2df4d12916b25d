"""Fréchet Inception distance with the antialiased resize."""

from __future__ import annotations

from dataclasses import replace

from fsbench.metrics.fid import Fid
from fsbench.registry import metrics


@metrics.register("fid_clean")
class FidClean(Fid):
    """Fréchet distance between Inception features, images resized with antialiasing; 0 for outputs that are targets.

    Else as `fid`. Where images are larger than 299 pixels the original resize skips pixels and takes what aliases for
    detail; below, the two differ little. Never compare one with the other.

    `fsbench validate` finds what it finds of `fid`: it becomes smaller where the target's identity is left.
    """

    info = replace(
        Fid.info,
        needs=("inception(resize=clean)",),
        reference="Parmar et al., On aliased resizing and surprising subtleties in GAN evaluation, CVPR 2022",
    )
