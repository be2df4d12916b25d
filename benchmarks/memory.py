"""How the peak memory of `score` and of `run` grows with the number of images.

    uv run python benchmarks/memory.py [--sizes 1000 30000] [--services run score] [--side 32]

Each size is a process of its own, of which the peak of the resident memory is read. An image of `run` is a target, for
which an output is made; of the images of `score`, which are all files, one half are outputs and the other half the
targets that they were made for. People, photographs and outputs are
made up, and detector and judge are a few lines, so that it finishes in minutes; the judge's features have 4 numbers.
Maps of embeddings, of 3,000 faces at most, are left out: they load a compiler. Exits with 1 above LIMIT.

The processes give freed memory back at once (MALLOC_TRIM_THRESHOLD_ and ARROW_DEFAULT_MEMORY_POOL in the environment
win): what glibc keeps of large tensors, and Arrow of its columns, for the next ones is up to a hundred MiB, and differs
from run to run.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 1024
"""Bytes by which the peak may grow with each image."""

PEOPLE, SESSIONS = 20, 5
SOURCES = 4  # people whose photographs `score` is given as sources


def main() -> None:
    """Measure, print a table, and exit with 1 where memory grows too fast."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sizes", type=int, nargs="+", default=[1000, 30_000])
    options.add_argument("--services", nargs="+", default=["run", "score"], choices=["run", "score"])
    options.add_argument("--side", type=int, default=32)
    options.add_argument("--child", action="store_true")
    given = options.parse_args()
    if given.child:
        measure(given.services[0], given.sizes[0], given.side)
        return
    slopes = []
    print(f"{'':8}{'images':>10}{'MiB':>10}{'seconds':>10}{'bytes an image':>18}")
    for service in given.services:
        first = None
        for n in given.sizes:
            began = time.monotonic()
            command = [sys.executable, __file__, "--child", "--services", service, "--sizes", str(n)]
            environment = {"MALLOC_TRIM_THRESHOLD_": str(2**17), "ARROW_DEFAULT_MEMORY_POOL": "system", **os.environ}
            child = subprocess.run(
                [*command, "--side", str(given.side)], capture_output=True, text=True, check=False, env=environment
            )
            if child.returncode:
                sys.exit(child.stderr)
            peak = int(child.stdout.split()[-1])
            slope = (peak - first[1]) / (n - first[0]) if first else None
            first = first or (n, peak)
            slopes += [slope] if slope is not None else []
            shown = "" if slope is None else f"{slope:.0f}"
            print(f"{service:8}{n:10,}{peak / 2**20:10.0f}{time.monotonic() - began:10.0f}{shown:>18}", flush=True)
    sys.exit(max(slopes, default=0) > LIMIT)


def measure(service: str, n: int, side: int) -> None:
    """Run a service in this process, and print the peak of its memory in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FSBENCH_CACHE"] = f"{folder}/cache"
        {"run": run, "score": score}[service](n, side, Path(folder))
        (peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
        print(int(peak.split()[1]) * 1024)


def grow_interned() -> None:
    """Grow CPython's table of interned texts to the size that it keeps, as any process with many paths soon does.

    `pathlib` puts the parts of each path into it, and takes them out with the path. Their places are free again only
    when the table is built anew, for three times the texts that it holds: once, by several MiB.
    """
    for k in range(400_000):
        Path(f"{k}.png").parts  # noqa: B018 -- the parts are made when they are asked for


def run(n: int, side: int, folder: Path) -> None:
    """Let a model darken `n` images."""
    context = prepare()
    from fsbench.config import Plan
    from fsbench.harness.run import run as service

    plan = Plan(dataset=f"made(n={n},side={side})", models=("darker",), **SETTINGS)
    service(plan, folder / "out", context)


def score(n: int, side: int, folder: Path) -> None:
    """Measure the outputs of a tool, which are half of `n` images; the others are their targets."""
    context = prepare()
    from fsbench.config import Plan
    from fsbench.harness.external.files import ToolOutputs
    from fsbench.harness.score import score as service

    for k in range(n // 2):
        name = f"p{k % PEOPLE:02d}/s{k // PEOPLE % SESSIONS}/{k:06d}.png"
        save(folder / "targets" / name, k, side)
        save(folder / "outputs" / f"q{k % SOURCES}" / name, n + k, side)
    for k in range(SOURCES * SESSIONS):
        save(folder / "sources" / f"q{k % SOURCES}" / f"s{k // SOURCES}" / "0.png", 2 * n + k, side)
    tool = ToolOutputs.find("tool", folder / "outputs")
    service([tool], folder / "sources", folder / "targets", Plan(**SETTINGS), folder / "out", context)


SETTINGS = {"baselines": False, "metrics": ("id_similarity",), "judges": ("grid",), "resamples": 100}


def save(path: Path, seed: int, side: int) -> None:
    """Write a picture as an uncompressed PNG."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(seed, side)).save(path, compress_level=0)


