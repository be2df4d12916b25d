"""Memory of video does not grow with its length.

uv run pytest benchmarks/test_memory_video.py -n 0 -s
"""

from __future__ import annotations

import resource
from pathlib import Path

from comparisons.video import moving, write

from fsbench.faces.video import Video, VideoWriter


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    """720p: 2,000 frames take no more than 100 MB above what 100 took."""
    frames, peaks = moving(20, 1280, 720), []
    for times in (5, 100):
        video = Video(write(tmp_path / f"{times}.mp4", frames, times))
        with VideoWriter(tmp_path / f"out{times}.mp4", video) as writer:
            for frame in video.frames():
                writer.write(frame.image, frame.pts, frame.duration)
        assert writer.n_frames == 20 * times
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(f"peak {peaks[0]:.0f} MB after 100 frames, {peaks[1]:.0f} MB after 2,000")
    assert peaks[1] - peaks[0] < 100
