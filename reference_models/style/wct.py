"""WCT: the channels of a feature map get the mean and covariance of the style's, and are decoded."""

from __future__ import annotations

from fsbench.interfaces import Context
from fsbench.registry import refiners
from reference_models.style.adain import AdaIn
from reference_models.style.restyle import Colours, Share, Side
from reference_models.style.statistics import whiten_and_colour


@refiners.register("wct")
class Wct(AdaIn):
    """Gives an output the style of its target: means and covariances of VGG19's relu4_1 (WCT at one level).

    It differs from the published form in levels and decoder. The authors go through relu5_1, 4_1, 3_1, 2_1 and 1_1,
    each with a decoder that was trained for it. Here there is relu4_1 alone, with AdaIN's decoder, which is of the same
    form, and was trained on feature maps that AdaIN made: colours and details of a pixel or two, which the last levels
    transfer, are less the style's. `alpha` 0.6 is the authors'. Parameters, `wct@PATH`, and what becomes of the alpha
    of the output, are as in `adain`.

    Source: Li et al. 2017, arXiv:1705.08086.
    """

    transfer = staticmethod(whiten_and_colour)

    def __init__(self, *, alpha: Share = 0.6, colours: Colours = "style", size: Side = 256, context: Context) -> None:
        super().__init__(alpha=alpha, colours=colours, size=size, context=context)