def picture(seed: int, side: int):
    """A made-up picture, (side, side, 3) uint8."""
    import numpy as np

    return np.random.default_rng(seed).integers(60, 200, (side, side, 3), np.uint8)


def prepare():
    """Put detector, judge, data set and model in place; returns a context."""
    import numpy as np
    import pandas as pd
    import torch

    from fsbench.environment import make_context
    from fsbench.faces import detect
    from fsbench.faces.align import TEMPLATE
    from fsbench.harness import illustrations
    from fsbench.images import ImageSet
    from fsbench.interfaces import DatasetInfo, EmbedderInfo, Faces
    from fsbench.registry import datasets, embedders, load_plugins, swappers

    class Middle:
        def __init__(self, device: torch.device) -> None:
            pass

        def detect_photo(self, image: np.ndarray) -> detect.Detections:
            points = (TEMPLATE * image.shape[1]).astype(np.float32)[None]
            return detect.Detections(np.zeros((1, 4), np.float32), points, np.ones(1, np.float32))

        def detect_crops(self, crops: torch.Tensor) -> np.ndarray:
            return np.repeat((TEMPLATE * crops.shape[-1]).astype(np.float32)[None], len(crops), 0)

    class Grid:
        """Four differences between the quarters of a picture."""

        def __init__(self) -> None:
            self.info = EmbedderInfo(family="grid", dim=4, weights=(), description="quarters of a picture")

        def embed(self, crops: torch.Tensor, landmarks: torch.Tensor) -> torch.Tensor:
            means = torch.nn.functional.adaptive_avg_pool2d(crops.mean(1, keepdim=True), 2).flatten(1)
            return means - 0.45

    class Darker:
        """The target, darker."""

        def swap(self, source: object, targets) -> torch.Tensor:
            return targets.images * 0.8

    def table(split: str, k: np.ndarray) -> pd.DataFrame:
        names, sessions = [f"p{i % PEOPLE:02d}" for i in k], [f"{split}{i // PEOPLE % SESSIONS}" for i in k]
        ids = [f"{name}/{session}/{i:06d}" for name, session, i in zip(names, sessions, k, strict=True)]
        return pd.DataFrame({"id": ids, "identity": names, "session": sessions, "clip": "", "frame": k})

    class Made:
        """Made-up people."""

        def __init__(self, *, n: int = 1000, side: int = 48) -> None:
            self.n, self.side = n, side
            self.info = DatasetInfo("made", f"{n} {side}", side, "made up", "none", ("train", "test"))

        def faces(self, split: str) -> Faces:
            n = self.n if split == "test" else PEOPLE * 4
            first = 0 if split == "test" else 10**6
            rows = pd.concat([table(split, k) for k in np.split(np.arange(n), range(1000, n, 1000))], ignore_index=True)

            def read(rows: np.ndarray) -> np.ndarray:
                return np.stack([picture(first + row, self.side) for row in rows])

            crops = (
                ImageSet.made((n, self.side, self.side, 3), read)
                if hasattr(ImageSet, "made")
                else ImageSet(read(np.arange(n)))
            )
            return Faces(crops, rows, np.repeat((TEMPLATE * self.side).astype(np.float32)[None], n, 0))

        def truth(self, source: str, targets: Faces) -> None:
            return None

    load_plugins()
    detect.Detector = Middle
    embedders.register("grid")(Grid)
    swappers.register("darker")(Darker)
    datasets.register("made")(Made)
    illustrations.TABLES = {"lookalikes.parquet": illustrations.lookalikes}
    context = make_context("cpu")
    grow_interned()
    torch.set_num_threads(1)  # small tensors: on a busy machine two threads wait for each other
    return context


if __name__ == "__main__":
    main()
