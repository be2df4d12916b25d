"""What is typed of executors, workers and devices: one sentence for what cannot be, before any work."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fsbench.claims import SharedClaims
from fsbench.config import Plan
from fsbench.errors import UsageError
from fsbench.executors import Execution
from fsbench.executors.processes import local_processes
from fsbench.interfaces import Context

Invoke = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("typed", "executor", "device", "n_devices"),
    [
        ((None, None, None, None), "serial", None, 0),
        ((None, None, None, "cuda:1"), "serial", "cuda:1", 1),
        ((None, 1, None, None), "serial", None, 0),
        ((None, 3, None, None), "processes", None, 0),
        ((None, None, None, "cuda:0,cuda:1"), "processes", "cuda:0", 2),
        ((None, 2, None, " cpu , cpu "), "processes", "cpu", 2),
        (("ray", 4, "auto", "cuda"), "ray", "cuda", 1),
        (("ranks", None, None, None), "ranks", None, 0),
    ],
)
def test_what_is_typed_tells_the_executor(
    typed: tuple[str | None, int | None, str | None, str | None], executor: str, device: str | None, n_devices: int
) -> None:
    execution = Execution.of(*typed)
    assert (execution.executor, execution.device, len(execution.devices)) == (executor, device, n_devices)


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        (("rays", None, None, None), "--executor rays is not known"),
        ((None, 0, None, None), "--workers 0"),
        ((None, -3, None, None), "--workers -3"),
        (("ray", 10**9, None, None), "--workers 1000000000"),
        (("serial", 2, None, None), "--workers does not go with --executor serial, which works alone"),
        (("ranks", 2, None, None), "--workers does not go with --executor ranks"),
        ((None, None, "auto", None), "--ray-address needs --executor ray"),
        (("ray", None, None, "cuda:0,cuda:1"), "several devices do not go with --executor ray"),
        (("serial", None, None, "cpu,cpu"), "several devices do not go with --executor serial"),
        ((None, 3, None, "cuda:0,cuda:1"), "--workers 3 for 2 devices"),
        ((None, None, None, "cuda:0,gpu"), "unknown device 'gpu'"),
        ((None, None, None, ""), "unknown device ''"),
        ((None, None, None, "cpu,"), "unknown device ''"),
    ],
)
def test_what_cannot_be_is_said(typed: tuple[str | None, int | None, str | None, str | None], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence.replace("(", r"\(")):
        Execution.of(*typed)


def test_ranks_need_a_launcher(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    code, _, error = invoke("run", "--models", "copy_target", "--executor", "ranks")
    assert code == 2
    assert "no launcher has numbered this process" in error


@pytest.mark.parametrize(
    ("variables", "rank", "member"),
    [
        ({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "TORCHELASTIC_RUN_ID": "job7"}, 3, "job7 rank 3"),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "2", "SLURM_JOB_ID": "88"}, 0, "88 rank 0"),
    ],
)
def test_launchers_number_the_processes(
    context: Context, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], rank: int, member: str
) -> None:
    for name in ("RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    execution = Execution("ranks")
    assert execution.rank == rank
    assert execution.share(Plan(), context) is None
    assert isinstance(context.store.claims, SharedClaims)
    assert (context.store.claims.member, context.store.claims.place) == (member, rank)
    assert execution.device_of(Plan(device="cpu")) == "cpu"


def test_processes_have_a_device_each(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    orders: list[dict[str, object]] = []
    monkeypatch.setattr("fsbench.executors.processes.local_members", lambda _, given, *__: orders.extend(given))
    local_processes({"plan": {"seed": 1}}, "run", None, ("cuda:2", "cuda:3", "cpu"), context)
    assert [order["plan"] for order in orders] == [{"seed": 1, "device": "cuda:3"}, {"seed": 1, "device": "cpu"}]
    orders.clear()
    local_processes({"plan": {}}, "run", 3, (), context)
    assert [order["plan"] for order in orders] == [{"device": "cpu"}] * 2


def test_without_ray_a_sentence_says_how_to_get_it(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError) as error:
        Execution("ray").share(Plan(), context)
    assert "pip install 'fsbench[ray]'" in error.value.sentence


def test_no_cluster_at_an_address_is_said(context: Context) -> None:
    pytest.importorskip("ray")
    members = Execution("ray", None, "127.0.0.1:1").share(Plan(), context)
    assert members is not None
    with pytest.raises(UsageError, match=r"no cluster at 127.0.0.1:1"), members:
        pass


def test_a_plan_that_cannot_be_starts_nobody(tmp_path: Path, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    from fsbench.harness.run import run

    monkeypatch.setattr("fsbench.members.subprocess.Popen", lambda *_, **__: pytest.fail("a process was started"))
    plan = Plan(models=("gan_mask@nowhere.safetensors",), device="cpu")
    with pytest.raises(Exception, match="no file"):
        run(plan, tmp_path / "out", context, members=Execution("processes", 2).share(plan, context))
