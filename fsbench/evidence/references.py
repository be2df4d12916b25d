"""Real images enrolled with a judge: reference embeddings, class centres and calibration of one run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from fsbench.extraction.extractor import Judge
from fsbench.extraction.features import TOP_K, FaceFeatures, embed, find_landmarks
from fsbench.interfaces import Context, Faces
from fsbench.interfaces.references import ReferenceIndex, texts
from fsbench.pairs import Outputs, RealImages
from fsbench.stats.calibration import Calibration, calibrate


def find_faces(test: Faces, gallery: Faces | None, context: Context) -> RealImages:
    """Find the faces in the test split and in the gallery, where there is one."""
    in_test = find_landmarks(test.crops, "held-out images", context)
    in_gallery = (
        np.empty((0, 5, 2), np.float32) if gallery is None else find_landmarks(gallery.crops, "gallery", context)
    )
    return RealImages(test, gallery, in_test, in_gallery)


@dataclass(frozen=True)
class EnrolledJudge:
    """A judge with the reference embeddings, class centres and calibration of one run."""

    judge: Judge
    references: FaceFeatures  # (R, ...) in the order of `RealImages.rows`
    people: tuple[str, ...]  # that it can name: the classes of its classifier, else the people of the gallery
    centres: Tensor | None  # (P, D) of the people of the gallery, None for a classifier
    calibration: Calibration | None
    n_faces: int  # real images in which the detector finds a face
    index: ReferenceIndex  # of the references

    def of_targets(self, targets: Faces, landmarks: np.ndarray, real: RealImages, context: Context) -> Tensor:
        """Unit vectors of the images that are swapped into, (T, D)."""
        if targets is real.test:
            return self.references.vectors[: len(targets)]
        return embed(self.judge, targets.crops, landmarks, "held-out clips", context).vectors

    def extract(self, outputs: Outputs, context: Context) -> FaceFeatures:
        """Embed the outputs of a model, and name the people that each looks like."""
        features = embed(self.judge, outputs.images, outputs.landmarks, outputs.label, context)
        return features if self.centres is None else _nearest(features, self.centres)


def enrol(judge: Judge, real: RealImages, context: Context) -> EnrolledJudge:
    """Extract the features of the real images, and what is computed of them once a run."""
    titles = {"test": "held-out images", "gallery": "gallery"}
    features = FaceFeatures.join(
        [embed(judge, faces.crops, landmarks, titles[split], context) for split, faces, landmarks in real.parts]
    )
    rows = real.rows
    identity, session = (texts(rows[name]) for name in ("identity", "session"))
    index = ReferenceIndex(features.vectors, rows)
    calibration = calibrate(features.vectors.double().numpy(), identity, session)
    if judge.network.info.classes:
        return EnrolledJudge(judge, features, judge.network.info.classes, None, calibration, real.n_faces, index)
    known = (rows["split"] == "gallery").to_numpy() & ~features.faceless.numpy()
    people = tuple(sorted(set(identity[known])))
    members = [features.vectors[np.flatnonzero(known & (identity == name))].mean(0) for name in people]
    centres = normalize(torch.stack(members), dim=1) if members else features.vectors[:0]
    named = _nearest(features, centres)  # of the same vectors
    return EnrolledJudge(judge, named, people, centres, calibration, real.n_faces, index)


def _nearest(features: FaceFeatures, centres: Tensor) -> FaceFeatures:
    """Name the people whose centres (P, D) are nearest to each image."""
    faceless = features.faceless[:, None]
    nearest = (features.vectors.nan_to_num() @ centres.T).topk(min(TOP_K, len(centres)), dim=1)
    top, scores = nearest.indices.masked_fill(faceless, -1), nearest.values.masked_fill(faceless, torch.nan)
    return FaceFeatures(features.vectors, top, scores)
