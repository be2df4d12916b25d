"""What files of each kind begin with: where no hash is published, it tells a network from the page of a web site."""

from __future__ import annotations

from pathlib import Path

from fsbench.errors import WeightsError
from fsbench.weights.catalogue import Weights

STARTS = {
    ".h5": (b"\x89HDF\r\n\x1a\n",),
    ".pt": (b"PK\x03\x04", b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"),  # torch 1.6 and later; before
    ".pkl": (b"\x80", b"(d", b"}"),  # protocol 2 and later; a dictionary in protocol 0, in protocol 1
}


def check_format(path: Path, entry: Weights) -> None:
    """Raise WeightsError for a file that begins as no file of its kind does; nothing is said of the rest of it."""
    kind = Path(entry.file).suffix
    with path.open("rb") as file:
        start = file.read(max(map(len, STARTS[kind])))
    if not start.startswith(STARTS[kind]):
        raise WeightsError(
            f"the file does not begin as a {kind} file does: it is not {entry.name}",
            f"with a copy of {entry.file}: fsbench weights import PATH --as {entry.name}",
        )
