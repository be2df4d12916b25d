"""CSV files of pairs, as spreadsheets and scripts write them: delimiter, encoding and header are found out."""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fsbench import files
from fsbench.errors import DataError, MissingData, UsageError

COLUMNS = ("output", "source", "target")
MODEL = "model"
DELIMITERS = ",;\t|"
MAX_BYTES = 64 * 2**20
MAX_ROWS = 1_000_000
MAX_FIELD = 4096
"""Characters of one field; a path is no longer."""

SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "output": ("file", "filename", "image", "result", "swap", "swapped", "out", "path"),
    "source": ("person", "identity", "src", "id", "from", "donor"),
    "target": ("original", "tgt", "dst", "destination", "into", "base"),
    MODEL: ("tool", "method", "swapper", "name"),
}
_SAVE = "save it as CSV, in UTF-8"


@dataclass(frozen=True)
class Row:
    """One line: the texts of its columns, "" for an empty one."""

    line: int
    output: str
    source: str
    target: str
    model: str


def read_table(path: Path, columns: Mapping[str, str] | None = None) -> list[Row]:
    """Rows of a CSV file with a header; raises DataError with the row, MissingData where there is no file.

    `columns` says how the file calls the columns `output`, `source`, `target` and `model`; the last may be missing.
    """
    text = _decode(_content(path), path)
    delimiter = _delimiter(text)
    rows: list[Row] = []
    place: dict[str, int] | None = None
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if place is None:
                place = _header(path, cells, columns or {}, delimiter)
                continue
            if len(rows) == MAX_ROWS:
                raise DataError(f"{path.name} has more than {MAX_ROWS} rows", "split it")
            if max(map(len, cells)) > MAX_FIELD:
                raise DataError(f"{path.name}, row {reader.line_num}: a field has more than {MAX_FIELD} characters",
                                "a quotation mark that is not closed swallows what follows; correct it")
            found = {name: cells[at].strip() if at < len(cells) else "" for name, at in place.items()}
            rows.append(Row(reader.line_num, found["output"], found["source"], found["target"], found.get(MODEL, "")))
    except csv.Error as error:
        raise DataError(f"{path.name}, row {reader.line_num}: {error}", _SAVE) from error
    if place is None:
        raise DataError(f"{path.name} is empty", f"its first row has to name the columns {', '.join(COLUMNS)}")
    if not rows:
        raise DataError(f"{path.name} has no row but its header", "write a row for each output")
    return rows


def parse_columns(text: str) -> dict[str, str]:
    """Read `output=file,source=person`; raises UsageError.

    >>> parse_columns("output=file, model=tool")
    {'output': 'file', 'model': 'tool'}
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        name, sign, header = (piece.strip() for piece in part.partition("="))
        if not sign or not header or name.lower() not in (*COLUMNS, MODEL) or name.lower() in found:
            raise UsageError(f"--columns {files.printable(text)} cannot be read at {files.printable(part)!r}",
                             'write --columns "output=file,source=person,target=original,model=tool"')
        found[name.lower()] = header
    return found


def plain_path(text: str, folder: Path) -> str:
    r"""A path as it was written in a table, below `folder` where it leads there, with `/`, in NFC.

    >>> plain_path(r".\ann\1.png", Path("/data")), plain_path("file:///data/ann/1.png", Path("/data"))
    ('ann/1.png', 'ann/1.png')
    """
    if text.lower().startswith("file:"):
        text = unquote(urlsplit(text).path)
    text = files.composed(text.replace("\\", "/"))
    for root in (folder.absolute(), folder.resolve(), folder):
        home = files.composed(root.as_posix()) + "/"
        if home != "./" and text.startswith(home):
            text = text[len(home):]
            break
    while text.startswith("./"):
        text = text[2:]
    return re.sub(r"/(\./)*/*", "/", text)


def _content(path: Path) -> bytes:
    try:
        return files.read(path, MAX_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingData(f"there is no file {files.printable(str(path))}", "--pairs names a CSV file") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{files.printable(str(path))} cannot be read as CSV: {why}",
                        "--pairs names a CSV file") from error


def _decode(content: bytes, path: Path) -> str:
    """UTF-8 with or without mark, UTF-16 with mark, else cp1252; raises DataError for what is no text."""
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    tries = ["utf-16"] if marked else ["utf-8-sig", "cp1252"]
    for encoding in tries:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if not any(c < " " and c not in "\t\r\n\f" for c in text):
            return text
    raise DataError(f"{path.name} cannot be read as CSV: it is no text", _SAVE)


def _delimiter(text: str) -> str:
    """The one that cuts the header into the most columns."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    return max(DELIMITERS, key=lambda delimiter: len(next(csv.reader([header[:MAX_FIELD]], delimiter=delimiter), [])))


def _plain(name: str) -> str:
    return " ".join(files.composed(name).casefold().split())


def _header(path: Path, cells: list[str], columns: Mapping[str, str], delimiter: str) -> dict[str, int]:
    names = [_plain(cell) for cell in cells]
    there = ", ".join(files.printable(cell.strip()[:40]) for cell in cells[:12])
    place = {}
    for column in (*COLUMNS, MODEL):
        wanted = _plain(columns.get(column, column))
        if names.count(wanted) > 1:
            raise DataError(f"{path.name} has two columns {wanted!r}", "rename one of them")
        if wanted in names:
            place[column] = names.index(wanted)
        elif column != MODEL or column in columns:
            shown = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}[delimiter]
            raise DataError(f"{path.name} has no column {wanted!r}; it was read with {shown} between the columns "
                            f"{there}", _advice(column, cells))
    return place


def _advice(column: str, cells: list[str]) -> str:
    names = {_plain(cell): cell.strip() for cell in cells}
    near = next((names[name] for name in SYNONYMS[column] if name in names), None)
    if near is None:
        close = difflib.get_close_matches(column, names, n=1, cutoff=0.6)
        near = names[close[0]] if close else None
    if near is None:
        return f"its first row has to name the columns {', '.join(COLUMNS)}, or say: --columns {column}=HEADER"
    return f'if that is {files.printable(near)}, say: --columns "{column}={files.printable(near)}"'
