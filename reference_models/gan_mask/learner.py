"""One training step of gan_mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn

from reference_models.augment import AugmentedBatch, colour_statistics, draw_batch
from reference_models.gan_mask import losses
from reference_models.gan_mask.networks import RESOLUTION, Discriminator, MaskedImage, Norm, Size, Swapnet, initialise
from reference_models.gan_mask.recipe import Recipe, Stage, cosine_rate, stage_at


class GanMaskLearner:
    """A Learner: trains the generator, and a critic per identity where the recipe has an adversarial loss."""

    def __init__(
        self,
        size: Size,
        norm: Norm,
        recipe: Recipe,
        crops: Sequence[Tensor],
        features: losses.Features | None,
        seed: int,
    ) -> None:
        """`crops`: for each identity (N, 5, S, S) uint8 on the device: red, green, blue, face mask, eye mask."""
        self.recipe = recipe
        self.crops = crops
        self.features = features
        self.colours = [torch.cat([colour_statistics(part[:, :3] / 255) for part in of.split(64)]) for of in crops]
        self.all_colours = torch.cat(self.colours)
        self.generator = Swapnet(size, norm, len(crops))
        self.critics = nn.ModuleList(Discriminator(norm) for _ in crops if recipe.adversarial)
        self.networks = nn.ModuleDict({"generator": self.generator, "critics": self.critics})
        initialise(self.networks, Generator().manual_seed(seed))
        self.networks.to(crops[0].device)
        self.optimisers = {"generator": self._optimiser(self.generator, recipe.rate)}
        if recipe.adversarial:
            self.optimisers["critics"] = self._optimiser(self.critics, recipe.critic_rate)

    def _optimiser(self, networks: nn.Module, rate: float) -> torch.optim.Adam:
        kernels = {layer.weight for layer in networks.modules() if isinstance(layer, nn.Conv2d)}
        decayed = [weight for weight in networks.parameters() if weight in kernels]
        others = [weight for weight in networks.parameters() if weight not in kernels]
        groups: list[dict[str, Any]] = [
            {"params": decayed, "weight_decay": self.recipe.weight_decay},
            {"params": others},
        ]
        return torch.optim.Adam(groups, lr=rate, betas=self.recipe.betas, fused=True)

    def stage(self, fraction: float) -> Stage:
        """Return what the schedule says now."""
        if self.recipe.published_stages:
            return stage_at(fraction)
        return Stage(0.0, perceptual=self.features is not None, least_alpha=None, rate=cosine_rate(fraction))

    def step(self, fraction: float, generator: Generator) -> Mapping[str, Tensor]:
        stage = self.stage(fraction)
        for name, rate in (("generator", self.recipe.rate), ("critics", self.recipe.critic_rate)):
            for group in self.optimisers[name].param_groups if name in self.optimisers else ():
                group["lr"] = rate * stage.rate
        shown = {}
        if self.recipe.adversarial:
            shown["critic"] = self._update("critics", self._critic_loss(stage, generator))
        parts = self._generator_losses(stage, generator)
        self._update("generator", torch.stack(list(parts.values())).sum())
        return {**{name: part.detach() for name, part in parts.items()}, **shown}

    def _update(self, name: str, loss: Tensor) -> Tensor:
        self.optimisers[name].zero_grad(set_to_none=True)
        loss.backward()
        self.optimisers[name].step()
        return loss.detach()

    def _draw(self, identity: int, generator: Generator) -> AugmentedBatch:
        recipe = self.recipe
        return draw_batch(
            self.crops[identity],
            self.colours[identity],
            self.all_colours,
            recipe.batch,
            RESOLUTION,
            recipe.augmentation,
            generator,
        )

    def _answers(self, batches: Sequence[AugmentedBatch], stage: Stage) -> list[MaskedImage]:
        """Each identity's own decoder on its own warped images; the encoder sees all in one go."""
        decoders = list(self.generator.decoders)
        if stage.exchanged:
            decoders.reverse()
        device = batches[0].warped.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.recipe.half_precision):
            codes = self.generator.encoder(torch.cat([batch.warped for batch in batches]) * 2 - 1).chunk(len(batches))
            found = [decoder(code) for decoder, code in zip(decoders, codes, strict=True)]
        return [MaskedImage(answer.image.float(), answer.alpha.float()) for answer in found]

    def _critic_loss(self, stage: Stage, generator: Generator) -> Tensor:
        batches = [self._draw(identity, generator) for identity in range(len(self.crops))]
        share = losses.draw_mixup(generator, batches[0].real.device)
        with torch.no_grad():
            answers = self._answers(batches, stage)
        total = [
            losses.mixup_critic(critic, batch.real, fake, batch.warped, share)
            for critic, batch, answer in zip(self.critics, batches, answers, strict=True)
            for fake in (masked(answer, batch.warped), answer.image)
        ]
        return self.recipe.adversarial * torch.stack(total).sum()

    def _generator_losses(self, stage: Stage, generator: Generator) -> dict[str, Tensor]:
        batches = [self._draw(identity, generator) for identity in range(len(self.crops))]
        answers = self._answers(batches, stage)
        share = losses.draw_mixup(generator, batches[0].real.device)
        total: dict[str, Tensor] = {}
        for identity, (batch, answer) in enumerate(zip(batches, answers, strict=True)):
            for name, part in self._direction(identity, batch, answer, stage, share).items():
                total[name] = total.get(name, torch.zeros_like(part)) + part
        return total

    def _direction(
        self, identity: int, batch: AugmentedBatch, answer: MaskedImage, stage: Stage, share: Tensor
    ) -> dict[str, Tensor]:
        """Weighted losses of one identity."""
        weigh, image, alpha = self.recipe, answer.image, answer.alpha
        parts = {
            "pixels": weigh.reconstruction * losses.difference(image, batch.real),
            "edges": weigh.edges * losses.edge_difference(image, batch.real),
        }
        if weigh.face:
            parts["pixels"] = parts["pixels"] + weigh.face * losses.difference(image, batch.real, batch.face)
        if weigh.eyes:
            parts["pixels"] = parts["pixels"] + weigh.eyes * losses.difference(image, batch.real, batch.eyes)
            parts["edges"] = parts["edges"] + weigh.eyes * losses.edge_difference(image, batch.real, batch.eyes)
        least = stage.least_alpha
        parts["mask"] = weigh.alpha * alpha.mean() if least is None else weigh.hinge * losses.below(alpha, least)
        parts["mask"] = parts["mask"] + weigh.variation * losses.total_variation(alpha)
        if weigh.face_alpha:
            parts["mask"] = parts["mask"] + weigh.face_alpha * (alpha - batch.face).abs().mean()
        if weigh.adversarial:
            critic = self.critics[identity]
            parts["fool"] = weigh.adversarial * (
                losses.fool(critic, masked(answer, batch.warped), batch.warped)
                + losses.fool(critic, image, batch.warped)
            )
        if self.features is not None and stage.perceptual:
            fake = share * image + (1 - share) * masked(answer, batch.warped)
            parts["perceptual"] = losses.perceptual(self.features, fake, batch.real)
        return parts


def masked(answer: MaskedImage, image: Tensor) -> Tensor:
    """Compose an answer with the image that it was made from."""
    return answer.alpha * answer.image + (1 - answer.alpha) * image
