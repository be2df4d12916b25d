"""Finished runs below a folder, side by side where they measured the same data in the same way."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fsbench import results
from fsbench.comparison.protocol import decided_by
from fsbench.errors import MissingData, ResultError, UnknownName
from fsbench.files import printable
from fsbench.results import Key, MetricRecord, ModelRecord, RunResult, Value, column, scored_keys
from fsbench.stats.ranking import CONTESTANTS

MOST_RUNS = 5000
"""Results that are read; of more the rest is told."""

_COMMIT = 10
"""Digits of a commit that tell it from others of a project."""


@dataclass(frozen=True)
class FinishedRun:
    """A run by its path below the folder."""

    path: str  # printable
    result: RunResult

    @property
    def commit(self) -> str:
        """Commit that it was made with, `+` after it where files had been changed; "" where nobody knows."""
        text = str(self.result.environment.get("git") or "")
        return text[:_COMMIT] + "+" * ("modified" in text)


@dataclass(frozen=True)
class BoardEntry:
    """A model as one run measured it."""

    run: FinishedRun
    model: ModelRecord
    n_older: int = 0  # earlier runs of the same model on the same board

    def value(self, key: Key) -> Value | None:
        """The value of the model, None where the run has none."""
        values = self.run.result.find(self.model.name, key.metric)
        return next((value for value in values if value.key == key and value.value is not None), None)


@dataclass(frozen=True)
class Board:
    """Runs of the same data in the same crops, the newest first."""

    runs: tuple[FinishedRun, ...]

    @property
    def newest(self) -> RunResult:
        """The run whose protocol the board goes by."""
        return self.runs[0].result

    @cached_property
    def metrics(self) -> dict[str, MetricRecord]:
        """Metrics of all runs by name, as the newest that has one describes it."""
        return {metric.name: metric for run in reversed(self.runs) for metric in run.result.metrics}

    @cached_property
    def keys(self) -> list[Key]:
        """What anybody has a value of, that of the ranking first, then the headline, the summary, and the rest."""
        values = (value for run in self.runs for value in run.result.values)
        return scored_keys(values, self.metrics, self.newest.ranking.metric)

    def shown(self, names: Sequence[str]) -> list[Key]:
        """What a table shows: what the user named, as far as there are values of it, or what is in the summary."""
        if names:
            return self.chosen(names)
        return [key for key in self.keys if self.metrics[key.metric].in_summary] or self.keys[:1]

    def chosen(self, names: Sequence[str]) -> list[Key]:
        """What is called METRIC or METRIC@JUDGE, in the order of `keys`."""
        return [key for key in self.keys if {key.metric, column(*key)} & set(names)]

    def otherwise(self, run: FinishedRun, key: Key) -> str:
        """What a run did otherwise than the newest that has this number, "" where the two can be compared."""
        first = next(other for other in self.runs if any(value.key == key for value in other.result.values))
        ours, theirs = (decided_by(one.result, key) for one in (first, run))
        differing = [what for what in {**ours, **theirs} if ours.get(what) != theirs.get(what)]
        return ", ".join(differing)

    def entries(self, key: Key) -> list[BoardEntry]:
        """Each model as its newest run measured it: contestants, the best by `key` first, then the others.

        Ceilings, floors and baselines are those of the newest run. A number that was measured otherwise than in the
        newest run places nobody.
        """
        of_model = Counter((model.name, model.spec) for run in self.runs for model in run.result.models)
        newest: dict[tuple[str, str], BoardEntry] = {}
        for run in self.runs:
            for model in run.result.models:
                if model.kind in CONTESTANTS or run is self.runs[0]:
                    name = model.name, model.spec
                    newest.setdefault(name, BoardEntry(run, model, of_model[name] - 1))
        return sorted(newest.values(), key=lambda entry: self._rank(entry, key))

    def _rank(self, entry: BoardEntry, key: Key) -> tuple[bool, bool, float]:
        value = entry.value(key)
        competes = entry.model.kind in CONTESTANTS
        if value is None or value.value is None or self.otherwise(entry.run, key):
            return not competes, True, 0.0
        sign = -1 if self.metrics[key.metric].direction == "higher" else 1
        return not competes, False, sign * value.value

    def history(self, key: Key) -> dict[str, list[tuple[FinishedRun, Value]]]:
        """Values of each contestant that several runs measured, from the oldest to the newest.

        Runs that measured otherwise than the newest are left out.
        """
        lines: dict[str, list[tuple[FinishedRun, Value]]] = {}
        for run in reversed(self.runs):
            if not any(value.key == key for value in run.result.values) or self.otherwise(run, key):
                continue
            for model in run.result.models:
                if model.kind in CONTESTANTS and (value := BoardEntry(run, model).value(key)) is not None:
                    lines.setdefault(model.name, []).append((run, value))
        return {name: points for name, points in lines.items() if len(points) > 1}


@dataclass(frozen=True)
class Leaderboard:
    """All boards of a folder, that of the newest run first."""

    boards: tuple[Board, ...]
    unread: Mapping[str, str]  # results that could not be read, and why


def collect(folder: Path, dataset: str = "") -> Leaderboard:
    """Read the finished runs below a folder; those of a data set, where it is named.

    Raises MissingData where there is none, UnknownName for a data set of which there is none.
    """
    if not folder.is_dir():
        raise MissingData(
            f"{printable(str(folder))} is no folder", "name the folder in which runs lie, such as reports"
        )
    runs, unread = list[FinishedRun](), dict[str, str]()
    for number, path in enumerate(_folders(folder)):
        name = printable(str(path.relative_to(folder)))
        if number >= MOST_RUNS:
            unread[name] = f"{MOST_RUNS:,} runs are read at most"
            continue
        try:
            runs.append(FinishedRun(name, results.load(path)))
        except ResultError as error:
            unread[name] = error.message
    known = {run.result.dataset.name for run in runs}
    if dataset and dataset not in known:
        raise UnknownName("data set of these runs:", dataset, known)
    chosen = [run for run in runs if not dataset or run.result.dataset.name == dataset]
    if not chosen:
        why = f"; {len(unread)} could not be read: {next(iter(unread.values()))}" if unread else ""
        raise MissingData(
            f"there is no finished run in {printable(str(folder))}{why}", "fsbench run --out DIR makes one"
        )
    return Leaderboard(tuple(_boards(chosen)), unread)


def _folders(folder: Path) -> Iterable[Path]:
    """Folders that hold a result, in the order of their names; links are not followed."""
    for path, folders, files in os.walk(folder):
        folders.sort()
        if results.FILE_NAME in files:
            folders.clear()  # nothing of a run lies below another run
            yield Path(path)


def _boards(runs: Iterable[FinishedRun]) -> list[Board]:
    groups: dict[tuple[str, ...], list[FinishedRun]] = {}
    for run in sorted(runs, key=lambda run: (run.result.created, run.path), reverse=True):
        about, protocol = run.result.dataset, run.result.protocol
        targets = "".join(record.targets for record in protocol.sets[:1])
        groups.setdefault(
            (about.name, about.revision, str(about.size), protocol.outputs, protocol.stage, targets), []
        ).append(run)
    return [Board(tuple(group)) for group in groups.values()]
