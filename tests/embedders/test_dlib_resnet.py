"""The port is held against dlib itself, on noise and on a real face; on photographs: see test_verification.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from reduced import assert_reduced
from skimage.data import astronaut

from fsbench.embedders._dlib_format import Reader, read_integers
from fsbench.embedders._dlib_landmarks import ShapePredictor, cut_chips, read_shape_predictor
from fsbench.embedders._dlib_network import FaceResNet, read_network
from fsbench.embedders.dlib_resnet import DlibResnet, _boxes
from fsbench.errors import WeightsError
from fsbench.faces.align import TEMPLATE, align
from fsbench.faces.detect import Detector
from fsbench.images import to_bytes, to_float
from fsbench.interfaces import Context
from fsbench.weights import find

dlib = pytest.importorskip("dlib", reason="dlib is the oracle")
NETWORK, LANDMARKS = (find(name, Path("nowhere")).path for name in ("dlib_resnet", "dlib_landmarks5"))


@pytest.fixture(scope="module")
def network() -> FaceResNet:
    return read_network(NETWORK)


@pytest.fixture(scope="module")
def predictor() -> ShapePredictor:
    return read_shape_predictor(LANDMARKS)


@pytest.fixture(scope="module")
def oracle() -> dlib.face_recognition_model_v1:
    return dlib.face_recognition_model_v1(str(NETWORK))


@pytest.fixture(scope="module")
def faces() -> list[tuple[np.ndarray, dlib.rectangle]]:
    """A real face at several sizes and turns, with a box about it."""
    box = dlib.get_frontal_face_detector()(astronaut(), 0)[0]
    found = []
    for size, degrees in ((512, 0), (512, 15), (300, -10), (1000, 5), (1600, -12)):  # the last needs dlib's pyramid
        turned = Image.fromarray(astronaut()).rotate(degrees, Image.Resampling.BICUBIC, center=(224, 120))
        edges = np.array((box.left(), box.top(), box.right(), box.bottom())) * size // 512
        found.append((np.asarray(turned.resize((size, size))), dlib.rectangle(*map(int, edges))))
    return found


def grey_of(image: np.ndarray) -> np.ndarray:
    return (image.astype(int).sum(-1) // 3).astype(np.uint8)


def test_the_network_agrees_with_dlib_on_noise(network: FaceResNet, oracle: dlib.face_recognition_model_v1) -> None:
    chips = np.random.default_rng(0).integers(0, 256, (6, 150, 150, 3), np.uint8)
    expected = np.stack([np.array(oracle.compute_face_descriptor(chip)) for chip in chips])
    with torch.inference_mode():
        found = network(to_float(chips))
    assert np.abs(found.numpy() - expected).max() < 1e-4


def test_the_network_has_its_published_size(network: FaceResNet) -> None:
    assert sum(values.numel() for values in network.parameters()) == 5_607_488
    assert len(network.convolutions()) == 29


def test_landmarks_agree_with_dlib(predictor: ShapePredictor, faces: list[tuple[np.ndarray, dlib.rectangle]]) -> None:
    oracle = dlib.shape_predictor(str(LANDMARKS))
    for image, box in faces:
        expected = np.array([(part.x, part.y) for part in oracle(image, box).parts()])
        edges = np.array([[box.left(), box.top(), box.right(), box.bottom()]])
        found = predictor(grey_of(image)[None], edges)[0]
        assert np.abs(found - expected).max() <= 0.55  # dlib rounds to whole pixels


def test_landmarks_do_not_depend_on_the_batch(
    predictor: ShapePredictor, faces: list[tuple[np.ndarray, dlib.rectangle]]
) -> None:
    image, box = faces[0]
    grey = np.stack([grey_of(image)] * 3)
    edges = np.array([(box.left() + d, box.top(), box.right() + d, box.bottom()) for d in (0, 10, -200)])
    together = predictor(grey, edges)
    for i in range(3):
        assert np.array_equal(together[i], predictor(grey[i : i + 1], edges[i : i + 1])[0])


@pytest.mark.parametrize("i", range(5))
def test_chips_agree_with_dlib(
    i: int, network: FaceResNet, oracle: dlib.face_recognition_model_v1, faces: list[tuple[np.ndarray, dlib.rectangle]]
) -> None:
    image, box = faces[i]
    shape = dlib.shape_predictor(str(LANDMARKS))(image, box)
    expected = dlib.get_face_chip(image, shape, 150, 0.25)
    points = np.array([[(part.x, part.y) for part in shape.parts()]], float)
    chip = cut_chips(to_float(image)[None], points, 150)
    difference = np.abs(to_bytes(chip)[0].astype(int) - expected.astype(int))
    assert difference.mean() < 0.5  # measured: 0.001 levels, and 0.35 where the pyramid is used
    with torch.inference_mode():
        feature = network(chip)[0].numpy()
    assert np.linalg.norm(feature - np.array(oracle.compute_face_descriptor(image, shape, 0, 0.25))) < 0.02


def aligned(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    image = astronaut()
    points = Detector(torch.device("cpu")).detect_photo(image).landmarks[0]
    crop, landmarks = align(image, points, size)
    return to_float(crop)[None], torch.from_numpy(landmarks)[None]


def test_a_crop_gives_what_dlib_gives_for_the_photograph(
    context: Context, oracle: dlib.face_recognition_model_v1
) -> None:
    box = dlib.get_frontal_face_detector()(astronaut(), 0)[0]
    shape = dlib.shape_predictor(str(LANDMARKS))(astronaut(), box)
    expected = np.array(oracle.compute_face_descriptor(astronaut(), shape, 0, 0.25))
    embedder = DlibResnet(context=context)
    for size in (128, 256):
        feature = embedder.embed(*aligned(size))[0].numpy()
        assert np.linalg.norm(feature - expected) < 0.2  # measured: 0.11 and 0.07; one person is up to 0.6 apart


def test_rows_are_independent_and_faceless_ones_are_nan(context: Context) -> None:
    crop, landmarks = aligned(128)
    crops = torch.cat([crop, crop.flip(3), crop.roll(3, 2), crop])
    points = torch.cat([landmarks, landmarks, landmarks + torch.tensor([0.0, 3.0]), landmarks])
    points[1] = torch.nan
    embedder = DlibResnet(context=context)
    features = embedder.embed(crops, points)
    assert features.shape == (4, 128)
    assert features[1].isnan().all()
    for i in (0, 2, 3):
        assert torch.allclose(features[i], embedder.embed(crops[i : i + 1], points[i : i + 1])[0], atol=1e-5)
    assert (features[0] - features[3]).abs().max() < 1e-5
    assert embedder.embed(crops[:0], points[:0]).shape == (0, 128)
    assert embedder.embed(crops[1:2], points[1:2]).isnan().all()


def test_the_box_is_where_dlibs_detector_puts_it() -> None:
    image = astronaut()
    landmarks = Detector(torch.device("cpu")).detect_photo(image).landmarks
    box = dlib.get_frontal_face_detector()(image, 0)[0]
    found = _boxes(landmarks)[0]
    expected = np.array((box.left(), box.top(), box.right(), box.bottom()))
    assert np.abs(found - expected).max() < 0.15 * box.width()
    assert found[2] - found[0] == pytest.approx(found[3] - found[1], abs=1)


@pytest.mark.parametrize(
    ("path", "read"), [(NETWORK, read_network), (LANDMARKS, read_shape_predictor)], ids=["network", "landmarks"]
)
@pytest.mark.parametrize("damage", ["empty", "truncated", "one byte less", "one byte more", "other file", "version"])
def test_files_of_other_content_are_refused(
    path: Path, read: Callable[[Path], object], damage: str, tmp_path: Path
) -> None:
    data = path.read_bytes()
    other = (LANDMARKS if path == NETWORK else NETWORK).read_bytes()
    bad = {
        "empty": b"",
        "truncated": data[:100_000],
        "one byte less": data[:-1],
        "one byte more": data + b"\0",
        "other file": other,
        "version": b"\x01\x02" + data[2:],
    }[damage]
    (tmp_path / path.name).write_bytes(bad)
    with pytest.raises(WeightsError, match="damaged"):
        read(tmp_path / path.name)


def test_integers_by_hand(tmp_path: Path) -> None:
    # control byte (sign, how many bytes follow), then the magnitude, least significant byte first
    path = tmp_path / "integers"
    path.write_bytes(bytes([0x01, 7, 0x81, 7, 0x02, 0x34, 0x12, 0x00, 0x83, 1, 0, 1]))
    expected = [7, -7, 0x1234, 0, -0x10001]
    assert read_integers(path).tolist() == expected
    reader = Reader(path)
    assert [reader.integer() for _ in expected] == expected
    reader.expect_end()


def test_its_maps_are_differentiable_and_those_on_the_way_to_its_features(context: Context) -> None:
    embedder = DlibResnet(context=context)
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    embedder.embed(images.detach(), torch.from_numpy(TEMPLATE * 64).float()[None])  # has gradients after that
    before, maps = embedder.preactivations(images), embedder.features(images)
    assert [tuple(part.shape[1:]) for part in maps] == [(32, 35, 35), (64, 17, 17), (128, 8, 8), (256, 4, 4)]
    assert all(torch.equal(part.relu(), after) for part, after in zip(before, maps, strict=True))
    assert all(bool((part < 0).any()) for part in before)
    network = embedder._network
    features = network.head(network.blocks[13](maps[-1]).mean((2, 3)))
    chips = torch.nn.functional.interpolate(images, (150, 150), mode="bilinear")
    torch.testing.assert_close(features, network(chips))
    sum(part.square().mean() for part in maps).backward()
    assert images.grad.abs().max() > 0


def test_in_less_precision_only_the_network_computes(context: Context) -> None:
    assert_reduced(lambda context: DlibResnet(context=context), context)
