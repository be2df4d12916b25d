"""cyclegan as a plug-in: parameters, training, saving, swapping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from fsbench import __version__
from fsbench.errors import BadParameter, CheckpointError, UsageError
from fsbench.images import ImageSet
from fsbench.interfaces import Budget, Context, Faces, Progress, Source, Swapped, Targets, Training
from fsbench.registry import swappers
from fsbench.training import fast_bfloat16, load_model, one_thread, save_model, train
from reference_models.crops import cut, face_masks, in_portions, oval, pack, paste
from reference_models.cyclegan.learner import CycleGanLearner
from reference_models.cyclegan.networks import ARCHITECTURES, ResnetGenerator, Size

ARCHITECTURE = "cyclegan"


@swappers.register("cyclegan")
class CycleGan:
    """CycleGAN between two identities: ResNet generators, patch discriminators, cycle and identity losses.

    `size` standard sees 128 pixels (6 blocks), large 256 (9 blocks), tiny 64 (3 narrow blocks); auto takes standard on
    a GPU, tiny on a CPU. Images are pasted as an oval; with `mask`, the generators also answer an alpha mask, taught
    with face masks, that composes image and input in training and in the output. `batch` is the number of images of
    each identity in a step; auto is 1, for tiny 4. Source: Zhu et al. 2017,
    arXiv:1703.10593.
    """

    def __init__(
        self,
        *,
        size: Literal["auto", "standard", "large", "tiny"] = "auto",
        mask: bool = False,
        batch: int | Literal["auto"] = "auto",
        context: Context,
    ) -> None:
        if batch != "auto" and batch < 1:
            raise BadParameter(f"cyclegan(batch={batch}) trains on nothing", "batch is 1 or more")
        self.context, self.batch = context, batch
        self.asked = {"size": size, "mask": mask or "auto"}
        self.size: Size = size if size != "auto" else "standard" if context.device.type == "cuda" else "tiny"
        self.mask = mask
        self.identities: list[str] = []  # in the order of the generators
        self.generators: nn.ModuleList | None = None

    @property
    def budgets(self) -> Mapping[str, int]:
        """Steps of the named budgets; short is about 150 s for tiny on a CPU."""
        if self.size == "tiny":
            return {"smoke": 6, "short": 1800, "full": 20_000}
        return {"smoke": 2, "short": 60, "full": 100_000}

    def fit(self, data: Faces, budget: Budget, progress: Progress, checkpoint: Path) -> Training:
        """Train a generator for each direction; raises UsageError unless `data` has exactly two identities."""
        if len(data.identities) != 2:
            raise UsageError(
                f"cyclegan swaps between exactly two identities, and the data has {len(data.identities)}",
                "take a data set of two, or gan_mask for more",
            )
        device, shape = self.context.device, ARCHITECTURES[self.size]
        if self.batch != "auto":
            shape = replace(shape, batch=self.batch)
        half_precision = device.type == "cpu" and fast_bfloat16(device)
        packed = [pack(channels(data.of(name)), shape.resolution, device) for name in data.identities]
        n_threads = torch.get_num_threads() if device.type == "cpu" else 1
        learner = CycleGanLearner(shape, self.mask, packed, budget.seed, half_precision, n_threads)
        settings = {
            "architecture": ARCHITECTURE,
            "size": self.size,
            "mask": self.mask,
            **asdict(shape),
            "device": device.type,
            "half_precision": half_precision,
        }
        inputs = {
            "identities": data.identities,
            "crops": data.crops.content_hash(),
            "masks": data.masks.content_hash() if data.masks is not None else "oval from landmarks",
        }
        with one_thread(device.type == "cpu"):
            done = train(
                learner, budget, recipe={**settings, **inputs}, device=device, progress=progress, checkpoint=checkpoint
            )
        self.generators = learner.generators.eval()
        self.identities = data.identities
        n_parameters = sum(weight.numel() for weight in self.generators.parameters())
        return Training(done.steps, done.seconds, {**settings, "n_parameters": n_parameters})

    def save(self, path: Path) -> None:
        """Write both generators, their size and identities."""
        save_model(
            path,
            self._trained().state_dict(),
            {
                "architecture": ARCHITECTURE,
                "size": self.size,
                "mask": self.mask,
                "identities": self.identities,
                "fsbench": __version__,
            },
        )

    def load(self, path: Path) -> None:
        """Take size and mask from the file; raises CheckpointError where a parameter contradicts them."""
        tensors, facts = load_model(path, ARCHITECTURE, self.asked)
        try:
            shape = ARCHITECTURES[facts["size"]]
            generators = nn.ModuleList(ResnetGenerator(shape.channels, shape.n_blocks, facts["mask"]) for _ in range(2))
            generators.load_state_dict(tensors)
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{path} is damaged: its tensors do not fit its description", "train again, or name another file"
            ) from error
        self.generators = generators.to(self.context.device).eval()
        self.size, self.mask, self.identities = facts["size"], facts["mask"], facts["identities"]

    def _trained(self) -> nn.ModuleList:
        if self.generators is None:
            raise UsageError("cyclegan is not trained yet", "fit it, or load a file: cyclegan@PATH")
        return self.generators

    @torch.inference_mode()
    def swap(self, source: Source, targets: Targets) -> Swapped:
        """CycleOutput with the generator towards the source, and the alpha mask, or oval, as it was pasted.

        Raises UsageError for an identity that it does not know.
        """
        generators = self._trained()
        if source.identity not in self.identities:
            raise UsageError(
                f"cyclegan was not trained on {source.identity!r}", f"it knows {', '.join(self.identities)}"
            )
        generator = generators[self.identities.index(source.identity)]
        with one_thread(self.size == "tiny"):  # a second thread is not worth waiting for
            return in_portions(partial(self._swap, generator), targets.images, self.context.device)

    def _swap(self, generator: nn.Module, target: Tensor) -> Swapped:
        size = ARCHITECTURES[self.size].resolution
        image, alpha = generator(cut(target, size) * 2 - 1)
        if not self.mask:  # the whole region would end in a visible square
            alpha = oval(len(target), size, image.device)
        return paste(image / 2 + 0.5, alpha, target)


def channels(data: Faces) -> ImageSet:
    """Crops and face masks of one identity as images of four channels."""
    masks, (n, height, width, _) = face_masks(data), data.crops.shape
    return ImageSet.made(
        (n, height, width, 4), lambda rows: np.concatenate([data.crops.levels(rows), masks.levels(rows)], -1)
    )
