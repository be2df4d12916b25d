"""Made-up faces, targets and batches: small, without faces, deterministic."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fsbench.faces.align import TEMPLATE
from fsbench.images import ImageSet, to_bytes
from fsbench.interfaces import Batch, Embeddings, Faces, FacesInFrame, Lookalikes, Observed, Passes, Source, Targets
from fsbench.stats.calibration import Calibration, calibrate


def toy_faces(identities: int = 2, sessions: int = 3, images: int = 4, size: int = 64, seed: int = 0) -> Faces:
    """Make up `identities * sessions * images` blurry crops with template landmarks; deterministic in `seed`."""
    random = np.random.default_rng(seed)
    rows, pixels = [], []
    for person in range(identities):
        for session in range(sessions):
            for frame in range(images):
                rows.append(
                    {
                        "id": f"toy{person}/s{session}/{frame:04d}",
                        "identity": f"toy{person}",
                        "session": f"s{session}",
                        "clip": "",
                        "frame": frame,
                        **{name: float(random.uniform(-30, 30)) for name in ("yaw", "pitch", "roll")},
                        **{name: float(random.uniform(-15, 15)) for name in ("gaze_x", "gaze_y")},
                        **{name: float(random.uniform(0, 1)) for name in ("mouth_open", "smile", "blink")},
                    }
                )
                coarse = torch.from_numpy(random.uniform(0, 1, (1, 3, 4, 4)).astype(np.float32) * 0.5 + 0.25 * person)
                smooth = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False)
                pixels.append(to_bytes(smooth.clamp(0, 1))[0])
    landmarks = np.repeat((TEMPLATE * size)[None], len(rows), 0).astype(np.float32)
    yy, xx = np.mgrid[0:size, 0:size] / size - 0.5
    mask = np.where((xx / 0.3) ** 2 + (yy / 0.4) ** 2 < 1, 255, 0).astype(np.uint8)[None, :, :, None]
    return Faces(ImageSet(np.stack(pixels)), pd.DataFrame(rows), landmarks, ImageSet(np.repeat(mask, len(rows), 0)))


def toy_targets(images: Tensor) -> Targets:
    """Make targets of images (N, 3, S, S), each a still with template landmarks."""
    landmarks = torch.from_numpy(TEMPLATE * images.shape[-1]).repeat(len(images), 1, 1)
    names = [f"toy/{i}" for i in range(len(images))]
    return Targets(images, landmarks, pd.DataFrame({"id": names, "clip": "", "frame": range(len(images))}))


def toy_weights(layout: Mapping[str, Tensor], seed: int = 0) -> dict[str, Tensor]:
    """Make up weights of the names and shapes of `layout`, such that features stay in range and are not all alike."""
    draw, state = torch.Generator().manual_seed(seed), {}
    for name, tensor in layout.items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(0)
        elif tensor.ndim > 1:
            state[name] = torch.randn(tensor.shape, generator=draw) * (2 / tensor[0].numel()) ** 0.5
        elif name.endswith(("bias", "running_mean")):
            state[name] = torch.randn(tensor.shape, generator=draw) * 0.1
        else:
            state[name] = torch.rand(tensor.shape, generator=draw) * 0.5 + 0.5
    return state


def toy_batch(n: int = 6, size: int = 64, seed: int = 0, needs: Sequence[str] = ()) -> Batch:
    """Make up outputs with a judge's embeddings, exact swaps, passes, and what the observers in `needs` would give.

    The last output has no face.
    """
    faces = toy_faces(2, 3, math.ceil(n / 3), size, seed)
    target, source = faces.of("toy1").select(range(n)), faces.of("toy0")
    assert target.masks is not None
    random = torch.Generator().manual_seed(seed)
    output = (0.5 * target.crops[:] + 0.5 * torch.rand(target.crops[:].shape, generator=random)).clamp(0, 1)
    vectors = torch.nn.functional.normalize(torch.randn(len(faces) + n, 16, generator=random), dim=1)
    view = vectors[len(faces) :].clone()
    view[-1] = torch.nan
    own = torch.from_numpy(np.flatnonzero(faces.rows["identity"] == "toy1")[:n])
    references = vectors[: len(faces)]
    rows, top = faces.rows.assign(split="test"), toy_lookalikes(view, references)
    evidence = {
        "judge": Embeddings("toy", view, vectors[own], references, rows, top, toy_calibration()),
        "exact": source.crops[list(range(n))],
        "absent": torch.zeros(n, dtype=torch.bool),
        "faces_in_frame": FacesInFrame(vectors[:n, None].repeat(1, 2, 1), torch.tensor([[40.0, 0.5]]).repeat(n, 1)),
        "paste_weight": target.masks[:],
        "true_landmarks": torch.from_numpy(target.landmarks.copy()),
        "recursion": Passes({1: output, 2: output * 0.9, 10: output * 0.5, 50: output * 0.2}),
    }
    observed = _toy_observed(target, random)
    return Batch(
        source=Source("toy0", source.crops[:4]),
        rows=target.rows,
        output=output,
        target=target.crops[:],
        mask=target.masks[:],
        evidence={**{name: replace(observed, observer=name) for name in needs}, **evidence},
    )


def toy_clip(n: int = 8, size: int = 64, seed: int = 0, needs: Sequence[str] = ()) -> Batch:
    """Make up outputs for the consecutive frames of one clip, as `toy_batch` does; every output has a face."""
    batch = toy_batch(n + 1, size, seed, needs).take(slice(0, n))  # without the last, which has none
    rows = batch.rows.assign(session="s0", clip="c0", frame=range(n))
    return replace(batch, rows=rows)


def _toy_observed(target: Faces, random: torch.Generator) -> Observed:
    """Make up whatever the built-in observers give; nothing is seen in the last output."""
    n = len(target)
    arrays = {
        "features": torch.randn(2 * n, 16, generator=random),
        "logits": torch.randn(2 * n, 10, generator=random),
        "landmarks": torch.from_numpy(target.landmarks).repeat(2, 1, 1) + torch.randn(2 * n, 5, 2, generator=random),
        "rotation": torch.linalg.qr(torch.eye(3) + 0.1 * torch.randn(2 * n, 3, 3, generator=random)).Q,
        "blendshapes": torch.rand(2 * n, 52, generator=random),
        "gaze": 10 * torch.randn(2 * n, 2, generator=random),
        "openings": 10 * torch.rand(2 * n, 3, generator=random),
    }
    arrays["landmarks"] += 3 * torch.randn(n, 1, 2, generator=random).repeat(2, 1, 1)  # both move alike
    arrays["forward"] = torch.randn(2 * n, 2, *target.crops.shape[1:3], generator=random)
    arrays["class_token"] = torch.randn(2 * n, 16, generator=random)
    arrays["visible"] = torch.ones(2 * n, 1, *target.crops.shape[1:3])
    for array in arrays.values():
        array[n - 1] = torch.nan
    return Observed("toy", {k: v[:n] for k, v in arrays.items()}, {k: v[n:] for k, v in arrays.items()})


def toy_lookalikes(output: Tensor, references: Tensor) -> Lookalikes:
    """Name the nearest of twenty made-up people; -1 for vectors of NaN."""
    people = torch.randn(20, output.shape[1], generator=torch.Generator().manual_seed(7))

    def nearest(vectors: Tensor) -> Tensor:
        lost = vectors.isnan().any(1, keepdim=True)
        return (vectors.nan_to_num() @ people.T).topk(10).indices.masked_fill(lost, -1)

    return Lookalikes(tuple(f"person {i}" for i in range(len(people))), nearest(output), nearest(references))


def toy_calibration() -> Calibration | None:
    """Calibrate on 64 made-up people with four images each: impostor pairs enough for a false-accept rate of 1e-3."""
    vectors = np.random.default_rng(8).normal(size=(256, 16))
    person, session = np.divmod(np.arange(256), 4)
    return calibrate(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), person, session)


def with_evidence(batch: Batch, **evidence: Any) -> Batch:
    """Return a batch with other evidence under some names."""
    return replace(batch, evidence={**batch.evidence, **evidence})


def crowded(batch: Batch) -> Batch:
    """Add strangers to the gallery, for metrics that need more than two people."""
    view = batch.embeddings
    strangers = pd.DataFrame(
        [
            {"id": f"x{i}", "identity": f"stranger{i}", "session": "s0", "clip": "", "frame": 0, "split": "gallery"}
            for i in range(10)
        ]
    )
    vectors = torch.nn.functional.normalize(
        torch.randn(10, view.references.shape[1], generator=torch.Generator().manual_seed(9)), dim=1
    )
    references = torch.cat([view.references, vectors])
    rows = pd.concat([view.reference_rows, strangers], ignore_index=True)
    lookalikes = toy_lookalikes(view.output, references)
    return with_evidence(batch, judge=replace(view, references=references, reference_rows=rows, lookalikes=lookalikes))
