"""Contracts of embedders and observers."""

from __future__ import annotations

import torch

from fsbench.contracts.common import check_docstring
from fsbench.contracts.toys import toy_faces
from fsbench.interfaces import Embedder, Observer


def check_embedder(embedder: Embedder) -> None:
    """Feature size, determinism, independence of batch size, and NaN for an image without landmarks."""
    check_docstring(embedder)
    faces = toy_faces(2, 1, 3, 96)
    crops, landmarks = faces.crops[:], torch.from_numpy(faces.landmarks.copy())
    with torch.inference_mode():
        features = embedder.embed(crops, landmarks)
        alone = torch.cat([embedder.embed(crops[i : i + 1], landmarks[i : i + 1]) for i in range(len(crops))])
        landmarks[0] = torch.nan
        without = embedder.embed(crops, landmarks)
    assert features.shape == (len(crops), embedder.info.dim), (
        f"features are {tuple(features.shape)}, info.dim is {embedder.info.dim}"
    )
    assert torch.isfinite(features).all(), "features are not finite"
    assert torch.allclose(features, alone, rtol=1e-3, atol=1e-4), (
        "the features of an image depend on the other images of the batch"
    )
    assert without[0].isnan().all(), "an image without landmarks must get a row of NaN"
    assert torch.allclose(without[1:], features[1:], rtol=1e-3, atol=1e-4), (
        "an image without landmarks changes the others' features"
    )


def check_observer(observer: Observer) -> None:
    """One row of numbers per image, deterministic, and independent of the other images of the batch.

    Of an observer of clips the images are the frames of one clip, and may depend on each other.
    """
    check_docstring(observer)
    faces = toy_faces(2, 1, 3, 96)
    crops, landmarks = faces.crops[:], torch.from_numpy(faces.landmarks.copy())
    with torch.inference_mode():
        arrays, again = observer.observe(crops, landmarks), observer.observe(crops, landmarks)
        clip = observer.info.unit == "clip"
        parts = [slice(0, len(crops))] if clip else [slice(i, i + 1) for i in range(len(crops))]
        alone = [observer.observe(crops[part], landmarks[part]) for part in parts]
    assert arrays, "an observer tells something"
    for name, array in arrays.items():
        assert array.dtype == torch.float32, f"{name} is {array.dtype}, not float32"
        assert len(array) == len(crops), f"{name} has {len(array)} rows for {len(crops)} images"
        assert torch.equal(array.nan_to_num(), again[name].nan_to_num()), f"{name} is another the second time"
        assert torch.allclose(array, torch.cat([part[name] for part in alone]), rtol=1e-3, atol=1e-4, equal_nan=True), (
            f"{name} of an image depends on the other images of the batch"
        )
