"""Back into the frame: mask, colour match and blending, and the settings by which known tools do it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from fsbench.faces.align import similarity
from fsbench.faces.colour import Match, match_colours
from fsbench.faces.region import FITTED, ovals
from fsbench.faces.templates import TEMPLATES
from fsbench.faces.warp import after, inverse, warp

Shape = Literal["alpha", "oval", "hull", "box"]
"""Where the model's own mask is not 0; an oval by the landmarks; their hull, grown; the whole square.

An output is blended with its target by the model's mask already: blended by it twice, the face would fade.
"""

Blend = Literal["linear", "poisson"]

_TOUCHED = 0.01
_HULL = 1.8  # of the size of the five landmarks' hull: from the brows to the chin
_FINEST = 256  # pixels, side of the square on which a mask is drawn, that is not the model's own
_MARGIN = 2  # pixels around what is read of a frame


@dataclass(frozen=True)
class Mask:
    """Where the face is pasted: a shape, made smaller, and blurred."""

    shape: Shape = "oval"
    template: str = "fsbench"  # of the square that a box fills, and of which erosion and blur are fractions
    erosion: float = 0.0  # width that is taken away at the border, as a fraction of the square's side
    blur: float = 0.03  # standard deviation of a Gaussian, likewise
    pixels: bool = False  # erosion and blur are pixels of the frame, whatever the size of the face


@dataclass(frozen=True)
class PasteBack:
    """How a face is put back into its frame."""

    mask: Mask = Mask()
    colour: Match = "none"
    blend: Blend = "linear"

    @property
    def description(self) -> str:
        """What it is, in a line."""
        mask, unit = self.mask, "pixels" if self.mask.pixels else f"of the side of {self.mask.template}"
        return (
            f"mask {mask.shape}, eroded by {mask.erosion:g} and blurred by {mask.blur:g} {unit}; colours matched by "
            f"{self.colour}; {self.blend} blending"
        )


PRESETS: Mapping[str, PasteBack] = MappingProxyType(
    {
        "fsbench": PasteBack(Mask("alpha")),
        "exact": PasteBack(Mask("box", blur=0.0)),
        "faceswap_gan": PasteBack(Mask("alpha", "faceswap_gan", erosion=0.1, blur=0.0165), colour="rgb"),
        "insightface": PasteBack(Mask("box", "arcface_128", erosion=0.05, blur=0.015)),
        "facefusion": PasteBack(Mask("box", "arcface_128", erosion=0.075, blur=0.0375)),
        "simswap": PasteBack(Mask("box", "arcface_112_v1", erosion=20.0, blur=6.5, pixels=True)),
        "deepfacelab": PasteBack(Mask("alpha", "dfl_whole_face", blur=0.0), colour="lab"),
    }
)
"""By name. `exact` pastes the whole square without any softening.

