"""Runs whose folder is a URL: written into a folder here and sent file by file, or fetched to be read."""

from __future__ import annotations

import os
import shutil
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from fsbench.atomic import atomic_path
from fsbench.cache import FETCHED, RUNS, SENT
from fsbench.errors import FsbenchError, OutputError, RemoteError, ResultError
from fsbench.harness.run_lock import refuse_if_taken
from fsbench.mirror import AT_ONCE
from fsbench.remote import Objects, url_of
from fsbench.results import FILE_NAME, PLAN_FILE, SUITE_FILE, slug
from fsbench.store import fingerprint

FIRST = (PLAN_FILE, SUITE_FILE)
"""Files that say whose a place is."""

PICTURES = ("outputs/", "frames/", "inputs/", "recursion/", "models/")
"""Below a run, what only reports show."""

EVERY = 2.0
"""Seconds between two looks for finished files; ten times as many as a look takes, where that is more."""

State = tuple[int, int]  # of a file: size, and time of its last change


def fetched(place: str, cache: Path, *, pictures: bool = True) -> Path:
    """Return where the files of a run lie, or a baseline: `place` itself, or copies of what lies at that URL.

    A file is fetched once; a run that was written again has another folder. Raises UsageError, RemoteError, and
    ResultError for a URL without a finished run.
    """
    url = url_of(place)
    if url is None:
        return Path(place)
    above, _, name = url.rpartition("/")
    if name.endswith(".json"):
        return _fetched_file(Objects(above), name, cache / FETCHED)
    objects = Objects(url)
    sizes = objects.listed()
    facts = [objects.read(name) or b"" for name in (FILE_NAME, SUITE_FILE) if name in sizes]
    if not facts:
        raise ResultError(
            f"{url} holds {'no finished run' if sizes else 'nothing'} (no {FILE_NAME})",
            "name the --out of a run; an interrupted one is finished by: fsbench run ... --resume",
        )
    state = fingerprint([url, sorted(sizes.items()), *(content.decode(errors="replace") for content in facts)])
    folder = cache / FETCHED / state / slug(name)
    wanted = [path for path in sizes if not _is_private(path) and (pictures or not path.startswith(PICTURES))]
    _fetch(objects, wanted, folder)
    return folder


def _fetched_file(objects: Objects, name: str, folder: Path) -> Path:
    content = objects.read(name)
    if content is None:
        raise ResultError(f"{objects.url} holds no {name}", "name the --out of a run, or a baseline")
    path = folder / fingerprint([objects.url, content.decode(errors="replace")]) / f"{slug(name[:-5])}.json"
    with atomic_path(path) as beside:
        beside.write_bytes(content)
    return path


def _fetch(objects: Objects, names: Iterable[str], folder: Path) -> None:
    """Fetch what is not here, the result after all else."""
    missing = [name for name in names if not os.path.lexists(folder / name)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda name: objects.get(name, folder / name), sorted(missing, key=_rank)))


def working_folder(url: str, cache: Path) -> Path:
    """The folder here of a run that is written to a URL."""
    return cache / RUNS / fingerprint(url) / slug(url.rpartition("/")[2])


@contextmanager
def published(url: str, cache: Path, tell: Callable[[str], None]) -> Iterator[Path]:
    """Yield a folder whose files are sent to a URL while a `with` block writes them, results when it has ended.

    The folder holds what tells a run there that is finished, or can be resumed. Errors name the URL in its place.
    Raises RemoteError, before any work, for a URL that cannot be written; and at the end where not all could be sent,
    which a resumed run does.
    """
    folder = working_folder(url, cache)
    objects = Objects(url, tell)
    try:
        refuse_if_taken(folder)
        objects.check()
        with _Upload.to(objects, folder).going_on():
            yield folder
    except FsbenchError as error:
        error.message, error.hint = (text.replace(str(folder), url) for text in (error.message, error.hint))
        raise


