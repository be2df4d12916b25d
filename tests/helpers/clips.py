"""Small videos, made by the tests that read them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image


def picture(width: int = 128, height: int = 96, seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8: soft blobs of strong colours, so that corners and channels can be told apart."""
    coarse = np.random.default_rng(seed).integers(20, 236, (4, 5, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def write_clip(
    path: Path,
    images: Sequence[np.ndarray],
    *,
    pts: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 25),
    rate: Fraction | int = 25,
    codec: str = "libx264",
    pixels: str = "yuv444p",
    options: dict[str, str] | None = None,
    matrix: int = 1,
    full_range: bool = False,
    tags: dict[str, int] | None = None,
    rotation: int = 0,
    sound: str = "",
    seconds: float = 0.0,
) -> Path:
    """Write a clip, lossless by default; `tags` say other colours than those in which it is written."""
    height, width = images[0].shape[:2]
    levels = 2 if full_range else 1
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate, options=options if options is not None else {"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.time_base = stream.codec_context.time_base = time_base
        marks = {"colorspace": matrix, "color_range": levels, "color_primaries": matrix, "color_trc": matrix}
        for name, value in (marks if tags is None else tags).items():
            setattr(stream.codec_context, name, value)
        if rotation:
            stream.set_display_rotation(rotation)
        track: Any = container.add_stream(sound, rate=48000) if sound else None
        if track is not None:
            track.layout = "mono"
            _add_sound(container, track, seconds)
        for i, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            if pixels.startswith("yuv"):
                frame = frame.reformat(format=pixels, src_color_range=2, dst_colorspace=matrix, dst_color_range=levels)
            frame.pts, frame.time_base = i if pts is None else pts[i], time_base
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


def _add_sound(container: Any, track: Any, seconds: float) -> None:
    wave = np.sin(np.arange(int(48000 * seconds)) * 0.05).astype(np.float32)
    for start in range(0, len(wave), 1024):
        frame = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48000, start
        for packet in track.encode(frame):
            container.mux(packet)
    for packet in track.encode(None):
        container.mux(packet)


def packets(path: Path, kind: str) -> list[tuple[bytes, float]]:
    """Content and time of all packets of one kind of stream."""
    with av.open(str(path)) as container:
        stream = container.streams.best(kind)
        return [
            (bytes(packet), round(float(packet.pts * packet.time_base), 3))
            for packet in container.demux(stream)
            if packet.size and packet.pts is not None
        ]
