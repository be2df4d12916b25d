"""The only place that decides about names and listings from outside, and that opens a file from there.

`walk` lists a folder of the user's: what is used, and for each thing that is not, why. `read` gives the bytes of a
regular file and of nothing else: opening a pipe or a device can take for ever.
"""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import os
import stat
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fsbench.errors import DataError, MissingData

if TYPE_CHECKING:
    from pydantic import ValidationError

LONGEST_PROBLEM = 300
"""Characters that are told of what is wrong with a file's content."""

MAX_BYTES = 2**30
"""A larger file is refused unread; 120 million pixels of 16-bit levels, stored as they are, take 720 million bytes."""

MACHINE_MADE: Mapping[str, tuple[str, ...]] = {
    "Synology": ("@eadir", "#recycle", "#snapshot", "@tmp", "synofile_thumb*", "synophoto_*", "@sharesnap"),
    "QNAP": (".@__thumb", "@__thumb", "@recycle", "@recently-snapshot", ".@*"),
    "other network storage": (
        ".wdmc",
        ".webaxs",
        "trashbox",
        "~snapshot",
        ".snapshot",
        ".snapshots",
        ".zfs",
        ".recycle",
        "$aquota*",
        "network trash folder",
        "temporary items",
    ),
    "Windows": (
        "$recycle.bin",
        "recycler",
        "recycled",
        "system volume information",
        "thumbs.db",
        "thumbs.db:*",
        "ehthumbs*.db",
        "desktop.ini",
        "found.[0-9][0-9][0-9]",
        "$extend",
        "$windows.~*",
        "msocache",
        "config.msi",
    ),
    "macOS": (
        "__macosx",
        ".appledouble",
        "._*",
        ".ds_store",
        ".spotlight-v100",
        ".fseventsd",
        ".trashes",
        ".temporaryitems",
        ".documentrevisions-v100",
        ".apdisk",
        "icon\r",
        "*.photoslibrary",
        "*.photolibrary",
        "*.migratedphotolibrary",
        "*.aplibrary",
    ),
    "Linux": (
        "lost+found",
        ".trash-*",
        ".trash",
        ".thumbnails",
        ".directory",
        ".xvpics",
        ".sh_thumbnails",
        ".nfs[0-9a-f]*",
        ".fuse_hidden*",
    ),
    "Android": ("lost.dir", ".nomedia", ".thumbdata*", ".trashed-*"),
    "photo software": (
        ".picasaoriginals",
        ".picasa.ini",
        "picasa.ini",
        "*.lrdata",
        "*.lrcat",
        "*.lrcat-data",
        "*.lrcat-wal",
        "captureone",
        ".dtrash",
        "*.cosessiondb",
        "thumbnails",
        "thumbs",
        "thumbnail",
        "_thumbs",
        "_thumbnails",
    ),
    "synchronisation": (
        ".dropbox",
        ".dropbox.cache",
        ".dropbox.attr",
        ".tmp.drivedownload",
        ".tmp.driveupload",
        ".stfolder",
        ".stversions",
        ".sync",
        ".owncloudsync.log",
        ".sync_*.db",
        "._sync_*.db",
        "nextcloudsync.log",
    ),
    "version control and tools": (
        ".git",
        ".gitignore",
        ".gitattributes",
        ".hg",
        ".svn",
        "cvs",
        ".dvc",
        "*.dvc",
        ".ipynb_checkpoints",
        "__pycache__",
        "node_modules",
        ".cache",
        ".idea",
        ".vscode",
    ),
}
"""Names that programs leave in folders, by who does; patterns in lower case, for names without regard to case."""

MADE = "made by a program: thumbnails, bins, caches and the like"
HIDDEN = "hidden: the name begins with a dot"
NOT_UTF8 = "the name is not UTF-8"
SAME_NAME = "the same name in another form of Unicode (NFC, NFD) is used"
NOT_REGULAR = "no regular file but a pipe, a socket or a device"
DEAD_LINK = "a link that leads nowhere"
AROUND = "a link to a folder around this one"
AGAIN = "a folder that is listed under another name"
KERNEL = "part of the system (/proc, /sys, /dev), not of a disk"
LIKE_FILE = "a folder that is called like an image"
DENIED = "it may not be read (no permission)"
BROKEN = "the disk gives an error"

_SYSTEM = tuple(map(Path, ("/proc", "/sys", "/dev")))
_DISKS_THERE = (Path("/dev/shm"),)
_BREAKS = "\u2028\u2029"  # of lines and paragraphs, besides those that steer
_LINK_LENGTH = 255  # characters; longer texts are no destinations of links
_PATTERNS = tuple(pattern for patterns in MACHINE_MADE.values() for pattern in patterns)
_VIDEOS = frozenset((".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv"))
_ARCHIVES = frozenset((".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst"))


