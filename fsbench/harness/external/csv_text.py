"""The text of a CSV file: its bytes, encoding and lines, all of bounded size."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from pathlib import Path

from fsbench import files
from fsbench.errors import DataError, MissingData

MAX_BYTES = 64 * 2**20
MAX_ROWS = 1_000_000
MAX_LINES = 4 * MAX_ROWS
MAX_LINE = 2**20
"""Characters of one line, so that neither a line nor its columns fill the memory."""

GUESSED = "cp1252"
"""Encoding of a file that is not UTF-8."""

_SAVE = "save it as CSV, in UTF-8"
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")


def content(path: Path) -> bytes:
    """Bytes of a file; raises MissingData where there is none, DataError for one that cannot be read."""
    name = files.printable(str(path))
    try:
        return files.read(path, MAX_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingData(f"there is no file {name}", "--pairs names a CSV file") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{name} cannot be read as CSV: {why}", "--pairs names a CSV file") from error


def encoding(content: bytes, name: str) -> str:
    """UTF-8 with or without mark, UTF-16 with mark, else cp1252; raises DataError for what is no text."""
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for codec in ("utf-16",) if marked else ("utf-8-sig", GUESSED):
        try:
            text = content.decode(codec)
        except UnicodeDecodeError:
            continue
        if "\0" not in text and not (codec == GUESSED and _CONTROL.search(text)):
            return codec
    raise DataError(f"{name} cannot be read as CSV: it is no text", _SAVE)


def stream(content: bytes, encoding: str) -> io.TextIOWrapper:
    """The text of a file, line ends as they are."""
    return io.TextIOWrapper(io.BytesIO(content), encoding, newline="")


def lines(stream: io.TextIOWrapper, name: str) -> Iterator[str]:
    """Lines of a text; raises DataError for too many, and for one that is too long."""
    number = 0
    while line := stream.readline(MAX_LINE + 1):
        number += 1
        if number > MAX_LINES:
            raise DataError(f"{name} has more than {MAX_LINES} lines", "split it")
        if len(line) > MAX_LINE:
            raise DataError(
                f"{name}, row {number} has more than {MAX_LINE} characters",
                "a table of pairs has a row for each output, and short ones: is this the right file?",
            )
        yield line
