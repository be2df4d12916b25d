"""An S3 store on loopback that can be stopped, and started again with or without its content."""

from __future__ import annotations

import itertools
import logging
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from moto.server import ThreadedMotoServer

from fsbench.remote import Objects

HOST = "127.0.0.1"


class ObjectStore:
    """Buckets of one server; `endpoint` stays the same when it is started again."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._numbers, self._buckets = itertools.count(), list[str]()
        self._port = 0
        self.start(wiped=True)  # of what another server of this process held

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self._port}"

    def start(self, *, wiped: bool = False) -> None:
        """Start it; where it is `wiped`, all buckets are empty."""
        self._server = ThreadedMotoServer(ip_address=HOST, port=self._port, verbose=False)
        self._server.start()
        _, self._port = self._server.get_host_and_port()
        if wiped:
            self._ask("POST", "moto-api/reset")
            for bucket in self._buckets:
                self._ask("PUT", bucket)

    def stop(self) -> None:
        self._server.stop()

    def stop_until_missed(self, patch: pytest.MonkeyPatch, *, wiped: bool) -> None:
        """Stop it; it is started again when somebody found that it does not answer, however slow the machine is."""
        give_up, lock, missed = Objects._give_up, threading.Lock(), threading.Event()

        def start_again(objects: Objects, error: Exception, verb: str, late: bool) -> None:
            give_up(objects, error, verb, late)
            with lock:
                if not missed.is_set():
                    self.start(wiped=wiped)
                    missed.set()

        patch.setattr(Objects, "_give_up", start_again)
        self.stop()

    def bucket(self) -> str:
        """The URL of a new bucket."""
        self._buckets.append(f"bucket-{next(self._numbers)}")
        self._ask("PUT", self._buckets[-1])
        return f"s3://{self._buckets[-1]}"

    def _ask(self, method: str, path: str) -> None:
        with urllib.request.urlopen(urllib.request.Request(f"{self.endpoint}/{path}", method=method)) as answer:
            answer.read()


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """A server, and the environment variables by which clients find it."""
    store = ObjectStore()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", store.endpoint)
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "not so secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield store
    store.stop()
