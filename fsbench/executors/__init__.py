"""Where the work of a run is done: in this process, in several, on a Ray cluster, or by the ranks of a launcher.

All processes walk the same plan against the same store, and each computes what nobody else has claimed
(`fsbench.claims`). One of them leads: it measures and writes the result, which is the same whatever the others do.
"""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsbench.config import Plan, parse_device
from fsbench.errors import FsbenchError, Interrupted, UsageError

if TYPE_CHECKING:
    from fsbench.interfaces import Context  # brings torch

EXECUTORS = ("serial", "processes", "ray", "ranks")

RANKS = (("RANK", "WORLD_SIZE", "LOCAL_RANK"), ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"))
"""Variables of torchrun and of Slurm: number of a process, of all, and its number on its machine."""

MOST_WORKERS = 4096


@dataclass(frozen=True)
class Execution:
    """Who shares the work of a run, as typed; with several devices, a process for each."""

    executor: str = "serial"
    workers: int | None = None
    ray_address: str | None = None
    devices: Sequence[str] = ()

    @classmethod
    def of(cls, executor: str | None, workers: int | None, ray_address: str | None, device: str | None) -> Execution:
        """Raise UsageError for what does not exist, or does not go together."""
        devices = () if device is None else tuple(part.strip() for part in device.split(","))
        for text in devices:
            parse_device(text)
        chosen = executor or ("processes" if len(devices) > 1 or (workers or 1) > 1 else "serial")
        if chosen not in EXECUTORS:
            raise UsageError(f"--executor {executor} is not known", f"write one of {', '.join(EXECUTORS)}")
        if workers is not None and not 1 <= workers <= MOST_WORKERS:
            raise UsageError(f"--workers {workers}", f"it is a number of processes from 1 to {MOST_WORKERS}")
        if workers is not None and chosen in ("serial", "ranks") and executor is not None:
            why = "works alone" if chosen == "serial" else "has as many processes as the launcher starts"
            raise UsageError(f"--workers does not go with --executor {chosen}, which {why}", "leave one out")
        if ray_address is not None and chosen != "ray":
            raise UsageError("--ray-address needs --executor ray")
        if len(devices) > 1 and chosen != "processes":
            raise UsageError(
                f"several devices do not go with --executor {chosen}",
                "leave --executor out: there is a process for each device",
            )
        if len(devices) > 1 and workers not in (None, len(devices)):
            raise UsageError(f"--workers {workers} for {len(devices)} devices", "leave --workers out")
        return cls(chosen, workers, ray_address, devices)

    @property
    def device(self) -> str | None:
        """The device of this process, as typed; None where none was."""
        return self.devices[0] if self.devices else None

    @property
    def rank(self) -> int:
        """The number of this process among those of a launcher; 0 leads. Raises UsageError without a launcher."""
        return _ranks()[0] if self.executor == "ranks" else 0

    def share(
        self,
        plan: Plan,
        context: Context,
        read: str = "",
        typed: Mapping[str, Any] | None = None,
        *,
        strict: bool = True,
    ) -> AbstractContextManager[object] | None:
        """Let the store's claims be those of this execution; return what starts the other processes, if anything does.

        They run the plan, or what a function `read` (`module:function`) makes of the plan and of what was `typed`.
        Raises UsageError where a package is missing.
        """
        if self.executor == "serial":
            return None
        if self.executor == "ranks":
            rank, size, _ = _ranks()
            context.store.claims = context.store.shared_claims(f"{_job()} rank {rank}", rank, size)
            return None
        request = {
            "plan": plan.model_dump(mode="json"),
            "read": read,
            "typed": {name: _as_json(value) for name, value in (typed or {}).items()},
            "strict": strict,
            "folder": os.getcwd(),
            "cache": context.store.as_json(),
            "data_root": str(context.data_root),
        }
        name = f"{_job()} process {os.getpid()}"
        if self.executor == "processes":
            from fsbench.executors.processes import local_processes

            return local_processes(request, name, self.workers, self.devices, context)
        from fsbench.executors.ray import RayWorkers

        return RayWorkers(request, name, self.workers, self.ray_address, context)

    def follow(self, measure: Callable[..., object], plan: Plan, context: Context) -> None:
        """Do the work of a rank that does not lead; what stops it is told, and stops no other."""
        from fsbench.store import passing_folder

        self.share(plan, context)
        try:
            measure(out=passing_folder(), context=context, leads=False)
        except Interrupted:
            raise
        except FsbenchError as error:
            context.log(f"rank {self.rank}: {error.sentence}")

    def device_of(self, plan: Plan) -> str:
        """The device of this process: of several ranks on one machine each has its own."""
        if self.executor != "ranks" or plan.device not in ("auto", "cuda"):
            return plan.device
        import torch

        n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return f"cuda:{_ranks()[2] % n_devices}" if n_devices else plan.device


def _job() -> str:
    """A name that the processes of one job have in common, and those of another do not."""
    found = os.environ.get("TORCHELASTIC_RUN_ID", "none").replace("none", "") or os.environ.get("SLURM_JOB_ID")
    return found or f"{uuid.uuid4().hex[:8]} on {platform.node()}"


def _ranks() -> tuple[int, int, int]:
    for names in RANKS:
        if all(os.environ.get(name, "").isdecimal() for name in names[:2]):
            rank, size = (int(os.environ[name]) for name in names[:2])
            local = os.environ.get(names[2], "")
            return rank, size, int(local) if local.isdecimal() else rank
    raise UsageError(
        "--executor ranks: no launcher has numbered this process",
        "start it with torchrun or srun, or use --executor processes",
    )


def _as_json(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
