"""Draws chunks into the store: here, and in helping processes that share the work.

Every process draws with one thread, so the bytes do not depend on how many there are.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from fsbench.claims import Claims, SharedClaims
from fsbench.datasets.synthetic.layout import load_layout
from fsbench.datasets.synthetic.plan import Chunk, draw
from fsbench.datasets.synthetic.render import Renderer
from fsbench.datasets.synthetic.truth import UV_SIZE, GroundTruth, face_points, ground_truth
from fsbench.images import to_bytes
from fsbench.members import local_members
from fsbench.store import Arrays, Store, fingerprint

KIND = "synthetic"
_WORTH_A_WORKER = 100  # images, of 0.04 s each; another process is there after 2.5 s
TAGS = (
    "yaw",
    "pitch",
    "roll",
    "gaze_x",
    "gaze_y",
    "light",
    "light_elevation",
    "mouth_open",
    "smile",
    "blink",
    "glasses",
    "occluded",
)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread and build no graphs."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_num_threads(before)


@lru_cache(maxsize=2)
def _renderer(device: torch.device, size: int, jitter: float, margin: int) -> Renderer:
    return Renderer(device, size, jitter=jitter, margin=margin)


def draw_chunk(chunk: Chunk, device: torch.device) -> Arrays:
    """Return `image` (N, S, S, 3) and `mask` (N, S, S, 1) uint8, `five`, `landmarks` and `tags` float32.

    S is the side of a crop, with a margin on both sides of it.

    The tags hold the gaze as the shot has it. A chunk with points has also `points` (N, P, 3) float32 and `seen`
    (N, P) uint8 (`face_points`).
    """
    renderer = _renderer(device, chunk.size, chunk.jitter, chunk.margin)
    images, masks, five, landmarks, tags = [], [], [], [], []
    points, seen = [], []
    with one_thread():
        for item in chunk.items:
            drawing, session, shot = draw(renderer, item, chunk)
            images.append(to_bytes(drawing.image))
            masks.append(to_bytes(drawing.face))
            five.append(drawing.five.cpu().numpy())
            landmarks.append(drawing.landmarks.cpu().numpy())
            if chunk.points:
                places, visible = face_points(load_layout(device, UV_SIZE), drawing)
                points.append(places.cpu().numpy())
                seen.append((visible * 255).byte().cpu().numpy())
            mean = {
                stem: (shot.actions.get(f"{stem}Left", 0.0) + shot.actions.get(f"{stem}Right", 0.0)) / 2
                for stem in ("mouthSmile", "eyeBlink")
            }
            tags.append(
                (
                    shot.yaw,
                    shot.pitch,
                    shot.roll,
                    *shot.gaze,
                    session.light.azimuth,
                    session.light.elevation,
                    shot.actions.get("jawOpen", 0.0),
                    mean["mouthSmile"],
                    mean["eyeBlink"],
                    float(bool(session.glasses)),
                    float(bool(shot.occluder)),
                )
            )
    return {
        "image": np.stack(images),
        "mask": np.stack(masks),
        "five": np.stack(five),
        "landmarks": np.stack(landmarks),
        "tags": np.array(tags, np.float32),
        **({"points": np.stack(points), "seen": np.stack(seen)} if chunk.points else {}),
    }


def describe_item(chunk: Chunk, k: int, device: torch.device) -> GroundTruth:
    """Draw item k of a chunk with all that is known about it."""
    renderer = _renderer(device, chunk.size, chunk.jitter, chunk.margin)
    with one_thread():
        return ground_truth(load_layout(device, UV_SIZE), *draw(renderer, chunk.items[k], chunk))


def draw_missing(
    chunks: Sequence[Chunk], store: Store, device: torch.device, done: Callable[[int], None], workers: int | None = None
) -> None:
    """Draw those chunks that the store does not have; `done` is told how many images each of them has.

    This process draws too; on the CPU others help it, one a core, where the work is worth starting them.
    """
    missing = [chunk for chunk in chunks if not _is_drawn(chunk, store)]
    if workers is None:
        workers = min(torch.get_num_threads(), 1 + sum(len(chunk.items) for chunk in missing) // _WORTH_A_WORKER)
    workers = min(workers, len(missing)) if device.type == "cpu" else 1
    if workers < 2:
        _draw(missing, store, store.claims, device, done)
        return
    claims = store.claims
    if not isinstance(claims, SharedClaims):
        claims = store.shared_claims(f"drawing of {os.getpid()} on {platform.node()}", 0, workers)
    request = {"store": store.as_json(), "chunks": [asdict(chunk) for chunk in missing]}
    helpers = local_members(
        f"{__name__}:help_drawing", [request] * (workers - 1), claims, store.tell, {"OMP_NUM_THREADS": "1"}
    )
    with helpers:
        _draw(missing, store, claims, device, done)


def help_drawing(request: Mapping[str, Any], claims: Claims) -> None:
    """Draw chunks that nobody else draws: what another process does for `draw_missing`."""
    chunks = [Chunk.from_json(fields) for fields in request["chunks"]]
    _draw(chunks, Store.from_json(request["store"]), claims, torch.device("cpu"), lambda n: None)


def _draw(
    chunks: Sequence[Chunk], store: Store, claims: Claims, device: torch.device, done: Callable[[int], None]
) -> None:
    def key(chunk: Chunk) -> str:
        return fingerprint(chunk.recipe)

    for chunk in claims.share(
        chunks,
        key,
        lambda chunk: _is_drawn(chunk, store),
        lambda chunk: store.save(KIND, key(chunk), draw_chunk(chunk, device)),
    ):
        done(len(chunk.items))


def _is_drawn(chunk: Chunk, store: Store) -> bool:
    return store.entry(KIND, chunk.recipe, Arrays).find()
