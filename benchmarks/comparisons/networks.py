"""Judges and observers: fsbench's extraction, from an empty store, beside the network alone.

The network alone is shown chips that were cut before, in batches, and nothing is kept of what it gives. Weights that
are not there are made up where that is possible: they cost the same.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from os import environ
from pathlib import Path
from typing import Any

import numpy as np
import torch
from facenet_pytorch import InceptionResnetV1
from skimage.data import astronaut
from torch import Tensor
from torchvision.models.inception import Inception3

from comparisons import DEVICE, Comparison, Missing, Work
from fsbench.choices import Precision
from fsbench.contracts import toy_batch, toy_weights
from fsbench.embedders._facenet import CHIP, TEMPLATE_ON_CHIP
from fsbench.embedders._vggface2 import cut
from fsbench.embedders._vggface2_network import PYTORCH, VggfaceNetwork
from fsbench.environment import make_context
from fsbench.errors import FsbenchError
from fsbench.extraction.extractor import Extractor
from fsbench.extraction.features import embed, observe, places_are_alike
from fsbench.faces.align import align
from fsbench.faces.chips import ARCFACE, cut_chips
from fsbench.faces.detect import Detector
from fsbench.harness.summarise import rows_of
from fsbench.images import ImageSet, resize, to_bytes
from fsbench.interfaces import Context
from fsbench.observers import face_mesh
from fsbench.observers._inception_network import InceptionNetwork
from fsbench.observers.inception import prepare
from fsbench.registry import embedders, load_plugins, metrics, observers
from fsbench.store import Store
from fsbench.weights import CATALOGUE

BATCH = 32
"""Chips that the network alone is shown at once; more were measured to be no faster on a CPU."""

SIDE = 128
"""Pixels of a crop."""

PLACES = (
    Path(environ.get("FSBENCH_TEST_WEIGHTS") or Path.home() / ".cache/fsbench-test-weights"),
    Path(__file__).parents[3] / "shared/data/weights",
)
"""Where pretrained files may be; what is found there is held against its hash."""


@dataclass(frozen=True)
class Sample:
    """Crops of one face, each shifted a little: pixels (N, S, S, 3) uint8, landmarks (N, 5, 2)."""

    pixels: np.ndarray
    landmarks: np.ndarray

    @classmethod
    def of(cls, n: int) -> Sample:
        points = Detector(torch.device("cpu")).detect_photo(astronaut()).landmarks[0]
        shifts = np.random.default_rng(0).normal(size=(n, 1, 2))
        crops, landmarks = zip(*(align(astronaut(), points + shift, SIDE) for shift in shifts), strict=True)
        return cls(np.stack(crops), np.stack(landmarks))

    @property
    def crops(self) -> Tensor:
        return ImageSet(self.pixels)[:].to(DEVICE)

    @property
    def points(self) -> Tensor:
        return torch.from_numpy(self.landmarks).to(DEVICE)


@dataclass(frozen=True)
class Network:
    """A network that fsbench runs: how it is made, and what it alone does with a sample."""

    name: str
    weights: Callable[[Path, Context], str]  # puts its files in place; returns the path that follows `@`
    alone: Callable[[Any, Sample], Work]
    kind: str = "judge"

    def sides(self, n: int, folder: Path, precision: Precision = "float32") -> tuple[Work, Work]:
        """fsbench's work on `n` images and the network's; raises Missing."""
        load_plugins()
        sample, stores = Sample.of(n), count()
        context = replace(make_context(DEVICE.type), store=Store(folder), precision=precision)
        path = self.weights(folder, context)
        if self.kind == "metric":
            batch = toy_batch(n, SIDE)
            metric = _built(metrics.build, self.name, context)
            return lambda: rows_of(metric, self.name, batch), self.alone(metric, sample)
        registry, look = (embedders, embed) if self.kind == "judge" else (observers, observe)
        extractor = _built(Extractor.build, registry, self.name, context, path)

        def extract() -> None:
            empty = replace(context, store=Store(folder / f"store{next(stores)}"))
            look(extractor, ImageSet(sample.pixels), sample.landmarks, "crops", empty)

        alone = self.alone(extractor.network, sample)

        def reduced() -> None:
            with context.reduced():
                alone()

        return extract, reduced


def _built(build: Callable[..., Any], *given: object) -> Any:
    try:
        return build(*given)
    except FsbenchError as error:
        raise Missing(error.sentence) from error


def _in_batches(network: Callable[[Tensor], object], chips: Tensor) -> Work:
    def work() -> None:
        with torch.inference_mode():
            for batch in chips.split(BATCH):
                network(batch)

    return work


@torch.inference_mode()
def _dlib(judge: Any, sample: Sample) -> Work:
    return _in_batches(judge._network, judge._chips(sample.crops, sample.points))


@torch.inference_mode()
def _facenet(judge: Any, sample: Sample) -> Work:
    chips = cut_chips(sample.crops, sample.points, TEMPLATE_ON_CHIP, CHIP)
    return _in_batches(judge._networks[0], (chips * 255 - 127.5) / 128)


@torch.inference_mode()
def _vggface2(judge: Any, sample: Sample) -> Work:
    return _in_batches(judge._network, cut(sample.crops, sample.points))


@torch.inference_mode()
def _onnx(judge: Any, sample: Sample) -> Work:
    chips = cut_chips(sample.crops, sample.points, ARCFACE, judge._session.size)
    return _in_batches(judge._session, chips * 255)


@torch.inference_mode()
def _inception(observer: Any, sample: Sample) -> Work:
    return _in_batches(observer._network[0], prepare(sample.crops, "tf1"))


def _unfolded(observer: Any, sample: Sample) -> Work:
    """torchvision's network, whose normalisations are computed."""
    plain = Inception3(1008, aux_logits=False, init_weights=False).eval().to(DEVICE)
    return _in_batches(plain, prepare(sample.crops, "tf1"))


