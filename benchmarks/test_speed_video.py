"""Video: what reading, cutting and pasting back cost beside finding faces, and that memory does not grow.

uv run pytest benchmarks/test_speed_video.py --benchmark-enable -n 0 -s
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage.data import astronaut

from fsbench.faces.detect import Detector
from fsbench.faces.paste import PRESETS, cut, paste
from fsbench.faces.video import Video, VideoWriter
from fsbench.guard import one_thread

SIDE = 512


def _moving(n: int, width: int, height: int) -> list[np.ndarray]:
    """A photograph that drifts over a picture of noise."""
    ground = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3)).astype(np.uint8)
    frames = [np.array(Image.fromarray(ground).resize((width, height))) for _ in range(n)]
    for i, frame in enumerate(frames):
        frame[100 : 100 + SIDE, 50 + i % 200 : 50 + i % 200 + SIDE] = astronaut()
    return frames


def _write(path: Path, frames: list[np.ndarray], times: int = 1) -> Path:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.height, stream.width = frames[0].shape[:2]
        for number in range(times * len(frames)):
            frame = av.VideoFrame.from_ndarray(frames[number % len(frames)], format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _seconds(work: Callable[[], object], repeats: int = 3) -> float:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def test_a_video_is_swapped_nearly_as_fast_as_faces_are_found(tmp_path: Path) -> None:
    """Crops of 512 pixels, 720p: decode + detect + align + paste against detect alone, one thread each."""
    video = Video(_write(tmp_path / "clip.mp4", _moving(12, 1280, 720)))
    detector, frames = Detector(torch.device("cpu")), [frame.image for frame in video.frames()]

    def detection() -> None:
        for frame in frames:
            detector.detect_photo(frame)

    def everything() -> None:
        for frame in video.frames():
            crop = cut(frame.image, detector.detect_photo(frame.image).landmarks[0], SIDE)
            paste(frame.image, crop.image, crop, PRESETS["fsbench"])

    with one_thread():
        alone, whole = _seconds(detection), _seconds(everything)
    print(f"detection alone {12 / alone:.1f} frames/s, everything {12 / whole:.1f}: {alone / whole:.0%}")
    assert alone / whole > 0.8


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    """720p: 2,000 frames take no more than 100 MB above what 100 took."""
    frames, peaks = _moving(20, 1280, 720), []
    for times in (5, 100):
        video = Video(_write(tmp_path / f"{times}.mp4", frames, times))
        with VideoWriter(tmp_path / f"out{times}.mp4", video) as writer:
            for frame in video.frames():
                writer.write(frame.image, frame.pts, frame.duration)
        assert writer.n_frames == 20 * times
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(f"peak {peaks[0]:.0f} MB after 100 frames, {peaks[1]:.0f} MB after 2,000")
    assert peaks[1] - peaks[0] < 100
