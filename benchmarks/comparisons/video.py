"""Swapping a video beside finding its faces: decoding, cutting and pasting back cost little."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage.data import astronaut

from comparisons import Comparison, Work
from fsbench.faces.detect import Detector
from fsbench.faces.paste import PRESETS, cut, paste
from fsbench.faces.video import Video

SIDE, FRAMES = 512, 6


def moving(n: int, width: int, height: int) -> list[np.ndarray]:
    """A photograph that drifts over a picture of noise."""
    ground = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3)).astype(np.uint8)
    frames = [np.array(Image.fromarray(ground).resize((width, height))) for _ in range(n)]
    for i, frame in enumerate(frames):
        frame[100 : 100 + SIDE, 50 + i % 200 : 50 + i % 200 + SIDE] = astronaut()
    return frames


def write(path: Path, frames: Sequence[np.ndarray], times: int = 1) -> Path:
    """Write frames, over and over, as a video of 25 frames a second."""
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


def _sides(folder: Path) -> tuple[Work, Work]:
    video = Video(write(folder / "clip.mp4", moving(FRAMES, 1280, 720)))
    detector, frames = Detector(torch.device("cpu")), [frame.image for frame in video.frames()]

    def detection() -> None:
        for frame in frames:
            detector.detect_photo(frame)

    def everything() -> None:
        for frame in video.frames():
            crop = cut(frame.image, detector.detect_photo(frame.image).landmarks[0], SIDE)
            paste(frame.image, crop.image, crop, PRESETS["fsbench"])

    return everything, detection


COMPARISONS = (Comparison("decode, detect, cut 512 px, paste: 720p", "detection alone", 0.8, _sides, rounds=3),)
