"""One training step of gan_mask."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from fsbench.training import side_by_side
from reference_models.augment import AugmentedBatch, TrainingImages, draw_batch
from reference_models.gan_mask import losses
from reference_models.gan_mask.networks import (
    Discriminator,
    DomainClassifier,
    MaskedImage,
    Swapnet,
    SwapnetShape,
    initialise,
)
from reference_models.gan_mask.perceptual import PerceptualLoss
from reference_models.gan_mask.recipe import Recipe, Stage, stage_at

Measure = Callable[[Sequence[int], Sequence[AugmentedBatch], Stage, Tensor], dict[str, Tensor]]
"""Losses of some identities: their numbers and batches, the stage, and how much of real images critics see mixed."""


class GanMaskLearner:
    """A Learner: trains the generator, and a critic per identity where the recipe has an adversarial loss."""

    def __init__(
        self,
        shape: SwapnetShape,
        recipe: Recipe,
        images: Sequence[TrainingImages],
        perceptual: PerceptualLoss | None,
        seed: int,
        n_threads: int = 1,
    ) -> None:
        """`images`: what each decoder is trained on; `n_threads`: how many may each compute a group of identities.

        What comes out does not depend on their number, where torch computes with one thread (`one_thread`).
        """
        self.shape = shape
        self.recipe = recipe
        self.images = images
        self.perceptual = perceptual
        self.colours = torch.cat([each.colours for each in images])
        self.n_threads = n_threads
        self.groups = self._groups()
        self.adversarial = recipe.adversarial != "none"
        self.generator = Swapnet(shape, len(images))
        self.critics = nn.ModuleList(Discriminator(shape) for _ in images if self.adversarial)
        self.domains = DomainClassifier(shape) if recipe.many_to_one else None
        self.networks = nn.ModuleDict({"generator": self.generator, "critics": self.critics})
        if self.domains is not None:
            self.networks["domains"] = self.domains
        initialise(self.networks, Generator().manual_seed(seed))
        self.networks.to(images[0].crops.device)
        self.optimisers = {"generator": self._optimiser(self.generator, recipe.rate)}
        if self.adversarial:
            self.optimisers["critics"] = self._optimiser(self.critics, recipe.critic_rate)
        if self.domains is not None:
            self.optimisers["domains"] = self._optimiser(self.domains, recipe.critic_rate)

    def _groups(self) -> list[Sequence[int]]:
        """Two groups of identities, of which each can be computed without the other; else one of all.

        One is better on a GPU, and for large networks, of which one layer keeps all cores busy.
        """
        everybody = range(len(self.images))
        together = self.shape.norm == "batch" or self.recipe.many_to_one or self.perceptual is not None
        small = self.shape.size == "tiny" and self.images[0].crops.device.type == "cpu"
        if together or not small or len(everybody) < 2:
            return [everybody]
        return [everybody[: len(everybody) // 2], everybody[len(everybody) // 2 :]]

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
        return stage_at(fraction, self.recipe.schedule)

    def step(self, fraction: float, generator: Generator) -> Mapping[str, Tensor]:
        stage = self.stage(fraction)
        for name, optimiser in self.optimisers.items():
            rate = self.recipe.rate if name == "generator" else self.recipe.critic_rate
            for group in optimiser.param_groups:
                group["lr"] = rate * stage.rate
        shown = {}
        if self.adversarial:
            shown = self._update(self._critic_losses, stage, generator, "critics")
        with_domains = ["domains"] if self.domains is not None else []
        return self._update(self._generator_losses, stage, generator, "generator", *with_domains) | shown

    def settle(self, generator: Generator, n_steps: int = 32) -> None:
        """Measure what batch normalisation keeps again, with the averaged weights (Izmailov et al. 2018, SWA)."""
        norms = [layer for layer in self.generator.modules() if isinstance(layer, nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all batches that follow
        everybody = range(len(self.images))
        with torch.no_grad():
            for _ in range(n_steps if norms else 0):
                batches = self._draw(everybody, self._generators(generator))
                self._answers(everybody, self._codes(batches), self.stage(1.0))

    def _update(self, measure: Measure, stage: Stage, generator: Generator, *names: str) -> dict[str, Tensor]:
        """Update networks once; returns the losses of all identities.

        Groups of identities share weights and nothing else, so that they can be computed side by side. A weight of two
        groups is given the sum of two gradients, which is the same in either order.
        """
        for name in names:
            self.optimisers[name].zero_grad(set_to_none=True)
        generators = self._generators(generator)
        share = losses.draw_mixup(generator, self.colours.device, self.recipe.mixup)

        def compute(group: Sequence[int]) -> dict[str, Tensor]:
            parts = measure(group, self._draw(group, generators), stage, share)
            torch.stack(list(parts.values())).sum().backward()
            return {name: part.detach() for name, part in parts.items()}

        found = side_by_side(compute, self.groups, self.n_threads)
        for name in names:
            self.optimisers[name].step()
        return {name: torch.stack([parts[name] for parts in found]).sum() for name in found[0]}

    def _generators(self, generator: Generator) -> list[Generator]:
        """A source of randomness for each identity; on a GPU it is the same: to read seeds would be to wait for it."""
        if generator.device.type != "cpu":
            return [generator for _ in self.images]
        seeds = torch.randint(2**62, (len(self.images),), generator=generator).tolist()
        return [Generator().manual_seed(seed) for seed in seeds]

    def _draw(self, identities: Sequence[int], generators: Sequence[Generator]) -> list[AugmentedBatch]:
        recipe, size = self.recipe, self.shape.resolution
        return [
            draw_batch(self.images[k], self.colours, recipe.batch, size, recipe.augmentation, generators[k])
            for k in identities
        ]

    def _codes(self, batches: Sequence[AugmentedBatch]) -> tuple[Tensor, ...]:
        """Return what the encoder, which sees all warped images in one go, makes of those of each identity."""
        warped, maps = (
            torch.cat([batch.warped for batch in batches]),
            [batch.landmarks for batch in batches if batch.landmarks is not None],
        )
        with self._autocast(warped):
            return self.generator.encode(warped, torch.cat(maps) if maps else None).chunk(len(batches))

    def _answers(self, identities: Sequence[int], codes: Sequence[Tensor], stage: Stage) -> list[MaskedImage]:
        """Return what each identity's own decoder makes of its own codes."""
        decoders = list(self.generator.decoders)
        if stage.exchanged:
            decoders.reverse()
        with self._autocast(codes[0]):
            answers = [decoders[k](code) for k, code in zip(identities, codes, strict=True)]
        return [
            MaskedImage(image.float(), alpha.float(), tuple(part.float() for part in smaller))
            for image, alpha, smaller in answers
        ]

    def _autocast(self, like: Tensor) -> torch.autocast:
        half = self.recipe.half_precision
        return torch.autocast(like.device.type, torch.bfloat16, enabled=half, cache_enabled=len(self.groups) == 1)

    def _critic_losses(
        self, identities: Sequence[int], batches: Sequence[AugmentedBatch], stage: Stage, share: Tensor
    ) -> dict[str, Tensor]:
        recipe = self.recipe
        with torch.no_grad():
            answers = self._answers(identities, self._codes(batches), stage)
        total = [
            losses.critic_loss(
                recipe.adversarial, self.critics[k], batch.real, fake, batch.warped, share if recipe.mixup else None
            )
            for k, batch, answer in zip(identities, batches, answers, strict=True)
            for fake in (masked(answer, batch.warped), answer.image)
        ]
        return {"critic": recipe.adversarial_weight * torch.stack(total).sum()}

    def _generator_losses(
        self, identities: Sequence[int], batches: Sequence[AugmentedBatch], stage: Stage, share: Tensor
    ) -> dict[str, Tensor]:
        codes = self._codes(batches)
        answers = self._answers(identities, codes, stage)
        total: dict[str, Tensor] = {}
        for k, batch, answer in zip(identities, batches, answers, strict=True):
            for name, part in self._direction(k, batch, answer, stage, share).items():
                total[name] = total.get(name, torch.zeros_like(part)) + part
        if self.domains is not None:
            total["domain"] = self.recipe.domain_weight * losses.domain_confusion(self.domains, *codes)
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
        if weigh.texture:
            parts["texture"] = weigh.texture * losses.texture_difference(image, batch.real, batch.face)
        if self.shape.mask:
            parts["mask"] = self._mask_loss(alpha, batch.face, stage.least_alpha)
        for smaller in answer.smaller:
            real = F.adaptive_avg_pool2d(batch.real, smaller.shape[-1])
            parts["pixels"] = parts["pixels"] + weigh.reconstruction * losses.difference(smaller, real)
        if self.adversarial:
            fool = partial(losses.fool_loss, weigh.adversarial, self.critics[identity], batch.real)
            fooled = fool(masked(answer, batch.warped), batch.warped) + fool(image, batch.warped)
            parts["fool"] = weigh.adversarial_weight * fooled
        if self.perceptual is not None and stage.perceptual:
            fake = share * image + (1 - share) * masked(answer, batch.warped)
            parts["perceptual"] = self.perceptual(fake, batch.real)
        return parts

    def _mask_loss(self, alpha: Tensor, face: Tensor, least: float | None) -> Tensor:
        """Weighted losses of alpha masks."""
        weigh = self.recipe
        loss = weigh.alpha * alpha.mean() if least is None else weigh.hinge * losses.below(alpha, least)
        loss = loss + weigh.variation * losses.total_variation(alpha)
        if weigh.face_alpha:
            loss = loss + weigh.face_alpha * (alpha - face).abs().mean()
        return loss


def masked(answer: MaskedImage, image: Tensor) -> Tensor:
    """Compose an answer with the image that it was made from."""
    return answer.alpha * answer.image + (1 - answer.alpha) * image
