"""One training step of cyclegan."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import torch
from torch import Generator, Tensor, nn

from reference_models.augment import Augmentation, draw_grids
from reference_models.crops import sample
from reference_models.cyclegan.networks import Architecture, ImagePool, PatchDiscriminator, ResnetGenerator, initialise

CYCLE, IDENTITY = 10.0, 5.0
ALPHA = 5.0  # masked form: alpha shall be the face mask
AUGMENTATION = Augmentation(rotation=0, zoom=0.06, shift=0.06, warp=0, spread=0, recolour=0)  # flip and random crop


class CycleGanLearner:
    """A Learner: generator i makes identity i out of the other, critic i judges it."""

    def __init__(
        self, shape: Architecture, mask: bool, crops: Sequence[Tensor], seed: int, half_precision: bool
    ) -> None:
        """`crops`: for each of two identities (N, 4, S, S) uint8 on the device: red, green, blue, face mask."""
        self.shape, self.mask, self.crops, self.half_precision = shape, mask, crops, half_precision
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
        with torch.autocast(real[0].device.type, torch.bfloat16, enabled=self.half_precision):
            fakes, losses = self._generator_losses(real, faces)
        self._update("generators", torch.stack(list(losses.values())).sum())
        self.critics.requires_grad_(True)
        with torch.autocast(real[0].device.type, torch.bfloat16, enabled=self.half_precision):
            losses["critic"] = self._critic_loss(real, fakes, generator)
        self._update("critics", losses["critic"])
        return {name: loss.detach() for name, loss in losses.items()}

    def _draw(self, crops: Tensor, generator: Generator) -> Tensor:
        n, device = self.shape.batch, crops.device
        chosen = torch.randint(len(crops), (n,), generator=generator, device=device)
        grid, _ = draw_grids(n, self.shape.resolution, AUGMENTATION, generator, device)
        return sample(crops[chosen].float() / 255, grid)

    def _update(self, name: str, loss: Tensor) -> None:
        self.optimisers[name].zero_grad(set_to_none=True)
        loss.backward()
        self.optimisers[name].step()

    def _generator_losses(
        self, real: Sequence[Tensor], faces: Sequence[Tensor]
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Return the fakes, fake i showing identity i, and the weighted losses of both directions."""
        total: dict[str, Tensor] = {}
        answers = [self.generators[i](real[1 - i]) for i in (0, 1)]
        fakes = [answer.over(real[1 - i]) for i, answer in enumerate(answers)]
        for i in (0, 1):
            back = self.generators[1 - i](fakes[i]).over(fakes[i])
            same = self.generators[i](real[i]).image  # not composed: alpha = 0 would be a perfect answer
            parts = {
                "fool": (self.critics[i](fakes[i]) - 1).square().mean(),
                "cycle": CYCLE * (back - real[1 - i]).abs().mean(),
                "identity": IDENTITY * (same - real[i]).abs().mean(),
            }
            if self.mask:
                parts["mask"] = ALPHA * (answers[i].alpha - faces[1 - i]).abs().mean()
            for name, part in parts.items():
                total[name] = total.get(name, torch.zeros_like(part)) + part
        return fakes, total

    def _critic_loss(self, real: Sequence[Tensor], fakes: Sequence[Tensor], generator: Generator) -> Tensor:
        total = []
        for critic, pool, yes, no in zip(self.critics, self.pools, real, fakes, strict=True):
            earlier = pool.exchange(no.detach(), generator)
            total.append(((critic(yes) - 1).square().mean() + critic(earlier).square().mean()) / 2)
        return torch.stack(total).sum()
