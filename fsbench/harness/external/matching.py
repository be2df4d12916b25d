"""Which source and which target an output made elsewhere shows: by its name, or by a table."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fsbench.errors import DataError
from fsbench.files import composed, printable
from fsbench.harness.external.place import Place
from fsbench.harness.external.table import Table, shown

SEPARATORS = "/_-"
_REMEDY = "call it SOURCE/TARGET.png, or say in a table which is which: --pairs CSV, columns output, source, target"


@dataclass(frozen=True, slots=True)
class Match:
    """One output, and what it shows."""

    output: int | None  # None: a table asks for it, and there is no such file
    source: str
    target: int


@dataclass(frozen=True)
class Matched:
    """What the outputs of one tool show, each pair once, and what was not used: (reason, file)."""

    matches: list[Match]
    unused: list[tuple[str, str]]


class NoMatch(DataError):
    """No name of a tool's outputs says what it shows; `unused` has all of them: (reason, file)."""

    def __init__(self, message: str, unused: list[tuple[str, str]]) -> None:
        super().__init__(message, _REMEDY)
        self.unused = unused


class Names:
    """Files by path, by path without suffix, and by name alone where only one of them has it."""

    def __init__(self, files: Sequence[str]) -> None:
        """Take paths below a folder, with `/`."""
        self._numbers: dict[str, int | list[int]] = {}  # most names are of one file
        paths = [PurePosixPath(composed(file)) for file in files]
        for keys in (
            [(path.stem, path.name) for path in paths],
            [(path.with_suffix("").as_posix(), path.as_posix()) for path in paths],
        ):
            exact: dict[str, int | list[int]] = {}
            for number, names in enumerate(keys):
                for name in dict.fromkeys(names):
                    known = exact.setdefault(name, number)
                    if isinstance(known, list):
                        known.append(number)
                    elif known != number:
                        exact[name] = [known, number]
            self._numbers |= exact  # a whole path is meant before a mere name

    def find(self, text: str) -> int | None:
        """Return the number of the file that is meant; None where none or more than one is."""
        numbers = self.all(text)
        return numbers[0] if len(numbers) == 1 else None

    def all(self, text: str) -> list[int]:
        """The numbers of all files that could be meant, in ascending order."""
        numbers = self._numbers.get(PurePosixPath(composed(text.strip())).as_posix(), [])
        return numbers if isinstance(numbers, list) else [numbers]


def by_name(outputs: Sequence[str], sources: Sequence[str], targets: Sequence[str]) -> Matched:
    """Read file names: SOURCE/TARGET, SOURCE_TARGET, SOURCE-TARGET; TARGET alone where there is one source.

    A name that says nothing, or could be meant in two ways, is not used: also where the roles could be the other way
    round, for some tools write TARGET_SOURCE. Raises NoMatch where no name says anything.
    """
    named, known = Names(targets), {composed(source): source for source in sources}
    matches: dict[tuple[str, int], Match] = {}
    unused, first = [], ""
    for number, output in enumerate(outputs):
        stem = PurePosixPath(composed(output)).with_suffix("").as_posix()
        readings = _readings(stem, known.keys(), named)
        readings |= _turned(stem, known.keys(), named) if readings else set()
        if len(readings) != 1:
            reason, sentence = _why(stem, readings, known.keys(), named, targets)
            first = (
                first
                or f"{printable(output)}: {sentence}; sources are called {_examples(sources)}, targets "
                f"{_examples(targets)}"
            )
            unused.append((reason, output))
            continue
        ((source, target),) = readings
        if (known[source], target) in matches:
            unused.append(("another file shows the same source in the same target", output))
        else:
            matches[known[source], target] = Match(number, known[source], target)
    if not matches:
        raise NoMatch(first, unused)
    return Matched(list(matches.values()), unused)


