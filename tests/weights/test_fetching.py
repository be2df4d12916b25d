"""Downloads end with the right file or with none, whatever the server does."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Callable, Mapping
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.request import Request

import pytest
import torch

from fsbench import weights
from fsbench.errors import OutputError, WeightsError
from fsbench.interfaces import silent
from fsbench.weights import download
from fsbench.weights.files import pin_path, read_pin

Adapt = Callable[..., weights.Weights]
DIM = 87_000


def saved(*sizes: int) -> bytes:
    """A file that torch saved, of a network of the toy's kind with random weights: a megabyte."""
    file = io.BytesIO()
    torch.save({"weight": torch.rand(sizes)}, file)
    return file.getvalue()


CONTENT, OTHER = saved(DIM, 3), saved(DIM, 3)
PAGE = b"<!DOCTYPE html>\n<title>Sign in</title>\n"
HASHED, UNHASHED = "sface", "facenet_casia"


@pytest.fixture
def hashed(adapt: Adapt, server: Any) -> weights.Weights:
    """An entry with a published hash, on the server."""
    server.content = CONTENT
    return adapt(HASHED, CONTENT, sources=(weights.Url(server.address),))


@pytest.fixture
def unhashed(toy: Adapt, server: Any) -> weights.Weights:
    """An entry whose hash nobody published, on the server."""
    server.content = CONTENT
    return toy(UNHASHED, dim=DIM, sources=(weights.Url(server.address),))


def test_a_download_is_verified_and_nothing_else_is_left(hashed: weights.Weights, shelf: Any) -> None:
    found = shelf.fetch(HASHED)
    assert found == weights.find(HASHED, shelf.folder)
    assert found.path.read_bytes() == CONTENT
    assert shelf.names() == [hashed.file]
    assert hashed.licence in shelf.said[0]


def test_progress_counts_bytes(hashed: weights.Weights, shelf: Any) -> None:
    calls: list[tuple[float, float]] = []
    shelf.progress = lambda done, total, figures=None: calls.append((done, total))
    shelf.fetch(HASHED)
    assert calls == sorted(calls)
    assert calls[-1] == (len(CONTENT), len(CONTENT))


def test_what_is_there_is_not_fetched_again(hashed: weights.Weights, shelf: Any, server: Any) -> None:
    shelf.fetch(HASHED)
    shelf.fetch(HASHED)
    assert len(server.asked) == 1
    assert "is there already" in shelf.said[-1]


def test_a_damaged_file_is_fetched_again(hashed: weights.Weights, shelf: Any) -> None:
    shelf.folder.mkdir()
    (shelf.folder / hashed.file).write_bytes(CONTENT[:-1])
    assert shelf.fetch(HASHED).path.read_bytes() == CONTENT
    assert any("damaged" in line for line in shelf.said)


def test_a_restriction_is_shown_before_the_download(adapt: Adapt, server: Any, shelf: Any) -> None:
    server.content = CONTENT
    entry = adapt("edgeface_s", CONTENT, sources=(weights.Url(server.address),))
    assert shelf.fetch("edgeface_s").note == entry.restriction
    assert entry.restriction in shelf.said[0]


@pytest.mark.parametrize(
    ("server_does", "asked"),
    [
        ({}, [None, "bytes=300000-"]),
        ({"ranges": False}, [None, "bytes=300000-"]),
        ({"tag": ""}, [None, None]),
        ({"tag": 'W/"1"'}, [None, None]),
    ],
    ids=["resumes", "cannot resume", "names no version", "names a weak version"],
)
def test_a_truncated_download_is_told_and_goes_on(
    server_does: Mapping[str, Any], asked: list[str | None], unhashed: weights.Weights, shelf: Any, server: Any
) -> None:
    vars(server).update(server_does, breaks_after=300_000)
    with pytest.raises(WeightsError, match=f"ended after 300,000 of {len(CONTENT):,} bytes") as caught:
        shelf.fetch(UNHASHED)
    assert "goes on where it stopped" in caught.value.hint
    with pytest.raises(WeightsError, match="not installed"):
        weights.find(UNHASHED, shelf.folder)
    server.breaks_after = None
    assert shelf.fetch(UNHASHED).path.read_bytes() == CONTENT
    assert server.asked == asked
    assert shelf.names() == [unhashed.file, pin_path(Path(unhashed.file)).name]


