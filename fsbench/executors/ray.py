"""Workers on a Ray cluster, or on a Ray that is started on this machine for the length of a run.

Nothing goes through Ray but the request: workers read and write the store, which all nodes must see under one path or
address. Ray starts a worker again that was lost, and it takes up what it had claimed.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import Any

from fsbench.claims import SharedClaims
from fsbench.environment import available_cores
from fsbench.errors import UsageError, one_line
from fsbench.interfaces import Context

PATIENCE = 2.0
"""Seconds that the leading process leaves work to the workers: it may have no device of its own."""

RETRIES = 3
"""Times that a worker is started again after it was lost."""

OBJECTS = 80 * 2**20
"""Bytes of shared memory that Ray is given where it is started here; it is given no images."""

SHARED_MEMORY = "/dev/shm"
SECONDS_TO_ANSWER = 10.0


def work(request: Mapping[str, Any], claims: Mapping[str, Any]) -> None:
    """Do what a worker does; raises what it raises, as text that any version of fsbench can read."""
    from fsbench.errors import FsbenchError
    from fsbench.executors.follow import follow

    try:
        follow(request, SharedClaims.from_json(claims))
    except FsbenchError as error:
        raise RuntimeError(error.sentence) from None


class RayWorkers(AbstractContextManager[None]):
    """Starts workers in a `with` block, and ends them after it."""

    def __init__(
        self, request: Mapping[str, Any], name: str, workers: int | None, address: str | None, context: Context
    ) -> None:
        """Raise UsageError where Ray is not installed."""
        os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")  # else it builds an environment for each worker
        try:
            import ray
        except ImportError:
            raise UsageError(
                "--executor ray: Ray is not installed", "install it with: pip install 'fsbench[ray]'"
            ) from None
        self._ray, self._request, self._workers, self._address = ray, request, workers, address
        self._context, self._closing, self._started = context, threading.Event(), False
        self._claims = context.store.shared_claims(name, 0, 1, PATIENCE)
        context.store.claims = self._claims
        self._watch: threading.Thread | None = None
        self._tasks: dict[Any, str] = {}

    def __enter__(self) -> None:
        self._connect()
        on_gpu = self._context.device.type == "cuda"
        resources: dict[str, float] = self._ray.cluster_resources()  # type: ignore[no-untyped-call]
        n_nodes = len(self._ray.nodes())  # type: ignore[no-untyped-call]
        n_cpus, n_gpus = int(resources.get("CPU", 1)), int(resources.get("GPU", 0))
        if on_gpu and not n_gpus:
            raise UsageError("--executor ray: the cluster has no GPU", "add --device cpu, or nodes with GPUs")
        workers = self._workers or (n_gpus if on_gpu else n_cpus)
        threads = max(1, n_cpus // n_gpus) if on_gpu else 1
        request = {
            **self._request,
            "threads": threads,
            "plan": {**self._request["plan"], "device": self._context.device.type},
        }
        remote = self._ray.remote(
            num_cpus=threads, num_gpus=1 if on_gpu else 0, max_retries=RETRIES, retry_exceptions=False
        )(work)
        for k in range(workers):
            claims = self._context.store.shared_claims(f"{self._claims.member}.{k}", k, workers)
            self._tasks[remote.remote(request, claims.as_json())] = claims.member
        self._context.log(f"Ray: {workers} workers on {n_nodes} nodes, {n_cpus} CPUs, {n_gpus} GPUs")
        self._watch = threading.Thread(target=self._note_ended, daemon=True)
        self._watch.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        if self._watch is not None:
            self._watch.join()
        for task in self._tasks:
            with suppress(Exception):  # it has ended, or its node has
                self._ray.cancel(task, force=True)
        if self._started:
            self._ray.shutdown()

    def _connect(self) -> None:
        """Connect to the cluster that is named, or start one here."""
        if self._ray.is_initialized():
            return
        address = self._address or os.environ.get("RAY_ADDRESS")
        try:
            if address:
                _knock(address)
                self._ray.init(address, log_to_driver=False)
            else:
                self._tell_shared_memory()
                self._ray.init(
                    "local",
                    num_cpus=available_cores(),  # Ray misreads the limits of containers
                    include_dashboard=False,
                    log_to_driver=False,
                    object_store_memory=OBJECTS,
                )
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            place = f"no cluster at {address}" if address else "it cannot be started here"
            raise UsageError(
                f"--executor ray: {place} ({one_line(error)})", "start one with: ray start --head, or use serial"
            ) from error
        self._started = True

    def _tell_shared_memory(self) -> None:
        with suppress(OSError):
            free = shutil.disk_usage(SHARED_MEMORY).free
            if free < OBJECTS:
                self._context.log(
                    f"{SHARED_MEMORY} has {free // 2**20} MiB left, and Ray keeps its objects on the disk: "
                    "fsbench hands it none, so that this costs nothing"
                )

    def _note_ended(self) -> None:
        """Free what workers claimed that have ended, and tell of those that failed."""
        left = dict(self._tasks)
        while left and not self._closing.is_set():
            ended, _ = self._ray.wait(list(left), timeout=0.5)
            for task in ended:
                member = left.pop(task)
                try:
                    self._ray.get(task)
                except Exception as error:  # noqa: BLE001 - whatever a worker dies of, others do its work
                    cause = getattr(error, "cause", None) or error
                    self._context.log(f"a worker of Ray ended ({one_line(cause)}): others do its work")
                self._claims.gone([member])
        if not left:
            self._claims.patience = 0.0


def _knock(address: str) -> None:
    """Raise OSError where nobody answers at `HOST:PORT`; Ray itself tries for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), SECONDS_TO_ANSWER).close()
