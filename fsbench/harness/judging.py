"""Faces found and features extracted, once per image set and network, whatever number of metrics asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import normalize

from fsbench import guard
from fsbench.errors import PluginError, UsageError
from fsbench.faces import detect
from fsbench.harness.codehash import plugin_key
from fsbench.images import ImageSet
from fsbench.interfaces import Context, Embedder, Faces, Lookalikes
from fsbench.registry import Spec, embedders, parse_spec
from fsbench.stats.calibration import Calibration, calibrate
from fsbench.store import fingerprint, release

BLOCK = 64
"""Images that are looked at, and cached, together: what a killed process loses at most."""

DEPTH = 50
"""Look-alikes that are kept of each image: the first fifty carry 99 % of a rank-biased overlap with p = 0.9."""


@dataclass(frozen=True)
class Judge:
    """A recogniser under the name that results use."""

    name: str
    embedder: Embedder
    key: str | None  # hash of everything that decides its features, but the images; None where that is not known

    @classmethod
    def build(cls, text: str, context: Context) -> Judge:
        """Make a judge from its specification."""
        spec = parse_spec(text)
        entry = embedders.get(spec.name)
        embedder = entry.build(spec, context)
        weights = {file.name: file.sha256 for file in embedder.info.weights}
        own = plugin_key(entry, spec, embedder)
        recipe = {"plugin": own, "version": embedder.info.version, "weights": weights}
        return cls(_label(spec), embedder, None if own is None else fingerprint(recipe))

    @property
    def files(self) -> frozenset[str]:
        """Hashes of the files that it was made from."""
        return frozenset(file.sha256 for file in self.embedder.info.weights)


def build_judges(texts: Sequence[str], context: Context) -> list[Judge]:
    """Make judges from their specifications; raises UsageError where there is none, and where one would count twice."""
    if not texts:
        raise UsageError("no judge to ask", "name one with --judges; see: fsbench list embedders")
    judges = [Judge.build(text, context) for text in texts]
    for i, judge in enumerate(judges):
        for other in judges[:i]:
            if other.name == judge.name:
                raise UsageError(f"two judges are called {judge.name}",
                                 "name each judge once; files of one name have to be renamed")
            if judge.files and judge.files == other.files:
                raise UsageError(f"{other.name} and {judge.name} are one network, made from the same file",
                                 "name one of them: a judge that is asked twice counts twice")
    return judges


def _label(spec: Spec) -> str:
    """A specification without folders: where a file lies on this machine is nobody's business."""
    short = {key: Path(value).name if Path(value).expanduser().exists() else value
             for key, value in spec.params.items()}
    return str(Spec(spec.name, short, Path(spec.path).name))


@dataclass(frozen=True)
class Seen:
    """What a judge makes of some images; a row of NaN, and of -1, is an image in which no face was found."""

    vectors: Tensor  # (N, D) float32 of unit length
    top: Tensor  # (N, K) int64 look-alikes, the most similar first; K is 0 where the judge can name nobody
    scores: Tensor  # (N, K) float32 probabilities; cosines without a classifier

    def __getitem__(self, rows: slice) -> Seen:
        return Seen(self.vectors[rows], self.top[rows], self.scores[rows])

    @classmethod
    def join(cls, parts: list[Seen]) -> Seen:
        """Put parts together, in their order."""
        return cls(*(torch.cat(some) for some in zip(*((p.vectors, p.top, p.scores) for p in parts), strict=True)))


@dataclass(frozen=True)
class RealImages:
    """The images that outputs are compared with, and the landmarks that the detector finds in them."""

    parts: tuple[tuple[str, ImageSet, np.ndarray], ...]  # title, crops and landmarks of the held-out images, gallery
    rows: pd.DataFrame  # (R, ...) of all parts, with a column `split`

    @classmethod
    def look(cls, test: Faces, gallery: Faces | None, context: Context) -> RealImages:
        """Find the faces in the test split and in the gallery, where there is one."""
        sets = [("test", "held-out images", test), *([("gallery", "gallery", gallery)] if gallery is not None else [])]
        parts = tuple((title, one.crops, find_landmarks(one.crops, title, context)) for _, title, one in sets)
        rows = [one.rows.assign(split=split) for split, _, one in sets]
        return cls(parts, pd.concat(rows, ignore_index=True))


