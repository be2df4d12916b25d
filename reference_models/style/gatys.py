"""Gatys: the pixels of an image are optimised until its feature maps have the Gram matrices of the style's."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from fsbench.errors import PluginError
from fsbench.interfaces import Context, Source, Swapped, Targets
from fsbench.registry import refiners
from fsbench.weights import find_all
from reference_models.style.restyle import Colours, Share, Side, restyle
from reference_models.style.statistics import gram
from reference_models.style.vgg import VggEncoder, read_encoder

CONTENT_LAYER = "relu4_2"
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")

Steps = Annotated[int, Field(ge=1, le=10_000)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@refiners.register("gatys")
class Gatys:
    """Gives an output the style of its target: its pixels are optimised for the target's Gram matrices in VGG19.

    The loss is (1 - `alpha`) content + `alpha` style + `variation` total variation, see `objective`: `alpha` is the
    share of the style, 0 changes nothing, and near 1 the texture of the target is drawn over the face. The optimiser is
    L-BFGS with `steps` steps, which begins with the output. `colours` are those of the style, or those of the content,
    which is the output. A face is shown to the network with `size` pixels a side, or with its own where they are more.

    It is slow: a step takes VGG19 forwards and backwards, at most 5/4 times. At 128 pixels a face takes about 8 s on
    two CPU cores, where `adain` takes less than one.

    What the alpha of the output leaves out stays as it is; without an alpha the square around the face is restyled.
    Raises PluginError where the loss leaves the finite numbers. Source: Gatys et al. 2016, "Image Style Transfer Using
    Convolutional Neural Networks", CVPR, with VGG19 as it was published, by maximum pooling.
    """

    def __init__(
        self,
        *,
        alpha: Share = 0.5,
        colours: Colours = "style",
        size: Side = 128,
        steps: Steps = 10,
        variation: Weight = 0.0,
        context: Context,
    ) -> None:
        self.alpha, self.colours, self.size, self.device = alpha, colours, size, context.device
        self.steps, self.variation = steps, variation
        self.weights_files = find_all(["vgg19_normalised"], context.store.root / "weights")

    @cached_property
    def _encoder(self) -> VggEncoder:
        return read_encoder(self.weights_files[0].path, STYLE_LAYERS[-1], self.device).requires_grad_(False)

    def refine(self, output: Swapped, targets: Targets, source: Source) -> Swapped:
        """Return the outputs in the style of their targets, with their alpha."""
        return restyle(self.stylise, output, targets, self.size, 1, self.colours, self.device)

    @torch.inference_mode(False)
    @torch.enable_grad()
    def stylise(self, content: Tensor, style: Tensor) -> Tensor:
        """(1, 3, H, W) content and style in [0, 1] -> (1, 3, H, W), not clipped; the same for the same input."""
        content, style = (  # tensors of inference mode have no gradients, and L-BFGS wants its own contiguous
            images.clone(memory_format=torch.contiguous_format) for images in (content, style)
        )
        objective = self.objective(content, style)
        image = content.clone().requires_grad_()
        optimiser = torch.optim.LBFGS(
            [image], max_iter=self.steps, tolerance_grad=0, tolerance_change=0, line_search_fn="strong_wolfe"
        )

        def loss_and_gradient() -> Tensor:
            optimiser.zero_grad()
            loss = objective(image)
            loss.backward()
            return loss

        with torch.backends.cudnn.flags(enabled=True, deterministic=True):
            loss_before = optimiser.step(loss_and_gradient)
        if not bool(loss_before.isfinite() & image.isfinite().all()):
            raise PluginError("gatys: the loss is not finite", "try a smaller variation, or a smaller alpha")
        return image.detach()

    def objective(self, content: Tensor, style: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the loss of an image (1, 3, H, W) as a function; content and style are as in `stylise`.

        The content's part is the mean squared difference of the maps of relu4_2. The style's part is a quarter of the
        mean squared difference of the Gram matrices, averaged over relu1_1, 2_1, 3_1, 4_1 and 5_1.
        """
        with torch.no_grad():
            (content_maps,) = self._encoder(content, [CONTENT_LAYER])
            style_grams = [gram(maps) for maps in self._encoder(style, STYLE_LAYERS)]

        def loss(image: Tensor) -> Tensor:
            maps, *style_maps = self._encoder(image, [CONTENT_LAYER, *STYLE_LAYERS])
            of_content = (maps - content_maps).square().mean()
            distances = [
                (gram(maps) - wanted).square().mean() for maps, wanted in zip(style_maps, style_grams, strict=True)
            ]
            of_style = torch.stack(distances).mean() / 4
            return (1 - self.alpha) * of_content + self.alpha * of_style + self.variation * total_variation(image)

        return loss


def total_variation(images: Tensor) -> Tensor:
    """(N, 3, H, W) -> mean of the squared length of the gradient in pixels, to the power 1.25.

    Source of the power: github.com/titu1994/Neural-Style-Transfer.
    """
    here = images[..., :-1, :-1]
    squared = (images[..., 1:, :-1] - here).square() + (images[..., :-1, 1:] - here).square()
    return squared.pow(1.25).mean()