The constants are those of the tools at the commits named in fsbench's notes on video pipelines, a kernel of k pixels as
an erosion of k / 2, and OpenCV's default deviation for a Gaussian kernel. faceswap_gan: coverage 0.9, 15 pixels of 256
with deviation 10, which is nearly flat; insightface: kernels of a tenth and a twentieth of the face; facefusion: box
mask with blur 0.3; simswap: 40 and 41 pixels of the frame, whatever the size of the face; deepfacelab: overlay of its
learned mask, Reinhard's colour transfer. The tools' own masks by parsing networks are not among them.
"""


@dataclass(frozen=True)
class FrameCrop:
    """A crop of a frame, and where it was."""

    image: np.ndarray  # (S, S, 3) float32 in [0, 1]
    landmarks: np.ndarray  # (5, 2) float32, pixels of the crop
    to_crop: np.ndarray  # (2, 3), from pixels of the frame to those of the crop


def cut(frame: np.ndarray, landmarks: np.ndarray, size: int, template: str = "fsbench") -> FrameCrop:
    """Cut a face out of a frame (H, W, 3) uint8 by its landmarks (5, 2); beyond the frame its border is repeated."""
    to_crop = similarity(landmarks, TEMPLATES[template] * size)
    corners = _corners(to_crop, size)
    low = np.floor(corners.min(0)).astype(int) - _MARGIN
    high = np.ceil(corners.max(0)).astype(int) + _MARGIN
    shape = np.array(frame.shape[1::-1])
    low, high = np.clip(low, 0, shape - 1), np.clip(high, 1, shape)
    part = _tensor(frame[low[1] : max(high[1], low[1] + 1), low[0] : max(high[0], low[0] + 1)] / np.float32(255))
    image = warp(part, after(to_crop, _shift(low))[None], size, mode="bicubic")[0].clamp(0, 1)
    own = landmarks @ to_crop[:, :2].T + to_crop[:, 2]
    return FrameCrop(image.permute(1, 2, 0).numpy(), own.astype(np.float32), to_crop)


@dataclass(frozen=True)
class PastedFrame:
    """A frame with a face in it, and where that is."""

    image: np.ndarray  # (H, W, 3) uint8
    weight: np.ndarray  # (h, w) float32 in [0, 1], share of the face in each pixel of a part of the frame; empty: none
    corner: np.ndarray  # (2,) x, y of that part's first pixel


def paste(
    frame: np.ndarray, face: np.ndarray, crop: FrameCrop, how: PasteBack, alpha: np.ndarray | None = None
) -> np.ndarray:
    """`put_back`, without the weight of the face: the frame (H, W, 3) uint8 alone."""
    return put_back(frame, face, crop, how, alpha).image


def put_back(
    frame: np.ndarray, face: np.ndarray, crop: FrameCrop, how: PasteBack, alpha: np.ndarray | None = None
) -> PastedFrame:
    """Put a face (S, S, 3) in [0, 1] back where `crop` was cut, into a copy of the frame (H, W, 3) uint8.

    `alpha` (S, S) is the model's mask; without one the shape "alpha" is an oval.
    """
    size = len(face)
    low, high = _bounds(frame, crop.to_crop, size)
    if (high <= low).any():
        return PastedFrame(frame.copy(), np.zeros((0, 0), np.float32), low)
    height, width = int(high[1] - low[1]), int(high[0] - low[0])
    to_frame = after(_shift(-low), inverse(crop.to_crop))
    square, to_square = _draw(how.mask, crop, size, alpha)  # and from the frame to its pixels
    weight = warp(_tensor(square), after(_shift(-low), inverse(to_square))[None], (height, width), beyond="zeros")[0, 0]
    weight = torch.minimum(weight, _inside(after(crop.to_crop, _shift(low)), size, (height, width)))
    if how.colour != "none" or how.blend == "poisson":
        onto_crop = after(crop.to_crop, inverse(to_square))
        of_crop = warp(_tensor(square), onto_crop[None], size, beyond="zeros")[0, 0].numpy()
        face = match_colours(face, crop.image, of_crop, how.colour)
        if how.blend == "poisson":
            face = poisson(face, crop.image, of_crop > 0.5)
    pasted = warp(_tensor(face), to_frame[None], (height, width), mode="bicubic")[0].clamp(0, 1)
    result, place = frame.copy(), (slice(low[1], high[1]), slice(low[0], high[0]))
    share = weight.numpy()[..., None]
    levels = share * pasted.permute(1, 2, 0).numpy() * 255 + (1 - share) * frame[place]
    result[place] = np.rint(levels).astype(np.uint8)
    return PastedFrame(result, share[..., 0], low)


def floor(frame: np.ndarray, crop: FrameCrop, how: PasteBack) -> float:
    """Mean absolute difference, in levels of 255, that the unchanged crop makes in its square of a frame.

    It separates what a model does from what its paste-back does; 0 where the square lies outside the frame.
    """
    square = square_of(frame, crop)
    difference = np.abs(paste(frame, crop.image, crop, how)[square].astype(int) - frame[square])
    return float(difference.mean()) if difference.size else 0.0


def square_of(frame: np.ndarray, crop: FrameCrop) -> tuple[slice, slice]:
    """Return the rows and columns of a frame that a crop covers."""
    low, high = _bounds(frame, crop.to_crop, len(crop.image))
    return slice(low[1], high[1]), slice(low[0], high[0])


def poisson(face: np.ndarray, target: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """(S, S, 3) both, a mask (S, S) of bool -> the face's gradients inside, with the target's colours at the border.

    Perez, Gangnet and Blake 2003, "Poisson image editing": what is added to the face is the smoothest field that is the
    difference of the two pictures at the border. Outside it is the target.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.linalg import spsolve

    inside = inside.copy()
    inside[[0, -1], :] = inside[:, [0, -1]] = False
    if not inside.any():
        return target.copy()
    number = np.full(inside.shape, -1)
    rows, columns = np.nonzero(inside)
    number[rows, columns] = np.arange(len(rows))
    difference = (target - face).astype(np.float64)
    border = np.zeros((len(rows), 3))
    entries = [(np.arange(len(rows)), np.arange(len(rows)), np.full(len(rows), 4.0))]
    for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        other = number[rows + down, columns + right]
        known = other < 0
        border[known] += difference[rows[known] + down, columns[known] + right]
        entries.append((np.flatnonzero(~known), other[~known], np.full((~known).sum(), -1.0)))
    i, j, values = (np.concatenate(part) for part in zip(*entries, strict=True))
    added = spsolve(coo_matrix((values, (i, j))).tocsc(), border)
    result = target.copy()
    result[inside] = np.clip(face[inside] + added, 0, 1)
    return result


