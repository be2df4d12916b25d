from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fsbench import weights
from fsbench.embedders._vggface2_h5 import is_h5, read_h5
from fsbench.interfaces import Context, EmbedderInfo, Progress, WeightsFile, silent
from fsbench.registry import embedders
from fsbench.weights.pickles import read_pickle
from fsbench.weights.tensors import check_tensors, read_tensors

Adapt = Callable[..., weights.Weights]


@pytest.fixture
def adapt(monkeypatch: pytest.MonkeyPatch) -> Adapt:
    """Let the catalogue know other facts about an entry; `content` is what its published hash shall be that of."""

    def change(name: str, content: bytes | None = None, **facts: Any) -> weights.Weights:
        if content is not None:
            facts |= {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        entry = replace(weights.CATALOGUE[name], **facts)
        monkeypatch.setitem(weights.CATALOGUE, name, entry)
        return entry

    return change


class ToyNetwork:
    """The smallest embedder with weights: its features are the mean colour times a matrix of its file."""

    def __init__(self, *, context: Context) -> None:
        path = Path(context.path)
        if is_h5(path):
            state = {name.removeprefix("toy."): torch.tensor(array) for name, array in read_h5(path).items()}
        elif path.read_bytes()[:2] == b"PK" or b"\x8a\x0a" in path.read_bytes()[:4]:
            state = read_tensors(path)
        else:
            state = {name: torch.tensor(array) for name, array in read_pickle(path).items()}
        dim, people = len(state.get("weight", ())), len(state.get("classifier", ()))
        wanted = {"weight": torch.zeros(dim, 3), "classifier": torch.zeros(people, dim)}
        check_tensors(path, "the toy network", state, wanted, {"classifier"})
        self._state = state
        names = tuple(f"person {i}" for i in range(people))
        self.info = EmbedderInfo("toy", dim, (weights.own(path),), "a toy", classes=names)

    def embed(self, crops: Tensor, landmarks: Tensor) -> Tensor:
        return crops.mean((2, 3)) @ self._state["weight"].float().T

    def classify(self, features: Tensor) -> Tensor:
        return features @ self._state["classifier"].float().T


@pytest.fixture
def toy(adapt: Adapt, registering: None) -> Adapt:
    """Let an entry be the toy network's, with features of four numbers and without a classifier, or as `facts` say."""
    embedders.register("toy_network")(ToyNetwork)
    return lambda name, **facts: adapt(name, **{"used_by": "toy_network", "dim": 4, "classes": 0, **facts})


@dataclass
class Server:
    """A web server with one file, and with the faults that a test asks for."""

    content: bytes = b""
    address: str = ""
    tag: str = '"1"'
    ranges: bool = True  # answers Range requests
    breaks_after: int | None = None  # closes the connection after so many bytes of an answer
    length: str | None = ""  # what it says in place of the true length; None says nothing
    status: int = 200
    redirect: str = ""
    shift: int = 0  # sends another part than the one asked for
    asked: list[str | None] = field(default_factory=list)  # the Range of each request

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers["Range"]
        self.asked.append(asked)
        start = 0
        if self.redirect and request.path != "/moved":
            request.send_response(302)
            request.send_header("Location", self.redirect)
        elif self.status != 200:
            request.send_response(self.status)
        elif asked and self.ranges and request.headers["If-Range"] == self.tag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            request.send_response(206 if start < len(self.content) else 416)
            request.send_header("Content-Range", f"bytes {start + self.shift}-/{len(self.content)}")
        else:
            request.send_response(200)
        body = self.content[start:]
        if self.tag:
            request.send_header("ETag", self.tag)
        if self.length is not None:
            request.send_header("Content-Length", self.length or str(len(body)))
        request.end_headers()
        with suppress(ConnectionError):  # the client may have refused the answer by now
            request.wfile.write(body[: self.breaks_after])


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        state.address = f"http://127.0.0.1:{serving.server_port}/file"
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        serving.shutdown()
        thread.join()


class Shelf:
    """Fetches into a folder of its own, and keeps what was said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.progress: Progress = silent

    def fetch(self, name: str) -> WeightsFile:
        return weights.fetch(name, self.folder, lambda title: self.progress, self.said.append)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "weights")