@dataclass(frozen=True)
class Witness:
    """A judge that has seen the real images of a run."""

    judge: Judge
    references: Seen
    people: tuple[str, ...]  # whom it can name: the classes of its classifier, else the people of the gallery
    centres: Tensor | None  # (P, D) of the people of the gallery, None for a classifier
    calibration: Calibration | None
    n_faces: int  # real images in which the detector finds a face

    @classmethod
    def brief(cls, judge: Judge, real: RealImages, context: Context) -> Witness:
        """Show a judge the real images."""
        seen = Seen.join([embed(judge, crops, landmarks, title, context) for title, crops, landmarks in real.parts])
        rows = real.rows
        identity, session = (rows[name].astype(str).to_numpy(dtype=object) for name in ("identity", "session"))
        calibration = calibrate(seen.vectors.double().numpy(), identity, session)
        n_faces = sum(int(np.isfinite(landmarks).all((1, 2)).sum()) for _, _, landmarks in real.parts)
        if judge.embedder.info.classes:
            return cls(judge, seen, judge.embedder.info.classes, None, calibration, n_faces)
        known = (rows["split"] == "gallery").to_numpy() & ~seen.vectors.isnan().any(1).numpy()
        people = tuple(sorted(set(identity[known])))
        members = [seen.vectors[np.flatnonzero(known & (identity == name))].mean(0) for name in people]
        centres = normalize(torch.stack(members), dim=1) if members else seen.vectors[:0]
        return cls(judge, _nearest(seen, centres), people, centres, calibration, n_faces)

    def look(self, outputs: ImageSet, landmarks: np.ndarray, title: str, context: Context) -> Seen:
        """Show it the outputs of a model."""
        seen = embed(self.judge, outputs, landmarks, title, context)
        return seen if self.centres is None else _nearest(seen, self.centres)

    def lookalikes(self, outputs: Seen) -> Lookalikes | None:
        """Whom it takes outputs and real images for; None where it can name nobody."""
        return Lookalikes(self.people, outputs.top, self.references.top) if self.people else None


def _nearest(seen: Seen, centres: Tensor) -> Seen:
    """Name the people whose centres (P, D) are nearest, for a judge without a classifier."""
    lost = seen.vectors.isnan().any(1, keepdim=True)
    found = (seen.vectors.nan_to_num() @ centres.T).topk(min(DEPTH, len(centres)), dim=1)
    return Seen(seen.vectors, found.indices.masked_fill(lost, -1), found.values.masked_fill(lost, torch.nan))


def find_landmarks(crops: ImageSet, title: str, context: Context) -> np.ndarray:
    """Five landmarks in the pixels of each crop, (N, 5, 2) float32; NaN where no face is found. Cached by content."""
    progress = context.stage(f"finding faces: {title}")
    detector: detect.Detector | None = None
    found = []
    for start in range(0, len(crops), BLOCK):
        block = crops.select(np.arange(start, min(start + BLOCK, len(crops))))

        def compute(block: ImageSet = block, start: int = start) -> dict[str, np.ndarray]:
            nonlocal detector
            detector = detector or detect.Detector(context.device)
            landmarks = detector.detect_crops(block[:]).astype(np.float32)
            progress(start + len(block), len(crops), {})
            return {"landmarks": landmarks}

        recipe = {"images": block.content_hash(), "detector": detect.VERSION, "device": context.device.type,
                  "runtime": release("torch")}
        found.append(context.store.arrays("landmarks", recipe, compute)["landmarks"])
    return np.concatenate(found)