def _mesh(observer: Any, sample: Sample) -> Work:
    import mediapipe

    larger = to_bytes(resize(sample.crops.cpu(), face_mesh.SIDE))
    images = [mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(p)) for p in larger]

    def work() -> None:
        with face_mesh._opened(observer._path) as landmarker:
            for image in images:
                landmarker.detect(image)

    return work


def _lpips(metric: Any, sample: Sample) -> Work:
    batch = toy_batch(len(sample.pixels), SIDE)
    pairs = torch.stack([batch.output, batch.target], 1).to(DEVICE)  # (N, 2, 3, S, S)
    return _in_batches(lambda some: metric._distance._network(some[:, 0], some[:, 1]), pairs)


def _own(*names: str) -> Callable[[Path, Context], str]:
    """Files that the tests have, whatever they are called there, or that come with a package."""

    def put(folder: Path, context: Context) -> str:
        (folder / "weights").mkdir()
        for name in names:
            entry = CATALOGUE[name]
            paths = [path for place in PLACES for path in place.glob("*") if path.stat().st_size == entry.size]
            if not paths:
                raise Missing(f"{entry.file} is not in FSBENCH_TEST_WEIGHTS")
            (folder / "weights" / entry.file).symlink_to(paths[0])
        return ""

    return put


def _made(name: str, make: Callable[[Path], None]) -> Callable[[Path, Context], str]:
    def put(folder: Path, context: Context) -> str:
        make(folder / name)
        return str(folder / name)

    return put


def _save_facenet(path: Path) -> None:
    torch.save(InceptionResnetV1(pretrained=None).state_dict(), path)


def _save_inception(path: Path) -> None:
    torch.save(toy_weights(InceptionNetwork().state_dict()), path)


def _save_vggface2(architecture: Any, path: Path) -> None:
    state = VggfaceNetwork(architecture, PYTORCH, True).state_dict()
    path.write_bytes(pickle.dumps({name: tensor.numpy() for name, tensor in state.items()}))


INCEPTION = Network("inception", _made("inception.pth", _save_inception), _inception, "observer")

NETWORKS = (
    Network("dlib_resnet", _own(), _dlib),
    Network("facenet_vggface2", _made("facenet.pt", _save_facenet), _facenet),
    Network("vggface2_resnet50", _made("resnet50.pkl", partial(_save_vggface2, "resnet50")), _vggface2),
    Network("vggface2_senet50", _made("senet50.pkl", partial(_save_vggface2, "senet50")), _vggface2),
    Network("onnx(sface)", _own("sface"), _onnx),
    Network("onnx(arcface_mbf)", _own("arcface_mbf"), _onnx),
    Network("onnx(edgeface_s)", _own("edgeface_s"), _onnx),
    Network("onnx(mobilefacenet)", _own("mobilefacenet"), _onnx),
    INCEPTION,
    Network("face_mesh", _own("face_landmarker"), _mesh, "observer"),
    Network("lpips", _own("lpips_alex"), _lpips, "metric"),
)
"""Of the networks behind `fsbench list embedders` and `observers`; facenet_casia is that of facenet_vggface2."""


def _known(folder: Path) -> tuple[Work, Work]:
    """A second run over the same crops, and the first."""
    network = NETWORKS[0]
    first, _ = network.sides(IMAGES, folder)
    sample, context = Sample.of(IMAGES), replace(make_context(DEVICE.type), store=Store(folder / "known"))
    judge = Extractor.build(embedders, network.name, context)
    return lambda: embed(judge, ImageSet(sample.pixels), sample.landmarks, "crops", context), first


IMAGES = 16
LEAST = {
    "dlib_resnet": 0.65,
    "vggface2_resnet50": 0.75,
    "vggface2_senet50": 0.75,
    "onnx(arcface_mbf)": 0.65,
    "onnx(edgeface_s)": 0.6,
    "onnx(mobilefacenet)": 0.55,
    "face_mesh": 0.6,
}
"""Bounds of one thread and IMAGES images, below 0.8: of a small network a third is what a block costs besides, and ONNX
files are shown one image at a time. The rates of blocks on all cores are those of throughput.py."""

ONE_BY_ONE = 0.25
"""The bound where all networks are shown one image at a time, since places in a batch differ (without AVX-512)."""

COMPARISONS = (
    *(
        Comparison(
            network.name,
            "the network alone",
            LEAST.get(network.name, 0.8) if places_are_alike() else ONE_BY_ONE,
            partial(network.sides, IMAGES),
            rounds=3,
        )
        for network in NETWORKS
    ),
    Comparison(
        "inception", "torchvision's network", 1.3, partial(replace(INCEPTION, alone=_unfolded).sides, IMAGES), rounds=3
    ),
    Comparison("dlib_resnet, known images", "the first run", 20.0, _known, rounds=3),
)
