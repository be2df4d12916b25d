"""Which source and which target an output made elsewhere shows: by its name, or by a table."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fsbench.errors import DataError, MissingData

COLUMNS = ("output", "source", "target")
SEPARATORS = "/_-"
_REMEDY = "call it SOURCE/TARGET.png, or say in a table which is which: --pairs CSV, columns output, source, target"


@dataclass(frozen=True)
class Match:
    """One output, and what it shows."""

    output: int
    source: str
    target: int


class Names:
    """Files by path, by path without suffix, and by name alone where only one of them has it."""

    def __init__(self, files: Sequence[str]) -> None:
        """Take paths below a folder, with `/`."""
        self._found: dict[str, set[int]] = {}
        paths = [PurePosixPath(file) for file in files]
        for keys in ([(path.stem, path.name) for path in paths],
                     [(path.with_suffix("").as_posix(), path.as_posix()) for path in paths]):
            exact: dict[str, set[int]] = {}
            for number, names in enumerate(keys):
                for name in names:
                    exact.setdefault(name, set()).add(number)
            self._found |= exact                         # a whole path is meant before a mere name

    def find(self, text: str) -> int | None:
        """Return the number of the file that is meant; None where none or more than one is."""
        found = self._found.get(PurePosixPath(text.strip()).as_posix(), set())
        return next(iter(found)) if len(found) == 1 else None

    def count(self, text: str) -> int:
        """How many files could be meant."""
        return len(self._found.get(PurePosixPath(text.strip()).as_posix(), ()))


def by_name(outputs: Sequence[str], sources: Sequence[str], targets: Sequence[str]) -> list[Match]:
    """Read file names: SOURCE/TARGET, SOURCE_TARGET, SOURCE-TARGET; TARGET alone where there is one source.

    Raises DataError for the first name that says nothing, or could be meant in two ways: also where the roles could be
    the other way round, for some tools write TARGET_SOURCE.
    """
    named, known = Names(targets), frozenset(sources)
    matches = []
    for number, output in enumerate(outputs):
        stem = PurePosixPath(output).with_suffix("").as_posix()
        found = _readings(stem, known, named)
        if not found:
            raise DataError(f"{output}: its name does not say which source and target it shows; sources are called "
                            f"{_examples(sources)}, targets {_examples(targets)}", _REMEDY)
        found |= _turned(stem, known, named)
        if len(found) > 1:
            ways = " or ".join(f"{source} in {targets[target]}" for source, target in sorted(found)[:2])
            raise DataError(f"{output} could show {ways}", _REMEDY)
        matches += [Match(number, source, target) for source, target in found]
    return _each_once(matches, outputs)


def _readings(stem: str, sources: Set[str], targets: Names) -> set[tuple[str, int]]:
    found = {(stem[:at], target) for at in _cuts(stem)
             if stem[:at] in sources and (target := targets.find(stem[at + 1:])) is not None}
    if len(sources) == 1 and (target := targets.find(stem)) is not None:
        found |= {(source, target) for source in sources}
    return found


def _turned(stem: str, sources: Set[str], targets: Names) -> set[tuple[str, int]]:
    """Readings with the target first."""
    return {(stem[at + 1:], target) for at in _cuts(stem)
            if stem[at + 1:] in sources and (target := targets.find(stem[:at])) is not None}


def _cuts(stem: str) -> list[int]:
    return [at for at, letter in enumerate(stem) if letter in SEPARATORS]


def by_table(path: Path, outputs: Sequence[str], sources: Mapping[str, str], targets: Sequence[str]) -> list[Match]:
    """Read a CSV file with a header and the columns `output`, `source` and `target`; others are ignored.

    `sources` gives the identity of each source file. A source is told by its identity or one of its files; every file
    by its path below its folder, with or without suffix, or by its name alone. Raises DataError with the row.
    """
    known = {"output": Names(outputs), "source": Names(list(sources)), "target": Names(targets)}
    identities = list(sources.values())
    matches, places = [], []
    for line, row in _read(path):
        place = f"{path.name}, row {line}"
        if empty := [name for name in COLUMNS if not (row[name] or "").strip()]:
            raise DataError(f"{place}: no {empty[0]}", "each row names an output, its source and its target")
        found = {}
        for name, names in known.items():
            text = row[name].strip()
            if name == "source" and text in identities:
                found[name] = identities.index(text)
                continue
            number = names.find(text)
            if number is None:
                n = names.count(text)
                said = f"{n} {name}s are called {text!r}" if n else f"there is no {name} {text!r}"
                raise DataError(f"{place}: {said}", f"write its path below the folder of the {name}s")
            found[name] = number
        matches.append(Match(found["output"], identities[found["source"]], found["target"]))
        places.append(place)
    if not matches:
        raise DataError(f"{path.name} has no row but its header", "write a row for each output")
    return _each_once(matches, places)


def _read(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Rows by column, with the line on which each ends."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, restval="")
            missing = [name for name in COLUMNS if name not in (table.fieldnames or ())]
            if missing:
                raise DataError(f"{path.name} has no column {missing[0]!r}",
                                f"its first row has to name the columns {', '.join(COLUMNS)}")
            return [(table.line_num, row) for row in table]
    except FileNotFoundError:
        raise MissingData(f"there is no file {path}", "--pairs names a CSV file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as CSV: {error}", "save it as CSV, in UTF-8") from error


def _each_once(matches: list[Match], places: Sequence[str]) -> list[Match]:
    first: dict[tuple[str, int], str] = {}
    for match, place in zip(matches, places, strict=True):
        pair = match.source, match.target
        if pair in first:
            raise DataError(f"{first[pair]} and {place} show the same source in the same target",
                            "keep one of them, or score them apart: --outputs NAME=DIR for each folder")
        first[pair] = place
    return matches


def _examples(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
