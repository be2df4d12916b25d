"""Which pairs are measured: all that the rule gives, some of them, or those of a user's table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from fsbench.config import Plan
from fsbench.errors import DataError
from fsbench.files import some
from fsbench.harness.external.table import Row, Table, of_frame, read_table, shown
from fsbench.harness.pairing import at_most, make_pairs, references_of
from fsbench.interfaces import Dataset, Faces
from fsbench.pairs import Group, Pairs
from fsbench.record_types import SetName
from fsbench.specs import local_path
from fsbench.store import fingerprint

_TARGETS = "targets/"
"""Where `fsbench data export` writes targets: its table names them so."""


@dataclass(frozen=True)
class WantedPairs:
    """Pairs that a table asks for: sources by name, targets by the id that the data set has for them."""

    table: Table
    files: bool = False  # whether outputs are files of other tools, whose names tell their pairs

    @property
    def inputs(self) -> dict[str, str]:
        """Its hash, by what a sentence calls it: an interrupted run goes on with the same table only."""
        return {f"the table {self.table.name}": fingerprint([astuple(row) for row in self.table.rows])}

    def sources(self, test: Faces) -> dict[str, list[str]]:
        """Return the ids of the targets that each source is asked to go into.

        Raises DataError, with the row, for names that the test split does not have, for a person who would be swapped
        into an own image, and for a pair that is asked twice.
        """
        owners = dict(zip(test.rows["id"].astype(str), test.rows["identity"].astype(str), strict=True))
        people = list(dict.fromkeys(owners.values()))
        asked: dict[tuple[str, str], int] = {}
        for row in self.table.rows:
            source, target = self._source(row, people), self._target(row, owners)
            if self.files:
                self._check_file(row, f"{source}/{target}")
            if owners[target] == source:
                raise DataError(f"{self._where(row)}: {shown(source)} would be swapped into an own image", "remove it")
            if (first := asked.setdefault((source, target), row.line)) != row.line:
                raise DataError(f"{self._where(row)} asks what row {first} asks", "remove one of them")
        wanted: dict[str, list[str]] = {}
        for source, target in asked:
            wanted.setdefault(source, []).append(target)
        return wanted

    def _source(self, row: Row, people: list[str]) -> str:
        name = row.source if row.source in people else PurePosixPath(row.source).name
        if name not in people:
            raise DataError(
                f"{self._where(row)}: there is no identity {shown(row.source)!r} to swap", f"there is {some(people)}"
            )
        return name

    def _target(self, row: Row, owners: Mapping[str, str]) -> str:
        plain = row.target.removeprefix(_TARGETS)
        for name in (row.target, plain, _stem(plain)):
            if name in owners:
                return name
        raise DataError(
            f"{self._where(row)}: there is no held-out image {shown(row.target)!r}",
            f"ids look like {next(iter(owners))}: fsbench data export lists all of them",
        )

    def _check_file(self, row: Row, name: str) -> None:
        """Raise DataError where a row tells of an output what its name does not, or asks one tool alone."""
        if row.output and name not in (row.output, _stem(row.output)):
            raise DataError(
                f"{self._where(row)}: the output of this pair is called {name}.png, not {shown(row.output)!r}",
                "rename the file, or leave the column out",
            )
        if row.model:
            raise DataError(
                f"{self._where(row)} names a model, and of a data set all tools are asked the same pairs",
                "leave the column out, or score each tool with a table of its own",
            )

    def _where(self, row: Row) -> str:
        return f"{self.table.name}, row {row.line}"

    def among(self, dataset: Dataset, faces: Faces, wanted: Mapping[str, list[str]]) -> Pairs:
        """Return those of the pairs in `sources` whose targets are among some faces, in the order of these."""
        place = pd.Series(np.arange(len(faces)), faces.rows["id"].astype(str))
        groups = []
        for name, targets in wanted.items():
            index = np.sort(place.reindex([target for target in targets if target in place.index]).to_numpy(int))
            if len(index):
                own = faces.select(index)
                groups.append(Group(name, references_of(dataset, faces, name), index, own, dataset.truth(name, own)))
        return Pairs(tuple(groups), f"the pairs of {self.table.name}")


def _stem(path: str) -> str:
    """A path without the suffix of its file.

    >>> _stem("p000/s1/0.5.png"), _stem("p0.1/still"), _stem(".")
    ('p000/s1/0.5', 'p0.1/still', '.')
    """
    stem, dot, suffix = path.rpartition(".")
    return stem if dot and suffix and "/" not in suffix else path


@dataclass(frozen=True)
class PairChoice:
    """Which of the pairs of a data set are measured."""

    most: int | None = None  # of stills, and of pairs of source and clip; None: all
    wanted: WantedPairs | None = None  # None: those that `pairing.make_pairs` gives

    @classmethod
    def of(cls, plan: Plan, frame: pd.DataFrame | None = None, *, files: bool = False) -> PairChoice:
        """Read what a plan says, or a data frame; `files` as in `WantedPairs`.

        Raises DataError, and MissingData where there is no table.
        """
        table = None if frame is None else of_frame(frame)
        if plan.pairs:
            table = read_table(local_path(plan.pairs, "--pairs"), needed=("source", "target"))
        return cls(plan.max_pairs, None if table is None else WantedPairs(table, files))

    @property
    def inputs(self) -> dict[str, str] | None:
        """What was read for it, as in `RunFolder.check`."""
        return self.wanted.inputs if self.wanted else None

    def pairs(self, dataset: Dataset, test: Faces, sets: Mapping[SetName, Faces]) -> dict[SetName, Pairs]:
        """Return the pairs of each set that has some; raises DataError for names that the test split does not have."""
        wanted = self.wanted.sources(test) if self.wanted else {}
        chosen: dict[SetName, Pairs] = {}
        for name, faces in sets.items():
            pairs = self.wanted.among(dataset, faces, wanted) if self.wanted else make_pairs(dataset, faces)
            if pairs.groups:
                chosen[name] = at_most(pairs, self.most, "clip" if name == "clips" else "output")
        return chosen
