"""Speed of video at 720p: reading, cutting and pasting back, by preset.

uv run pytest benchmarks/test_speed_video.py --benchmark-enable
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from comparisons.video import SIDE, moving, write

from fsbench.faces.detect import Detector
from fsbench.faces.paste import PRESETS, cut, paste
from fsbench.faces.video import Video
from fsbench.guard import one_thread

FRAMES = 25


def test_decode(benchmark: Any, tmp_path: Path) -> None:
    video = Video(write(tmp_path / "clip.mp4", moving(FRAMES, 1280, 720)))
    benchmark.extra_info["frames"] = FRAMES
    with one_thread():
        assert benchmark.pedantic(lambda: sum(1 for _ in video.frames()), rounds=3) == FRAMES


@pytest.mark.parametrize("preset", PRESETS)
def test_cut_and_paste(benchmark: Any, preset: str) -> None:
    (frame,) = moving(1, 1280, 720)
    landmarks = Detector(torch.device("cpu")).detect_photo(frame).landmarks[0]

    def work() -> None:
        crop = cut(frame, landmarks, SIDE)
        paste(frame, crop.image, crop, PRESETS[preset])

    with one_thread():
        benchmark.pedantic(work, rounds=3, warmup_rounds=1)
