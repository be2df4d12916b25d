"""Look-alikes mixed into the target, as codes or as images: experiment 8 of the faceswap-GAN notes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from fsbench.errors import BadParameter, CheckpointError, UsageError, WeightsError
from fsbench.interfaces import (
    Budget,
    CodeSwapper,
    Context,
    Embedder,
    Faces,
    Progress,
    Source,
    Swapped,
    Swapper,
    Targets,
    Training,
    WeightsFile,
)
from fsbench.registry import embedders, wrappers
from fsbench.training import load_model, save_model

MOST = 500
"""Images that are kept of each identity, spread over all of them."""

AUTO = ("vggface2_resnet50", "dlib_resnet")
"""Recognisers for features=auto: the first whose weights are present; the second comes with fsbench."""


class NeighbourImages(NamedTuple):
    """Training images of one identity."""

    crops: Tensor  # (M, 3, S, S) uint8
    landmarks: Tensor  # (M, 5, 2) pixels of the crop
    features: Tensor  # (M, D) of unit length; NaN where the recogniser sees no face


class _Knn:
    """What both wrappers keep: training images with their recogniser's features, in place of weights."""

    architecture: str
    budgets: Mapping[str, int] = {"smoke": 1, "short": 1, "full": 1}

    def __init__(self, *, k: int = 5, alpha: float = 0.3, features: str = "auto", context: Context) -> None:
        if k < 1:
            raise BadParameter(f"{self.architecture}(k={k}) mixes in nothing", "k counts look-alikes: 1 or more")
        if not 0 <= alpha <= 1:
            raise BadParameter(f"{self.architecture}(alpha={alpha}) is out of range", "alpha is 0 to 1, a share")
        self.k, self.alpha, self.features, self.context = k, alpha, features, context
        self.known_images: dict[str, NeighbourImages] = {}

    @cached_property
    def embedder(self) -> Embedder:
        """The recogniser; raises WeightsError where its weights are missing."""
        names = AUTO if self.features == "auto" else (self.features,)
        for name in names[:-1]:
            try:
                return embedders.build(name, self.context)
            except WeightsError:
                continue
        return embedders.build(names[-1], self.context)

    @property
    def weights_files(self) -> tuple[WeightsFile, ...]:
        """The recogniser's files."""
        return self.embedder.info.weights

    def fit(self, data: Faces, budget: Budget, progress: Progress, checkpoint: Path) -> Training:
        """Keep up to MOST images of each identity, and their features; the budget does not matter."""
        notes, begin = [], time.monotonic()
        for done, name in enumerate(data.identities):
            progress(done, len(data.identities), {})
            faces = data.of(name)
            if len(faces) > MOST:
                notes.append(f"{MOST} of {len(faces)} images of {name} are kept to find look-alikes among")
                faces = faces.select(np.linspace(0, len(faces) - 1, MOST).round().astype(int))
            crops = torch.from_numpy(faces.crops.levels()).permute(0, 3, 1, 2).contiguous()  # (M, 3, S, S) uint8
            landmarks = torch.from_numpy(faces.landmarks)
            self.known_images[name] = NeighbourImages(crops, landmarks, self._embed(crops / 255, landmarks))
        for note in notes:
            self.context.log(note)
        family = self.embedder.info.family
        settings = {"features": family, "most": MOST}
        return Training(budget.steps or 1, time.monotonic() - begin, settings, (family,), tuple(notes))

    def save(self, path: Path) -> None:
        """Write images, landmarks and features."""
        tensors = {
            f"{part}/{name}": getattr(images, part)
            for name, images in self.known_images.items()
            for part in NeighbourImages._fields
        }
        save_model(path, tensors, {"architecture": self.architecture, "features": self.embedder.info.family})

    def load(self, path: Path) -> None:
        """Take the images of a file; raises CheckpointError where another recogniser made its features."""
        asked = {"features": self.embedder.info.family}
        tensors, _ = load_model(path, self.architecture, asked)
        names = [name.partition("/")[2] for name in tensors if name.startswith("crops/")]
        try:
            self.known_images = {
                name: NeighbourImages(*(tensors[f"{part}/{name}"] for part in NeighbourImages._fields))
                for name in names
            }
        except KeyError as error:
            raise CheckpointError(f"{path} is damaged: it has no {error}", "train again, or name another") from error

    def look_alikes(self, source: Source, targets: Targets) -> tuple[NeighbourImages, Tensor, Tensor]:
        """Return the source's images, which k of them are nearest to each target (N, k), and where there are any (N,).

        Nearness is the cosine of features. Raises UsageError for an identity whose images it does not have.
        """
        if source.identity not in self.known_images:
            known = ", ".join(self.known_images) or "nobody"
            raise UsageError(f"{self.architecture} has no images of {source.identity!r}", f"it knows {known}")
        images = self.known_images[source.identity]
        features = self._embed(targets.images, targets.landmarks)
        cosines = (features @ images.features.T).nan_to_num(-2)  # (N, M); -2: no face is less alike than any other
        nearest = cosines.topk(min(self.k, len(images.crops)), dim=1)
        return images, nearest.indices, nearest.values[:, 0] > -2

    def _embed(self, images: Tensor, landmarks: Tensor) -> Tensor:
        features = [
            self.embedder.embed(*part) for part in zip(images.split(64), landmarks.float().split(64), strict=True)
        ]
        return F.normalize(torch.cat(features).float()).cpu()


