"""Faults between outputs: frames that jitter, wobble, lag, repeat or freeze, and copies instead of swaps."""

from __future__ import annotations

import math

import numpy as np
import torch

from fsbench.faults.fault import TEMPORAL, Fault, Scene, chance
from fsbench.faults.pixels import SIDE, blur, in_pixels, resample, transform
from fsbench.images import ImageSet

_SHARES = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
_FACE = 0.3  # radius of the face, as a share of the crop: the displacement in a wobble is a mean over this disc


def _jitter(scene: Scene, strength: float) -> ImageSet:
    wander = np.stack([chance("jitter", row).standard_normal(2) for row in scene.ids])
    spread = in_pixels(strength, scene.exact) / math.sqrt(math.pi / 2)  # the mean length of a pair of normal numbers
    return ImageSet.of(resample(scene.exact[:], torch.from_numpy(spread * wander).float()))


def _wobble(scene: Scene, strength: float) -> ImageSet:
    along, across = np.stack([chance("wobble", row).standard_normal(2) for row in scene.ids]).T
    stretch = np.array([[along, across], [across, -along]]).transpose(2, 0, 1)  # neither turns nor scales
    size = strength / SIDE / _FACE
    matrix = torch.eye(2) + torch.from_numpy(size * stretch).float()
    return ImageSet.of(transform(scene.exact[:], matrix, torch.zeros(len(scene.exact), 2)))


def _pumping(scene: Scene, strength: float) -> ImageSet:
    amounts = [min(abs(chance("pumping", row).standard_normal()), 2.5) for row in scene.ids]
    blurred = [blur(scene.exact[k : k + 1], strength * amount) for k, amount in enumerate(amounts)]
    return ImageSet.of(torch.cat(blurred))


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


def _repeated(scene: Scene, strength: float) -> ImageSet:
    before = earlier(scene, 1)
    held = np.array([chance("repeated", row).random() for row in scene.ids]) < strength
    shown = np.arange(len(before))
    for k in np.argsort(scene.targets.rows["frame"].to_numpy(), kind="stable"):
        shown[k] = shown[before[k]] if held[k] else k
    return scene.exact.select(shown)


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
    "shake",
    "px",
    (0.5, 1.0, 2.0, 3.0, 5.0, 8.0),
    "Each frame is moved in another direction at random, by a known distance on average.",
    _jitter,
    also=("geometry", "flicker", "pumping"),
)
WOBBLE = Fault(
    "wobble",
    "wobble",
    "px",
    (0.5, 1.0, 2.0, 3.0, 4.0, 6.0),
    "Each frame is stretched along another axis and squeezed across it, by a known root mean square over the face.",
    _wobble,
    also=("shake", "geometry", "expression", "gaze", "flicker", "pumping"),
)
PUMPING = Fault(
    "pumping",
    "pumping",
    "px",
    (1.0, 1.5, 2.2, 3.2, 4.5, 6.0),
    "Each frame is blurred by another amount at random, Gaussians whose root mean square width is the strength.",
    _pumping,
    also=("detail", "flicker"),
)
LAG = Fault(
    "lag",
    "lag",
    "frames",
    (1.0, 2.0, 3.0, 5.0, 8.0, 12.0),
    "The output is that of an earlier frame, by a known number; a clip begins with its first frame repeated.",
    _lag,
    also=("pose", "expression", "gaze", "geometry", "shake", "wobble", "flicker", "pumping"),
    clips=True,
)
REPEATED = Fault(
    "repeated",
    "stutter",
    "share",
    (0.05, 0.1, 0.2, 0.35, 0.5, 0.7),
    "A known share of the outputs is the output before once more, as where frames are dropped.",
    _repeated,
    also=("pose", "expression", "gaze", "geometry", "shake", "wobble", "flicker", "pumping", "lag"),
    clips=True,
)
FROZEN = Fault(
    "frozen",
    "diversity",
    "share",
    _SHARES,
    "A known share of the outputs is one and the same output.",
    _frozen,
    also=("pose", "expression", "gaze", "geometry", "colour", *TEMPORAL),
)
COPY_TARGET = Fault(
    "copy_target",
    "identity",
    "share",
    _SHARES,
    "A known share of the outputs is the target itself, unchanged.",
    _copy_target,
    also=("colour", *TEMPORAL),
)
COPY_SOURCE = Fault(
    "copy_source",
    "pose",
    "share",
    _SHARES,
    "A known share of the outputs is a training image of the source, with nothing of the target.",
    _copy_source,
    also=("expression", "gaze", "geometry", "colour", "blending", "diversity", *TEMPORAL),
)
