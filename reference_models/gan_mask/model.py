"""gan_mask as a plug-in: parameters, training, saving, swapping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from torch import Generator, Tensor

from fsbench import __version__
from fsbench.errors import CheckpointError, UsageError
from fsbench.interfaces import Budget, Context, Faces, Progress, Source, Swapped, Targets, Training
from fsbench.registry import swappers
from fsbench.training import fast_bfloat16, load_model, one_thread, save_model, train
from reference_models.crops import PORTION, cut, in_portions, match_colour, oval, paste
from reference_models.gan_mask.data import OTHERS, domains, training_images
from reference_models.gan_mask.learner import GanMaskLearner
from reference_models.gan_mask.losses import Adversarial
from reference_models.gan_mask.networks import Bottleneck, MaskedImage, Norm, Size, Swapnet, SwapnetShape
from reference_models.gan_mask.perceptual import AUTO, Layers, PerceptualLoss, find_perceptual
from reference_models.gan_mask.recipe import Sampling, Version, configure

ARCHITECTURE = "gan_mask"


@swappers.register("gan_mask")
@dataclass(kw_only=True, eq=False)
class GanMask:
    """faceswap-GAN v2.2: a shared encoder, a decoder with alpha mask per identity; and the experiments of its notes.

    auto is what was published, for `size` tiny without norm, adversarial and perceptual loss.

    `size`: standard is the published network, tiny one that two CPU cores train in minutes; auto is standard on a GPU.
    `resolution`: 64, 128 or 256 pixels of the face. `version`: v2 has neither norm nor attention; v1 has no mask
    either, and cross-entropy as its adversarial loss. Blocks, perceptual loss and what critics see are v2.2's in all.
    `norm`: as faceswap-GAN names them. Its instance is over channels and pixels of a sample, elsewhere called layer
    norm; its layer is over the pixels of each channel, elsewhere called instance norm. `bottleneck`: conv strides down
    to one pixel, dense is one layer. `mask`: with false decoders answer no alpha, and their images are pasted as an
    oval. `attention`: with false there is none. `batch`: images of each identity in a step. `adversarial`: loss of the
    critics. `mixup`: they see mixtures of real and fake, whose share is drawn from Beta(mixup, mixup); 0 is without;
    one that is asked for brings lsgan. `perceptual`: recogniser of the perceptual loss, any embedder that shows its
    features; auto is VGGFace2-ResNet50 where its weights are present, off is without. `perceptual_weights`: published,
    uniform (1), log (1, 0.1, 0.01, ...), or a number for all layers. `perceptual_layers`: after or before their
    activation. `sampling`: session draws every session equally often, however many images it has. `landmarks`: in
    training the encoder is shown a map of the five landmarks, three times in ten a blank one; afterwards always a blank
    one. `many_to_one`: towards the first identity alone, with one decoder for all others, and a domain-adversarial loss
    that makes their codes alike. `part_swaps`: probability that mouth, nose or eyes of a training image are those of
    its look-alike among the others. `colour`: adain moves mean and deviation of the answer's colours to the target's.

    Source: shaoanlu/faceswap-GAN v2.2.
    """

    size: Literal["auto", Size] = "auto"
    version: Literal["auto", Version] = "auto"
    norm: Literal["auto", Norm] = "auto"
    bottleneck: Literal["auto", Bottleneck] = "auto"
    resolution: int | Literal["auto"] = "auto"
    batch: int | Literal["auto"] = "auto"
    adversarial: Literal["auto", Adversarial] = "auto"
    mixup: float | Literal["auto"] = "auto"
    perceptual: str = "auto"
    perceptual_weights: float | Literal["auto", "published", "uniform", "log"] = "auto"
    perceptual_layers: Literal["auto", Layers] = "auto"
    sampling: Literal["auto", Sampling] = "auto"
    landmarks: bool = False
    mask: Literal["auto"] | bool = "auto"
    attention: Literal["auto"] | bool = "auto"
    many_to_one: bool = False
    part_swaps: float = 0.0
    colour: Literal["none", "adain"] = "adain"
    context: Context

    def __post_init__(self) -> None:
        """Raises BadParameter for options that do not go together."""
        options = {name: getattr(self, name) for name in OPTIONS}
        self.asked = {name: options[name] for name in SHAPE} | {"landmarks": self.landmarks or "auto"}
        if self.size == "auto":
            options["size"] = "standard" if self.context.device.type == "cuda" else "tiny"
        self.shape, self.recipe = configure(options)
        self.identities: list[str] = []  # in the order of the decoders
        self.network: Swapnet | None = None

    @property
    def budgets(self) -> Mapping[str, int]:
        """Steps of the named budgets; short is about 150 s, measured on CPUs and guessed for GPUs."""
        longer: int = 4**self.shape.n_doublings
        if self.shape.size == "tiny":
            return {"smoke": 8, "short": 4500 // longer, "full": 12_000}
        on_cpu = {"standard": 30, "lite": 60}[self.shape.size]
        short = 3000 if self.context.device.type == "cuda" else on_cpu
        return {"smoke": 2, "short": max(2, short // longer), "full": 40_000}

    # ------------------------------------------------------------------------------------------------------ training

    def fit(self, data: Faces, budget: Budget, progress: Progress, checkpoint: Path) -> Training:
        """Train a decoder for every identity of `data`; raises UsageError where there is only one."""
        if len(data.identities) < 2:
            raise UsageError("gan_mask needs at least two identities", "add images of a second person")
        perceptual, without = self._perceptual
        notes = (f"perceptual loss off: {without}",) if without else ()
        for note in notes:
            self.context.log(note)
        device, shape, recipe = self.context.device, self.shape, self.recipe
        recipe = replace(recipe, half_precision=recipe.half_precision and fast_bfloat16(device))
        groups = domains(data, recipe.many_to_one)
        images = training_images(list(groups.values()), shape, recipe, device, budget.seed)
        learner = GanMaskLearner(shape, recipe, images, perceptual, budget.seed, torch.get_num_threads())
        settings = {
            "architecture": ARCHITECTURE,
            **asdict(shape),
            "device": device.type,
            "perceptual": perceptual.info.family if perceptual else "off",
            **asdict(recipe),
        }
        inputs = {
            "identities": data.identities,
            "crops": data.crops.content_hash(),
            "masks": data.masks.content_hash() if data.masks is not None else "oval from landmarks",
        }
        with one_thread(shape.size == "tiny" and device.type == "cpu"):
            done = train(
                learner,
                budget,
                recipe={**settings, **inputs},
                device=device,
                progress=progress,
                checkpoint=checkpoint,
                decay=recipe.decay,
            )
            learner.settle(Generator(device).manual_seed(budget.seed))
        self.network = learner.generator.eval()
        exchanged = learner.stage(1.0).exchanged  # the decoders ended with the other's face
        self.identities = list(groups)[::-1] if exchanged else list(groups)
        n_parameters = sum(weight.numel() for weight in self.network.parameters())
        return Training(
            done.steps,
            done.seconds,
            {**settings, "n_parameters": n_parameters, "colour": self.colour},
            (perceptual.info.family,) if perceptual else (),
            notes,
        )

    @property
    def inputs(self) -> dict[str, str]:
        """Hashes of the files of the perceptual loss's recogniser."""
        perceptual, _ = self._perceptual
        return {file.name: file.sha256 for file in perceptual.info.weights} if perceptual else {}

    @cached_property
    def _perceptual(self) -> tuple[PerceptualLoss | None, str]:
        """Return the perceptual loss, or why there is none."""
        name, recipe = self.perceptual, self.recipe
        if name == "auto" and (self.perceptual_weights, self.perceptual_layers) != ("auto", "auto"):
            name = AUTO  # what is asked about the loss asks for the loss
        elif name == "auto" and self.shape.size == "tiny":
            return None, "size tiny does without it"
        return find_perceptual(name, recipe.perceptual_layers, recipe.perceptual_weights, self.context)

    # --------------------------------------------------------------------------------------------------- model files

    def save(self, path: Path) -> None:
        """Write the generator, its shape where that is not the published one, and identities."""
        shape = {name: value for name, value in asdict(self.shape).items() if value != getattr(SwapnetShape(), name)}
        save_model(
            path,
            self._trained().state_dict(),
            {
                "architecture": ARCHITECTURE,
                "size": self.shape.size,
                "norm": self.shape.norm,
                **shape,
                "identities": self.identities,
                "fsbench": __version__,
            },
        )

    def load(self, path: Path) -> None:
        """Take the shape from the file; raises CheckpointError where a parameter contradicts it."""
        tensors, facts = load_model(path, ARCHITECTURE, self.asked, asdict(SwapnetShape()))
        try:
            shape = SwapnetShape(**{name: facts[name] for name in SHAPE})
            network = Swapnet(shape, len(facts["identities"]))
            network.load_state_dict(tensors)
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{path} is damaged: its tensors do not fit its description", "train again, or name another file"
            ) from error
        self.network = network.to(self.context.device).eval()
        self.shape, self.identities = shape, facts["identities"]

    def _trained(self) -> Swapnet:
        if self.network is None:
            raise UsageError("gan_mask is not trained yet", "fit it, or load a file: gan_mask@PATH")
        return self.network

    # ------------------------------------------------------------------------------------------------------ swapping

    def swap(self, source: Source, targets: Targets) -> Swapped:
        """MaskedImage with the source's decoder, and its alpha mask as it was pasted.

        Raises UsageError for an identity that it was not trained on.
        """
        network, decoder = self._trained(), self._decoder(source)

        def portion(target: Tensor) -> Swapped:
            region = cut(target, self.shape.resolution)
            return self._pasted(network(region, decoder), region, target)

        with self._inference():
            return in_portions(portion, targets.images, self.context.device)

    def encode(self, targets: Targets) -> Tensor:
        """Return what the encoder makes of targets, (N, 512, 256 or 128, s, s)."""
        network = self._trained()
        with self._inference():
            parts = [cut(part, self.shape.resolution) for part in targets.images.to(self.context.device).split(PORTION)]
            return torch.cat([network.encode(region) for region in parts])

    def decode(self, codes: Tensor, source: Source, targets: Targets) -> Swapped:
        """As `swap`, with these codes in place of the targets' own."""
        decode = self._trained().decoders[self._decoder(source)]
        remaining = iter(codes.to(self.context.device).split(PORTION))

        def portion(target: Tensor) -> Swapped:
            return self._pasted(decode(next(remaining)), cut(target, self.shape.resolution), target)

        with self._inference():
            return in_portions(portion, targets.images, self.context.device)

    def _decoder(self, source: Source) -> int:
        known = [name for name in self.identities if name != OTHERS]
        if source.identity not in known:
            raise UsageError(f"gan_mask was not trained on {source.identity!r}", f"it knows {', '.join(known)}")
        return self.identities.index(source.identity)

    @contextmanager
    def _inference(self) -> Iterator[None]:
        with torch.inference_mode(), one_thread(self.shape.size == "tiny"):  # a second thread is not worth waiting for
            yield

    def _pasted(self, answer: MaskedImage, region: Tensor, target: Tensor) -> Swapped:
        image, alpha, _ = answer
        if not self.shape.mask:  # the whole region would end in a visible square
            alpha = oval(len(target), self.shape.resolution, target.device)
        if self.colour == "adain":
            image = match_colour(image, region, alpha)
        return paste(image, alpha, target)


OPTIONS = tuple(field.name for field in fields(GanMask) if field.name != "context")
SHAPE = tuple(field.name for field in fields(SwapnetShape))
