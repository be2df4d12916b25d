"""Faces found and features extracted, once per image set and network, whatever number of metrics asks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fsbench.faces import detect
from fsbench.harness.obtain import code_hash
from fsbench.images import ImageSet
from fsbench.interfaces import Context, Embedder
from fsbench.registry import embedders, parse_spec
from fsbench.results import JudgeRecord
from fsbench.store import fingerprint

BLOCK = 64
"""Images that are looked at, and cached, together: what a killed process loses at most."""


@dataclass(frozen=True)
class Judge:
    """A recogniser under the name that results use."""

    name: str
    embedder: Embedder
    key: str  # hash of everything that decides its features, but the images

    @classmethod
    def build(cls, text: str, context: Context) -> Judge:
        """Make a judge from its specification."""
        spec = parse_spec(text)
        entry = embedders.get(spec.name)
        embedder = entry.build(spec, context)
        weights = _hashes(embedder)
        recipe = {
            "spec": str(spec),
            "version": embedder.info.version,
            "weights": weights,
            "code": code_hash(entry.factory),
        }
        return cls(str(spec), embedder, fingerprint(recipe))

    def record(self) -> JudgeRecord:
        """Return what results say about it."""
        info = self.embedder.info
        return JudgeRecord(
            name=self.name,
            family=info.family,
            description=info.description,
            dim=info.dim,
            version=info.version,
            weights=_hashes(self.embedder),
            licences=tuple(sorted({file.licence for file in info.weights})),
        )


def _hashes(embedder: Embedder) -> dict[str, str]:
    return {file.name: file.sha256 for file in embedder.info.weights}


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

        recipe = {"images": block.content_hash(), "detector": detect.VERSION, "device": context.device.type}
        found.append(context.store.arrays("landmarks", recipe, compute)["landmarks"])
    return np.concatenate(found)


def embed(judge: Judge, crops: ImageSet, landmarks: np.ndarray, title: str, context: Context) -> Tensor:
    """Unit vectors, (N, D) float32 on the CPU; NaN where there is no face. Cached by content."""
    progress = context.stage(f"{judge.name}: {title}")
    found = []
    for start in range(0, len(crops), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(crops)))

        def compute(rows: np.ndarray = rows) -> dict[str, np.ndarray]:
            vectors = np.full((len(rows), judge.embedder.info.dim), np.nan, np.float32)
            faces = np.flatnonzero(~np.isnan(landmarks[rows]).any((1, 2)))
            if len(faces):
                points = torch.from_numpy(landmarks[rows[faces]]).to(context.device)
                with torch.inference_mode():
                    features = judge.embedder.embed(crops[rows[faces]].to(context.device), points)
                vectors[faces] = torch.nn.functional.normalize(features.float(), dim=1).cpu().numpy()
            progress(int(rows[-1]) + 1, len(crops), {})
            return {"vectors": vectors}

        recipe = {
            "images": crops.select(rows).content_hash(),
            "landmarks": fingerprint(np.nan_to_num(landmarks[rows], nan=-1).tolist()),
            "judge": judge.key,
            "device": context.device.type,
        }
        found.append(context.store.arrays("features", recipe, compute)["vectors"])
    return torch.from_numpy(np.concatenate(found))
