"""Objects below a URL (s3://, gs://, az://, file://, and what else fsspec knows); nothing else here knows of fsspec.

An object is whole or not there, whoever looks at it and whenever its writer is killed. What fails for want of a
connection is tried again; what cannot succeed raises RemoteError at once.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from fsbench.atomic import FULL, atomic_path
from fsbench.errors import RemoteError, UsageError, nearest, one_line

T = TypeVar("T")

PATIENCE = 120.0
"""Seconds for which an operation is tried again."""

PAUSES = (0.2, 10.0)
"""Seconds between two attempts: the first, and the longest; each is twice the one before."""

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure", "abfss": "azure"}
"""By protocol, the extra of fsbench that brings its package."""

WHOLE = (*EXTRAS, "memory")
"""Protocols under which nobody sees an object that is being written; under others it is written beside, and renamed."""

DENIED = ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError",
          "ProfileNotFound", "DefaultCredentialsError", "RefreshError", "ClientAuthenticationError")  # fmt: skip
"""Errors, beside PermissionError, by which libraries say that credentials are missing or wrong."""

HOPELESS = (NotImplementedError, TypeError, ValueError)
REFUSED = (errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR)
"""What is no better the next time: errors of libraries, and what they say of a request that a store refused."""

_S3 = {"config_kwargs": {"connect_timeout": 10, "retries": {"total_max_attempts": 1}}}
OPTIONS: Mapping[str, Mapping[str, Any]] = {"file": {"auto_mkdir": True}, "s3": _S3, "s3a": _S3}
"""What file systems are opened with: attempts are counted here alone."""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(/*)(.*)", re.DOTALL)  # one letter is a drive
_SECRETS = re.compile(r"(?<=//)[^/@\s]*:[^/@\s]*@|\?\S*")


def url_of(text: str) -> str | None:
    """Return the URL that a text is, without a slash at its end; None for a path.

    Raises UsageError for a URL that is misspelt, that holds credentials, or whose package is not installed.
    """
    match = _URL.fullmatch(text)
    if match is None or not is_like_url(text):
        return None
    protocol, slashes, place = match[1].lower(), match[2], match[3].rstrip("/")
    shown = without_credentials(text)
    if shown != text:
        raise UsageError(f"{shown}: the URL holds credentials or a query", "leave them out: see docs/storage.md")
    if not text.isprintable():
        raise UsageError(f"{text!r} is no URL", "name a place such as s3://bucket/prefix")
    right = "///" if protocol == "file" else "//"
    if slashes != right and not (protocol == "memory" and slashes == "///"):
        hint = f"write {protocol}:{right}{place or 'bucket/prefix'}, or ./{text} for a directory of that name"
        raise UsageError(f"{text} is no URL", hint)
    if not is_plain(place):
        raise UsageError(f"{text} names no place below a bucket", "name one such as s3://bucket/prefix")
    _check_protocol(protocol, text)
    return f"{protocol}:{slashes}{place}"


def is_like_url(text: str) -> bool:
    """Whether a text is a URL, or may be meant as one: `s3:/bucket` is no name that a directory is likely to have."""
    match = _URL.fullmatch(text)
    return match is not None and bool(match[2] or match[1].lower() in ("file", *EXTRAS))


def _check_protocol(protocol: str, text: str) -> None:
    """Raise UsageError where fsspec does not know a protocol, or its package is not installed."""
    import fsspec  # a tenth of a second: only where there is a URL

    if protocol not in fsspec.available_protocols():
        near = nearest(protocol, ["file", *EXTRAS]) or ["s3"]
        raise UsageError(f"{text}: there is no storage called {protocol}", f"did you mean {near[0]}://?")
    try:
        fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        extra = EXTRAS.get(protocol)
        hint = f'pip install "fsbench[{extra}]"' if extra else one_line(error)
        raise UsageError(f"{protocol}:// needs a package that is not installed", hint) from error


def without_credentials(text: str) -> str:
    """Return a text without the users, passwords and queries of its URLs.

    >>> without_credentials("ftp://me:secret@host/x, https://host/y?sig=1")
    'ftp://host/x, https://host/y'
    """
    return _SECRETS.sub("", text)


def is_plain(name: str) -> bool:
    """Whether a name leads nowhere but below the place that it is a name in."""
    parts = name.split("/")
    return name.isprintable() and "\\" not in name and not any(part in ("", ".", "..") for part in parts)


class Objects:
    """Files below a URL, by names such as `rows/1a2b.safetensors`.

    Every method raises RemoteError: with no attempt more for what cannot succeed (credentials, no such bucket), after
    PATIENCE seconds for a store that does not answer, which `tell` is told when it begins and ends. Objects may be used
    from several threads, and after a fork.
    """

    def __init__(
        self, url: str, tell: Callable[[str], None] = lambda message: None, patience: float | None = None
    ) -> None:
        """`url` as `url_of` gives it."""
        self.url, self._tell = url, tell
        self.patience = PATIENCE if patience is None else patience
        self._opened: tuple[int, Any] = (0, None)  # by which process, and the file system

    @property
    def protocol(self) -> str:
        """The part of the URL before the colon."""
        return self.url.partition(":")[0]

    def check(self) -> None:
        """Write a small object and remove it: raises RemoteError where work would fail later."""
        name = f".{secrets.token_hex(6)}.probe"
        try:
            self._try(lambda fs: self._write(fs, name, b""), "write", FileNotFoundError)
        except FileNotFoundError as error:
            raise RemoteError(f"{self.url}: there is no such bucket", "make it, or name another") from error
        self.remove(name)

    def exists(self, name: str) -> bool:
        """Whether there is an object of this name."""
        return bool(self._try(lambda fs: fs.isfile(self._at(fs, name)), "read"))

    def read(self, name: str) -> bytes | None:
        """Return the content of a small object; None where there is none of this name."""
        try:
            content: bytes = self._try(lambda fs: fs.cat_file(self._at(fs, name)), "read", FileNotFoundError)
        except FileNotFoundError:
            return None
        return content

    def get(self, name: str, path: Path) -> bool:
        """Fetch an object into a file, atomically; False where there is none. Raises OutputError of the disk."""
        try:
            with atomic_path(path, durable=False) as partial:
                try:
                    self._try(lambda fs: fs.get_file(self._at(fs, name), str(partial)), "read", FileNotFoundError)
                except FileNotFoundError:
                    raise _Gone from None  # not of the disk
        except _Gone:
            return False
        return True

    def put(self, path: Path, name: str) -> None:
        """Store a file under a name; large ones in parts. One that is gone meanwhile is left out."""
        with suppress(_Gone):
            self._try(lambda fs: self._write(fs, name, path), "write", _Gone)

    def put_new(self, name: str, content: bytes) -> bool:
        """Store a small object if there is none of this name, and return whether this call did: one of many is told so.

        Where an answer was lost on the way, an object of this content is taken for that of this call.
        """
        attempts = 0

        def create(fs: Any) -> bool:
            nonlocal attempts
            attempts += 1
            try:
                self._create(fs, self._at(fs, name), content)
            except FileExistsError:
                return attempts > 1 and bool(fs.cat_file(self._at(fs, name)) == content)
            return True

        return self._try(create, "write")

    def remove(self, name: str) -> None:
        """Remove an object; there may be none."""
        with suppress(FileNotFoundError):
            self._try(lambda fs: fs.rm_file(self._at(fs, name)), "write", FileNotFoundError)

    def listed(self, below: str = "") -> dict[str, int]:
        """Return the sizes in bytes of all objects, or of those in a folder, by name; asks once for a thousand of them.

        Names that would lead elsewhere when written into a folder are left out.
        """

        def find(fs: Any) -> dict[str, int]:
            fs.invalidate_cache()
            root = self._root(fs)
            entries = fs.find(f"{root}/{below}" if below else root, detail=True)
            return {path[len(root) + 1 :]: entry.get("size") or 0 for path, entry in entries.items()}

        try:
            sizes = self._try(find, "read", FileNotFoundError)
        except FileNotFoundError:
            return {}
        return {name: size for name, size in sizes.items() if is_plain(name) and not name.endswith(".partial")}

    def _write(self, fs: Any, name: str, content: Path | bytes) -> None:
        """Raises _Gone where the file is not there any more."""
        target = self._at(fs, name)
        place = target if self.protocol in WHOLE else _beside(target)
        try:
            if isinstance(content, bytes):
                if place != target:
                    fs.makedirs(fs._parent(place), exist_ok=True)
                fs.pipe_file(place, content)
            else:
                fs.put_file(str(content), place)
        except FileNotFoundError:
            if isinstance(content, Path) and not content.exists():
                raise _Gone from None
            raise
        if place != target:
            fs.mv(place, target)

    def _create(self, fs: Any, target: str, content: bytes) -> None:
        """Raises FileExistsError."""
        if self.protocol != "file":
            fs.pipe_file(target, content, mode="create")
            return
        place = Path(_beside(target))
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            place.write_bytes(content)
            os.link(place, target)  # unlike a rename it replaces nothing
        finally:
            place.unlink(missing_ok=True)

    def _root(self, fs: Any) -> str:
        return str(fs._strip_protocol(self.url)).rstrip("/")

    def _at(self, fs: Any, name: str) -> str:
        return f"{self._root(fs)}/{name}"

    def _filesystem(self) -> Any:
        """The file system of this process: connections of its parent are of no use after a fork."""
        process, fs = self._opened
        if process != os.getpid():
            import fsspec

            options = {"skip_instance_cache": True, "use_listings_cache": False, **OPTIONS.get(self.protocol, {})}
            fs = fsspec.filesystem(self.protocol, **options)
            self._opened = os.getpid(), fs
        return fs

    def _try(self, operation: Callable[[Any], T], verb: str, *passing: type[Exception]) -> T:
        """What an operation gives, which is tried again where that may help; some errors pass."""
        end, pause, told = time.monotonic() + self.patience, PAUSES[0], False
        while True:
            try:
                answer = operation(self._filesystem())
            except passing:
                raise
            except Exception as error:  # noqa: BLE001 - each library has errors of its own
                self._give_up(error, verb, late=time.monotonic() >= end)
                if not told:
                    self._tell(f"{self._unanswered(error)}: trying again for {self.patience:.0f} s")
                told = True
            else:
                if told:
                    self._tell(f"{self.url} answers again")
                return answer
            time.sleep(min(pause, max(0.0, end - time.monotonic())))
            pause = min(2 * pause, PAUSES[1])

    def _give_up(self, error: Exception, verb: str, late: bool) -> None:
        """Raise RemoteError for what cannot succeed, and for what has not for too long."""
        if isinstance(error, PermissionError) or type(error).__name__ in DENIED:
            raise RemoteError(
                f"{self.url}: these credentials may not {verb} there ({_reason(error)})",
                "set those of an account that may: see docs/storage.md",
            ) from error
        if isinstance(error, OSError) and error.errno in FULL:
            raise RemoteError(f"no space left, here or at {self.url}", "free some: finished work is kept") from error
        refused = isinstance(error, OSError) and error.errno in REFUSED
        if refused or isinstance(error, HOPELESS) or type(error).__name__ == "ParamValidationError":
            raise RemoteError(f"{self.url} cannot be used ({_reason(error)})", "name another place") from error
        if late:
            hint = "what is finished is kept here, and sent when the command is run again with --resume"
            raise RemoteError(f"{self._unanswered(error)}, for {self.patience:.0f} s", hint) from error

    def _unanswered(self, error: Exception) -> str:
        return f"{self.url} does not answer ({_reason(error)})"


class _Gone(Exception):
    """What was to be read is not there."""


def _reason(error: Exception) -> str:
    """What a library says, on one line, without secrets."""
    return without_credentials(one_line(error))[:200]


def _beside(target: str) -> str:
    return str(PurePosixPath(target).with_name(f"{secrets.token_hex(6)}.{os.getpid()}.partial"))
