"""Which pairs the outputs of several tools are asked for, and what of their folders is not used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fsbench.datasets.people import Album
from fsbench.errors import DataError
from fsbench.files import Unused, composed, gather, printable, some
from fsbench.harness.matching import Files, Matched, by_name, by_table
from fsbench.harness.outputs import Outputs
from fsbench.harness.table import Row, read_table

Missing = Literal["failure", "drop"]
Pair = tuple[str, int]
"""Source identity, and number of the target in its album."""

_NAMED = "name the pairs that were asked in a table, --pairs CSV, and what has no output is a failure"


@dataclass(frozen=True)
class Asked:
    """The pairs, source by source, and the output that each tool has of each."""

    pairs: tuple[Pair, ...]
    outputs: Mapping[str, Mapping[Pair, int | None]]    # by tool; a pair that is not there has no output
    rule: str
    unused: tuple[Unused, ...]
    warnings: tuple[str, ...]


def ask(outputs: Sequence[Outputs], givers: Album, scenes: Album, table: Path | None,
        columns: Mapping[str, str] | None = None, missing: Missing = "failure") -> Asked:
    """The pairs of the table, or all that any tool has an output of by its name.

    With `missing` "drop", pairs that one of the tools has no output of are left out for all. Raises DataError where a
    table contradicts itself or nothing is left.
    """
    found = _match(outputs, givers, scenes, table, columns)
    answered = {name: {(match.source, match.target): match.output for match in one.matches}
                for name, one in found.items()}
    order = sorted({pair for own in answered.values() for pair in own}, key=_place(found))
    warnings = []
    rule = "the pairs of a table" if table is not None else "the pairs that any tool has an output of, by its name"
    if missing == "drop":
        whole = [pair for pair in order if all(own.get(pair) is not None for own in answered.values())]
        if not whole:
            raise DataError("no pair is left: of each, one of the tools has no output", "leave --missing drop out")
        if len(whole) < len(order):
            rule += ", those left out that a tool has no output of"
            warnings.append(f"{len(order) - len(whole)} of {len(order)} pairs left out for all tools, one of them has "
                            "no output there (--missing drop)")
        order = whole
    unused = [record for one in outputs for record in
              (*one.unused, *gather(one.name, found[one.name].unused))]
    warnings += [f"{record.where}: {record.sentence}" for record in unused]
    for record in _nobody_used(order, givers, scenes):
        unused.append(record)
        warnings.append(f"{record.where}: {record.sentence}; " + (
            _NAMED if table is None else "no row of the table names it"))
    return Asked(tuple(order), answered, rule, tuple(unused), tuple(warnings))


def _place(found: Mapping[str, Matched]) -> Callable[[Pair], tuple[int, int]]:
    """Sources in the order in which they are met, then targets in theirs."""
    met = dict.fromkeys(match.source for one in found.values() for match in one.matches)
    at = {name: k for k, name in enumerate(met)}
    return lambda pair: (at[pair[0]], pair[1])


def _match(outputs: Sequence[Outputs], givers: Album, scenes: Album, table: Path | None,
           columns: Mapping[str, str] | None) -> dict[str, Matched]:
    targets = [photo.file for photo in scenes.photos]
    people = [photo.identity for photo in givers.photos]
    if table is None:
        return {one.name: by_name(one.files, list(dict.fromkeys(people)), targets) for one in outputs}
    rows = read_table(table, columns)
    given = Files(givers.root, [photo.file for photo in givers.photos]), people, Files(scenes.root, targets)
    found = {name: by_table(table.name, own, Files(folder.folder, folder.files), *given)
             for name, (own, folder) in _own_rows(rows, outputs, table).items()}
    if not any(match.output is not None for one in found.values() for match in one.matches):
        row = next((row for row in rows if row.output), rows[0])
        raise DataError(f"{table.name}: none of the outputs that it names is there, such as "
                        f"{printable(row.output)!r} of row {row.line}",
                        f"write their paths below the folder of outputs, such as {some(outputs[0].files[:1])}")
    return found


def _own_rows(rows: Sequence[Row], outputs: Sequence[Outputs], table: Path) -> dict[str, tuple[list[Row], Outputs]]:
    """The rows of each tool: all without a column `model`; raises DataError for a model without a folder."""
    tools = {composed(one.name): one for one in outputs}
    if strangers := [row for row in rows if row.model and composed(row.model) not in tools]:
        name = printable(strangers[0].model)
        raise DataError(f"{table.name}, row {strangers[0].line}: there are no outputs of a model {name!r}",
                        f"known: {some(list(tools))}; name its folder with --outputs {name}=DIR")
    return {one.name: ([row for row in rows if not row.model or composed(row.model) == name], one)
            for name, one in tools.items()}


def _nobody_used(pairs: Sequence[Pair], givers: Album, scenes: Album) -> list[Unused]:
    """Targets without an output of any tool, and sources that nobody used."""
    sources, targets = {source for source, _ in pairs}, {target for _, target in pairs}
    idle = [photo.file for k, photo in enumerate(scenes.photos)
            if k not in targets and not (givers is scenes and photo.identity in sources)]
    asleep = [] if givers is scenes else [photo.file for photo in givers.photos if photo.identity not in sources]
    return [*gather(scenes.root.name, [("no tool has an output of this target", file) for file in idle]),
            *gather(givers.root.name, [("no tool has an output of this source", file) for file in asleep])]
