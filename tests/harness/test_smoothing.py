"""Smoothed landmarks: of a model on clips whose detector shakes, the swapped face shakes less."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from clips import write_clip
from discs import GREEN, RED, DiscDetector, frame
from PIL import Image

from fsbench.extraction import video_faces
from fsbench.faces import detect
from fsbench.faces.align import TEMPLATE
from fsbench.faces.detect import Detections
from fsbench.faces.paste import PRESETS
from fsbench.faces.track import Smoothing
from fsbench.faces.video import Video
from fsbench.harness import swap as service
from fsbench.harness.swap import SwapOptions, swap
from fsbench.interfaces import Context, Source, Swapped, Targets
from fsbench.metrics.jitter import jitter_power
from fsbench.registry import swappers
from fsbench.stats.resampling import Design, Mean

CLIPS, FRAMES, SIDE = 6, 40, 50.0
NOISE = 1.5
"""Pixels, standard deviation of the error that the detector makes in the place of the face, anew in each frame."""


class ShakyDetector(DiscDetector):
    """Finds discs with an error; the same picture has the same one."""

    def detect_photo(self, image: np.ndarray) -> Detections:
        found = super().detect_photo(image)
        error = np.random.default_rng(int(image.astype(np.int64).sum())).normal(0, NOISE, 2).astype(np.float32)
        return Detections(found.boxes, found.landmarks + error, found.probability)


class Square:
    """Paints a square into the middle of the crop: where it lies in the frame is the alignment's doing alone."""

    def swap(self, source: Source, targets: Targets) -> Swapped:
        images, alpha = targets.images.clone(), torch.zeros_like(targets.images[:, :1])
        alpha[..., 16:48, 16:48] = 1
        images[..., 16:48, 16:48] = torch.tensor(GREEN).view(3, 1, 1) / 255
        return Swapped(images, alpha)


@pytest.fixture(autouse=True)
def discs(registering: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (detect, video_faces, service):
        monkeypatch.setattr(module, "Detector", ShakyDetector)
    swappers.register("square")(Square)


def motion(clip: int) -> np.ndarray:
    """Where the middle of the face truly is in each frame, (FRAMES, 2)."""
    time = np.arange(FRAMES)
    return np.stack([60 + 15 * np.sin(time / 9 + clip), 48 + 5 * np.cos(time / 7 + 2 * clip)], 1)


def places(path: Path) -> np.ndarray:
    """Five points of the green square in each frame of a video, (FRAMES, 5, 2)."""
    y, x = np.mgrid[:96, :160] + 0.5
    points = []
    for shown in Video(path).frames():
        levels = shown.image.astype(float)
        green = np.clip((levels[..., 1] - levels[..., 0] - 20) / 150, 0, 1)
        middle = np.array([(green * x).sum(), (green * y).sum()]) / green.sum()
        points.append((TEMPLATE - 0.5) * SIDE + middle)
    return np.stack(points)


def common_jitter(path: Path, clip: int) -> float:
    """Common mode of the jitter of a swapped clip, in percent of the distance of the eyes."""
    target = motion(clip)[:, None] + (TEMPLATE - 0.5) * SIDE
    power = jitter_power(places(path), target, np.arange(FRAMES))[:, 0]
    return float(np.sqrt(np.nanmean(power)))


def test_kalman_smoothing_lowers_the_common_jitter_of_the_same_model(tmp_path: Path, fresh_context: Context) -> None:
    """By a paired interval over clips that excludes 0; and without it, the jitter is that of the detector's noise."""
    source = tmp_path / "ann"
    source.mkdir()
    Image.fromarray(frame((RED, 80, 48, 60))).save(source / "1.png")
    jitter: dict[str, list[float]] = {"off": [], "kalman": []}
    for clip in range(CLIPS):
        shown = [frame((RED, *place, SIDE)) for place in motion(clip)]
        path = write_clip(tmp_path / f"{clip}.mp4", shown)
        for how, values in jitter.items():
            out = tmp_path / f"{clip}-{how}.mp4"
            settings = SwapOptions(PRESETS["fsbench"], Smoothing(how), size=64, lossless=True)  # type: ignore[arg-type]
            report = swap(path, "square", source, out, settings, fresh_context)
            assert report.n_swapped == FRAMES
            values.append(common_jitter(out, clip))
    off, kalman = (np.array(jitter[how]) for how in ("off", "kalman"))
    eyes = SIDE * np.linalg.norm(TEMPLATE[1] - TEMPLATE[0])
    assert off.mean() == pytest.approx(100 * NOISE * np.sqrt(2) / eyes, rel=0.15)
    people, sessions = np.repeat([0, 1], CLIPS // 2), np.arange(CLIPS)
    design = Design.of(people, sessions, np.zeros(CLIPS, int), resamples=1000, seed=0)
    resampled = [design.resample(Mean(values)) for values in (off, kalman)]
    difference = design.difference(float((off - kalman).mean()), *resampled)
    assert 0 < difference.low < difference.effect
    assert kalman.mean() < 0.6 * off.mean()
