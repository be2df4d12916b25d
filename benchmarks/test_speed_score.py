"""A whole `fsbench score` beside the tools that it takes the place of, from an empty cache.

    uv run pytest benchmarks/test_speed_score.py -s
    FSBENCH_BENCHMARK_PHOTOGRAPHS=60 uv run pytest benchmarks/test_speed_score.py -s     # on a busy machine

`score --metrics fid,kid,id_similarity --no-baselines` of photographs of LFW, against torch-fidelity (FID and KID) and a
plain loop over facenet-pytorch (detect, cut, embed, cosines), one after the other. Weights are made up: they cost the
same. Both sides run in turns, each in processes of its own; wall time and processor time are told. The peers see an
image once for each question that is asked about it; fsbench adds intervals, a calibration of the judge, a table of all
outputs and the files of a run. What libraries compile once on a machine (umap-learn, by numba) is compiled before. The
second `score` says what is left when all features are known.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from facenet_pytorch import InceptionResnetV1
from PIL import Image, ImageFilter

from fsbench.contracts import toy_weights

ROOT = Path(__file__).parents[1]
PHOTOGRAPHS = int(os.environ.get("FSBENCH_BENCHMARK_PHOTOGRAPHS", "200"))
SOURCES = 20
ROUNDS = 2
MOST = 1.0  # times the wall time of the peers

FIDELITY = """
import sys, torch_fidelity
outputs, targets, weights = sys.argv[1:4]
found = torch_fidelity.calculate_metrics(
    input1=outputs, input2=targets, fid=True, kid=True, kid_subset_size=20, cuda=False, cache=False, verbose=False,
    feature_extractor_weights_path=weights, samples_find_deep=True,
)
print(found)
"""

FACENET = """
import sys
from pathlib import Path
import torch
from PIL import Image
from facenet_pytorch import MTCNN, InceptionResnetV1
outputs, people, weights = map(Path, sys.argv[1:4])
detector, network = MTCNN(160), InceptionResnetV1().eval()
network.load_state_dict(torch.load(weights, weights_only=True), strict=False)
def embed(path):
    face = detector(Image.open(path))
    return None if face is None else network(face[None])[0]
with torch.no_grad():
    sources = {path.parent.name: embed(path) for path in sorted(people.rglob("*.jpg"))}
    cosines = []
    for path in sorted(outputs.glob("*.jpg")):
        vector, source = embed(path), sources[path.name.split("_")[0]]
        if vector is not None and source is not None:
            cosines.append(float(vector @ source))
print(len(cosines), sum(cosines) / len(cosines))
"""


COMPILE = """
import numpy as np
from fsbench.harness.umap import _umap
points = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
for dimensions in (2, 3):
    _umap(points, dimensions, 0)
"""


class Spent(NamedTuple):
    """Seconds."""

    wall: float
    processor: float

    def __add__(self, other: Spent) -> Spent:  # type: ignore[override]
        return Spent(self.wall + other.wall, self.processor + other.processor)


def spend(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Spent:
    """Run a command, and tell what it took with all of its processes."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [str(word) for word in command], cwd=ROOT, env={**os.environ, **(environment or {})}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return Spent(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Targets of one person each, outputs that are softer than these, sources, and made-up weights."""
    lfw = ROOT.parent / "shared/data/lfw"
    if not lfw.is_dir():
        pytest.skip("needs shared/data/lfw beside the project: photographs that cannot be redistributed")
    folder = tmp_path_factory.mktemp("score")
    people = [sorted(person.glob("*.jpg"))[0] for person in sorted(lfw.iterdir()) if any(person.glob("*.jpg"))]
    sources, targets = people[:SOURCES], people[SOURCES : SOURCES + PHOTOGRAPHS]
    for i, path in enumerate(sources):
        _copy(path, folder / "people" / f"source{i}" / "a.jpg")
    for i, path in enumerate(targets):
        _copy(path, folder / "targets" / f"target{i}" / f"target{i}.jpg")
        output = Image.open(path).filter(ImageFilter.GaussianBlur(1.5)).point(lambda level: min(255, level + 8))
        (folder / "outputs").mkdir(exist_ok=True)
        output.save(folder / "outputs" / f"source{i % SOURCES}_target{i}.jpg", quality=95)
    _write_weights(folder)
    return folder


def _copy(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(source.read_bytes())


def _write_weights(folder: Path) -> None:
    from fsbench.observers._inception_network import InceptionNetwork

    torch.save(toy_weights(InceptionNetwork().state_dict()), folder / "inception.pth")
    network = InceptionResnetV1(classify=False)
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_var.uniform_(0.1, 0.3)
    torch.save(network.state_dict(), folder / "facenet.pt")


def peers(inputs: Path) -> Spent:
    """torch-fidelity, then facenet-pytorch."""
    fidelity = spend([sys.executable, "-c", FIDELITY, inputs / "outputs", inputs / "targets", inputs / "inception.pth"])
    return fidelity + spend(
        [sys.executable, "-c", FACENET, inputs / "outputs", inputs / "people", inputs / "facenet.pt"]
    )


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where libraries keep what they compiled."""
    folder = tmp_path_factory.mktemp("libraries")
    places = {"NUMBA_CACHE_DIR": str(folder / "numba"), "MPLCONFIGDIR": str(folder / "matplotlib")}
    spend([sys.executable, "-c", COMPILE], places)
    return places


def score(inputs: Path, out: Path, cache: Path, libraries: Mapping[str, str]) -> Spent:
    return spend(
        [
            sys.executable, "-m", "fsbench", "score", "--outputs", inputs / "outputs", "--target", inputs / "targets",
            "--source", inputs / "people", "--metrics", "fid,kid,id_similarity", "--no-baselines",
            "--judges", f"facenet_vggface2@{inputs / 'facenet.pt'}", "--coach", "none",
            "--observers", f"inception@{inputs / 'inception.pth'}", "--device", "cpu", "--out", out, "--quiet",
        ],
        {"FSBENCH_CACHE": str(cache), **libraries},
    )  # fmt: skip


def test_a_cold_score_takes_less_than_its_parts(inputs: Path, libraries: dict[str, str], tmp_path: Path) -> None:
    theirs: list[Spent] = []
    ours: list[Spent] = []
    for i in range(ROUNDS):
        for side in (0, 1) if i % 2 else (1, 0):
            if side:
                ours.append(score(inputs, tmp_path / f"out{i}", tmp_path / f"cache{i}", libraries))
            else:
                theirs.append(peers(inputs))
    again = score(inputs, tmp_path / "again", tmp_path / "cache0", libraries)
    for name, spent in (("peers", theirs), ("fsbench", ours), ("fsbench again", [again])):
        told = ", ".join(f"{one.wall:.0f} s ({one.processor:.0f} s of processor)" for one in spent)
        print(f"\n{name}, {PHOTOGRAPHS} photographs: {told}")
    ratios = [one.wall / other.wall for one, other in zip(ours, theirs, strict=True)]
    print(f"fsbench takes {np.median(ratios):.2f} times as long as its peers")
    assert np.median(ratios) < MOST
