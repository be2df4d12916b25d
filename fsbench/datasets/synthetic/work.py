"""Draws chunks into the store: here, and in helping processes that take one chunk at a time.

Helpers are plain Python processes that read requests from their input: unlike a process pool they neither import the
main program again nor fork its threads, and they end when their parent does. Every process draws with one thread, so
the bytes do not depend on how many there are.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from fsbench.datasets.synthetic.layout import load_layout
from fsbench.datasets.synthetic.plan import Chunk, draw
from fsbench.datasets.synthetic.render import Renderer
from fsbench.datasets.synthetic.truth import UV_SIZE, GroundTruth, face_points, ground_truth
from fsbench.errors import FsbenchError, OutputError
from fsbench.images import to_bytes
from fsbench.store import Arrays, Store, fingerprint

KIND = "synthetic"
_WORTH_A_WORKER = 60  # images that one process draws while another starts
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
    missing = deque(chunk for chunk in chunks if store.load(KIND, fingerprint(chunk.recipe)) is None)
    n_images = sum(len(chunk.items) for chunk in missing)
    if workers is None:
        workers = min(torch.get_num_threads(), 1 + n_images // _WORTH_A_WORKER)
    helpers = min(workers, len(missing)) - 1 if device.type == "cpu" else 0
    finished: queue.SimpleQueue[int | FsbenchError] = queue.SimpleQueue()
    threads = [threading.Thread(target=_feed, args=(missing, store, finished), daemon=True) for _ in range(helpers)]
    for thread in threads:
        thread.start()
    try:
        while (chunk := _next(missing)) is not None:
            store.save(KIND, fingerprint(chunk.recipe), draw_chunk(chunk, device))
            done(len(chunk.items))
            _report(finished, done)
        for thread in threads:
            thread.join()
        _report(finished, done)
    finally:
        missing.clear()  # interrupted: helpers end with the chunk at hand


def _next(chunks: deque[Chunk]) -> Chunk | None:
    """Take a chunk that nobody else takes."""
    try:
        return chunks.popleft()
    except IndexError:
        return None


def _report(finished: queue.SimpleQueue[int | FsbenchError], done: Callable[[int], None]) -> None:
    while not finished.empty():
        result = finished.get()
        if isinstance(result, FsbenchError):
            raise result
        done(result)


def _feed(missing: deque[Chunk], store: Store, finished: queue.SimpleQueue[int | FsbenchError]) -> None:
    """Hand chunks to one helping process until none is left."""
    command = [sys.executable, "-c", f"from {__name__} import main; main()", str(store.root)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as helper:
        assert helper.stdin is not None
        assert helper.stdout is not None
        while (chunk := _next(missing)) is not None:
            try:
                helper.stdin.write(json.dumps(asdict(chunk)) + "\n")
                helper.stdin.flush()
                answer = helper.stdout.readline().strip()
            except BrokenPipeError:
                answer = ""
                with suppress(BrokenPipeError):  # closing sends what is left
                    helper.stdin.close()
            if answer != "done":
                finished.put(
                    OutputError(
                        answer or "a process that draws synthetic people was ended from outside",
                        "run the command again: finished chunks are kept",
                    )
                )
                break
            try:
                store.send(KIND, fingerprint(chunk.recipe))
            except FsbenchError as error:
                finished.put(error)
                break
            finished.put(len(chunk.items))


def main() -> None:
    """Serve requests: one chunk as JSON a line on standard input, `done` or one line of error on standard output."""
    store = Store(Path(sys.argv[1]))
    for line in sys.stdin:
        chunk = Chunk.from_json(json.loads(line))
        try:
            store.save(KIND, fingerprint(chunk.recipe), draw_chunk(chunk, torch.device("cpu")))
            answer = "done"
        except FsbenchError as error:
            answer = error.message
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