def _why(
    stem: str, readings: Set[tuple[str, int]], sources: Set[str], named: Names, targets: Sequence[str]
) -> tuple[str, str]:
    """Why a name is not used: in general, and for this file."""
    if readings:
        ways = " or ".join(f"{source} in {printable(targets[target])}" for source, target in sorted(readings)[:2])
        return "the name could show two pairs", f"its name could show {ways}"
    texts = [stem[at + 1 :] for at in _cuts(stem) if stem[:at] in sources] + [stem] * (len(sources) == 1)
    for text in texts:
        if len(several := named.all(text)) > 1:
            which = " and ".join(printable(targets[number]) for number in several[:2])
            return "the name fits several targets", f"its name fits {len(several)} targets, {which}"
    return (
        "the name does not say which source and target it shows",
        "its name does not say which source and target it shows",
    )


def _readings(stem: str, sources: Set[str], targets: Names) -> set[tuple[str, int]]:
    readings = {
        (stem[:at], target)
        for at in _cuts(stem)
        if stem[:at] in sources and (target := targets.find(stem[at + 1 :])) is not None
    }
    if len(sources) == 1 and (target := targets.find(stem)) is not None:
        readings |= {(source, target) for source in sources}
    return readings


def _turned(stem: str, sources: Set[str], targets: Names) -> set[tuple[str, int]]:
    """Readings with the target first."""
    return {
        (stem[at + 1 :], target)
        for at in _cuts(stem)
        if stem[at + 1 :] in sources and (target := targets.find(stem[:at])) is not None
    }


def _cuts(stem: str) -> list[int]:
    return [at for at, letter in enumerate(stem) if letter in SEPARATORS]


@dataclass(frozen=True)
class Files:
    """Images below a folder, by path."""

    folder: Path
    names: Sequence[str]


def by_table(table: Table, outputs: Files, sources: Files, people: Sequence[str], targets: Files) -> Matched:
    """Look up what the rows of a table name; a row without its output asks for its pair all the same.

    `people` (as many as there are source files) are their identities. A source is told by its identity or one of its
    files; every file by its path, with or without suffix, or by its name alone. Raises DataError with the row for an
    unknown source or target, one output named for two pairs and one pair named twice.
    """
    finders = {"output": Names(outputs.names), "source": Names(sources.names), "target": Names(targets.names)}
    folders = {"output": outputs.folder, "source": sources.folder, "target": targets.folder}
    places = {role: Place(folder, table.folder) for role, folder in folders.items()}
    identities = {composed(name): name for name in people}
    matches: list[Match] = []
    lines: dict[object, int] = {}

    def find(place: str, role: str, text: str) -> int | None:
        readings = places[role].readings(text)
        several = next((numbers for reading in readings if (numbers := finders[role].all(reading))), [])
        if len(several) > 1:
            raise DataError(
                f"{place}: {len(several)} {role}s are called {shown(text)!r}",
                f"write its path below the folder of the {role}s",
            )
        if not several and role != "output":
            raise DataError(
                f"{place}: there is no {role} {shown(text)!r}", f"write its path below {printable(str(folders[role]))}"
            )
        return several[0] if several else None

    for row in table.rows:
        place = f"{table.name}, row {row.line}"
        if empty := [name for name in ("source", "target") if not getattr(row, name)]:
            raise DataError(f"{place}: no {empty[0]}", "each row names an output, its source and its target")
        source = identities.get(composed(row.source))
        if source is None:
            number = find(place, "source", row.source)
            source = people[number] if number is not None else ""
        target = find(place, "target", row.target)
        output = find(place, "output", row.output) if row.output else None
        assert target is not None
        for key, fault in (
            ((source, target), "show the same source in the same target"),
            (output, f"name the same output {shown(row.output)!r}"),
        ):
            if key is not None and key in lines:
                raise DataError(f"{table.name}, rows {lines[key]} and {row.line} {fault}", "keep one of them")
            lines[key] = row.line
        matches.append(Match(output, source, target))
    used = {match.output for match in matches}
    return Matched(
        matches,
        [("the table does not name it", name) for number, name in enumerate(outputs.names) if number not in used],
    )


def _examples(names: Sequence[str]) -> str:
    return ", ".join(map(printable, names[:3])) + (" ..." if len(names) > 3 else "")
