"""Flicker: changes of outputs from frame to frame that the motion in their targets does not explain."""

from __future__ import annotations

import math
from dataclasses import replace
from importlib.util import find_spec
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fsbench.faces.flow import follow
from fsbench.interfaces import Batch, Context, MetricInfo
from fsbench.metrics._clips import OfFrames, OfSquares, jumps, known_mean, next_to
from fsbench.registry import metrics
from fsbench.stats.summaries import geometric_mean, mean
from fsbench.weights import locate

_CHEEKS, _BRIDGE = ((0, 3), (1, 4)), (0, 1)
"""Landmarks between which the skin is looked at: eye and corner of the mouth on either side, and the eyes."""

_SKIN, _PATCH = 0.12, 0.35
"""Half the side of the squares whose colour, and whose sharpness, is looked at, in distances of the eyes."""

_STEPS = 9
"""Samples along a side of a square."""


@metrics.register("flicker")
class Flicker(OfFrames):
    """Warp error of the outputs over that of their own clip: 1 is as steady as the clip, 2 has twice its squared error.

    Each frame is compared with the next one, warped back by the optical flow of the real clip. A pair of frames has the
    mean squared difference of the pixels that both show: where flow there and back agree, and motion has no border. A
    clip has the mean over its pairs of consecutive frames, divided by the same of its targets. The value is the
    geometric mean over clips. A clip whose targets have no error at all is not scored.

    Blur hides flicker: a value below 1 is smoother than reality. The errors of the flow are in both numbers, and so
    are noise and codec of the real clip, which an output need not have. Motion that is not the target's counts too:
    outputs that shake or lag have other pixels where the flow leads. `flow` is raft where its file is there, else
    dis, without OpenCV tvl1: values by different ones do not compare.
    """

    info = MetricInfo(
        unit="",
        direction="lower",
        bounds=(0.0, math.inf),
        needs=(),
        no_face="scored like any other",
        reference="warp error of Lai et al., Learning Blind Video Temporal Consistency, ECCV 2018, by another flow",
        group="temporal",
        sample="clip",
        stages=("crop", "frame"),
        measures=("flicker",),
        digits=2,
        summary_rank=66,
    )
    summarise = staticmethod(geometric_mean)

    def __init__(self, *, flow: Literal["best", "raft", "dis", "tvl1"] = "best", context: Context) -> None:
        method: str = flow
        if flow in ("best", "raft"):
            folder = context.store.root / "weights"
            there = [name for name in ("raft_large", "raft_small") if locate(name, folder)]
            other = "raft_large" if flow == "raft" else "tvl1" if find_spec("cv2") is None else "dis"
            method = (there or [other])[0]  # that RAFT is not there is told where it is made
        self.info = replace(type(self).info, needs=(f"flow({method})",))

    def frame_rows(self, batch: Batch) -> Tensor:
        flow = batch[self.info.needs[0]].target
        errors = torch.full((len(batch.rows), 2), torch.nan, dtype=torch.float64)
        pairs = torch.from_numpy(np.flatnonzero(next_to(batch.rows["frame"].to_numpy(int))))
        if len(pairs):
            forward, seen = (flow[name][pairs].cpu() for name in ("forward", "visible"))
            for side, images in enumerate((batch.output, batch.target)):
                errors[pairs, side] = warp_error(images[pairs].cpu(), images[pairs + 1].cpu(), forward, seen)
        return errors  # (N, 2)

    def clip_row(self, rows: np.ndarray) -> float:
        output, target = map(known_mean, rows.T)
        return output / target if target > 0 else math.nan

    def curve(self, batch: Batch) -> Tensor:
        output, target = self.frame_rows(batch).T
        whole = target.nanmean()
        ratios: Tensor = output / whole.where(whole > 0, torch.nan)
        return ratios  # (N,)


def warp_error(first: Tensor, second: Tensor, forward: Tensor, seen: Tensor) -> Tensor:
    """Mean squared difference of (N, 3, S, S) to the next frames, warped back, (N,) float64; NaN where none is `seen`.

    `forward` (N, 2, S, S) is the flow, and `seen` (N, 1, S, S) tells where it holds.
    """
    squares = ((first - follow(second, forward.nan_to_num())) ** 2 * seen).double().sum((1, 2, 3))
    return squares / seen.double().sum((1, 2, 3)) / first.shape[1]


