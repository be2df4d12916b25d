"""Made-up people, and networks of a few lines: what fsbench itself takes, without the networks that people ask.

The detector finds a face in the middle of every picture. The judges `projected(seed=N)` and the observer `projection`
multiply pixels with a random matrix; `projected_fid` and `projected_kid` are fsbench's own, of its features.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

PEOPLE, SESSIONS = 20, 5


def picture(seed: int, side: int) -> np.ndarray:
    """A made-up picture, (side, side, 3) uint8."""
    return np.random.default_rng(seed).integers(60, 200, (side, side, 3), np.uint8)


def save(path: Path, seed: int, side: int) -> None:
    """Write a picture as an uncompressed PNG."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(seed, side)).save(path, compress_level=0)


def grow_interned() -> None:
    """Grow CPython's table of interned texts to the size that it keeps, as any process with many paths soon does.

    `pathlib` puts the parts of each path into it, and takes them out with the path. Their places are free again only
    when the table is built anew, for three times the texts that it holds: once, by several MiB.
    """
    for k in range(400_000):
        Path(f"{k}.png").parts  # noqa: B018 -- the parts are made when they are asked for


def prepare(dim: int = 256) -> Any:
    """Register detector, judges, observer, metrics, data set and model; returns a context of one thread.

    Maps of embeddings, of 3,000 faces at most, are left out: they load a compiler.
    """
    import torch

    from fsbench.environment import make_context
    from fsbench.faces import detect
    from fsbench.harness import illustrations
    from fsbench.registry import load_plugins

    load_plugins()
    detect.Detector = Middle
    illustrations.TABLES = {"lookalikes.parquet": illustrations.lookalikes}
    _register_networks(dim)
    _register_people()
    context = make_context("cpu")
    grow_interned()
    torch.set_num_threads(1)  # small tensors: on a busy machine two threads wait for each other
    return context


class Middle:
    """A detector that finds every face where the template has it."""

    def __init__(self, device: Any) -> None:
        pass

    def detect_photo(self, image: np.ndarray) -> Any:
        from fsbench.faces.detect import Detections

        return Detections(np.zeros((1, 4), np.float32), landmarks(1, image.shape[1]), np.ones(1, np.float32))

    def detect_crops(self, crops: Any) -> np.ndarray:
        return landmarks(len(crops), crops.shape[-1])


def landmarks(n: int, side: int) -> np.ndarray:
    """Those of the template, (n, 5, 2)."""
    from fsbench.faces.align import TEMPLATE

    return np.repeat((TEMPLATE * side).astype(np.float32)[None], n, 0)


def _register_networks(dim: int) -> None:
    import torch

    from fsbench.interfaces import EmbedderInfo, ObserverInfo
    from fsbench.metrics.fid import Fid
    from fsbench.metrics.kid import Kid
    from fsbench.registry import embedders, metrics, observers

    def project(crops: torch.Tensor, seed: int, wide: int) -> torch.Tensor:
        n_pixels = crops[0].numel()
        if (seed, n_pixels) not in matrices:
            random = torch.Generator().manual_seed(seed)
            matrices[seed, n_pixels] = torch.randn(n_pixels, wide, generator=random) / n_pixels**0.5
        return (crops.flatten(1) - 0.5) @ matrices[seed, n_pixels]

    matrices: dict[tuple[int, int], torch.Tensor] = {}

    @embedders.register("grid")
    class Grid:
        """Four differences between the quarters of a picture."""

        def __init__(self) -> None:
            self.info = EmbedderInfo(family="grid", dim=4, weights=(), description="quarters of a picture")

        def embed(self, crops: torch.Tensor, landmarks: torch.Tensor) -> torch.Tensor:
            means = torch.nn.functional.adaptive_avg_pool2d(crops.mean(1, keepdim=True), 2).flatten(1)
            return means - 0.45

    @embedders.register("projected")
    class Projected:
        """A random projection of the pixels to 128 numbers."""

        def __init__(self, *, seed: int = 0) -> None:
            self.seed = seed
            self.info = EmbedderInfo(
                family=f"projected {seed}", dim=128, weights=(), description=f"projection {seed}", concurrent=True
            )

        def embed(self, crops: torch.Tensor, landmarks: torch.Tensor) -> torch.Tensor:
            return project(crops, self.seed, 128)

    @observers.register("projection")
    class Projection:
        """A random projection of the pixels, in place of Inception's features."""

        info = ObserverInfo(weights=(), description=f"projection to {dim}", concurrent=True)

        def observe(self, crops: torch.Tensor, landmarks: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"features": project(crops, -1, dim).relu()}

    @metrics.register("projected_fid")
    class ProjectedFid(Fid):
        """fsbench's FID, of projected pixels."""

        info = replace(Fid.info, needs=("projection",))

    @metrics.register("projected_kid")
    class ProjectedKid(Kid):
        """fsbench's KID, of projected pixels."""

        info = replace(Kid.info, needs=("projection",))


def _register_people() -> None:
    import pandas as pd

    from fsbench.images import ImageSet
    from fsbench.interfaces import DatasetInfo, Faces
    from fsbench.registry import datasets, swappers

    @swappers.register("darker")
    class Darker:
        """The target, darker."""

        def __init__(self, *, amount: float = 0.2) -> None:
            self.amount = amount

        def swap(self, source: Any, targets: Any) -> Any:
            return targets.images * (1 - self.amount)

    @datasets.register("made")
    class Made:
        """Made-up people."""

        def __init__(self, *, n: int = 1000, side: int = 48, people: int = PEOPLE) -> None:
            self.n, self.side, self.people = n, side, people
            self.info = DatasetInfo("made", f"{n} {side} {people}", side, "made up", "none", ("train", "test"))

        def faces(self, split: str) -> Faces:
            n = self.n if split == "test" else self.people * 4
            first = 0 if split == "test" else 10**7
            parts = [self._table(split, k) for k in np.split(np.arange(n), range(1000, n, 1000))]

            def read(rows: np.ndarray) -> np.ndarray:
                return np.stack([picture(first + row, self.side) for row in rows])

            crops = ImageSet.made((n, self.side, self.side, 3), read)
            return Faces(crops, pd.concat(parts, ignore_index=True), landmarks(n, self.side))

        def _table(self, split: str, k: np.ndarray) -> pd.DataFrame:
            names = [f"p{i % self.people:04d}" for i in k]
            sessions = [f"{split}{i // self.people % SESSIONS}" for i in k]
            ids = [f"{name}/{session}/{i:07d}" for name, session, i in zip(names, sessions, k, strict=True)]
            return pd.DataFrame({"id": ids, "identity": names, "session": sessions, "clip": "", "frame": k})

        def truth(self, source: str, targets: Faces) -> None:
            return None
