"""Landmarks, embeddings and observed arrays of images: each network looks once at each image."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from fsbench import guard, hashes
from fsbench.environment import processor_features
from fsbench.errors import PluginError
from fsbench.extraction.blocks import by_item, check_alike
from fsbench.extraction.extractor import Extractor, Judge
from fsbench.faces import detect
from fsbench.images import ImageSet
from fsbench.interfaces import Classifier, Context, Observer
from fsbench.store import Arrays, release

TOP_K = 50
"""Look-alikes that are kept of each image: the first fifty carry 99 % of a rank-biased overlap with p = 0.9."""


@dataclass(frozen=True)
class FaceFeatures:
    """Unit embeddings and top-k classes of N images; a row of NaN, and of -1, where no face was found."""

    vectors: Tensor  # (N, D) float32 of unit length
    top: Tensor  # (N, K) int64 look-alikes, the most similar first; K is 0 where the judge can name nobody
    scores: Tensor  # (N, K) float32 probabilities; cosines without a classifier

    @classmethod
    def join(cls, parts: Sequence[FaceFeatures]) -> FaceFeatures:
        """Put parts together, in their order."""
        columns = zip(*((part.vectors, part.top, part.scores) for part in parts), strict=True)
        return cls(*(torch.cat(column) for column in columns))

    @classmethod
    def without_faces(cls, n: int, like: FaceFeatures) -> FaceFeatures:
        """Features of `n` images in which no face was found, of the dimensions of others."""
        vectors, scores = (part.new_full((n, part.shape[1]), torch.nan) for part in (like.vectors, like.scores))
        return cls(vectors, like.top.new_full((n, like.top.shape[1]), -1), scores)

    @property
    def faceless(self) -> Tensor:
        """Images in which no face was found, (N,) bool."""
        return self.vectors.isnan().any(1)


def find_landmarks(crops: ImageSet, title: str, context: Context) -> np.ndarray:
    """Five landmarks in the pixels of each crop, (N, 5, 2) float32; NaN where no face is found. Cached by image."""
    detectors: list[detect.Detector] = []  # loaded when the first image is not cached

    def compute(index: np.ndarray) -> Arrays:
        detectors[:] = detectors or [detect.Detector(context.device)]
        return {"landmarks": detectors[0].detect_crops(crops[index]).astype(np.float32)}

    recipe = {"detector": detect.VERSION, "device": context.device.type, "runtime": release("torch")}
    return by_item(f"finding faces: {title}", "landmarks", recipe, crops.hashes(), compute, context)["landmarks"]


def embed(judge: Judge, crops: ImageSet, landmarks: np.ndarray, title: str, context: Context) -> FaceFeatures:
    """Unit vectors, and the classes of the judge's classifier where it has one, on the CPU. Cached by image."""

    def compute(index: np.ndarray) -> Arrays:
        return _embed_block(judge, crops.select(index), landmarks[index], context)

    rows = _extract(judge, "embeddings", {"depth": TOP_K}, crops, landmarks, compute, title, context)
    return FaceFeatures(*(torch.from_numpy(rows[name]) for name in ("vectors", "top", "scores")))


def observe(
    observer: Extractor[Observer],
    crops: ImageSet,
    landmarks: np.ndarray,
    title: str,
    context: Context,
    clips: Sequence[slice] = (),
) -> dict[str, Tensor]:
    """Arrays that an observer computes, by name, (N, ...) float32 on the CPU. Cached by image.

    An observer of clips is shown all frames of each of `clips`, which hold all images; cached by clip.
    """
    who, network = f"observer {observer.name}", observer.network

    def compute(index: np.ndarray) -> Arrays:
        images, points = crops.on(context.device, index), torch.from_numpy(landmarks[index]).to(context.device)
        parts = [(images, points)] if clips else portions(images, points, _batch(observer, context))
        with torch.inference_mode():
            answers = _ask(observer, who, network.observe, parts)
            arrays = _join(who, [_checked(who, given, n) for given, n in answers])
        return {name: array[: len(index)] for name, array in arrays.items()}

    rows = _extract(observer, "observations", {}, crops, landmarks, compute, title, context, clips)
    return {name: torch.from_numpy(array) for name, array in rows.items()}


def _extract(
    extractor: Extractor[Any],
    kind: str,
    settings: Mapping[str, Any],
    crops: ImageSet,
    landmarks: np.ndarray,
    compute: Callable[[np.ndarray], Arrays],
    title: str,
    context: Context,
    clips: Sequence[slice] = (),
) -> Arrays:
    """What `compute` gives for each image, kept under the network, the image and its landmarks.

    Of clips all images and landmarks decide what it gives for a frame.
    """
    recipe = {"extractor": extractor.key, "device": context.device.type, **settings}
    if (batch := _batch(extractor, context)) > 1:
        recipe["batch"] = batch  # rounding is another in batches of another size
    points = np.nan_to_num(landmarks, nan=-1).astype("<f4")
    items = hashes.of_rows(crops.hashes(), points)
    for clip in clips:
        numbers = np.arange(clip.stop - clip.start)
        whole = hashlib.sha256(items[clip].data).digest()
        items[clip] = hashes.of_rows(whole, numbers)
    return by_item(f"{extractor.name}: {title}", kind, recipe, items, compute, context, clips)