@metrics.register("flicker_colour")
class FlickerColour(OfSquares):
    """How far the skin's colour jumps from frame to frame where the target's does not, CIE76; 1 is just visible.

    The colour of three squares of skin, on both cheeks and between the eyes, at the target's landmarks in output and
    target. The difference of the two in CIE Lab has a second difference over time; its root mean square over squares
    and frames, over sqrt(6), is the standard deviation of a colour that is another in each frame. A colour cast that
    stays cancels, and so does the change of light as the head turns. A frame is left out where it, or a neighbour, is
    missing, or the target shows no face. Copying the target wins.
    """

    info = MetricInfo(
        unit="Delta E",
        direction="lower",
        bounds=(0.0, math.inf),
        needs=("five_points",),
        no_face="scored like any other; a target without a face is left out",
        reference="CIE 1976 L*a*b*; second difference as in jitter",
        group="temporal",
        sample="clip",
        stages=("crop", "frame"),
        measures=("flicker",),
        digits=2,
    )
    summarise = staticmethod(mean)

    def frame_rows(self, batch: Batch) -> Tensor:
        return torch.from_numpy((self._jumps(batch) ** 2).sum(2))  # (N, squares)

    def curve(self, batch: Batch) -> Tensor:
        return self.frame_rows(batch).mean(1).sqrt()  # (N,)

    def _jumps(self, batch: Batch) -> np.ndarray:
        """Jumps of the colours at each frame, (N, 3 squares, Lab)."""
        from skimage.color import rgb2lab  # slow to import, and not every command measures

        places = squares(batch["five_points"].target["landmarks"].cpu(), _SKIN)
        output, target = (
            rgb2lab(sample(images.cpu(), places).mean(3).movedim(1, 2).double().numpy())  # (N, 3 squares, Lab)
            for images in (batch.output, batch.target)
        )
        return jumps(output - target, batch.rows["frame"].to_numpy(int))


@metrics.register("flicker_sharpness")
class FlickerSharpness(FlickerColour):
    """How far the face's sharpness jumps from frame to frame where the target's does not, in percent.

    As `flicker_colour`, of the logarithm of the sharpness: root mean square of the Laplacian of the brightness over the
    mean brightness, in larger squares around the same points together. An output that is always as blurred is steady.
    """

    info = replace(
        FlickerColour.info,
        unit="%",
        reference="energy of the Laplacian: Subbarao et al., Optical Engineering 32(11), 1993",
        measures=("pumping",),
        digits=1,
    )

    def _jumps(self, batch: Batch) -> np.ndarray:
        """Jumps of the sharpness at each frame, (N, 1, 1)."""
        places = squares(batch["five_points"].target["landmarks"].cpu(), _PATCH)
        output, target = (sharpness(images.cpu(), places) for images in (batch.output, batch.target))
        return 100 * jumps(output - target, batch.rows["frame"].to_numpy(int))


def squares(landmarks: Tensor, half: float) -> Tensor:
    """Points in the squares of skin of (N, 5, 2) landmarks, (N, 3, K, 2) pixels; NaN where there is no face."""
    middles = torch.stack([landmarks[:, list(pair)].mean(1) for pair in (*_CHEEKS, _BRIDGE)], 1)  # (N, 3, 2)
    eyes = (landmarks[:, 1] - landmarks[:, 0]).norm(dim=1)
    step = torch.linspace(-half, half, _STEPS)
    grid = torch.stack(torch.meshgrid(step, step, indexing="xy"), -1).reshape(-1, 2)  # (K, 2)
    places: Tensor = middles[:, :, None] + eyes[:, None, None, None] * grid
    return places


def sample(images: Tensor, places: Tensor) -> Tensor:
    """(N, C, S, S) at (N, P, K, 2) pixels, (N, C, P, K); NaN where a place is."""
    where = 2 * places / images.shape[-1] - 1
    values: Tensor = F.grid_sample(images, where.nan_to_num(), padding_mode="border", align_corners=False)
    return values.masked_fill(where.isnan().any(3)[:, None], torch.nan)


def sharpness(images: Tensor, places: Tensor) -> np.ndarray:
    """Logarithm of the contrast of edges of (N, 3, S, S) in all squares of (N, P, K, 2) pixels, (N, 1, 1) float64."""
    grey = images.mean(1, keepdim=True)
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    edges = F.conv2d(F.pad(grey, (1, 1, 1, 1), "replicate"), kernel) ** 2
    around = F.avg_pool2d(edges, 3, 1, 1)  # no pixel falls between samples
    energy, level = (sample(of, places).double().mean((2, 3), keepdim=True)[:, 0] for of in (around, grey))
    known = (energy > 0) & (level > 0)
    contrast: np.ndarray = (energy.sqrt() / level).where(known, torch.nan).log().numpy()
    return contrast