def embed(judge: Judge, crops: ImageSet, landmarks: np.ndarray, title: str, context: Context) -> Seen:
    """Unit vectors, and the classes of the judge's classifier where it has one, on the CPU. Cached by content."""
    progress = context.stage(f"{judge.name}: {title}")
    found = []
    for start in range(0, len(crops), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(crops)))

        def compute(rows: np.ndarray = rows) -> dict[str, np.ndarray]:
            seen = _embed_block(judge, crops[rows], landmarks[rows], context)
            progress(int(rows[-1]) + 1, len(crops), {})
            return seen

        recipe = {
            "images": crops.select(rows).content_hash(),
            "landmarks": fingerprint(np.nan_to_num(landmarks[rows], nan=-1).tolist()),
            "judge": judge.key,
            "depth": DEPTH,
            "device": context.device.type,
        }
        one = context.store.arrays("features", recipe, compute)
        found.append(Seen(*(torch.from_numpy(one[name]) for name in ("vectors", "top", "scores"))))
    return Seen.join(found)


def _embed_block(judge: Judge, crops: Tensor, landmarks: np.ndarray, context: Context) -> dict[str, np.ndarray]:
    info = judge.embedder.info
    depth = min(DEPTH, len(info.classes))
    vectors = np.full((len(crops), info.dim), np.nan, np.float32)
    top = np.full((len(crops), depth), -1, np.int64)
    scores = np.full((len(crops), depth), np.nan, np.float32)
    faces = np.flatnonzero(~np.isnan(landmarks).any((1, 2)))
    if len(faces):
        points = torch.from_numpy(landmarks[faces]).to(context.device)
        with torch.inference_mode(), guard.one_thread(context.device.type == "cpu"):
            who = f"judge {judge.name}"
            features = torch.cat([
                _matrix(who, "features", guard.call(who, judge.embedder.embed, *part), (len(part[0]), info.dim))
                for part in portions(crops[faces].to(context.device), points)
            ])
            length = features.float().norm(dim=1)  # a judge may find no face where the detector found one
            seen = features.isfinite().all(1) & length.isfinite() & (length > 0)
            features, faces = features[seen], faces[seen.cpu().numpy()]
            if depth:
                given = guard.call(who, judge.embedder.classify, features)  # type: ignore[attr-defined]
                logits = _matrix(who, "logits", given, (len(features), len(info.classes)))
                best = logits.float().softmax(1).topk(depth, dim=1)
                top[faces], scores[faces] = best.indices.cpu().numpy(), best.values.cpu().numpy()
        vectors[faces] = normalize(features.float(), dim=1).cpu().numpy()
    return {"vectors": vectors, "top": top, "scores": scores}


def portions(crops: Tensor, landmarks: Tensor) -> list[tuple[Tensor, Tensor]]:
    """What a network is shown at once: a single image on a CPU, all on a GPU.

    On a CPU, and with one thread, features are the same to the last bit whatever else there is to look at; in batches
    they differ by 3e-7 of their size, which turns cosines that are rounded and ranks that are compared. Measured on a
    CPU with two cores: FaceNet takes 45 ms an image instead of 25.
    """
    if crops.device.type != "cpu":
        return [(crops, landmarks)]
    return [(crops[i : i + 1], landmarks[i : i + 1]) for i in range(len(crops))]


def _matrix(who: str, name: str, given: object, wanted: tuple[int, int]) -> Tensor:
    """Return the matrix that a judge owes; raises PluginError for anything else."""
    if not isinstance(given, Tensor) or tuple(given.shape) != wanted or not given.is_floating_point():
        what = f"{given.dtype} {tuple(given.shape)}" if isinstance(given, Tensor) else type(given).__name__
        raise PluginError(f"{who} gave {what.replace('torch.', '')} for {name}", f"it owes float32 {wanted}")
    return given
