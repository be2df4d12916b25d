"""gan_mask as a plug-in: parameters, training, saving, swapping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from fsbench import __version__
from fsbench.errors import CheckpointError, UsageError, WeightsError
from fsbench.images import ImageSet
from fsbench.interfaces import Budget, Context, EmbedderInfo, Faces, Progress, Source, Swapped, Targets, Training
from fsbench.registry import embedders, swappers
from fsbench.training import fast_bfloat16, load_model, one_thread, save_model, train
from reference_models.crops import cut, eye_boxes, face_masks, in_portions, match_colour, pack, paste
from reference_models.gan_mask.learner import GanMaskLearner
from reference_models.gan_mask.networks import RESOLUTION, Norm, Size, Swapnet
from reference_models.gan_mask.recipe import RECIPES

ARCHITECTURE = "gan_mask"
AUTO_COACH = "vggface2_resnet50"


@runtime_checkable
class Coach(Protocol):
    """An embedder that shows what happens inside it, as the perceptual loss needs."""

    info: EmbedderInfo

    def features(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in [0, 1] -> four maps, those of the first layers first (`losses.FEATURE_WEIGHTS`)."""
        ...


@swappers.register("gan_mask")
class GanMask:
    """faceswap-GAN v2.2 at 64 pixels: a shared encoder, a decoder with alpha mask per identity.

    `size` standard is the published network, tiny one that two CPU cores train in minutes; auto takes standard on
    a GPU. `norm` auto is instance, and none for tiny. `perceptual` names the perceptual loss's recogniser; auto takes
    VGGFace2-ResNet50 where its weights are present, off does without. `colour` adain moves mean and deviation of the
    answer's colours to the target's. Source: shaoanlu/faceswap-GAN v2.2.
    """

    def __init__(
        self,
        *,
        size: Literal["auto", "standard", "lite", "tiny"] = "auto",
        norm: Literal["auto", "instance", "group", "layer", "hybrid", "none"] = "auto",
        perceptual: str = "auto",
        colour: Literal["none", "adain"] = "adain",
        context: Context,
    ) -> None:
        self.context = context
        self.asked = {"size": size, "norm": norm}
        self.perceptual = perceptual
        self.colour = colour
        self.size: Size = size if size != "auto" else "standard" if context.device.type == "cuda" else "tiny"
        self.norm: Norm = norm if norm != "auto" else "none" if self.size == "tiny" else "instance"
        self.identities: list[str] = []  # in the order of the decoders
        self.network: Swapnet | None = None

    @property
    def budgets(self) -> Mapping[str, int]:
        """Steps of the named budgets; short is about 150 s, measured on CPUs and guessed for GPUs."""
        if self.size == "tiny":
            return {"smoke": 8, "short": 2600, "full": 12_000}
        on_cpu = {"standard": 30, "lite": 60}[self.size]
        return {"smoke": 2, "short": 3000 if self.context.device.type == "cuda" else on_cpu, "full": 40_000}

    # ------------------------------------------------------------------------------------------------------ training

    def fit(self, data: Faces, budget: Budget, progress: Progress, checkpoint: Path) -> Training:
        """Train a decoder for every identity of `data`; raises UsageError where there is only one."""
        if len(data.identities) < 2:
            raise UsageError("gan_mask needs at least two identities", "add images of a second person")
        coach, notes = self._coach
        for note in notes:
            self.context.log(note)
        device = self.context.device
        recipe = RECIPES[self.size]
        recipe = replace(recipe, half_precision=recipe.half_precision and fast_bfloat16(device))
        packed = [pack(channels(data.of(name)), RESOLUTION, device) for name in data.identities]
        learner = GanMaskLearner(self.size, self.norm, recipe, packed, coach, budget.seed)
        settings = {
            "architecture": ARCHITECTURE,
            "size": self.size,
            "norm": self.norm,
            "resolution": RESOLUTION,
            "device": device.type,
            "perceptual": coach.info.family if coach else "off",
            **asdict(recipe),
        }
        inputs = {
            "identities": data.identities,
            "crops": data.crops.content_hash(),
            "masks": data.masks.content_hash() if data.masks is not None else "oval from landmarks",
        }
        with one_thread(self.size == "tiny" and device.type == "cpu"):
            done = train(
                learner,
                budget,
                recipe={**settings, **inputs},
                device=device,
                progress=progress,
                checkpoint=checkpoint,
                decay=recipe.decay,
            )
        self.network = learner.generator.eval()
        exchanged = learner.stage(1.0).exchanged  # the decoders ended with the other's face
        self.identities = data.identities[::-1] if exchanged else data.identities
        n_parameters = sum(weight.numel() for weight in self.network.parameters())
        return Training(
            done.steps,
            done.seconds,
            {**settings, "n_parameters": n_parameters, "colour": self.colour},
            (coach.info.family,) if coach else (),
            tuple(notes),
        )

    @property
    def inputs(self) -> dict[str, str]:
        """Hashes of the files of the perceptual loss's recogniser."""
        coach, _ = self._coach
        return {file.name: file.sha256 for file in coach.info.weights} if coach else {}

    @cached_property
    def _coach(self) -> tuple[Coach | None, list[str]]:
        """Return the recogniser of the perceptual loss, or why there is none."""
        reason = ""
        if self.perceptual == "off":
            reason = "it was switched off"
        elif self.perceptual == "auto" and self.size == "tiny":
            reason = "size tiny does without it"
        else:
            name = AUTO_COACH if self.perceptual == "auto" else self.perceptual
            try:
                coach = embedders.build(name, self.context)
            except WeightsError as error:
                if self.perceptual != "auto":
                    raise
                reason = error.message
            else:
                if isinstance(coach, Coach):
                    return coach, []
                raise UsageError(
                    f"embedder {name} does not show its inner features, which a perceptual loss needs",
                    f"use perceptual={AUTO_COACH} or perceptual=off",
                )
        return None, [f"perceptual loss off: {reason}"]

    # --------------------------------------------------------------------------------------------------- model files

    def save(self, path: Path) -> None:
        """Write the generator, its size and identities."""
        save_model(
            path,
            self._trained().state_dict(),
            {
                "architecture": ARCHITECTURE,
                "size": self.size,
                "norm": self.norm,
                "identities": self.identities,
                "fsbench": __version__,
            },
        )

    def load(self, path: Path) -> None:
        """Take size and norm from the file; raises CheckpointError where a parameter contradicts them."""
        tensors, facts = load_model(path, ARCHITECTURE, self.asked)
        try:
            network = Swapnet(facts["size"], facts["norm"], len(facts["identities"]))
            network.load_state_dict(tensors)
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{path} is damaged: its tensors do not fit its description", "train again, or name another file"
            ) from error
        self.network = network.to(self.context.device).eval()
        self.size, self.norm, self.identities = facts["size"], facts["norm"], facts["identities"]

    def _trained(self) -> Swapnet:
        if self.network is None:
            raise UsageError("gan_mask is not trained yet", "fit it, or load a file: gan_mask@PATH")
        return self.network

    # ------------------------------------------------------------------------------------------------------ swapping

    @torch.inference_mode()
    def swap(self, source: Source, targets: Targets) -> Swapped:
        """MaskedImage with the source's decoder, and its alpha mask as it was pasted.

        Raises UsageError for an identity that it was not trained on.
        """
        network = self._trained()
        if source.identity not in self.identities:
            raise UsageError(
                f"gan_mask was not trained on {source.identity!r}", f"it knows {', '.join(self.identities)}"
            )
        decoder = self.identities.index(source.identity)
        with one_thread(self.size == "tiny"):  # a second thread is not worth waiting for
            return in_portions(partial(self._swap, network, decoder), targets.images, self.context.device)

    def _swap(self, network: Swapnet, decoder: int, target: Tensor) -> Swapped:
        region = cut(target, RESOLUTION)
        image, alpha = network(region, decoder)
        if self.colour == "adain":
            image = match_colour(image, region, alpha)
        return paste(image, alpha, target)


def channels(data: Faces) -> ImageSet:
    """Crops, face masks and eye masks of one identity as images of five channels."""
    masks, (n, height, width, _) = face_masks(data), data.crops.shape

    def read(rows: np.ndarray) -> np.ndarray:
        eyes = eye_boxes(data.landmarks[rows], height)
        return np.concatenate([data.crops.levels(rows), masks.levels(rows), eyes], -1)

    return ImageSet.made((n, height, width, 5), read)
