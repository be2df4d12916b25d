"""CSV files of pairs, as spreadsheets and scripts write them: delimiter, encoding and header are found out."""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fsbench import files, specs
from fsbench.errors import DataError, UsageError
from fsbench.harness.external import csv_text

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("output", "source", "target")
MODEL = "model"
DELIMITERS: Mapping[str, str] = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
MAX_FIELD = 4096
"""Characters of a field that is used; a path is no longer."""

SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "output": ("file", "filename", "image", "result", "swap", "swapped", "out", "path"),
    "source": ("person", "identity", "src", "id", "from", "donor"),
    "target": ("original", "tgt", "dst", "destination", "into", "base"),
    MODEL: ("tool", "method", "swapper", "name"),
}
_SHOWN, _MOST = 80, 12
"""Characters of a text, and columns, that a sentence shows."""
_SEPARATOR = re.compile(r'"?sep=(.)"?', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Row:
    """One line: the texts of its columns, "" for an empty one."""

    line: int
    output: str
    source: str
    target: str
    model: str


@dataclass(frozen=True)
class Table:
    """What a CSV file of pairs says."""

    name: str  # of the file, printable
    folder: Path  # where it lies: paths in it may begin there
    rows: list[Row]
    warning: str = ""  # what was guessed in reading it


def read_table(path: Path, columns: Mapping[str, str] | None = None, needed: Sequence[str] = COLUMNS) -> Table:
    """Read a CSV file with a header; raises DataError with the row, MissingData where there is no file.

    `columns` says how the file calls the columns `output`, `source`, `target` and `model`; those that are not `needed`
    may be missing.
    """
    name, content = files.printable(path.name), csv_text.content(path)
    wanted = {column: _plain((columns or {}).get(column, column)) for column in (*COLUMNS, MODEL)}
    encoding = csv_text.encoding(content, name)
    delimiter = _delimiter(csv_text.stream(content, encoding), wanted)
    lines = csv_text.lines(csv_text.stream(content, encoding), name)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    rows: list[Row] = []
    header: list[str] = []
    place: dict[str, int] = {}
    end = 0  # of the row before
    try:
        for cells in reader:
            line, end = end + 1, reader.line_num
            if not any(cell.strip() for cell in cells) or (not header and _tells_delimiter(cells, delimiter)):
                continue
            if not header:
                header, place = cells, _header(name, cells, wanted, {*needed, *(columns or {})}, delimiter)
                continue
            if len(rows) == csv_text.MAX_ROWS:
                raise DataError(f"{name} has more than {csv_text.MAX_ROWS} rows", "split it")
            rows.append(_row(f"{name}, row {line}", line, cells, place, len(header)))
    except csv.Error as error:
        raise DataError(
            f"{name}, row {end + 1}: {_said(error)}",
            "a name with a quotation mark in it stands in quotation marks, with its own doubled; else leave them out",
        ) from error
    if not header:
        raise DataError(f"{name} is empty", f"its first row has to name the columns {', '.join(needed)}")
    if not rows:
        raise DataError(f"{name} has no row but its header", "write a row for each pair")
    warning = (
        f"{name} is not UTF-8, and was read as {csv_text.GUESSED} (Western European); if names in it look wrong, save "
        "it in UTF-8"
    )
    return Table(name, path.absolute().parent, rows, warning if encoding == csv_text.GUESSED else "")


def of_frame(frame: pd.DataFrame) -> Table:
    """Take the pairs of a data frame, columns `source` and `target` (or `id`); raises DataError.

    Rows are counted from 0, as pandas does.
    """
    columns = {"source": "source", "target": "target" if "target" in frame else "id"}
    if absent := [name for name, column in columns.items() if column not in frame]:
        raise DataError(
            f"the data frame of pairs has no column {absent[0]!r}", "it has a row for each pair: source and target"
        )
    if frame.empty:
        raise DataError("the data frame of pairs has no row", "it has a row for each pair: source and target")
    pairs = zip(*(map(str, frame[column]) for column in columns.values()), strict=True)
    rows = [Row(line, "", source, target, "") for line, (source, target) in enumerate(pairs)]
    return Table("the data frame", Path(), rows)


def parse_columns(text: str) -> dict[str, str]:
    """Read `output=file,source=person`; a header with `,` or `=` stands in quotes. Raises UsageError.

    >>> parse_columns("output=file, model=tool"), parse_columns("output='file, cut'")
    ({'output': 'file', 'model': 'tool'}, {'output': 'file, cut'})
    """
    headers: dict[str, str] = {}
    for part in specs.parts(text, ","):
        name, sign, header = (piece.strip() for piece in part.partition("="))
        if not sign or not header or name.lower() not in (*COLUMNS, MODEL) or name.lower() in headers:
            raise UsageError(
                f"--columns {shown(text)} cannot be read at {shown(part)!r}",
                'write --columns "output=file,source=person,target=original,model=tool"',
            )
        headers[name.lower()] = specs.unquoted(header, text)
    return headers


def shown(text: str) -> str:
    """A text out of a table as a sentence can show it."""
    return files.printable(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def _tells_delimiter(cells: list[str], delimiter: str) -> bool:
    """Whether this is the line that tells Excel the delimiter."""
    return _SEPARATOR.fullmatch(delimiter.join(cells).strip()) is not None


def _delimiter(stream: io.TextIOWrapper, wanted: Mapping[str, str]) -> str:
    """The one that Excel is told, or that finds the most of the wanted columns, then the most columns at all."""
    lines = iter(lambda: stream.readline(csv_text.MAX_LINE), "")
    line = next((line for line in lines if line.strip()), "").strip("\r\n")
    separator = _SEPARATOR.fullmatch(line.strip())
    if separator and separator[1] in DELIMITERS:
        return separator[1]

    def worth(delimiter: str) -> tuple[int, int]:
        try:
            cells = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
        except csv.Error:  # such as a field without end
            return 0, 0
        return len({*wanted.values()} & {_plain(cell) for cell in cells}), len(cells)

    return max(DELIMITERS, key=worth)


def _row(where: str, line: int, cells: list[str], place: Mapping[str, int], n_columns: int) -> Row:
    if any(cell.strip() for cell in cells[n_columns:]):
        raise DataError(
            f"{where} has {len(cells)} columns, and the header {n_columns}",
            "put names that hold the delimiter into quotation marks, and name all columns in the header",
        )
    fields = {column: cells[at].strip() if at < len(cells) else "" for column, at in place.items()}
    if max(map(len, fields.values())) > MAX_FIELD:
        raise DataError(
            f"{where}: a field has more than {MAX_FIELD} characters",
            "a quotation mark that is not closed swallows what follows; correct it",
        )
    return Row(line, fields.get("output", ""), fields["source"], fields["target"], fields.get(MODEL, ""))


def _said(error: csv.Error) -> str:
    text = str(error)
    if "unexpected end" in text:
        return "a quotation mark is not closed"
    if "field limit" in text:
        return f"a field has more than {csv.field_size_limit()} characters, or a quotation mark is not closed"
    return "text follows a closing quotation mark" if "expected after" in text else text


def _plain(name: str) -> str:
    return " ".join(files.composed(name).casefold().split())


def _header(
    name: str, cells: list[str], wanted: Mapping[str, str], needed: Collection[str], delimiter: str
) -> dict[str, int]:
    names = [_plain(cell) for cell in cells]
    place = {}
    for column, header in wanted.items():
        if names.count(header) > 1:
            raise DataError(f"{name} has two columns {shown(header)!r}", "rename one of them")
        if header in names:
            place[column] = names.index(header)
        elif column in needed:
            there = ", ".join(shown(cell.strip()) for cell in cells[:_MOST])
            there += f" and {len(cells) - _MOST} more" if len(cells) > _MOST else ""
            raise DataError(
                f"{name} has no column {shown(header)!r}; it was read with {DELIMITERS[delimiter]} between "
                f"the columns {there}",
                _advice(column, cells[:1000], needed),
            )
    return place


def _advice(column: str, cells: list[str], needed: Collection[str]) -> str:
    names = {_plain(cell): cell.strip() for cell in cells if len(cell) <= _SHOWN}
    near = next((names[name] for name in SYNONYMS[column] if name in names), None)
    if near is None:
        close = difflib.get_close_matches(column, names, n=1, cutoff=0.6)
        near = names[close[0]] if close else None
    if near is None:
        listed = ", ".join(known for known in COLUMNS if known in needed)
        return f"its first row has to name the columns {listed}, or say: --columns {column}=HEADER"
    return f'if that is {files.printable(near)}, say: --columns "{column}={files.printable(specs.quoted(near, ",="))}"'
