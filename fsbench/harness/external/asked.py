"""Which pairs the outputs of several tools are asked for, and what of their folders is not used."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from fsbench.datasets.people import Album
from fsbench.errors import DataError
from fsbench.files import Unused, composed, gather, printable, some
from fsbench.harness.external.files import ABSENT, ToolOutputs
from fsbench.harness.external.matching import Files, Match, Matched, NoMatch, by_name, by_table
from fsbench.harness.external.table import Row, Table, shown

Missing = Literal["failure", "drop"]
_NAMED = "name the pairs that were asked in a table, --pairs CSV, and what has no output is a failure"


@dataclass(frozen=True)
class AskedPairs:
    """Pairs, source by source, and the output that each tool has of each; entry i of every array is of pair i."""

    source: np.ndarray  # (P,) of str, identities
    target: np.ndarray  # (P,) int64, numbers in the album of targets
    outputs: Mapping[str, np.ndarray]  # by tool, (P,) int64: numbers of its files, ABSENT where it has none

    def __len__(self) -> int:
        return len(self.target)

    def select(self, rows: np.ndarray) -> AskedPairs:
        """Return some of the pairs: their numbers in ascending order, or a mask (P,)."""
        outputs = {tool: numbers[rows] for tool, numbers in self.outputs.items()}
        return AskedPairs(self.source[rows], self.target[rows], outputs)


@dataclass(frozen=True)
class Asked:
    """The pairs that the tools are asked for, and what is to be said of them."""

    pairs: AskedPairs  # with the outputs of the tools that did not fail
    failed: Mapping[str, DataError]  # tools of which nothing can be measured, and why
    rule: str
    unused: tuple[Unused, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Found:
    """What is known of one tool's outputs; with an error, none of them can be measured."""

    matches: Sequence[Match]
    unused: Sequence[tuple[str, str]]
    error: DataError | None = None


def by_model(outputs: Sequence[ToolOutputs], table: Table | None) -> tuple[Sequence[ToolOutputs], list[str]]:
    """Each sub-folder of a single folder of outputs that the table's column `model` names as a tool, and a warning."""
    names = list(dict.fromkeys(composed(row.model) for row in table.rows if row.model)) if table else []
    if table is None or len(outputs) != 1 or composed(outputs[0].name) in names:
        return outputs, []
    whole = outputs[0]
    own = {name: [k for k, file in enumerate(whole.files) if file.startswith(f"{name}/")] for name in names}
    if not any(own.values()):
        return outputs, []
    own = {
        name: numbers
        for name, numbers in own.items()  # what is left can be the name of a tool that made nothing
        if numbers or (shown(name) == name and ".." not in name.split("/"))
    }
    tools = [
        ToolOutputs(
            name,
            whole.folder / name,
            tuple(whole.files[k][len(name) + 1 :] for k in numbers),
            tuple(whole.path(k) for k in numbers),
        )
        for name, numbers in own.items()
    ]
    used = {k for numbers in own.values() for k in numbers}
    rest = gather(
        whole.name,
        [("in no folder that the table names as a model", file) for k, file in enumerate(whole.files) if k not in used],
    )
    tools[0] = replace(tools[0], unused=(*whole.unused, *rest))
    return tools, [
        f"the models of {table.name} are sub-folders of {printable(whole.name)}, each measured as a tool: {some(names)}"
    ]


def ask(
    outputs: Sequence[ToolOutputs],
    source_album: Album,
    target_album: Album,
    table: Table | None,
    missing: Missing = "failure",
) -> Asked:
    """The pairs of the table, or all that any tool has an output of by its name.

    With `missing` "drop", pairs that one of the tools has no output of are left out for all. A tool of whose outputs
    none shows a pair is `failed`. Raises DataError where all are, a table contradicts itself, or nothing is left.
    """
    shown_by = _find(outputs, source_album, target_album, table)
    failed = {name: answer.error for name, answer in shown_by.items() if answer.error is not None}
    if len(failed) == len(shown_by):
        raise next(iter(failed.values()))
    pairs = _pairs({name: answer.matches for name, answer in shown_by.items()}, failed)
    warnings = [table.warning] if table is not None and table.warning else []
    rule = "the pairs of a table" if table is not None else "the pairs that any tool has an output of, by its name"
    if missing == "drop":
        whole = pairs.select(np.all([numbers != ABSENT for numbers in pairs.outputs.values()], 0))
        if not len(whole):
            raise DataError("no pair is left: of each, one of the tools has no output", "leave --missing drop out")
        if len(whole) < len(pairs):
            rule += ", those left out that a tool has no output of"
            warnings.append(
                f"{len(pairs) - len(whole)} of {len(pairs)} pairs left out for all tools, one of them has "
                "no output there (--missing drop)"
            )
        pairs = whole
    warnings += [f"nothing of {printable(name)} was measured: {error.sentence}" for name, error in failed.items()]
    unused = [record for tool in outputs for record in (*tool.unused, *gather(tool.name, shown_by[tool.name].unused))]
    warnings += [f"{record.where}: {record.sentence}" for record in unused]
    for record in _nobody_used(pairs, source_album, target_album):
        unused.append(record)
        warnings.append(
            f"{record.where}: {record.sentence}; " + (_NAMED if table is None else "no row of the table names it")
        )
    return Asked(pairs, failed, rule, tuple(unused), tuple(warnings))


