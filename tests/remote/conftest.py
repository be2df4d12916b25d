"""Stores at URLs: an S3 server on loopback, folders, and memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from object_store import ObjectStore, object_store

from fsbench import remote


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectStore]:
    """A server of this file's tests; a test that stops it starts it again."""
    with object_store() as store:
        yield store


@pytest.fixture(params=["s3", "file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place where nothing is yet."""
    if request.param == "s3":
        return f"{request.getfixturevalue('server').bucket()}/some/prefix"
    return f"file://{tmp_path}/there" if request.param == "file" else f"memory://{tmp_path.name}/there"


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for long."""
    monkeypatch.setattr(remote, "PAUSES", (0.05, 0.1))
