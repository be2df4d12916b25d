"""Faults between outputs: frames that jitter, lag or freeze, and outputs that are copies instead of swaps."""

from __future__ import annotations

import math

import numpy as np
import torch

from fsbench.faults.fault import Fault, Scene, chance
from fsbench.faults.pixels import in_pixels, resample
from fsbench.images import ImageSet

_SHARES = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0)


def _jitter(scene: Scene, strength: float) -> ImageSet:
    wander = np.stack([chance("jitter", row).standard_normal(2) for row in scene.ids])
    spread = in_pixels(strength, scene.exact) / math.sqrt(math.pi / 2)  # the mean length of a pair of normal numbers
    return ImageSet.of(resample(scene.exact[:], torch.from_numpy(spread * wander).float()))


def _lag(scene: Scene, strength: float) -> ImageSet:
    return scene.exact.select(earlier(scene, round(strength)))


def earlier(scene: Scene, n_frames: int) -> np.ndarray:
    """Index of the output that replaces each, (N,): the last of its clip that is n frames old, else the first."""
    rows, shown = scene.targets.rows.reset_index(drop=True), np.arange(len(scene.targets))
    for _, clip in rows.groupby(["identity", "session", "clip"]):
        clip = clip.sort_values("frame")
        frames = clip["frame"].to_numpy()
        before = np.searchsorted(frames, frames - n_frames, side="right") - 1
        shown[clip.index] = clip.index[before.clip(min=0)]
    return shown


def _replace(scene: Scene, what: str, share: float, others: np.ndarray) -> ImageSet:
    """Replace a share of the outputs by other pixels (N, S, S, 3); a larger share includes a smaller one."""
    hit = np.array([chance(what, row).random() for row in scene.ids]) < share
    return ImageSet(np.where(hit[:, None, None, None], others, scene.exact.levels()))


def _frozen(scene: Scene, strength: float) -> ImageSet:
    still = min(range(len(scene.ids)), key=lambda k: chance("still", scene.ids[k]).random())
    return _replace(scene, "frozen", strength, scene.exact.levels([still]))


def _copy_target(scene: Scene, strength: float) -> ImageSet:
    return _replace(scene, "copy_target", strength, scene.targets.crops.levels())


def _copy_source(scene: Scene, strength: float) -> ImageSet:
    return _replace(scene, "copy_source", strength, scene.sources.levels())


JITTER = Fault(
    "jitter",
    "temporal",
    "px",
    (0.5, 1.0, 2.0, 3.0, 5.0, 8.0),
    "Each frame is moved in another direction at random, by a known distance on average.",
    _jitter,
    also=("geometry",),
)
LAG = Fault(
    "lag",
    "temporal",
    "frames",
    (1.0, 2.0, 3.0, 5.0, 8.0, 12.0),
    "The output is that of an earlier frame, by a known number; a clip begins with its first frame repeated.",
    _lag,
    also=("pose", "expression", "gaze", "geometry"),
    clips=True,
)
FROZEN = Fault(
    "frozen",
    "diversity",
    "share",
    _SHARES,
    "A known share of the outputs is one and the same output.",
    _frozen,
    also=("pose", "expression", "gaze", "geometry", "colour", "temporal"),
)
COPY_TARGET = Fault(
    "copy_target",
    "identity",
    "share",
    _SHARES,
    "A known share of the outputs is the target itself, unchanged.",
    _copy_target,
    also=("colour",),
)
COPY_SOURCE = Fault(
    "copy_source",
    "pose",
    "share",
    _SHARES,
    "A known share of the outputs is a training image of the source, with nothing of the target.",
    _copy_source,
    also=("expression", "gaze", "geometry", "colour", "blending", "temporal", "diversity"),
)