def _pairs(shown: Mapping[str, Sequence[Match]], failed: Collection[str]) -> AskedPairs:
    """All pairs that any tool shows: sources in the order in which they are met, then targets in theirs."""
    matches = [match for own in shown.values() for match in own]
    source, met = pd.factorize(np.array([match.source for match in matches], object))
    places = np.stack([source, [match.target for match in matches]], 1)
    numbers = np.array([ABSENT if match.output is None else match.output for match in matches])
    pairs, which = np.unique(places, axis=0, return_inverse=True)
    outputs, ends = {}, np.cumsum([len(own) for own in shown.values()])
    for (tool, own), end in zip(shown.items(), ends, strict=True):
        if tool not in failed:
            rows = slice(end - len(own), end)
            outputs[tool] = np.full(len(pairs), ABSENT)
            outputs[tool][which.ravel()[rows]] = numbers[rows]
    return AskedPairs(met[pairs[:, 0]], pairs[:, 1].copy(), outputs)


def _find(
    outputs: Sequence[ToolOutputs], source_album: Album, target_album: Album, table: Table | None
) -> dict[str, _Found]:
    """What the outputs of each tool show; raises DataError for what is wrong in the table."""
    targets = [photo.file for photo in target_album.photos]
    people = [photo.identity for photo in source_album.photos]
    if table is None:
        return {tool.name: _named(tool, list(dict.fromkeys(people)), targets) for tool in outputs}
    sources = Files(source_album.root, [photo.file for photo in source_album.photos])
    given = sources, people, Files(target_album.root, targets)
    try:
        return {
            tool.name: _listed(tool, own, by_table(own, Files(tool.folder, tool.files), *given))
            for tool, own in _own_rows(table, outputs)
        }
    except DataError as error:
        if not table.warning:
            raise
        raise DataError(error.message, f"{error.hint}; {table.warning}") from error


def _named(tool: ToolOutputs, sources: Sequence[str], targets: Sequence[str]) -> _Found:
    """What a tool's outputs show by their names."""
    if (empty := tool.empty()) is not None:
        return _Found((), (), empty)
    try:
        matched = by_name(tool.files, sources, targets)
    except NoMatch as error:
        if all("/" in file for file in tool.files):
            error.hint += f"; if each folder in it is a tool, write --outputs {shlex.quote(f'{tool.folder}/*')}"
        return _Found((), error.unused, error)
    return _Found(matched.matches, matched.unused)


def _listed(tool: ToolOutputs, table: Table, matched: Matched) -> _Found:
    """What a tool's outputs show by its rows of a table."""
    error = tool.empty()
    if error is None and not any(match.output is not None for match in matched.matches):
        row = next((row for row in table.rows if row.output), None)
        hint = f"write their paths below the folder of outputs, such as {some(tool.files[:1])}"
        error = (
            DataError(f"{table.name} names none of its outputs", hint)
            if row is None
            else DataError(
                f"{table.name}: none of the outputs that it names is there, such as {shown(row.output)!r} "
                f"of row {row.line}",
                hint,
            )
        )
    return _Found(matched.matches, matched.unused, error)


def _own_rows(table: Table, outputs: Sequence[ToolOutputs]) -> list[tuple[ToolOutputs, Table]]:
    """The rows of each tool: all without a column `model`; raises DataError for a model without a folder."""
    tools = {composed(tool.name): tool for tool in outputs}
    rows: dict[str, list[Row]] = {name: [] for name in tools}
    for row in table.rows:
        model = composed(row.model)
        if model and model not in tools:
            name = shown(row.model)
            raise DataError(
                f"{table.name}, row {row.line}: there are no outputs of a model {name!r}",
                f"known: {some(list(tools))}; name its folder with --outputs {name}=DIR",
            )
        for own in [model] if model else tools:
            rows[own].append(row)
    return [(tool, replace(table, rows=rows[name])) for name, tool in tools.items()]


def _nobody_used(pairs: AskedPairs, source_album: Album, target_album: Album) -> list[Unused]:
    """Targets without an output of any tool, and sources that nobody used."""
    sources, targets = set(pairs.source), set(pairs.target.tolist())
    idle = [
        photo.file
        for k, photo in enumerate(target_album.photos)
        if k not in targets and not (source_album is target_album and photo.identity in sources)
    ]
    asleep = (
        []
        if source_album is target_album
        else [photo.file for photo in source_album.photos if photo.identity not in sources]
    )
    return [
        *gather(target_album.root.name, [("no tool has an output of this target", file) for file in idle]),
        *gather(source_album.root.name, [("no tool has an output of this source", file) for file in asleep]),
    ]
