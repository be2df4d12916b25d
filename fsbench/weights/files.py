"""Finds pretrained files on this machine and vouches for them; nothing is downloaded here.

A file whose hash nobody published is pinned at its first use: its hash is written beside it, and holds from then on.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fsbench.errors import WeightsError
from fsbench.store import file_sha256, write_text
from fsbench.weights.catalogue import CATALOGUE, Weights, lookup
from fsbench.weights.formats import check_file, check_format

if TYPE_CHECKING:
    from fsbench.interfaces import WeightsFile


@dataclass(frozen=True)
class Pin:
    """What a file was when it was used first."""

    sha256: str
    size: int  # bytes
    origin: str  # where it came from
    date: str


def find(name: str, folder: Path) -> WeightsFile:
    """Return the verified file of a catalogue entry, out of `folder` or out of the package that carries it.

    Raises WeightsError where it is nowhere, and where a file of that name has other content.
    """
    entry = lookup(name)
    path = locate(name, folder)
    if path is None:
        raise WeightsError(f"the weights {name} ({entry.file}) are not installed", entry.remedy)
    found = digest(path)
    if entry.sha256:
        if found != entry.sha256:
            raise WeightsError(f"{path} is damaged, or not the file that fsbench knows as {name}", entry.remedy)
        return _vouch(entry, path, found)
    pin = read_pin(path)
    if pin is None:
        check_format(path, entry)
        pin = write_pin(path, f"found in {path.parent}")
    if found != pin.sha256:
        raise WeightsError(
            f"{path} is not the file that was pinned as {name} on {pin.date}",
            f"{entry.remedy}  (if the new file is meant, remove {pin_path(path)})",
        )
    note = f"no hash of this file is published; it was pinned at first use, on {pin.date}"
    return _vouch(entry, path, found, note)


def find_all(names: Sequence[str], folder: Path) -> tuple[WeightsFile, ...]:
    """Return the verified files of several entries, all of which one network needs.

    Raises WeightsError where some are nowhere, with one command that gets them, and where one has other content.
    """
    missing = [name for name in names if locate(name, folder) is None]
    if len(missing) > 1:
        fetched = [name for name in missing if lookup(name).sources]
        remedies = [f"fsbench weights fetch {' '.join(fetched)}"] * bool(fetched)
        remedies += [lookup(name).remedy for name in missing if name not in fetched]
        raise WeightsError(f"the weights {', '.join(missing)} are not installed", "; ".join(remedies))
    return tuple(find(name, folder) for name in names)


def find_first(names: Sequence[str], folder: Path) -> WeightsFile:
    """Return the verified file of the first entry that is present, where several can serve one network.

    Raises WeightsError where none is present, and where the one that is present is damaged.
    """
    for name in names:
        if locate(name, folder) is not None:
            return find(name, folder)
    remedies = [lookup(name).remedy for name in names]
    raise WeightsError(f"none of the weights {', '.join(names)} is installed", ", or ".join(remedies))


def own(path: Path, like: str = "") -> WeightsFile:
    """Return a file of the user's own; where its hash is that of a catalogue entry, with that entry's name and licence.

    A file that nobody knows, and that is used in place of the entry `like`, may be its authors' and under its licence:
    both are said with this condition. Raises WeightsError where there is no such file.
    """
    from fsbench.interfaces import WeightsFile  # brings torch, which `fsbench weights list` does not need

    check_file(path)
    found = digest(path)
    if (known := recognise(found)) is not None:
        return _vouch(known, path, found)
    licence, note = "not known", "the user's own file, under a licence not known here"
    if like:
        entry = lookup(like)
        licence = f"{entry.licence}, if it is the authors' file"
        note = f"the user's own file; if it is the authors' file of {like}: {entry.restriction or 'no restriction'}"
    return WeightsFile(path.name, path, found, licence, note)


def useless(path: Path) -> str:
    """Return what to do about a file that no embedder can load; one that is pinned would not be fetched again."""
    entry = next((entry for entry in CATALOGUE.values() if entry.file == path.name), None)
    if entry is not None and pin_path(path).is_file():
        return f"remove {path} and {pin_path(path)}, then {entry.remedy}"
    return "`fsbench weights list` names the files that fit"


def locate(name: str, folder: Path) -> Path | None:
    """Return where the file of a catalogue entry lies, unverified; None where it is not on this machine."""
    entry = lookup(name)
    places = (folder / entry.file, entry.package.locate() if entry.package is not None else None)
    return next((path for path in places if path is not None and path.is_file()), None)


def recognise(sha256: str) -> Weights | None:
    """Return the catalogue entry with this hash."""
    return next((entry for entry in CATALOGUE.values() if entry.sha256 == sha256), None)


def pin_path(path: Path) -> Path:
    """Return where the pin of a file lies."""
    return path.with_name(f"{path.name}.pin")


def read_pin(path: Path) -> Pin | None:
    """Return what a file was pinned as, None where it is not pinned; raises WeightsError for a pin that is damaged."""
    try:
        return Pin(**json.loads(pin_path(path).read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError) as error:
        raise WeightsError(
            f"{pin_path(path)} cannot be read", "remove it: the file beside it is then pinned as it is"
        ) from error


def write_pin(path: Path, origin: str) -> Pin:
    """Pin a file as it is now."""
    pin = Pin(digest(path), path.stat().st_size, origin, datetime.now(UTC).date().isoformat())
    write_text(pin_path(path), json.dumps(asdict(pin), indent=1))
    return pin


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, computed once per process and state of the file."""
    check_file(path)
    try:
        state = path.stat()
        return _digest(path, state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}", "see that you may read this file") from error


def _vouch(entry: Weights, path: Path, sha256: str, note: str = "") -> WeightsFile:
    from fsbench.interfaces import WeightsFile

    return WeightsFile(entry.name, path, sha256, entry.licence, "; ".join(filter(None, (entry.restriction, note))))


@functools.cache
def _digest(path: Path, size: int, changed: int) -> str:
    return file_sha256(path)
