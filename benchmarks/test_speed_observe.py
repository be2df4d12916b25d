"""What looking at images costs: Inception as it is run beside torchvision's network, and MediaPipe's mesh.

    uv run pytest benchmarks/test_speed_observe.py -s

Inception is measured in turns with the same network before its normalisations are folded in. On a CPU that is processor
time, on one thread, which holds on a busy machine as well; the rates are of the clock. Random weights do for speed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models.inception import Inception3

from fsbench.environment import make_context
from fsbench.interfaces import Context
from fsbench.observers.inception import BATCH, SIDE, prepare
from fsbench.registry import observers
from fsbench.weights import CATALOGUE

WANTED = 1.3  # times as fast as the network that is not folded
ROUNDS = 3
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.fixture(params=DEVICES)
def context(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Context]:
    monkeypatch.setenv("FSBENCH_CACHE", str(tmp_path))
    threads = torch.get_num_threads()
    context = make_context(request.param)
    torch.set_num_threads(1)
    yield context
    torch.set_num_threads(threads)


@pytest.fixture
def crops(context: Context) -> torch.Tensor:
    return torch.rand(BATCH, 3, 128, 128, generator=torch.Generator().manual_seed(0)).to(context.device)


def seconds(work: Callable[[], object], device: torch.device) -> float:
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = clock()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - start


def test_folding_pays(context: Context, crops: torch.Tensor, tmp_path: Path) -> None:
    plain = Inception3(1008, aux_logits=False, init_weights=False).eval().to(context.device)
    torch.save(plain.state_dict(), tmp_path / "inception.pth")
    observer = observers.build(f"inception@{tmp_path / 'inception.pth'}", context)
    nowhere = torch.full((BATCH, 5, 2), torch.nan)
    images = prepare(crops, "tf1")
    assert images.shape[-1] == SIDE
    with torch.inference_mode():
        calls = (lambda: observer.observe(crops, nowhere), lambda: plain(images))
        spent = np.array([[seconds(call, context.device) for call in calls] for _ in range(ROUNDS + 1)])[1:]
    ours, theirs = np.median(spent, 0)
    rate, ratio = BATCH / ours, theirs / ours
    print(
        f"\ninception on {context.device}: {rate:.1f} images a second with resizing, {ratio:.2f} times as fast as "
        "the network that is not folded"
    )
    assert ratio > WANTED


def test_the_mesh(context: Context, crops: torch.Tensor, tmp_path: Path) -> None:
    file = CATALOGUE["face_landmarker"].file
    path = Path(os.environ.get("FSBENCH_TEST_WEIGHTS") or Path.home() / ".cache/fsbench-test-weights") / file
    if not path.is_file():
        pytest.skip(f"needs {file} in FSBENCH_TEST_WEIGHTS")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / file).symlink_to(path)
    observer = observers.build("face_mesh", context)
    spent = [seconds(lambda: observer.observe(crops, torch.empty(0)), context.device) for _ in range(ROUNDS)]
    print(f"\nface_mesh: {1000 * min(spent) / BATCH:.1f} ms an image without a face")
