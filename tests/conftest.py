"""Fixtures for all tests: nothing is read from or written to the user's own folders."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from fsbench import registry
from fsbench.environment import make_context, quiet_openmp
from fsbench.interfaces import Context

quiet_openmp()
ROOT = Path(__file__).parents[1]
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: several processes share the cores

# Made-up inputs are the same in every run, and how long they take says nothing: others may be using the processor.
settings.register_profile(
    "fsbench",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
settings.load_profile("fsbench")


@pytest.fixture(scope="session", autouse=True)
def _one_core() -> Iterator[None]:
    """Contexts compute with one thread: with small networks and images, two wait for each other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fsbench.environment.available_cores", lambda: 1)
        yield


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the whole session, whatever the number of its processes."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(autouse=True)
def _folders_of_their_own(session_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cache for the whole session, so that what one test renders serves the next.

    Other processes write into it at any time: a test that looks at the files of a cache has one of its own.
    """
    monkeypatch.setenv("FSBENCH_CACHE", str(session_folder / "cache"))
    monkeypatch.setenv("FSBENCH_DATA", str(session_folder / "data"))


@pytest.fixture
def registering() -> Iterator[None]:
    """What a test registers is gone afterwards."""
    registry.load_plugins()  # before, or what they register would be gone as well
    kept = [(names, dict(names)) for one in registry.REGISTRIES.values() for names in (one._entries, one._refused)]
    yield
    for names, before in kept:
        names.clear()
        names.update(before)  # type: ignore[arg-type]


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command line in this process: exit code, standard output, standard error."""
    from fsbench.cli import main

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["fsbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return call


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


@pytest.fixture(scope="session")
def write_onnx() -> Callable[..., Path]:
    """A writer of ONNX files without the package onnx: convolutions, activations between them, means of the last."""
    return _write_onnx


def _write_onnx(path: Path, *kernels: np.ndarray, size: int = 112, stride: int = 4, last: str = "Identity") -> Path:
    """Kernels are (out, in, height, width); (N, 3, size, size) -> (N, out of the last kernel)."""
    nodes, tensors, name = b"", b"", "image"
    for i, kernel in enumerate(kernels):
        attributes = _field(5, _field(1, "strides") + _field(8, stride) * 2 + _field(20, 7))
        nodes += _field(1, _node("Conv", (name, f"kernel{i}"), f"conv{i}") + attributes)
        nodes += _field(1, _node("Relu" if i + 1 < len(kernels) else "GlobalAveragePool", (f"conv{i}",), f"x{i}"))
        dims = b"".join(_field(1, int(n)) for n in kernel.shape)
        tensors += _field(5, dims + _field(2, 1) + _field(8, f"kernel{i}") + _field(9, np.float32(kernel).tobytes()))
        name = f"x{i}"
    nodes += _field(1, _node("Flatten", (name,), "flat")) + _field(1, _node(last, ("flat",), "features"))
    given, answer = _shape("image", "N", 3, size, size), _shape("features", "N", len(kernels[-1]))
    graph = nodes + _field(2, "graph") + tensors + _field(11, given) + _field(12, answer)
    path.write_bytes(_field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 13)))
    return path


def _varint(value: int) -> bytes:
    return bytes([value & 127 | 128]) + _varint(value >> 7) if value > 127 else bytes([value])


def _field(number: int, value: int | str | bytes) -> bytes:
    """One field of a protocol buffer."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _node(operator: str, given: tuple[str, ...], answer: str) -> bytes:
    return b"".join(_field(1, name) for name in given) + _field(2, answer) + _field(4, operator)


def _shape(name: str, *sizes: int | str) -> bytes:
    shape = b"".join(_field(1, _field(1 if isinstance(size, int) else 2, size)) for size in sizes)
    return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, shape)))
