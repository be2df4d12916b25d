"""Fixtures for all tests: nothing is read from or written to the user's own folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fsbench import registry
from fsbench.environment import make_context, quiet_openmp
from fsbench.interfaces import Context

quiet_openmp()
ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _folders_of_their_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cache for the whole session, so that what one test renders serves the next."""
    monkeypatch.setenv("FSBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("FSBENCH_DATA", str(tmp_path_factory.getbasetemp() / "data"))


@pytest.fixture
def registering() -> Iterator[None]:
    """What a test registers is gone afterwards."""
    registry.load_plugins()  # before, or what they register would be gone as well
    shelves = (registry.swappers, registry.refiners, registry.metrics, registry.datasets, registry.embedders,
               registry.observers)
    before = {shelf: dict(shelf._entries) for shelf in shelves}
    yield
    for shelf, entries in before.items():
        shelf._entries.clear()
        shelf._entries.update(entries)


@pytest.fixture
def context(_folders_of_their_own: None) -> Context:
    """The context of a run on the CPU, with the session's cache."""
    return make_context("cpu")


@pytest.fixture
def fresh_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """The context of a run whose cache is empty."""
    monkeypatch.setenv("FSBENCH_CACHE", str(tmp_path / "cache"))
    return make_context("cpu")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Photographs and weights that cannot be redistributed; tests that need them skip where they are missing."""
    path = ROOT.parent / "shared"
    if not (path / "data").is_dir():
        pytest.skip(f"needs {path.name}/data beside the project: photographs and weights that cannot be redistributed")
    return path


@pytest.fixture(scope="session")
def weights_folder() -> Path:
    """Real pretrained files; tests that need them skip where the folder is missing."""
    path = Path(os.environ.get("FSBENCH_TEST_WEIGHTS") or Path.home() / ".cache/fsbench-test-weights")
    if not path.is_dir():
        pytest.skip("needs a folder of pretrained files: set FSBENCH_TEST_WEIGHTS")
    return path
