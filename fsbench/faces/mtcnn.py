"""MTCNN: three small networks that find faces, each among what the one before leaves.

Zhang et al., "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks", IEEE Signal
Processing Letters 23(10), 2016. Architecture, weights and the order of steps are those of facenet-pytorch, whose files
of weights are read from where it is installed; the package itself, which brings torchvision, is not imported. Boxes are
(left, top, right, bottom) in pixels, which are counted from 1 where an image is cut, as in the authors' code.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from fsbench.errors import FsbenchError

WINDOW, STRIDE = 12, 2
"""Pixels: what the first network sees at once, and from where to where it looks next."""

FACTOR = 0.709
"""Of the sides of an image to those of the next smaller one of the pyramid."""

THRESHOLDS = (0.6, 0.7, 0.7)
"""Probabilities that a window needs to be left by each network."""

AT_ONCE = 512
"""Windows that go through a network together."""


class FoundFaces(NamedTuple):
    """Faces of one image, the largest first."""

    boxes: np.ndarray  # (N, 4) float32
    probability: np.ndarray  # (N,) float32
    landmarks: np.ndarray  # (N, 5, 2) float32


class Proposals(nn.Module):
    """Looks at every window of 12 pixels of an image: (N, 3, H, W) -> offsets (N, 4, h, w), probability (N, h, w)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 10, 3), nn.PReLU(10)
        self.conv2, self.prelu2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.prelu3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.conv4_1, self.conv4_2 = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 4, 1)
        self.pool = nn.MaxPool2d(2, 2, ceil_mode=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.pool(self.prelu1(self.conv1(x)))
        x = self.prelu3(self.conv3(self.prelu2(self.conv2(x))))
        return self.conv4_2(x), self.conv4_1(x).softmax(1)[:, 1]


class Refinement(nn.Module):
    """Looks at single windows: (N, 3, 24, 24) -> offsets (N, 4), probability (N,)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 28, 3), nn.PReLU(28)
        self.conv2, self.prelu2 = nn.Conv2d(28, 48, 3), nn.PReLU(48)
        self.conv3, self.prelu3 = nn.Conv2d(48, 64, 2), nn.PReLU(64)
        self.dense4, self.prelu4 = nn.Linear(576, 128), nn.PReLU(128)
        self.dense5_1, self.dense5_2 = nn.Linear(128, 2), nn.Linear(128, 4)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.pool(self.prelu1(self.conv1(x)))
        x = self.prelu3(self.conv3(self.pool(self.prelu2(self.conv2(x)))))
        x = self.prelu4(self.dense4(_flat(x)))
        return self.dense5_2(x), self.dense5_1(x).softmax(1)[:, 1]


class Output(nn.Module):
    """Finds landmarks as well: (N, 3, 48, 48) -> offsets (N, 4), probability (N,), landmarks (N, 10), x first."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 32, 3), nn.PReLU(32)
        self.conv2, self.prelu2 = nn.Conv2d(32, 64, 3), nn.PReLU(64)
        self.conv3, self.prelu3 = nn.Conv2d(64, 64, 3), nn.PReLU(64)
        self.conv4, self.prelu4 = nn.Conv2d(64, 128, 2), nn.PReLU(128)
        self.dense5, self.prelu5 = nn.Linear(1152, 256), nn.PReLU(256)
        self.dense6_1, self.dense6_2, self.dense6_3 = nn.Linear(256, 2), nn.Linear(256, 4), nn.Linear(256, 10)
        self.pool, self.last_pool = nn.MaxPool2d(3, 2, ceil_mode=True), nn.MaxPool2d(2, 2, ceil_mode=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.pool(self.prelu1(self.conv1(x)))
        x = self.pool(self.prelu2(self.conv2(x)))
        x = self.last_pool(self.prelu3(self.conv3(x)))
        x = self.prelu5(self.dense5(_flat(self.prelu4(self.conv4(x)))))
        return self.dense6_2(x), self.dense6_1(x).softmax(1)[:, 1], self.dense6_3(x)


def _flat(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, W * H * C): the weights come from a library with the axes in this order."""
    return x.permute(0, 3, 2, 1).flatten(1)


class Mtcnn:
    """The three networks with facenet-pytorch's weights; raises FsbenchError where these are not installed."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        folder = _weights_folder()
        self._networks = tuple(
            _load(network, folder / name, device)
            for network, name in ((Proposals(), "pnet.pt"), (Refinement(), "rnet.pt"), (Output(), "onet.pt"))
        )

    @torch.inference_mode()
    def detect(self, images: Sequence[np.ndarray], min_face: float) -> list[FoundFaces]:
        """Find faces from `min_face` pixels on in images (H, W, 3) uint8 of one size, which go through together."""
        pixels = torch.as_tensor(np.stack(images), device=self._device).permute(0, 3, 1, 2).float()
        boxes, owner = self._propose(pixels, min_face)
        for network, side, threshold in zip(self._networks[1:], (24, 48), THRESHOLDS[1:], strict=True):
            boxes, owner, windows = _windows(pixels, boxes, owner, side)
            parts = [network(windows[i : i + AT_ONCE]) for i in range(0, len(windows), AT_ONCE)]
            if not parts:
                return [_faces(np.empty((0, 5), np.float32), np.empty((0, 5, 2), np.float32))] * len(images)
            offsets, probability, *landmarks = (torch.cat(part) for part in zip(*parts, strict=True))
            sure = probability > threshold
            boxes, owner, offsets = torch.cat([boxes[sure, :4], probability[sure, None]], 1), owner[sure], offsets[sure]
            if not landmarks:
                kept = _suppress(boxes, owner, 0.7)
                boxes, owner = _square(_moved(boxes[kept], offsets[kept])), owner[kept]
        points = _landmarks(boxes, landmarks[0][sure])
        boxes = _moved(boxes, offsets)
        return _of_images(boxes, owner, points, len(images))

    def _propose(self, pixels: Tensor, min_face: float) -> tuple[Tensor, Tensor]:
        """Windows of a pyramid of images that may be faces, (W, 5) with their probability, and their images (W,)."""
        height, width = pixels.shape[-2:]
        scale = WINDOW / min_face
        boxes, owners = [], []
        side = min(height, width) * scale
        while side >= WINDOW:
            small = interpolate(pixels, (int(height * scale + 1), int(width * scale + 1)), mode="area")
            offsets, probability = self._networks[0](_normalised(small))
            place = (probability >= THRESHOLDS[0]).nonzero()  # (W, 3) image, row, column
            corner = place[:, 1:].flip(1).to(offsets.dtype) * STRIDE
            image, row, column = place.T
            found = torch.cat(
                [
                    ((corner + 1) / scale).floor(),
                    ((corner + WINDOW) / scale).floor(),
                    probability[image, row, column][:, None],
                    offsets[image, :, row, column],
                ],
                1,
            )
            kept = _suppress(found, image, 0.5)
            boxes.append(found[kept])
            owners.append(image[kept])
            scale, side = scale * FACTOR, side * FACTOR
        together, owner = torch.cat(boxes), torch.cat(owners)
        kept = _suppress(together, owner, 0.7)
        together, owner = together[kept], owner[kept]
        width_and_height = (together[:, 2:4] - together[:, :2]).repeat(1, 2)
        moved = together[:, :4] + together[:, 5:] * width_and_height
        return _square(torch.cat([moved, together[:, 4:5]], 1)), owner


def _weights_folder() -> Path:
    """The files of facenet-pytorch, which is not imported: it brings torchvision, and both take seconds."""
    spec = importlib.util.find_spec("facenet_pytorch")
    for folder in (spec and spec.submodule_search_locations) or ():
        return Path(folder) / "data"
    raise FsbenchError(
        "the face detector cannot be loaded: facenet-pytorch is not installed", "pip install facenet-pytorch"
    )


def _load(network: nn.Module, path: Path, device: torch.device) -> nn.Module:
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # whatever a damaged file or another version of the package brings
        raise FsbenchError(
            f"the face detector cannot be loaded: {path.name} of facenet-pytorch is damaged or of another version",
            "pip install --force-reinstall facenet-pytorch",
        ) from error
    # The order of channels makes max pooling vectorise: 2.4 times as fast on a CPU.
    network.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)
    return network


def _normalised(images: Tensor) -> Tensor:
    return (images - 127.5) * 0.0078125


def _windows(pixels: Tensor, boxes: Tensor, owner: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Cut boxes (W, 5) out of their images, (W, 3, side, side); those outside of the image are left out."""
    height, width = pixels.shape[-2:]
    corners = boxes[:, :4].trunc().int().cpu().numpy()
    left, top = corners[:, :2].clip(1).T
    right, bottom = np.minimum(corners[:, 2:], (width, height)).T
    inside = np.flatnonzero((bottom >= top) & (right >= left))
    images = owner.cpu().numpy()
    cut = [
        interpolate(pixels[i : i + 1, :, top[k] - 1 : bottom[k], left[k] - 1 : right[k]], (side, side), mode="area")
        for k, i in zip(inside, images[inside], strict=True)
    ]
    kept = torch.from_numpy(inside).to(boxes.device)
    return boxes[kept], owner[kept], _normalised(torch.cat(cut)) if cut else pixels[:0]


def _moved(boxes: Tensor, offsets: Tensor) -> Tensor:
    """Boxes (W, 5) moved by offsets (W, 4) in parts of their sides."""
    sides = (boxes[:, 2:4] - boxes[:, :2] + 1).repeat(1, 2)
    return torch.cat([boxes[:, :4] + offsets * sides, boxes[:, 4:]], 1)


def _square(boxes: Tensor) -> Tensor:
    """Boxes (W, 5) of the longer side about the same centre."""
    sides = boxes[:, 2:4] - boxes[:, :2]
    longer = sides.max(1, keepdim=True).values
    corner = boxes[:, :2] + sides * 0.5 - longer * 0.5
    return torch.cat([corner, corner + longer, boxes[:, 4:]], 1)


def _landmarks(boxes: Tensor, points: Tensor) -> Tensor:
    """Landmarks (W, 10) in parts of the boxes (W, 5) -> pixels (W, 5, 2)."""
    sides = boxes[:, 2:4] - boxes[:, :2] + 1
    axes = [sides[:, i : i + 1] * points[:, 5 * i : 5 * i + 5] + boxes[:, i : i + 1] - 1 for i in (0, 1)]
    return torch.stack(axes, 2)


def _suppress(boxes: Tensor, owner: Tensor, threshold: float) -> Tensor:
    """Indices of the boxes (W, 5+) that stay, the surest first: of those of one image that overlap, the surest."""
    rows, images = boxes[:, :5].cpu().numpy(), owner.cpu().numpy()
    area = (rows[:, 2] - rows[:, 0]) * (rows[:, 3] - rows[:, 1])
    order, kept = np.argsort(-rows[:, 4], kind="stable"), []
    while len(order):
        first, rest = order[0], order[1:]
        kept.append(first)
        common = _common(rows[first], rows[rest])
        overlap = common / (area[first] + area[rest] - common)
        order = rest[(overlap <= threshold) | (images[rest] != images[first])]
    return torch.tensor(kept, dtype=torch.long, device=boxes.device)


def _common(box: np.ndarray, boxes: np.ndarray, edge: float = 0.0) -> np.ndarray:
    """Area that a box has in common with each of others; `edge` is added to both sides."""
    corner, other = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:4], boxes[:, 2:4])
    sides = np.maximum(np.float32(0), other - corner + np.float32(edge))
    area: np.ndarray = sides[:, 0] * sides[:, 1]
    return area


def _of_images(boxes: Tensor, owner: Tensor, points: Tensor, n: int) -> list[FoundFaces]:
    rows, landmarks, images = boxes.cpu().numpy(), points.cpu().numpy(), owner.cpu().numpy()
    faces = []
    for image in range(n):
        own = np.flatnonzero(images == image)
        own = own[_outermost(rows[own])]
        faces.append(_faces(rows[own], landmarks[own]))
    return faces


def _outermost(rows: np.ndarray) -> np.ndarray:
    """Indices of boxes (W, 5) of one image, the surest first: of two of which one covers the other, the surer."""
    area = (rows[:, 2] - rows[:, 0] + 1) * (rows[:, 3] - rows[:, 1] + 1)
    order, kept = np.argsort(rows[:, 4])[::-1], []
    while len(order):
        first, rest = order[0], order[1:]
        kept.append(first)
        overlap = _common(rows[first], rows[rest], 1.0) / np.minimum(area[first], area[rest])
        order = rest[overlap <= 0.7]
    return np.array(kept, np.int64)


def _faces(rows: np.ndarray, landmarks: np.ndarray) -> FoundFaces:
    order = np.argsort((rows[:, 2] - rows[:, 0]) * (rows[:, 3] - rows[:, 1]))[::-1]
    return FoundFaces(rows[order, :4], rows[order, 4], landmarks[order])
