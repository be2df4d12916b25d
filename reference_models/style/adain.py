"""AdaIN: the channels of a feature map get the mean and deviation of the style's, and are decoded."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from fsbench.interfaces import Context, Source, Swapped, Targets
from fsbench.registry import refiners
from fsbench.weights import find_all, own
from reference_models.style.restyle import Colours, Share, Side, restyle
from reference_models.style.statistics import adain
from reference_models.style.vgg import MULTIPLE, VggDecoder, VggEncoder, read_decoder, read_encoder


@refiners.register("adain")
class AdaIn:
    """Gives an output the style of its target: means and deviations of VGG19's relu4_1 (AdaIN).

    `alpha` is the share of the style in the feature map: 1 is all of it, 0 decodes the output's own. `colours` are
    those of the style, or those of the content, which is the output. A face is shown to the network with `size` pixels
    a side, or with its own where they are more: the decoder cannot draw what is small, and below 192 pixels eyes and
    mouths suffer. The authors took 512, four times the work. `adain@PATH` reads another decoder of this form.

    What the alpha of the output leaves out stays as it is; without an alpha the square around the face is restyled.
    Source: Huang and Belongie 2017, arXiv:1703.06868.
    """

    transfer = staticmethod(adain)

    def __init__(self, *, alpha: Share = 1.0, colours: Colours = "style", size: Side = 256, context: Context) -> None:
        self.alpha, self.colours, self.size, self.device = alpha, colours, size, context.device
        names = ["vgg19_normalised"] if context.path else ["vgg19_normalised", "adain_decoder"]
        self.weights_files = find_all(names, context.store.root / "weights")
        if context.path:
            self.weights_files += (own(Path(context.path), "adain_decoder"),)
            _ = self._networks  # a file without a known hash fails before the work starts

    @cached_property
    def _networks(self) -> tuple[VggEncoder, VggDecoder]:
        encoder, decoder = self.weights_files
        return read_encoder(encoder.path, "relu4_1", self.device), read_decoder(decoder.path, self.device)

    @torch.inference_mode()
    def refine(self, output: Swapped, targets: Targets, source: Source) -> Swapped:
        """Return the outputs in the style of their targets, with their alpha."""
        return restyle(self.stylise, output, targets, self.size, MULTIPLE, self.colours, self.device)

    def stylise(self, content: Tensor, style: Tensor) -> Tensor:
        """(1, 3, H, W) content and style in [0, 1] -> (1, 3, H, W), not clipped; sides are multiples of 8."""
        encoder, decoder = self._networks
        (maps,), (style_maps,) = encoder(content), encoder(style)  # (1, 512, H / 8, W / 8)
        image: Tensor = decoder(self.alpha * self.transfer(maps, style_maps) + (1 - self.alpha) * maps)
        return image