class _Upload:
    """Sends the files of a folder that are new or changed."""

    def __init__(self, objects: Objects, folder: Path, there: Iterable[str], fetched: Iterable[str]) -> None:
        self._objects, self._folder = objects, folder
        self._old_results = [name for name in there if _rank(name) == 2]
        self._sent: dict[str, State] = {name: state for name, state in self._files() if name in set(fetched)}
        self._ended = threading.Event()

    @classmethod
    def to(cls, objects: Objects, folder: Path) -> _Upload:
        """Make the folder agree with what lies at the URL, where it holds nothing that is not there."""
        if _mark(folder).exists():
            shutil.rmtree(folder)
        there = [name for name in objects.listed() if not _is_private(name)]
        if there and not any(_rank(name) == 0 for name in there):
            raise OutputError(f"--out {objects.url} is not empty and holds no run of fsbench", "name a new place")
        plan = objects.read(PLAN_FILE) if PLAN_FILE in there else None
        if plan is not None and (folder / PLAN_FILE).exists() and (folder / PLAN_FILE).read_bytes() != plan:
            folder.rename(folder.with_name(f"{time.time_ns()}.aside"))  # another run has taken its place
        is_new = not folder.exists()
        wanted = there if SUITE_FILE in there else [name for name in there if name in (PLAN_FILE, FILE_NAME)]
        missing = [name for name in wanted if not (folder / name).exists()]
        _fetch(objects, missing, folder)
        folder.mkdir(parents=True, exist_ok=True)
        if is_new:
            _mark(folder).touch()
        return cls(objects, folder, there, missing)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Send files as they are finished during a `with` block, and the rest when it has ended without an error."""
        thread = threading.Thread(target=self._look_again, daemon=True)  # an error does not wait for it
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
        thread.join()
        self._finish()

    def _look_again(self) -> None:
        pause = EVERY
        while not self._ended.wait(pause):
            began = time.monotonic()
            with suppress(RemoteError):  # it was told, and at the end it is an error
                self._send(results=False)
            pause = max(EVERY, 10 * (time.monotonic() - began))

    def _finish(self) -> None:
        """Send all that is left, also what a store that was restarted has lost; results last."""
        self._send(results=False)
        lost = self._sent.keys() - self._objects.listed().keys()
        self._sent = {name: state for name, state in self._sent.items() if name not in lost}
        self._send(results=False)
        self._send(results=True)
        _mark(self._folder).touch()

    def _send(self, *, results: bool) -> None:
        while gone := [name for name in self._old_results if not (self._folder / name).exists()]:
            self._objects.remove(gone[0])  # it is not finished any more
            self._old_results.remove(gone[0])
        changed = {name: state for name, state in self._files() if self._sent.get(name) != state}
        if changed:
            _mark(self._folder).unlink(missing_ok=True)
        for rank in (0, 1, 2) if results else (0, 1):
            names = [name for name in changed if _rank(name) == rank]
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(lambda name: self._objects.put(self._folder / name, name), names))
            self._sent |= {name: changed[name] for name in names}

    def _files(self) -> Iterator[tuple[str, State]]:
        """All files that are whole, by their names."""
        for place, _, names in os.walk(self._folder):
            for path in (Path(place, name) for name in names if not _is_private(name)):
                with suppress(FileNotFoundError):  # replaced meanwhile
                    status = path.lstat()
                    if stat.S_ISREG(status.st_mode):
                        yield path.relative_to(self._folder).as_posix(), (status.st_size, status.st_mtime_ns)


def _mark(folder: Path) -> Path:
    """The file that is there where all of a folder lies at its URL."""
    return folder.with_name(folder.name + SENT)


def _rank(name: str) -> int:
    """What is sent first says whose the place is; whoever sees the result, which is sent last, sees all."""
    return {**dict.fromkeys(FIRST, 0), FILE_NAME: 2}.get(name.rpartition("/")[2], 1)


def _is_private(name: str) -> bool:
    """Whether a file is of a process, or of this folder: locks, and what is not finished."""
    return name.rpartition("/")[2].startswith(".") or name.endswith(".partial")
