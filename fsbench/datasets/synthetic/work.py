"""Draws chunks into the store: here, or in worker processes that take one chunk at a time.

Workers are plain `python -m fsbench.datasets.synthetic.work` processes that read requests from their input: unlike a
process pool they neither import the main program again nor fork its threads, and they end when their parent does. Every
process draws with one thread, so the bytes do not depend on how many there are.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from fsbench.datasets.synthetic.plan import Chunk, draw
from fsbench.datasets.synthetic.render import Renderer
from fsbench.errors import FsbenchError, OutputError
from fsbench.images import to_bytes
from fsbench.store import Arrays, Store, fingerprint

KIND = "synthetic"
TAGS = ("yaw", "pitch", "roll", "gaze_x", "gaze_y", "light", "light_elevation", "mouth_open", "smile", "blink", "glasses", "occluded")


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread and build no graphs."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(before)


@lru_cache(maxsize=2)
def _renderer(device: torch.device, size: int, jitter: float) -> Renderer:
    return Renderer(device, size, jitter=jitter)


def draw_chunk(chunk: Chunk, device: torch.device) -> Arrays:
    """Return `image` (N, S, S, 3) and `mask` (N, S, S, 1) uint8, `five`, `landmarks` and `tags` float32."""
    renderer = _renderer(device, chunk.size, chunk.jitter)
    images, masks, five, landmarks, tags = [], [], [], [], []
    with one_thread():
        for item in chunk.items:
            drawing, session, shot = draw(renderer, item, chunk)
            images.append(to_bytes(drawing.image))
            masks.append(to_bytes(drawing.face))
            five.append(drawing.five.cpu().numpy())
            landmarks.append(drawing.landmarks.cpu().numpy())
            mean = {stem: (shot.actions.get(f"{stem}Left", 0.0) + shot.actions.get(f"{stem}Right", 0.0)) / 2
                    for stem in ("mouthSmile", "eyeBlink")}
            tags.append((shot.yaw, shot.pitch, shot.roll, *shot.gaze, session.light.azimuth, session.light.elevation,
                         shot.actions.get("jawOpen", 0.0), mean["mouthSmile"], mean["eyeBlink"],
                         float(bool(session.glasses)), float(bool(shot.occluder))))
    return {"image": np.stack(images), "mask": np.stack(masks), "five": np.stack(five),
            "landmarks": np.stack(landmarks), "tags": np.array(tags, np.float32)}


def draw_missing(chunks: Sequence[Chunk], store: Store, device: torch.device, done: Callable[[int], None],
                 workers: int | None = None) -> None:
    """Draw those chunks that the store does not have; `done` is told how many images were drawn since it was last called."""
    missing = [chunk for chunk in chunks if store.load(KIND, fingerprint(chunk.recipe)) is None]
    if workers is None:
        workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(workers, len(missing)) if device.type == "cpu" else 1
    if workers > 1:
        _draw_with_workers(missing, store, done, workers)
        return
    for chunk in missing:
        store.save(KIND, fingerprint(chunk.recipe), draw_chunk(chunk, device))
        done(len(chunk.items))


def _draw_with_workers(chunks: Sequence[Chunk], store: Store, done: Callable[[int], None], n_workers: int) -> None:
    command = [sys.executable, "-m", __spec__.name, str(store.root)]
    idle: queue.SimpleQueue[subprocess.Popen[str]] = queue.SimpleQueue()
    started = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(n_workers)]
    for process in started:
        idle.put(process)

    def hand_out(chunk: Chunk) -> int:
        process = idle.get()
        try:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(json.dumps(chunk.as_json()) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        finally:
            idle.put(process)
        if answer.strip() != "done":
            raise OutputError(answer.strip() or "a process that draws synthetic people was ended from outside",
                              "run the command again: finished chunks are kept; where memory is short, close other programs")
        return len(chunk.items)

    try:
        with ThreadPoolExecutor(n_workers) as pool:
            jobs = [pool.submit(hand_out, chunk) for chunk in chunks]
            try:
                for job in as_completed(jobs):
                    done(job.result())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for process in started:
                    process.kill()
                raise
    finally:
        for process in started:
            process.communicate()                       # closes its input, which ends it


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