@dataclass(frozen=True)
class Unused:
    """What was there and is not used, for one reason; the fields of `fsbench.results.UnusedRecord`."""

    where: str  # name of the folder
    reason: str
    files: tuple[str, ...]  # below it, printable; folders end with /

    @property
    def sentence(self) -> str:
        """How many there are, why, and the first few.

        >>> Unused("photos", "a link that leads nowhere", ("a.png", "b/")).sentence
        '2 files and folders not used (a link that leads nowhere): a.png, b/'
        """
        n_folders = sum(name.endswith("/") for name in self.files)
        one, many = ("file", "files") if not n_folders else ("folder", "folders")
        noun = "files and folders" if 0 < n_folders < len(self.files) else one if len(self.files) == 1 else many
        return f"{len(self.files)} {noun} not used ({self.reason}): {some(self.files)}"


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file. There may be millions: the folder is one object for all files in it."""

    folder: Path
    name: str  # below the folder that was walked, with /, in Unicode's NFC
    entry: str = ""  # its name in `folder`, where that is not the last part of `name`

    @property
    def path(self) -> Path:
        """What opens it."""
        return self.folder / (self.entry or self.name.rpartition("/")[2])


@dataclass(frozen=True)
class Listing:
    """What `walk` found: files of a folder before its sub-folders, both by name."""

    files: tuple[Found, ...]
    unused: tuple[Unused, ...]  # by reason
    folders: tuple[str, ...]  # the sub-folders directly in it


class Unopened(OSError):
    """A file that is refused before it is read; the text is the reason, without the file's name."""


def printable(name: str) -> str:
    r"""A name as it can be shown and stored anywhere: what is no text, and what steers a terminal, is escaped.

    >>> printable("Zoë"), printable("a\x1b[2J\udcff.png")
    ('Zoë', 'a\\x1b[2J\\xff.png')
    """
    text = os.fsencode(name).decode("utf-8", "backslashreplace") if _is_surrogate(name) else name
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c)[0] == "C" or c in _BREAKS else c for c in text
    )


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong with the content of a file, and where: printable, for names stand in both."""
    first = error.errors()[0]
    where, reason = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
    reason = reason.replace("a valid tuple", "a list")  # as JSON and TOML call it
    return printable(f"{where}: {reason}" if where else reason)[:LONGEST_PROBLEM]


def some(names: Sequence[str]) -> str:
    """Return the first few names, printable, and how many follow."""
    return ", ".join(map(printable, names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def composed(name: str) -> str:
    """A name in Unicode's composed form (NFC): macOS and some tools write the same letters another way."""
    return unicodedata.normalize("NFC", name)


def is_machine_made(name: str) -> bool:
    """Whether a program left a file or folder of that name (`MACHINE_MADE`), in upper or lower case."""
    lower = name.lower()
    return any(fnmatch.fnmatchcase(lower, pattern) for pattern in _PATTERNS)


def home_of(text: str) -> Path:
    """Return the path that was typed, `~` replaced; raises MissingData for the home of somebody unknown."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise MissingData(
            f"there is no folder {printable(text)}: nobody of that name has a home here",
            "write ./~name for a folder whose name begins with ~",
        ) from error


def require_folder(path: Path, hint: str) -> Path:
    """Return `path`; raises MissingData, saying what is there instead, where it is no folder that can be listed."""
    shown = printable(str(path))
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingData(f"there is no folder {shown}", hint) from error
    except (OSError, ValueError) as error:  # a name that is too long, or holds NUL
        raise MissingData(f"there is no folder {shown}: {_reason(error)}", hint) from error
    if not stat.S_ISDIR(mode):
        kind, suffix = "file" if stat.S_ISREG(mode) else "pipe, a socket or a device", path.suffix.lower()
        if suffix in _VIDEOS:
            hint = "write its frames into a folder, such as with ffmpeg -i VIDEO FOLDER/%05d.png, and name that"
        elif suffix in _ARCHIVES:
            hint = "unpack it, and name the folder"
        raise MissingData(f"{shown} is a {kind}, not a folder", hint)
    if _is_surrogate(str(path)):
        raise DataError(f"the name of the folder {shown} is not UTF-8", "rename it")
    if _in_system(path.resolve()):
        raise DataError(f"{shown} is {KERNEL}", hint)
    return path


def walk(root: Path, suffixes: Collection[str] = (), hint: str = "name another folder") -> Listing:
    """List all regular files below a folder, links followed, each folder once.

    A sub-folder that has one of `suffixes` is taken for a mistake and left out. Where links cannot be made, git writes
    one as a text file that holds its destination; in `root` itself such a file counts as a link to a folder.
    Raises MissingData and DataError, with `hint`, for what is no folder that can be listed.
    """
    return _Walk(require_folder(root, hint), frozenset(suffixes), hint).run()


def read(path: Path, limit: int = MAX_BYTES) -> bytes:
    """Return the content of a regular file of at most `limit` bytes; raises Unopened, or what the system says.

    Nothing else is ever opened for reading, and no more is read than the file is said to hold: some of the system's own
    files never end.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise Unopened("is a directory")
        if not stat.S_ISREG(status.st_mode):
            raise Unopened("is no regular file but a pipe, a socket or a device")
        if status.st_size > limit:
            raise Unopened(f"has more than {limit / 2**20:.0f} MiB")
        return file.read(status.st_size)


