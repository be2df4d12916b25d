"""However many processes share the work, and whichever of them die, the result is that of one process."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
from kills import kills_of
from safetensors.numpy import load_file

from fsbench import environment
from fsbench.claims import FOLDER, SUFFIX, Alone
from fsbench.config import Plan
from fsbench.executors import Execution
from fsbench.harness.run import run
from fsbench.interfaces import Context
from fsbench.results import RunResult

PLAN = Plan(
    dataset="synthetic(people=2,gallery=3,sessions=3,images=16,clips=2,frames=6,size=64)",
    models=("gan_mask(size=tiny)", "gan_mask(size=tiny,mask=false)", "gan_mask(size=tiny)+recursive(n=2)"),
    metrics=("id_similarity", "gt_psnr", "skin_colour", "jitter"),
    budget="12",
    device="cpu",
    resamples=100,
)
OF_THE_MACHINE = ("created", "seconds", "swap_seconds", "environment", "command")


def measured(cache: Path, out: Path, execution: Execution, drawn: Path | None = None) -> RunResult:
    """Run the plan in a cache that holds nothing but drawn images, all of the work being shared."""
    if drawn is not None:
        shutil.copytree(drawn / "synthetic", cache / "synthetic")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FSBENCH_CACHE", str(cache))
        context = environment.make_context("cpu")
    return run(PLAN, out, context, members=execution.share(PLAN, context))


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the cache and the result of one process."""
    folder = tmp_path_factory.mktemp("serial")
    measured(folder / "cache", folder / "out", Execution())
    return folder


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_times(part) for name, part in value.items() if name not in OF_THE_MACHINE}
    return [without_times(part) for part in value] if isinstance(value, list) else value


def assert_same(out: Path, expected: Path) -> None:
    """Equal to the last bit: result, tables and features, but for times."""
    first, second = (json.loads((folder / "result.json").read_text()) for folder in (expected, out))
    assert without_times(second) == without_times(first)
    for path in sorted(expected.glob("*.parquet")):
        pd.testing.assert_frame_equal(pd.read_parquet(out / path.name), pd.read_parquet(path))
    features = sorted(path.relative_to(expected) for path in expected.glob("features/*.safetensors"))
    assert features
    for name in features:
        mine, theirs = load_file(out / name), load_file(expected / name)
        assert mine.keys() == theirs.keys()
        assert all(np.array_equal(mine[key], theirs[key], equal_nan=True) for key in mine)


def assert_shared_and_clean(cache: Path) -> None:
    assert (cache / FOLDER).is_dir()  # work was shared indeed
    assert not list((cache / FOLDER).glob(f"*{SUFFIX}"))


def when_claimed(cache: Path, by: Callable[[str], bool], act: Callable[[], object]) -> threading.Thread:
    """Act as soon as a member holds a claim."""

    def wait() -> None:
        for _ in range(6000):
            for path in (cache / FOLDER).glob(f"*{SUFFIX}"):
                with suppress(OSError):
                    if by(path.read_text()):
                        act()
                        return
            time.sleep(0.01)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("workers", [2, 3])
def test_processes_give_the_result_of_one(serial: Path, tmp_path: Path, workers: int) -> None:
    measured(tmp_path / "cache", tmp_path / "out", Execution("processes", workers), serial / "cache")
    assert_same(tmp_path / "out", serial / "out")
    assert_shared_and_clean(tmp_path / "cache")


def test_a_process_that_is_killed_costs_nothing(serial: Path, tmp_path: Path) -> None:
    """It is killed while it holds a claim; the leader takes over at once, and says so."""
    killed: list[int] = []

    def kill() -> None:
        for child in psutil.Process().children():
            if "fsbench.members" in " ".join(child.cmdline()):
                child.send_signal(signal.SIGKILL)
                killed.append(child.pid)

    watch = when_claimed(tmp_path / "cache", lambda owner: owner.endswith(".1"), kill)
    measured(tmp_path / "cache", tmp_path / "out", Execution("processes", 2), serial / "cache")
    watch.join(1)
    assert len(killed) == 1
    assert_same(tmp_path / "out", serial / "out")


def test_ranks_share_the_work_and_one_without_work_ends(
    serial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rank that follows finds everything done."""
    measured(tmp_path / "cache", tmp_path / "out", Execution(), serial / "cache")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("FSBENCH_CACHE", str(tmp_path / "cache"))
    context = environment.make_context("cpu")
    execution = Execution("ranks")
    assert execution.rank == 1
    before = sorted(tmp_path.rglob("*"))
    execution.follow(partial(run, PLAN), PLAN, context)
    assert [path for path in sorted(tmp_path.rglob("*")) if path not in before] == [tmp_path / "cache" / FOLDER]
    assert_same(tmp_path / "out", serial / "out")


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Address of a Ray cluster of two nodes, both on this machine."""
    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
    pytest.importorskip("ray", reason="Ray is not installed")
    from ray.cluster_utils import Cluster

    nodes = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 2, "object_store_memory": 80 * 2**20, "include_dashboard": False},
    )
    nodes.add_node(num_cpus=2, object_store_memory=80 * 2**20)
    yield nodes.address
    nodes.shutdown()


@pytest.mark.parametrize("workers", [1, 3])
def test_ray_gives_the_result_of_one(serial: Path, tmp_path: Path, cluster: str, workers: int) -> None:
    measured(tmp_path / "cache", tmp_path / "out", Execution("ray", workers, cluster), serial / "cache")
    assert_same(tmp_path / "out", serial / "out")
    assert_shared_and_clean(tmp_path / "cache")


@pytest.mark.parametrize("moment", range(kills_of("ray")))
def test_a_worker_of_ray_that_is_killed_costs_nothing(serial: Path, tmp_path: Path, cluster: str, moment: int) -> None:
    """Two workers on two nodes; one is killed while it holds a claim, or at any time later. Ray starts it again."""
    killed: list[int] = []
    later = moment and random.Random(moment).uniform(0, 8)

    def kill() -> None:
        time.sleep(later)
        for process in psutil.process_iter(["cmdline"]):
            if not killed and " ".join(process.info["cmdline"] or ()).startswith("ray::work"):
                process.send_signal(signal.SIGKILL)
                killed.append(process.pid)

    watch = when_claimed(tmp_path / "cache", lambda owner: owner[-2:] in (".0", ".1"), kill)
    measured(tmp_path / "cache", tmp_path / "out", Execution("ray", 2, cluster), serial / "cache")
    watch.join(later + 1)
    assert len(killed) == 1 or later
    assert_same(tmp_path / "out", serial / "out")


def test_serial_runs_share_nothing(serial: Path, context: Context) -> None:
    assert isinstance(context.store.claims, Alone)
    assert not (serial / "cache" / FOLDER).exists()