def _draw(mask: Mask, crop: FrameCrop, size: int, alpha: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """A mask (S, S) in [0, 1] on its square, and the transform from the frame to that."""
    from scipy import ndimage

    frame_points = crop.landmarks @ inverse(crop.to_crop)[:, :2].T + inverse(crop.to_crop)[:, 2]
    own = mask.shape == "alpha" and alpha is not None
    size = size if own else min(size, _FINEST)
    to_square = crop.to_crop if own else similarity(frame_points, TEMPLATES[mask.template] * size)
    points = frame_points @ to_square[:, :2].T + to_square[:, 2]
    if own:
        assert alpha is not None
        drawn = (alpha > _TOUCHED).astype(np.float32)
    elif mask.shape == "box":
        drawn = np.ones((size, size), np.float32)
    elif mask.shape == "hull":
        drawn = _hull(points, size)
    else:
        drawn = ovals(points[None].astype(np.float32), size, FITTED)[:][0, 0].numpy()
    scale = float(np.hypot(*to_square[:, 0])) if mask.pixels else float(size)  # of the square, in a pixel of the frame
    if mask.erosion:
        depth = ndimage.distance_transform_edt(np.pad(drawn > 0.5, 1))[1:-1, 1:-1]
        drawn = np.where(depth > mask.erosion * scale, drawn, 0)
    if mask.blur:
        drawn = ndimage.gaussian_filter(drawn.astype(np.float32), mask.blur * scale, mode="constant")
    return drawn.astype(np.float32), to_square


def _hull(points: np.ndarray, size: int) -> np.ndarray:
    from scipy.spatial import ConvexHull

    middle = points.mean(0)
    hull = ConvexHull(middle + _HULL * (points - middle))
    line = np.arange(size) + 0.5
    place = np.stack(np.meshgrid(line, line), -1)  # (size, size, 2)
    inside: np.ndarray = (place @ hull.equations[:, :2].T + hull.equations[:, 2] <= 0).all(-1)
    return inside.astype(np.float32)


def _inside(to_crop: np.ndarray, size: int, shape: tuple[int, int]) -> Tensor:
    """How much of each pixel of a part of the frame lies in the crop, by its distance from the border."""
    rows, columns = (np.arange(n) + 0.5 for n in shape)
    scale = np.hypot(*to_crop[:, 0])  # pixels of the crop in one of the frame
    depth = np.full(shape, np.inf)
    for across, down, shift in to_crop:
        place = down * rows[:, None] + (across * columns + shift)
        depth = np.minimum(depth, np.minimum(place, size - place))
    return torch.from_numpy((depth / scale + 0.5).clip(0, 1).astype(np.float32))


def _corners(to_crop: np.ndarray, size: int) -> np.ndarray:
    """The corners of a crop in its frame, (4, 2)."""
    back = inverse(to_crop)
    square = np.array([(0, 0), (size, 0), (0, size), (size, size)])
    return np.asarray(square @ back[:, :2].T + back[:, 2])


def _bounds(frame: np.ndarray, to_crop: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """First and last pixels, x and y, of the frame that a crop covers."""
    corners, shape = _corners(to_crop, size), np.array(frame.shape[1::-1])
    low, high = np.floor(corners.min(0)).astype(int), np.ceil(corners.max(0)).astype(int)
    return np.clip(low, 0, shape), np.clip(high, 0, shape)


def _shift(by: np.ndarray) -> np.ndarray:
    return np.array([[1, 0, by[0]], [0, 1, by[1]]], np.float64)


def _tensor(image: np.ndarray) -> Tensor:
    """(H, W) or (H, W, C) -> (1, C, H, W)."""
    array = image[..., None] if image.ndim == 2 else image
    return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1), np.float32))[None]
