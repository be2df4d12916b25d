"""Downloads one file over http or https, and goes on where an interrupted download stopped."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import Message
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from fsbench.atomic import atomic_path, refused
from fsbench.errors import FsbenchError, WeightsError
from fsbench.store import write_text

if TYPE_CHECKING:
    from fsbench.interfaces import Progress

TIMEOUT_SECONDS = 30.0  # without a single byte
_BLOCK = 1 << 18
_GOES_ON = "the same command goes on where it stopped"


@contextmanager
def complete(url: str, path: Path, progress: Progress) -> Iterator[Path]:
    """Yield the whole file under a temporary name; on success it is renamed to `path`, when refused it is removed.

    An interrupted or truncated download keeps what it has for the next attempt. Raises WeightsError where the server
    does not give the file, OutputError where it cannot be written.
    """
    partial = partial_path(path)
    _receive(url, partial, progress)
    try:
        yield partial
        with atomic_path(path) as fresh:
            partial.replace(fresh)
    except FsbenchError:
        discard(partial)
        raise
    discard(partial)


def partial_path(path: Path) -> Path:
    """Return where a download that is not finished lies."""
    return path.with_name(f"{path.name}.partial")


def discard(partial: Path) -> None:
    """Remove a download that is not finished, and what is known about it."""
    for path in (partial, _version_path(partial)):
        with suppress(OSError):  # where the folder itself is unusable, writing to it says so
            path.unlink(missing_ok=True)


def _receive(url: str, partial: Path, progress: Progress) -> None:
    """Append to `partial` what is missing, or begin again where the server cannot tell that its file is the same."""
    with _open(url, partial) as response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        done = partial.stat().st_size if resumed else 0
        total = done + (response.length or 0)
        try:
            if not resumed:
                discard(partial)  # another process that still writes to it is then not disturbed, and notices below
                write_text(_version_path(partial), _version(response))
            with partial.open("r+b" if resumed else "xb") as file:
                file.seek(done)
                for block in _blocks(response):
                    file.write(block)
                    done += len(block)
                    progress(done, total)
            written = partial.stat().st_size
        except OSError as error:
            discard(partial)
            raise refused(error, partial) from error
    if done != total:
        raise WeightsError(f"the connection ended after {done:,} of {total:,} bytes", _GOES_ON)
    if written != total:
        raise WeightsError(f"another process writes to {partial}", "wait for it to finish")


def _open(url: str, partial: Path) -> http.client.HTTPResponse:
    """Ask for what is missing, on condition that the file is the one that the beginning came from."""
    request = urllib.request.Request(url, headers={"User-Agent": "fsbench", "Accept-Encoding": "identity"})
    version, size = _version_path(partial), partial.stat().st_size if partial.is_file() else 0
    if size and version.is_file() and (tag := version.read_text(encoding="utf-8")):
        request.add_header("Range", f"bytes={size}-")
        request.add_header("If-Range", tag)
    try:
        opener = urllib.request.build_opener(_Redirects)
        response: http.client.HTTPResponse = opener.open(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and request.has_header("Range"):
            discard(partial)  # nothing is missing: an earlier process was killed before it could rename the file
            return _open(url, partial)
        raise WeightsError(f"the server answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise WeightsError(f"no answer: {_reason(error)}") from error
    try:
        _refuse(response, size)
    except WeightsError:
        response.close()
        raise
    return response


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to anything less, nor away from the web."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme not in ("https", req.type):
            fp.close()
            raise WeightsError(f"the server redirects to {newurl}, which is not {req.type}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _refuse(response: http.client.HTTPResponse, size: int) -> None:
    """Raise WeightsError for an answer that cannot be trusted to be the file."""
    if response.length is None:
        raise WeightsError("the server does not say how long the file is, so that nobody can tell when it is whole")
    first = response.headers["Content-Range"] or ""
    if response.status == http.HTTPStatus.PARTIAL_CONTENT and not first.startswith(f"bytes {size}-"):
        raise WeightsError(f"the server sends another part ({first}) than what was asked for")


def _blocks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """What the server sends; a connection that breaks is a WeightsError, so that an OSError is one of writing."""
    while True:
        try:
            block = response.read(_BLOCK)
        except (OSError, http.client.HTTPException) as error:
            raise WeightsError(f"the connection broke: {_reason(error)}", _GOES_ON) from error
        if not block:
            return
        yield block


def _version(response: http.client.HTTPResponse) -> str:
    """What the server calls this state of the file; "" where it does not say, or not for certain."""
    tag = response.headers["ETag"] or ""
    return "" if tag.startswith("W/") else tag


def _version_path(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.version")


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", "") or error or type(error).__name__)
