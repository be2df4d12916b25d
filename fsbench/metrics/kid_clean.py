"""Kernel Inception distance with the antialiased resize."""

from __future__ import annotations

from dataclasses import replace

from fsbench.metrics.kid import Kid
from fsbench.registry import metrics


@metrics.register("kid_clean")
class KidClean(Kid):
    """Kernel distance between Inception features, images resized with antialiasing, in thousandths.

    Else as `kid`; the resize is that of `fid_clean`.
    """

    info = replace(
        Kid.info,
        observer="inception(resize=clean)",
        reference="Bińkowski et al., ICLR 2018, section 4; resize of Parmar et al., CVPR 2022",
        summary_rank=0,
    )
