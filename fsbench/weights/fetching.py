"""Puts pretrained files into the cache: from their sources, or from a file that the user has. Only when asked to."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from fsbench.errors import WeightsError
from fsbench.store import copy_file
from fsbench.weights.catalogue import CATALOGUE, Weights, lookup
from fsbench.weights.download import discard, partial_path
from fsbench.weights.files import digest, find, locate, pin_path, read_pin, recognise, write_pin
from fsbench.weights.formats import check_file, check_format, kind
from fsbench.weights.network import check_network

if TYPE_CHECKING:
    from fsbench.interfaces import Progress, WeightsFile


def fetch(name: str, folder: Path, stage: Callable[[str], Progress], log: Callable[[str], None]) -> WeightsFile:
    """Return the verified file of a catalogue entry, out of the first source that gives it where it is not there yet.

    Raises WeightsError where no source gives it, OutputError where it cannot be written.
    """
    entry = lookup(name)
    log(f"{name}: {entry.description}; licence {entry.licence}" + (f"; {entry.restriction}" * bool(entry.restriction)))
    if locate(name, folder) is not None:
        try:
            present = find(name, folder)
        except WeightsError as error:
            log(f"{error.message}: it is replaced")
        else:
            log(f"{name} is there already: {present.path}")
            return present
    if not entry.sources:
        raise WeightsError(f"no source is known from which {name} ({entry.file}) can be fetched", entry.remedy)
    path = folder / entry.file
    for source in entry.sources:
        log(f"{name}: from {source}")
        try:
            source.fetch(path, lambda fresh: _check(fresh, entry, path), stage(name))
        except WeightsError as error:
            failure = error
            log(f"{name}: {error.message}")
            continue
        discard(partial_path(path))  # of a source that failed
        return _settle(entry, folder, str(source))
    raise WeightsError(
        f"{name} could not be fetched: {failure.message}",
        failure.hint or f"try again later; or, with a copy of {entry.file}: fsbench weights import PATH --as {name}",
    )


def import_file(source: Path, folder: Path, name: str = "") -> WeightsFile:
    """Copy a file of the user's own into the cache; it is recognised by its hash, or, where none is published, by name.

    Raises WeightsError for a file that is not the one that `name` means, that no run could use, or that nobody knows.
    """
    check_file(source)
    entry = lookup(name) if name else recognise(digest(source))
    if entry is None:
        unhashed = ", ".join(entry.name for entry in CATALOGUE.values() if not entry.sha256)
        raise WeightsError(
            f"{source} is no file that fsbench knows by its hash",
            f"say what it is with --as NAME; these have no published hash: {unhashed}",
        )
    path = folder / entry.file
    if not entry.sha256 and path.is_file():
        with suppress(WeightsError):  # damaged, or of another kind: it is replaced
            find(entry.name, folder)  # else pinned: what was put there by hand is not replaced unseen
    _check(source, entry, path)
    copy_file(source, path)
    return _settle(entry, folder, f"imported from {source.name}")


def _settle(entry: Weights, folder: Path, origin: str) -> WeightsFile:
    """Pin a file that just arrived, where its hash is not published, and verify it as it lies on the disk."""
    path = folder / entry.file
    if not entry.sha256 and read_pin(path) is None:
        write_pin(path, origin)
    return find(entry.name, folder)


def _check(fresh: Path, entry: Weights, path: Path) -> None:
    """Raise WeightsError unless a file is the one whose hash is published or pinned, or else one that can be used.

    Also raises what else stands in the way of building its network, such as a package that is not installed.
    """
    pin = None if entry.sha256 else read_pin(path)
    expected, found = pin.sha256 if pin else entry.sha256, digest(fresh)
    if expected and found != expected:
        other = recognise(found)
        raise WeightsError(
            f"the file, {other.name if other else kind(fresh)}, is not {entry.name}: its sha256 begins with "
            f"{found[:12]}, that of {entry.name} with {expected[:12]}",
            f"{entry.name} was pinned at first use; if the new file is meant, remove {pin_path(path)}"
            if pin
            else f"import it --as {other.name}"
            if other
            else entry.copy,
        )
    if not entry.sha256:
        check_format(fresh, entry)
        check_network(fresh, entry)
