"""One training step of cyclegan."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Generator, Tensor, nn

from fsbench.training import side_by_side
from reference_models.augment import Augmentation, draw_grids
from reference_models.crops import sample
from reference_models.cyclegan.networks import Architecture, ImagePool, PatchDiscriminator, ResnetGenerator, initialise

CYCLE, IDENTITY = 10.0, 5.0
ALPHA = 5.0  # masked form: alpha shall be the face mask
AUGMENTATION = Augmentation(rotation=0, zoom=0.06, shift=0.06, warp=0, spread=0, recolour=0)  # flip and random crop

Measure = Callable[[int], tuple[Tensor, dict[str, Tensor]]]
"""Images of one direction, and its losses."""


class CycleGanLearner:
    """A Learner: generator i makes identity i out of the other, critic i judges it."""

    def __init__(
        self,
        shape: Architecture,
        mask: bool,
        crops: Sequence[Tensor],
        seed: int,
        half_precision: bool,
        n_threads: int = 1,
    ) -> None:
        """`crops`: for each of two identities (N, 4, S, S) uint8 on the device: red, green, blue, face mask.

        `n_threads`: how many may each compute a direction; what comes out does not depend on it.
        """
        self.shape, self.mask, self.crops, self.half_precision = shape, mask, crops, half_precision
        self.n_threads = n_threads
        self.generators = nn.ModuleList(ResnetGenerator(shape.channels, shape.n_blocks, mask) for _ in crops)
        self.critics = nn.ModuleList(PatchDiscriminator(shape.critic_channels, shape.n_critic_layers) for _ in crops)
        self.pools = nn.ModuleList(ImagePool(shape.resolution) for _ in crops)
        self.networks = nn.ModuleDict({"generators": self.generators, "critics": self.critics, "pools": self.pools})
        initialise(self.networks, Generator().manual_seed(seed))
        self.networks.to(crops[0].device)
        self.optimisers = {
            name: torch.optim.Adam(networks.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True)
            for name, networks in (("generators", self.generators), ("critics", self.critics))
        }

    def step(self, fraction: float, generator: Generator) -> Mapping[str, Tensor]:
        rate = 2e-4 * min(1.0, 2 * (1 - fraction))  # constant, then linear to 0 over the second half
        for group in itertools.chain.from_iterable(o.param_groups for o in self.optimisers.values()):
            group["lr"] = rate
        drawn = [self._draw(crops, generator) for crops in self.crops]
        real, faces = [part[:, :3] * 2 - 1 for part in drawn], [part[:, 3:] for part in drawn]
        self.critics.requires_grad_(False)
        fakes, losses = self._update("generators", partial(self._generator_losses, real, faces))
        self.critics.requires_grad_(True)
        earlier = [pool.exchange(fake, generator) for pool, fake in zip(self.pools, fakes, strict=True)]
        _, critic = self._update("critics", partial(self._critic_loss, real, earlier))
        return losses | critic

    def _draw(self, crops: Tensor, generator: Generator) -> Tensor:
        n, device = self.shape.batch, crops.device
        chosen = torch.randint(len(crops), (n,), generator=generator, device=device)
        grid, _ = draw_grids(n, self.shape.resolution, AUGMENTATION, generator, device)
        return sample(crops[chosen].float() / 255, grid)

    def _update(self, name: str, measure: Measure) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Update networks once; returns the images of both directions, and their losses, added.

        Directions are computed side by side. Gradients are added in one order, as a generator has part in both.
        """
        weights = list(self.networks[name].parameters())

        def compute(i: int) -> tuple[Tensor, dict[str, Tensor], tuple[Tensor, ...]]:
            with torch.autocast(weights[0].device.type, torch.bfloat16, self.half_precision, cache_enabled=False):
                image, parts = measure(i)
            gradients = torch.autograd.grad(torch.stack(list(parts.values())).sum(), weights, materialize_grads=True)
            return image.detach(), {part: loss.detach() for part, loss in parts.items()}, gradients

        images, losses, gradients = zip(*side_by_side(compute, (0, 1), self.n_threads), strict=True)
        for weight, first, second in zip(weights, *gradients, strict=True):
            weight.grad = first + second
        self.optimisers[name].step()
        return list(images), {part: losses[0][part] + losses[1][part] for part in losses[0]}

    def _generator_losses(
        self, real: Sequence[Tensor], faces: Sequence[Tensor], i: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return a fake that shows identity i, and the weighted losses of its direction."""
        answer = self.generators[i](real[1 - i])
        fake = answer.over(real[1 - i])
        back = self.generators[1 - i](fake).over(fake)
        same = self.generators[i](real[i]).image  # not composed: alpha = 0 would be a perfect answer
        parts = {
            "fool": (self.critics[i](fake) - 1).square().mean(),
            "cycle": CYCLE * (back - real[1 - i]).abs().mean(),
            "identity": IDENTITY * (same - real[i]).abs().mean(),
        }
        if self.mask:
            parts["mask"] = ALPHA * (answer.alpha - faces[1 - i]).abs().mean()
        return fake, parts

    def _critic_loss(
        self, real: Sequence[Tensor], earlier: Sequence[Tensor], i: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the fakes that the critic of identity i is shown, and its loss."""
        critic = self.critics[i]
        loss = ((critic(real[i]) - 1).square().mean() + critic(earlier[i]).square().mean()) / 2
        return earlier[i], {"critic": loss}