def _batch(extractor: Extractor[Any], context: Context) -> int:
    """Images that a network is shown at once, 0 for any number: on a CPU as many as it says, where that is safe."""
    batch = int(extractor.network.info.batch) if context.device.type == "cpu" else 0
    return batch if places_are_alike() else min(batch, 1)


def places_are_alike() -> bool:
    """Whether features are the same to the last bit at every place of a batch, on a CPU.

    They are with AVX-512 (nine networks, measured); with AVX2 those of dlib's network and FaceNet's differ by 5e-7 at
    four places of eight, and images are shown one by one.
    """
    return "avx512f" in processor_features()


def _embed_block(judge: Judge, crops: ImageSet, landmarks: np.ndarray, context: Context) -> Arrays:
    info, who = judge.network.info, f"judge {judge.name}"
    depth = min(TOP_K, len(info.classes))
    vectors = np.full((len(crops), info.dim), np.nan, np.float32)
    top = np.full((len(crops), depth), -1, np.int64)
    scores = np.full((len(crops), depth), np.nan, np.float32)
    faces = np.flatnonzero(~np.isnan(landmarks).any((1, 2)))
    if len(faces):
        images, points = crops.on(context.device, faces), torch.from_numpy(landmarks[faces]).to(context.device)
        with torch.inference_mode():
            answers = _ask(judge, who, judge.network.embed, portions(images, points, _batch(judge, context)))
            features = torch.cat([_matrix(who, "features", given, (n, info.dim)) for given, n in answers])[: len(faces)]
            norms = features.float().norm(dim=1)  # a judge may find no face where the detector found one
            valid = features.isfinite().all(1) & norms.isfinite() & (norms > 0)
            features, faces = features[valid], faces[valid.cpu().numpy()]
            if depth:
                with guard.one_thread(context.device.type == "cpu"):
                    given = guard.call(who, cast(Classifier, judge.network).classify, features)
                logits = _matrix(who, "logits", given, (len(features), len(info.classes)))
                best = logits.float().softmax(1).topk(depth, dim=1)
                top[faces], scores[faces] = best.indices.cpu().numpy(), best.values.cpu().numpy()
        vectors[faces] = normalize(features.float(), dim=1).cpu().numpy()
    return {"vectors": vectors, "top": top, "scores": scores}


def _ask(
    extractor: Extractor[Any],
    who: str,
    network: Callable[[Tensor, Tensor], object],
    parts: Sequence[tuple[Tensor, Tensor]],
) -> list[tuple[object, int]]:
    """What a network gives for each portion of some images, and their number; several at once where it bears that.

    The portions are the network's own: nobody else looks at them afterwards.
    """

    def ask() -> list[object]:
        if extractor.network.info.concurrent and len(parts) > 1:
            return guard.parallel_map(lambda part: network(*part), parts, begun=extractor.begun.is_set())
        with guard.one_thread(all(part[0].device.type == "cpu" for part in parts)):
            return [network(*part) for part in parts]

    given = guard.copied(guard.run(who, ask))
    extractor.begun.set()
    return [(answer, len(part[0])) for answer, part in zip(given, parts, strict=True)]


def portions(crops: Tensor, landmarks: Tensor, batch: int) -> list[tuple[Tensor, Tensor]]:
    """What a network is given at once: `batch` images, the last one repeated to fill it up; all of them for 0.

    On a CPU, and with one thread, features of an image are then the same to the last bit whatever the other images are;
    in batches of several sizes they differ by 3e-7 of their size, which turns cosines that are rounded and ranks that
    are compared. Other cores look at other images meanwhile, where the network says that it is `concurrent`.
    """
    if not batch:
        return [(crops, landmarks)]
    index = torch.arange(-(-len(crops) // batch) * batch).clamp_max(len(crops) - 1)
    return [(crops[part], landmarks[part]) for part in torch.split(index, batch) if len(part)]


def _matrix(who: str, name: str, given: object, wanted: tuple[int, int]) -> Tensor:
    """Return the matrix that a judge owes; raises PluginError for anything else."""
    if not isinstance(given, Tensor) or tuple(given.shape) != wanted or not given.is_floating_point():
        what = f"{given.dtype} {tuple(given.shape)}" if isinstance(given, Tensor) else type(given).__name__
        raise PluginError(f"{who} gave {what.replace('torch.', '')} for {name}", f"it owes float32 {wanted}")
    return given


def _join(who: str, parts: Sequence[Mapping[str, np.ndarray]]) -> Arrays:
    """Put the arrays of several images together, in their order."""
    check_alike(who, parts)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}


def _checked(who: str, given: object, n: int) -> Arrays:
    """Return what an observer gave for `n` images as float32; raises PluginError for what it does not owe."""
    if not isinstance(given, Mapping):
        raise PluginError(f"{who} gave {type(given).__name__}", "it owes arrays by name")
    for name, array in given.items():
        if not isinstance(array, Tensor) or array.is_complex() or array.ndim == 0:
            raise PluginError(f"{who} gave {name} that is no tensor of real numbers, one row an image")
        if len(array) != n:
            raise PluginError(f"{who} gave {len(array)} rows of {name} for {n} images", "it owes one row per image")
    return {str(name): array.float().cpu().numpy() for name, array in given.items()}