@wrappers.register("knn_code")
class KnnCode(_Knn):
    """Mixes the target's code with those of its look-alikes among the source's training images.

    `k` look-alikes, the nearest by the features of a recogniser, have the share `alpha` of the code, in equal parts;
    with 0 it is the swapper itself. `features` names the recogniser; auto takes VGGFace2-ResNet50 where its weights are
    present, else dlib's. It wraps a swapper that goes through codes (`fsbench.interfaces.CodeSwapper`).
    """

    architecture = "knn_code"

    def wrap(self, swapper: Swapper) -> CodeMixer:
        """Return a swapper that mixes codes; raises UsageError for one that has none."""
        if not isinstance(swapper, CodeSwapper):
            raise UsageError(
                "knn_code wraps a swapper that goes through a code, and this one does not",
                "write gan_mask+knn_code, without a refiner between them; knn_image wraps any",
            )
        return CodeMixer(swapper, self)


class CodeMixer:
    """A swapper that decodes mixed codes."""

    def __init__(self, swapper: CodeSwapper, knn: _Knn) -> None:
        self.swapper, self.knn = swapper, knn

    def swap(self, source: Source, targets: Targets) -> Swapped:
        """Return what the swapper makes of the mixed codes."""
        images, nearest, known = self.knn.look_alikes(source, targets)
        rows, place = nearest.unique(return_inverse=True)  # each look-alike is encoded once
        codes = self.swapper.encode(targets)  # (N, ...)
        others = self.swapper.encode(_targets(images, rows, codes.device))[place.to(codes.device)]  # (N, k, ...)
        share = self.knn.alpha * known.to(codes).view(-1, *[1] * (codes.ndim - 1))
        return Swapped.of(self.swapper.decode(codes.lerp(others.mean(1), share), source, targets))


@wrappers.register("knn_image")
class KnnImage(_Knn):
    """Mixes the target with its look-alikes among the source's training images, pixel by pixel.

    Parameters are those of knn_code. Outside the face the target stays as it is, where the swapper tells its alpha.
    """

    architecture = "knn_image"

    def wrap(self, swapper: Swapper) -> ImageMixer:
        """Return a swapper that mixes images."""
        return ImageMixer(swapper, self)


class ImageMixer:
    """A swapper that is shown mixed images."""

    def __init__(self, swapper: Swapper, knn: _Knn) -> None:
        self.swapper, self.knn = swapper, knn

    def swap(self, source: Source, targets: Targets) -> Swapped:
        """Return what the swapper makes of the mixed images, with the target's own pixels where alpha leaves them."""
        own, nearest, known = self.knn.look_alikes(source, targets)
        images = targets.images
        others = torch.stack([(own.crops[rows] / 255).mean(0) for rows in nearest]).to(images)  # (N, 3, S, S)
        if others.shape != images.shape:
            others = F.interpolate(others, images.shape[-2:], mode="bilinear", antialias=True)
        mixed = images.lerp(others, self.knn.alpha * known.to(images).view(-1, 1, 1, 1))
        output = Swapped.of(self.swapper.swap(source, replace(targets, images=mixed)))
        if output.alpha is None:
            return output
        return Swapped((output.images + (1 - output.alpha) * (images - mixed)).clamp(0, 1), output.alpha)


def _targets(images: NeighbourImages, rows: Tensor, device: torch.device) -> Targets:
    """Some images of them, as stills."""
    table = pd.DataFrame({"id": [str(row) for row in rows.tolist()], "clip": "", "frame": range(len(rows))})
    return Targets((images.crops[rows] / 255).to(device), images.landmarks[rows].to(device), table)