def sha256(path: Path) -> str:
    """Return the SHA-256 of what `read` gives, 64 hex digits; raises what it raises."""
    return hashlib.sha256(read(path)).hexdigest()


def gather(where: str, reasons: Iterable[tuple[str, str]]) -> tuple[Unused, ...]:
    """Make one record of each reason out of pairs (reason, name)."""
    files: dict[str, list[str]] = {}
    for reason, name in reasons:
        files.setdefault(reason, []).append(printable(name))
    return tuple(Unused(where, reason, tuple(names)) for reason, names in files.items())


class _Walk:
    """One walk. Real folders come first, so that a link never takes the place of the folder that it leads to."""

    def __init__(self, root: Path, suffixes: frozenset[str], hint: str) -> None:
        self.root, self.suffixes, self.hint = root, suffixes, hint
        self.whole = root.resolve()
        self.seen = {self.whole}
        self.files: dict[str, Found] = {}
        self.folders: dict[str, Path] = {}
        self.left: list[tuple[str, str]] = []  # (reason, name)

    def run(self) -> Listing:
        pending, links = [(self.root, "")], list[tuple[Path, str]]()
        while pending or links:
            if pending:
                for entry, name in self._entries(*pending.pop()):
                    self._take(entry, name, pending, links)
            else:
                self._enter(*links.pop(0), pending)
        return Listing(
            tuple(self.files[name] for name in sorted(self.files, key=_order)),
            gather(self.root.name, sorted(self.left)),
            tuple(sorted(name for name in self.folders if "/" not in name)),
        )

    def _entries(self, folder: Path, name: str) -> Iterator[tuple[Path, str]]:
        """The entries of a folder whose names can be used, with their names below the root."""
        try:
            names = sorted(os.listdir(folder), key=lambda entry: (composed(entry) != entry, entry))
        except OSError as error:
            if not name:
                raise DataError(
                    f"the folder {printable(str(folder))} cannot be listed: {_reason(error)}", self.hint
                ) from error
            self.left.append((_why(error), f"{name}/"))
            return
        for entry in names:
            below = f"{name}/{composed(entry)}" if name else composed(entry)
            refused = (
                MADE
                if is_machine_made(entry)
                else HIDDEN
                if entry.startswith(".")
                else NOT_UTF8
                if _is_surrogate(entry)
                else ""
            )
            if refused:
                self.left.append((refused, below + "/" * os.path.isdir(folder / entry)))
            else:
                yield folder / entry, below

    def _take(self, path: Path, name: str, pending: list[tuple[Path, str]], links: list[tuple[Path, str]]) -> None:
        try:
            mode, is_link = path.stat().st_mode, path.is_symlink()
        except OSError as error:
            self.left.append((_why(error), name))
            return
        if stat.S_ISDIR(mode):
            if Path(name).suffix.lower() in self.suffixes:
                self.left.append((LIKE_FILE, f"{name}/"))
            elif is_link:
                links.append((path, name))
            else:
                self._enter(path, name, pending)
        elif not stat.S_ISREG(mode):
            self.left.append((NOT_REGULAR, name))
        elif name in self.files:
            self.left.append((SAME_NAME, name))
        elif "/" not in name and (destination := _destination(path)):
            links.append((destination, name))
        else:
            below, _, last = name.rpartition("/")
            folder = self.folders.get(below, self.root)
            folder = folder if folder == path.parent else path.parent
            self.files[name] = Found(folder, name, "" if path.name == last else path.name)

    def _enter(self, path: Path, name: str, pending: list[tuple[Path, str]]) -> None:
        real = path.resolve()
        why = (
            AROUND
            if self.whole.is_relative_to(real)
            else KERNEL
            if _in_system(real)
            else AGAIN
            if real in self.seen
            else ""
        )
        if why:
            self.left.append((why, f"{name}/"))
            return
        self.seen.add(real)
        self.folders.setdefault(name, path)
        pending.append((path, name))


def _order(name: str) -> list[tuple[bool, str]]:
    *folders, file = name.split("/")
    return [*((True, folder) for folder in folders), (False, file)]


def _destination(path: Path) -> Path | None:
    """Return the folder that a text file of one line leads to, as git writes links where there are none."""
    try:
        if path.suffix or path.stat().st_size > 4 * _LINK_LENGTH:
            return None
        lines = read(path).decode("utf-8", "replace").splitlines()
        if len(lines) != 1 or not 0 < len(lines[0].strip()) < _LINK_LENGTH:
            return None
        destination = path.parent / lines[0].strip()
        return destination if destination.is_dir() else None
    except (OSError, ValueError):  # not to be read, or no name that this system knows
        return None


def _is_surrogate(name: str) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in name)


def _in_system(real: Path) -> bool:
    return any(real.is_relative_to(place) for place in _SYSTEM) and not any(
        real.is_relative_to(place) for place in _DISKS_THERE
    )


def _why(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return DENIED
    return DEAD_LINK if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP) else BROKEN


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)).lower()
