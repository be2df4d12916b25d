"""Several processes on this machine: one for each device, or some that share its cores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from fsbench.environment import available_cores
from fsbench.interfaces import Context
from fsbench.members import local_members


def local_processes(
    request: Mapping[str, Any], name: str, workers: int | None, devices: Sequence[str], context: Context
) -> AbstractContextManager[None]:
    """Start the others for the length of a `with` block; this process, whose claims are set, is one of `workers`."""
    import torch

    workers = workers or (len(devices) if len(devices) > 1 else max(2, available_cores() // 2))
    threads = max(1, available_cores() // workers)
    torch.set_num_threads(threads)
    context.store.claims = claims = context.store.shared_claims(name, 0, workers)
    own = (devices or [str(context.device)])[0]
    requests = [
        {**request, "threads": threads, "plan": {**request["plan"], "device": device}}
        for device in [*devices[1:], *[own] * (workers - max(1, len(devices)))]
    ]
    environment = {"OMP_NUM_THREADS": str(threads)}
    return local_members("fsbench.executors.follow:follow", requests, claims, context.log, environment)
