"""The face detector held against facenet-pytorch, whose weights it reads: the same faces, to the last bit."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from facenet_pytorch import MTCNN
from skimage.data import astronaut

from fsbench import guard
from fsbench.faces.detect import Detector
from fsbench.faces.mtcnn import Mtcnn
from fsbench.images import read_image, shrink, to_float

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def theirs() -> MTCNN:
    return MTCNN(keep_all=True, device=CPU).to(memory_format=torch.channels_last)


def several() -> np.ndarray:
    """A photograph with three faces, one of them cut by the edge."""
    photo = np.full((420, 560, 3), 90, np.uint8)
    for top, left, side in ((0, 300, 256), (200, 40, 220), (280, 400, 140)):
        photo[top : top + side, left : left + side] = shrink(astronaut(), side)
    return photo[:, 20:420]


def pictures() -> Iterator[tuple[str, np.ndarray]]:
    random = np.random.default_rng(0)
    yield "photograph", shrink(astronaut(), 300)
    yield "several", several()
    yield "mirrored", np.ascontiguousarray(several()[:, ::-1])
    yield "noise", random.integers(0, 256, (90, 120, 3)).astype(np.uint8)
    yield "nothing", np.full((64, 64, 3), 128, np.uint8)
    yield "face alone", astronaut()[60:180, 160:290]
    yield "half a face", astronaut()[60:180, 160:224]


PICTURES = dict(pictures())


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("min_face", [20, 38.4])
def test_the_faces_are_those_of_the_package(name: str, min_face: float, theirs: MTCNN) -> None:
    _same(theirs, PICTURES[name], min_face)


@pytest.mark.slow
def test_the_faces_of_photographs_are_those_of_the_package(shared: Path, theirs: MTCNN) -> None:
    for folder in sorted((shared / "data/lfw").iterdir())[:40]:
        image = read_image(min(folder.glob("*.jpg")))
        _same(theirs, image, 20)
        _same(theirs, shrink(image[40:210, 40:210], 128), 38.4)


def _same(theirs: MTCNN, image: np.ndarray, min_face: float) -> None:
    theirs.min_face_size = min_face
    with torch.inference_mode(), guard.one_thread():
        boxes, probability, landmarks = (each[0] for each in theirs.detect(image[None], landmarks=True))
        (found,) = Mtcnn(CPU).detect([image], min_face)
    if boxes is None:
        assert len(found.boxes) == len(found.probability) == len(found.landmarks) == 0
        return
    assert np.array_equal(found.boxes, boxes.astype(np.float32))
    assert np.array_equal(found.probability, probability.astype(np.float32))
    assert np.array_equal(found.landmarks, np.asarray(landmarks, np.float32))


def test_images_that_go_through_together_keep_their_faces() -> None:
    images = [shrink(astronaut(), 128), np.zeros((128, 128, 3), np.uint8), shrink(astronaut()[::-1, ::-1], 128)]
    images.append(np.ascontiguousarray(images[0][:, ::-1]))
    network = Mtcnn(CPU)
    for together, image in zip(network.detect(images, 30), images, strict=True):
        (alone,) = network.detect([image], 30)
        assert len(together.boxes) == len(alone.boxes)
        assert np.allclose(together.landmarks, alone.landmarks, atol=1e-3)
        assert np.allclose(together.boxes, alone.boxes, atol=1e-3)


def test_several_threads_find_what_one_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    shifted = [np.roll(shrink(astronaut(), 200)[:128, 40:168], shift, (0, 1)) for shift in range(6)]
    crops = to_float(np.stack(shifted))
    detector = Detector(CPU)
    alone = detector.detect_crops(crops)
    before = torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert np.array_equal(detector.detect_crops(crops), alone, equal_nan=True)
    monkeypatch.undo()
    torch.set_num_threads(before)
    assert np.isfinite(alone).any()


def test_neither_the_package_nor_torchvision_is_imported() -> None:
    code = """
import sys
import numpy as np, torch
from fsbench.faces.detect import Detector
from fsbench.embedders import facenet_vggface2
from fsbench.observers import inception
Detector(torch.device("cpu")).detect_photo(np.zeros((64, 64, 3), np.uint8))
print(sorted({"facenet_pytorch", "torchvision"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
