"""What embedding costs beside the bare network, on one thread; and what a second run over the same crops costs.

    uv run pytest benchmarks/test_speed_embed.py -s

Each pair is measured in turns in one process. On a CPU it is processor time, which holds on a busy machine as well.
"""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from facenet_pytorch import InceptionResnetV1
from skimage.data import astronaut

from fsbench.embedders._batches import BATCH
from fsbench.embedders._facenet import CHIP, TEMPLATE_ON_CHIP
from fsbench.embedders._vggface2 import TEMPLATE_ON_CHIP as VGGFACE2_TEMPLATE
from fsbench.embedders._vggface2_network import CHIP as VGGFACE2_CHIP
from fsbench.embedders._vggface2_network import PYTORCH, VggfaceNetwork
from fsbench.environment import make_context
from fsbench.extraction.extractor import Extractor
from fsbench.extraction.features import embed
from fsbench.faces.align import align
from fsbench.faces.chips import ARCFACE, cut_chips
from fsbench.faces.detect import Detector
from fsbench.images import ImageSet
from fsbench.interfaces import Context
from fsbench.registry import embedders
from fsbench.weights import CATALOGUE

ALLOWED = 1.1  # times the bare network
ALLOWED_AGAIN = 0.05  # of the first run
ROUNDS = 7
IMAGES = BATCH
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]

Work = Callable[[], object]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=DEVICES)
def context(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setenv("FSBENCH_CACHE", str(tmp_path))
    context = make_context(request.param)
    torch.set_num_threads(1)
    return context


@pytest.fixture(scope="module")
def faces() -> tuple[ImageSet, np.ndarray]:
    """Aligned crops of one face, each shifted a little, and their landmarks."""
    points = Detector(torch.device("cpu")).detect_photo(astronaut()).landmarks[0]
    shifts = np.random.default_rng(0).normal(size=(IMAGES, 1, 2))
    crops, landmarks = zip(*(align(astronaut(), points + shift, 128) for shift in shifts), strict=True)
    return ImageSet(np.stack(crops)), np.stack(landmarks)


def seconds(work: Work, device: torch.device) -> float:
    if device.type == "cpu":
        start = time.process_time()
        work()
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def ratio(work: Work, bare: Work, device: torch.device) -> float:
    """Median over rounds of what `work` costs, as a multiple of `bare`; the first round warms up."""
    found = []
    for i in range(ROUNDS + 1):
        order = (work, bare) if i % 2 else (bare, work)
        spent = {one: seconds(one, device) for one in order}
        found.append(spent[work] / spent[bare])
    return float(np.median(found[1:]))


def prepare(name: str, crops: torch.Tensor, landmarks: torch.Tensor, context: Context, folder: Path) -> tuple:
    """Return an embedder, its bare network, and chips as that network wants them; random weights do for speed."""
    if name == "dlib_resnet":
        dlib = embedders.build(name, context)
        return dlib, dlib._network, dlib._chips(crops, landmarks)
    if name == "facenet_vggface2":
        torch.save(InceptionResnetV1(pretrained=None).state_dict(), folder / "facenet.pt")
        facenet = embedders.build(f"{name}@{folder / 'facenet.pt'}", context)
        chips = cut_chips(crops, landmarks, TEMPLATE_ON_CHIP, CHIP)
        return facenet, facenet._networks[0], (chips * 255 - 127.5) / 128
    if name == "vggface2_resnet50":
        arrays = {key: value.numpy() for key, value in VggfaceNetwork("resnet50", PYTORCH, True).state_dict().items()}
        (folder / "resnet50.pkl").write_bytes(pickle.dumps(arrays))
        vggface2 = embedders.build(f"{name}@{folder / 'resnet50.pkl'}", context)
        return vggface2, vggface2._network, cut_chips(crops, landmarks, VGGFACE2_TEMPLATE, VGGFACE2_CHIP)
    onnx = embedders.build(name, context)
    return onnx, onnx._session, cut_chips(crops, landmarks, ARCFACE, onnx._session.size) * 255


@pytest.mark.parametrize("name", ["dlib_resnet", "facenet_vggface2", "vggface2_resnet50", "onnx(sface)"])
def test_embedding_costs_little_more_than_the_network(
    name: str, context: Context, faces: tuple[ImageSet, np.ndarray], tmp_path: Path
) -> None:
    if name == "onnx(sface)":
        _bring(CATALOGUE["sface"].file, tmp_path / "weights")
    crops = faces[0][:].to(context.device)
    landmarks = torch.from_numpy(faces[1]).to(context.device)
    with torch.inference_mode():
        embedder, network, chips = prepare(name, crops, landmarks, context, tmp_path)
        found = ratio(lambda: embedder.embed(crops, landmarks), lambda: network(chips), context.device)
    print(f"\n{name} on {context.device}: {found:.3f} times the bare network")
    assert found < ALLOWED


def _bring(file: str, folder: Path) -> None:
    path = Path(os.environ.get("FSBENCH_TEST_WEIGHTS") or Path.home() / ".cache/fsbench-test-weights") / file
    if not path.is_file():
        pytest.skip(f"needs {file} in FSBENCH_TEST_WEIGHTS")
    folder.mkdir()
    (folder / file).symlink_to(path)


def test_a_second_run_reads_the_cache(context: Context, faces: tuple[ImageSet, np.ndarray]) -> None:
    judge = Extractor.build(embedders, "dlib_resnet", context)
    crops, landmarks = faces
    once = [seconds(lambda: embed(judge, crops, landmarks, "crops", context), context.device) for _ in range(4)]
    print(f"\nsecond run: {100 * min(once[1:]) / once[0]:.2f} % of the first")
    assert min(once[1:]) < ALLOWED_AGAIN * once[0]