def test_a_download_begins_again_where_the_file_has_changed(unhashed: weights.Weights, shelf: Any, server: Any) -> None:
    server.breaks_after = 300_000
    with pytest.raises(WeightsError, match="ended after"):
        shelf.fetch(UNHASHED)
    server.breaks_after, server.tag, server.content = None, '"2"', OTHER
    assert shelf.fetch(UNHASHED).path.read_bytes() == OTHER


def test_ctrl_c_keeps_what_has_arrived(hashed: weights.Weights, shelf: Any, server: Any) -> None:
    def interrupt(done: float, total: float, figures: Mapping[str, float] | None = None) -> None:
        raise KeyboardInterrupt

    shelf.progress = interrupt
    with pytest.raises(KeyboardInterrupt):
        shelf.fetch(HASHED)
    kept = download.partial_path(shelf.folder / hashed.file).stat().st_size
    assert kept > 0
    shelf.progress = silent
    assert shelf.fetch(HASHED).path.read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={kept}-"]


def test_a_download_that_was_whole_but_not_renamed(hashed: weights.Weights, shelf: Any, server: Any) -> None:
    partial = download.partial_path(shelf.folder / hashed.file)
    partial.parent.mkdir()
    partial.write_bytes(CONTENT)
    partial.with_name(partial.name + ".version").write_text(server.tag)
    assert shelf.fetch(HASHED).path.read_bytes() == CONTENT
    assert shelf.names() == [hashed.file]


def test_a_wrong_hash_leaves_nothing_behind(hashed: weights.Weights, shelf: Any, server: Any) -> None:
    server.content = OTHER
    with pytest.raises(WeightsError) as caught:
        shelf.fetch(HASHED)
    assert hashed.sha256[:12] in caught.value.message
    assert hashlib.sha256(server.content).hexdigest()[:12] in caught.value.message
    assert shelf.names() == []


@pytest.mark.parametrize(
    ("server_does", "sentence"),
    [
        ({"status": 404}, "the server answers 404"),
        ({"length": None}, "does not say how long"),
        ({"length": "plenty"}, "does not say how long"),
        ({"redirect": "ftp://127.0.0.1:9/file"}, "which is not http"),
    ],
)
def test_an_answer_that_is_no_file_leaves_nothing_behind(
    server_does: Mapping[str, Any], sentence: str, unhashed: weights.Weights, shelf: Any, server: Any
) -> None:
    vars(server).update(server_does)
    with pytest.raises(WeightsError) as caught:
        shelf.fetch(UNHASHED)
    assert sentence in caught.value.message
    assert "fsbench weights import PATH" in caught.value.hint
    assert shelf.names() == []


def test_a_server_that_sends_another_part_is_refused(unhashed: weights.Weights, shelf: Any, server: Any) -> None:
    server.breaks_after = 300_000
    with pytest.raises(WeightsError, match="ended after"):
        shelf.fetch(UNHASHED)
    server.breaks_after, server.shift = None, -10
    with pytest.raises(WeightsError, match="another part"):
        shelf.fetch(UNHASHED)


def test_no_server_at_all(adapt: Adapt, shelf: Any) -> None:
    adapt(HASHED, CONTENT, sources=(weights.Url("http://127.0.0.1:9/file"),))
    with pytest.raises(WeightsError, match="no answer"):
        shelf.fetch(HASHED)


def test_a_redirect_is_followed(hashed: weights.Weights, shelf: Any, server: Any) -> None:
    server.redirect = "/moved"
    assert shelf.fetch(HASHED).path.read_bytes() == CONTENT


def test_https_is_not_given_up_for_http() -> None:
    request = Request("https://example.org/file")
    with pytest.raises(WeightsError, match="which is not https"):
        download._Redirects().redirect_request(request, io.BytesIO(), 302, "", Message(), "http://example.org/file")


@pytest.mark.parametrize(("code", "sentence"), [(errno.ENOSPC, "no space left"), (errno.EIO, "cannot write")])
def test_a_disk_that_takes_no_more(
    code: int, sentence: str, hashed: weights.Weights, shelf: Any, server: Any, adapt: Adapt
) -> None:
    """The next source would fill the same disk, so it is not tried."""

    def full(done: float, total: float, figures: Mapping[str, float] | None = None) -> None:
        raise OSError(code, os.strerror(code))

    adapt(HASHED, sources=(weights.Url(server.address), weights.Url(server.address)))
    shelf.progress = full  # where the disk would say so: between two blocks
    with pytest.raises(OutputError, match=sentence):
        shelf.fetch(HASHED)
    assert len(server.asked) == 1
    assert shelf.names() == []


