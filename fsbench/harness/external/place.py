"""Paths in a table, read as paths below a folder."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fsbench import files


class Place:
    """A folder whose files a table names: below it, in full, or from around it, from the table or where we are."""

    def __init__(self, folder: Path, home: Path) -> None:
        self._roots = [
            files.composed(path.as_posix()).rstrip("/") + "/"
            for path in dict.fromkeys((folder.absolute(), folder.resolve()))
        ]
        bases = (home.absolute(), home.resolve(), Path.cwd(), folder.absolute().parent, folder.resolve().parent)
        self._bases = [files.composed(path.as_posix()) for path in dict.fromkeys(bases)]

    def readings(self, text: str) -> Iterator[str]:
        r"""Paths below the folder that may be meant by a text, the likeliest first, with `/`, in NFC.

        >>> place = Place(Path("/data/out"), Path("/data"))
        >>> list(place.readings(r".\ann\1.png")), list(place.readings("file:///data/out/ann/1.png"))[1:]
        (['ann/1.png'], ['ann/1.png'])
        >>> list(place.readings("out/1.png"))
        ['out/1.png', '1.png']
        """
        if text.lower().startswith("file:"):
            text = _local(text)
        text = posixpath.normpath(files.composed(text.strip().replace("\\", "/")))
        yield text
        there = dict.fromkeys(posixpath.normpath(posixpath.join(base, text)) for base in self._bases)
        yield from dict.fromkeys(path[len(root) :] for path in there for root in self._roots if path.startswith(root))


def _local(text: str) -> str:
    try:
        return unquote(urlsplit(text).path)
    except ValueError:  # file://[ and the like: no address, so a name
        return text
