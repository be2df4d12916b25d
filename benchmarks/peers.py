"""A whole `fsbench.score` beside the tools that it takes the place of, in one process: cold, and with a warm cache.

    uv run python benchmarks/peers.py --photographs 1000          # 2,000 images: as many targets as outputs
    uv run python benchmarks/peers.py --photographs 60 --rounds 1

FID, KID and identity of photographs of LFW, against torch-fidelity (FID and KID) and a plain loop over facenet-pytorch
(detect, cut, embed, cosines), one after the other. Images and weights are the same; weights are made up, and cost the
same. The sides take turns; what libraries compile once on a machine (umap-learn, by numba) is compiled before. The
peers see an image once for each question that is asked about it; fsbench adds intervals, a calibration of the judge, a
table of all outputs and the files of a run. Warm is the same call again, for another folder. Nothing else may run
meanwhile: seconds are of the clock, with those of the processor in brackets. Exits with 1 below COLD or WARM.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from fsbench.environment import keep_library_caches, quiet_openmp

quiet_openmp()
keep_library_caches()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from facenet_pytorch import MTCNN, InceptionResnetV1  # noqa: E402
from PIL import Image, ImageFilter  # noqa: E402

import fsbench  # noqa: E402
from fsbench.contracts import toy_weights  # noqa: E402

COLD, WARM = 1.5, 20.0
"""Times as fast as the peers, at least."""

LFW = Path(__file__).parents[2] / "shared/data/lfw"
SOURCES = 20


class Spent(NamedTuple):
    """Seconds."""

    wall: float
    processor: float

    def __str__(self) -> str:
        return f"{self.wall:.1f} s ({self.processor:.1f} s)"


def main() -> None:
    """Measure, print a table, and exit."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--photographs", type=int, default=200, help="targets, each with an output")
    options.add_argument("--rounds", type=int, default=2)
    given = options.parse_args()
    if not LFW.is_dir():
        sys.exit(f"needs {LFW}: photographs that cannot be redistributed")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(folder, given.photographs)
        compile_maps()
        rounds = [one_round(folder, k) for k in range(given.rounds)]
    sides = ("torch-fidelity", "facenet-pytorch", "fsbench, cold", "fsbench, warm")
    print(f"| {given.photographs:,} targets, {given.photographs:,} outputs | {' | '.join(sides)} | cold | warm |")
    print(f"| --- |{' ---: |' * 6}")
    ratios = []
    for k, (fidelity, facenet, cold, warm) in enumerate(rounds, 1):
        ratios.append([(fidelity.wall + facenet.wall) / side.wall for side in (cold, warm)])
        spent = " | ".join(map(str, rounds[k - 1]))
        print(f"| round {k} | {spent} | {ratios[-1][0]:.2f} x | {ratios[-1][1]:.0f} x |")
    medians = [statistics.median(side) for side in zip(*ratios, strict=True)]
    print(f"\ntimes as fast as the peers: {medians[0]:.2f} cold, {medians[1]:.0f} warm")
    sys.exit(medians[0] < COLD or medians[1] < WARM)


def one_round(folder: Path, k: int) -> list[Spent]:
    """Peers first, or fsbench first, in turns."""
    cache = folder / f"cache{k}"
    peers = [lambda: fidelity(folder), lambda: facenet(folder)]
    ours = [lambda: score(folder, cache, folder / f"cold{k}"), lambda: score(folder, cache, folder / f"warm{k}")]
    if k % 2:
        return [*map(spend, peers), *map(spend, ours)]
    first = list(map(spend, ours))
    return [*map(spend, peers), *first]


def spend(work: Callable[[], object]) -> Spent:
    """What some work takes in this process."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return Spent(time.perf_counter() - wall, time.process_time() - processor)


def lay_out(folder: Path, n: int) -> None:
    """Write targets of one person each, outputs that are softer than these, sources, and made-up weights."""
    sources = [sorted(person.glob("*.jpg"))[0] for person in sorted(LFW.iterdir())[:SOURCES]]
    apart = {path.parent for path in sources}
    photographs = sorted(LFW.rglob("*.jpg"), key=lambda path: (path.name.rpartition("_")[2], path.name))
    targets = [path for path in photographs if path.parent not in apart][:n]
    if len(targets) < n:
        sys.exit(f"there are {len(targets)} photographs only")
    for i, path in enumerate(sources):
        _copy(path, folder / "people" / f"source{i}" / "a.jpg")
    (folder / "outputs").mkdir()
    for i, path in enumerate(targets):
        _copy(path, folder / "targets" / f"target{i}" / f"target{i}.jpg")
        output = Image.open(path).filter(ImageFilter.GaussianBlur(1.5)).point(lambda level: min(255, level + 8))
        output.save(folder / "outputs" / f"source{i % SOURCES}_target{i}.jpg", quality=95)
    _write_weights(folder)


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


def compile_maps() -> None:
    """Let numba compile what lays out maps."""
    from fsbench.harness.umap import _umap

    points = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    for dimensions in (2, 3):
        _umap(points, dimensions, 0)


def fidelity(folder: Path) -> None:
    """FID and KID by torch-fidelity."""
    import torch_fidelity

    torch_fidelity.calculate_metrics(
        input1=str(folder / "outputs"), input2=str(folder / "targets"), fid=True, kid=True, kid_subset_size=20,
        cuda=False, cache=False, verbose=False, feature_extractor_weights_path=str(folder / "inception.pth"),
        samples_find_deep=True,
    )  # fmt: skip


@torch.no_grad()
def facenet(folder: Path) -> float:
    """Mean cosine of outputs and their sources, by facenet-pytorch."""
    detector, network = MTCNN(160), InceptionResnetV1().eval()
    network.load_state_dict(torch.load(folder / "facenet.pt", weights_only=True), strict=False)

    def embed(path: Path) -> torch.Tensor | None:
        face = detector(Image.open(path))
        return None if face is None else network(face[None])[0]

    sources = {path.parent.name: embed(path) for path in sorted((folder / "people").rglob("*.jpg"))}
    cosines = []
    for path in sorted((folder / "outputs").glob("*.jpg")):
        vector, source = embed(path), sources[path.name.split("_")[0]]
        if vector is not None and source is not None:
            cosines.append(float(vector @ source))
    return statistics.fmean(cosines)


def score(folder: Path, cache: Path, out: Path) -> None:
    """All three by fsbench, with the features that the cache has."""
    os.environ["FSBENCH_CACHE"] = str(cache)
    fsbench.score(
        folder / "outputs", target=folder / "targets", source=folder / "people",
        metrics=("fid", "kid", "id_similarity"), baselines=False, coach="none",
        judges=[f"facenet_vggface2@{folder / 'facenet.pt'}"],
        observers=[f"inception@{folder / 'inception.pth'}"], device="cpu", out=out,
    )  # fmt: skip


if __name__ == "__main__":
    main()
