"""Looks at files before they are read: that they are files, how large, and of which kind by what they begin with."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

from fsbench.errors import WeightsError
from fsbench.files import printable
from fsbench.weights.catalogue import Weights

_TORCH = (b"PK\x03\x04", b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")  # 1.6 and later; before
STARTS = {
    ".h5": (b"\x89HDF\r\n\x1a\n",),
    ".pt": _TORCH,
    ".pth": _TORCH,
    ".pkl": (b"\x80", b"(d", b"}"),  # protocol 2 and later; a dictionary in protocol 0, in protocol 1
}


def check_format(path: Path, entry: Weights) -> None:
    """Raise WeightsError for a file that begins as no file of its kind does; nothing is said of the rest of it."""
    suffix = Path(entry.file).suffix
    starts = STARTS.get(suffix, (b"",))
    with path.open("rb") as file:
        start = file.read(max(map(len, starts)))
    if not start.startswith(starts):
        raise WeightsError(
            f"the file does not begin as a {suffix} file does: it is {kind(path)}, not {entry.name}", entry.copy
        )


LARGEST = 2 << 30
"""Bytes of the largest file that is read, and of all that it may declare. ONNX files end there too."""


_UNKNOWN = "of no kind that fsbench knows"
_DAMAGED = (_UNKNOWN, "an empty file", "a text", "a web page", "a damaged zip archive")
_REASON = 2000
"""Characters that are kept of a reason: all, unless a file made it up."""
_NAME = 200
"""Characters that are kept of a name in a file."""


def quoted(text: object, most: int = _NAME) -> str:
    r"""Return what stands in a file, or what is said of it, as a sentence can hold it: on one line, and not too long.

    >>> quoted("a\nb")
    'a\\nb'
    """
    whole = str(text)
    return printable(whole[:most]) + "..." * (len(whole) > most)


def reason(error: Exception | str) -> str:
    """All that a reader says is wrong, on one line."""
    return quoted(" ".join(str(error).split()), _REASON)


def check_file(path: Path, most: int = LARGEST) -> None:
    """Raise WeightsError unless a path is a regular file that may be read, of at most so many bytes; opens nothing.

    A pipe, a terminal or another device would keep whoever opens it waiting.
    """
    try:
        state = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        reason = getattr(error, "strerror", None) or str(error)
        raise WeightsError(
            f"no file {path}" if isinstance(error, FileNotFoundError) else f"cannot read {str(path)!r}: {reason}",
            "name a file with pretrained weights; see: fsbench weights list",
        ) from error
    if not stat.S_ISREG(state.st_mode):
        kind = "folder" if stat.S_ISDIR(state.st_mode) else "pipe, device or socket"
        raise WeightsError(f"{path} is a {kind}, no file", "name a file with pretrained weights")
    if state.st_size > most:
        raise WeightsError(
            f"{path} has {state.st_size:,} bytes, more than the {most:,} that fsbench reads of such a file",
            "`fsbench weights list` names the files that fit",
        )


def kind(path: Path) -> str:
    """Say what a file is by its first bytes, with its article: what a reader was given in place of what it wanted."""
    with path.open("rb") as file:
        start = file.read(4096)
    if not start:
        return "an empty file"
    if start.startswith(b"PK"):
        return _kind_of_archive(path)
    if start.startswith(b"\x89HDF"):
        return "an HDF5 file"
    if start.startswith(_TORCH[1]):
        return "a file of torch before 1.6"
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < path.stat().st_size:
        return "a safetensors file"
    if start.lstrip()[:5].lower() in (b"<!doc", b"<html"):
        return "a web page"
    if start[:1] == b"\x80" and start[1:2] <= b"\x05":
        return "a pickle"
    if start[:1] == b"\x08" and start[1:2] < b"\x20" and b"\x12" in start[2:4]:
        return "an ONNX model"
    if start[4:8] == b"TFL3":
        return "a TensorFlow Lite model"
    if start.startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF8")):
        return "an image"
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in start):
        return "a text"
    return _UNKNOWN


def mismatch(path: Path, wanted: str, error: Exception | str = "") -> str:
    """Say in one sentence that a file is not what was wanted, what it is instead, and the whole reason of its reader.

    `wanted` begins as `kind` calls it, without an article.
    """
    found = kind(path)
    why = reason(error)
    same = found in _DAMAGED or wanted.startswith(found.partition(" ")[2])
    return f"{path} is {'damaged, or' if same else f'{found},'} no {wanted}" + (f": {why}" if why else "")


def _kind_of_archive(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return "a damaged zip archive"
    if any(name.endswith("/constants.pkl") for name in names):
        return "a TorchScript archive"
    if any(name.endswith("/data.pkl") for name in names):
        return "a file that torch saved"
    if any(name.endswith(".npy") for name in names):
        return "an archive of numpy's arrays"
    return "a Keras archive" if "model.weights.h5" in names else "a zip archive"