def test_a_folder_that_cannot_be_made(hashed: weights.Weights, shelf: Any) -> None:
    shelf.folder.write_text("not a folder")
    with pytest.raises(OutputError, match="cannot write"):
        shelf.fetch(HASHED)
    assert shelf.folder.read_text() == "not a folder"


def test_two_processes_at_once_do_not_mix(unhashed: weights.Weights, shelf: Any) -> None:
    partial = download.partial_path(shelf.folder / unhashed.file)

    def another(done: float, total: float, figures: Mapping[str, float] | None = None) -> None:
        partial.unlink()
        partial.write_bytes(b"the other process has just begun")

    shelf.progress = another
    with pytest.raises(WeightsError, match="another process"):
        shelf.fetch(UNHASHED)
    assert unhashed.file not in shelf.names()


def test_the_next_source_is_tried(adapt: Adapt, shelf: Any, server: Any) -> None:
    server.content = CONTENT
    gone = weights.Url("http://127.0.0.1:9/file")
    adapt(HASHED, CONTENT, sources=(gone, weights.Url(server.address)))
    assert shelf.fetch(HASHED).path.read_bytes() == CONTENT
    assert any(line.startswith(f"{HASHED}: no answer") for line in shelf.said)


def test_a_fetched_file_without_a_published_hash_is_pinned(unhashed: weights.Weights, shelf: Any, server: Any) -> None:
    found = shelf.fetch(UNHASHED)
    assert "pinned at first use" in found.note
    pin = read_pin(found.path)
    assert pin is not None
    assert (pin.sha256, pin.origin) == (hashlib.sha256(CONTENT).hexdigest(), server.address)


def test_a_web_page_is_not_pinned(unhashed: weights.Weights, shelf: Any, server: Any) -> None:
    """As servers send one to sign in, or with an error that they do not call one."""
    server.content = PAGE
    with pytest.raises(WeightsError, match=r"does not begin as a \.pt file") as caught:
        shelf.fetch(UNHASHED)
    assert f"fsbench weights import PATH --as {UNHASHED}" in caught.value.hint
    assert shelf.names() == []


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (saved(DIM, 4), "weight is 87000x4 instead of 87000x3"),
        (saved(5, 3), "features of 5 numbers"),
        (CONTENT[:-100], "damaged"),
    ],
)
def test_a_download_that_no_run_could_use_leaves_nothing_behind(
    content: bytes, sentence: str, unhashed: weights.Weights, shelf: Any, server: Any
) -> None:
    server.content = content
    with pytest.raises(WeightsError, match=sentence):
        shelf.fetch(UNHASHED)
    assert shelf.names() == []


def test_a_web_page_that_was_put_there_by_hand_is_replaced(unhashed: weights.Weights, shelf: Any) -> None:
    shelf.folder.mkdir()
    (shelf.folder / unhashed.file).write_bytes(PAGE)
    with pytest.raises(WeightsError, match="does not begin as"):
        weights.find(UNHASHED, shelf.folder)
    assert shelf.names() == [unhashed.file]
    assert shelf.fetch(UNHASHED).path.read_bytes() == CONTENT


def test_a_pin_outlives_its_file(unhashed: weights.Weights, shelf: Any, server: Any) -> None:
    path = shelf.fetch(UNHASHED).path
    path.unlink()
    server.content = OTHER
    with pytest.raises(WeightsError) as caught:
        shelf.fetch(UNHASHED)
    assert str(pin_path(path)) in caught.value.hint
    assert shelf.names() == [pin_path(path).name]
    pin_path(path).unlink()
    assert shelf.fetch(UNHASHED).path.read_bytes() == server.content


def test_what_nobody_offers_has_to_be_brought(shelf: Any) -> None:
    with pytest.raises(WeightsError, match="no source is known") as caught:
        shelf.fetch("mobilefacenet")
    assert caught.value.hint == "fsbench weights import PATH --as mobilefacenet"
