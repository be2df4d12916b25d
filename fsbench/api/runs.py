"""A finished run, and two of them compared."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import pandas as pd

from fsbench import results, run_files
from fsbench.api import tables
from fsbench.cli import compare as comparing
from fsbench.comparison.scores import Scores
from fsbench.comparison.table import RunComparison, RunDifference
from fsbench.comparison.wording import difference, name_of, title
from fsbench.environment import cache_root
from fsbench.errors import ResultError
from fsbench.exports.tables import values_frame
from fsbench.files import printable
from fsbench.harness.run_urls import fetched
from fsbench.results import RunResult
from fsbench.store import write_text

PathText = str | os.PathLike[str]


def load(folder: PathText) -> Run:
    """Read the folder that a run or a score left, or its URL; raises ResultError where it holds no finished one."""
    return Run(folder)


class Run:
    """A finished run: its values, its samples, and its report.

    `folder` is where its files lie (`fsbench.results` says which); of a run at a URL, copies of them. `result` is all
    of result.json.
    """

    def __init__(self, folder: PathText) -> None:
        """Read result.json; raises ResultError where there is none, or one that cannot be read."""
        self.folder = _fetched(folder)
        self.result: RunResult = results.load(self.folder)

    @cached_property
    def values(self) -> pd.DataFrame:
        """One row per model, metric and judge: value, interval (`low`, `high`), counts, unit and direction.

        What could not be scored is NaN with a `reason`; `judge` is "" for a metric that asks none.
        """
        return values_frame(self.result.values, self.result.metrics)

    @cached_property
    def samples(self) -> pd.DataFrame:
        """One row per output: `model`, `source`, what is known of the target, and a column per metric.

        A column is called `metric` or `metric@judge`, and NaN where an output could not be scored. Raises ResultError
        where the file is missing or damaged.
        """
        return self._table("samples.parquet", ("model", "source", "id"))

    @cached_property
    def clips(self) -> pd.DataFrame:
        """One row per output clip, as in `samples`; without rows where the run has no clips."""
        if not (self.folder / "clips.parquet").exists():
            return pd.DataFrame()
        return self._table("clips.parquet", ("model", "source", "clip"))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What limits what the values mean, in sentences."""
        return self.result.warnings

    def compare(
        self,
        other: Run | PathText,
        *,
        models: str | Sequence[str] = (),
        metrics: str | Sequence[str] = (),
        margins: Mapping[str, float | str] | None = None,
        allow_mismatch: bool = False,
    ) -> RunPair:
        """Compare another run with this one, by the samples that both have, as `fsbench compare` does.

        `other` is a run, its folder, or a baseline file. `models` are NAME, or NAME_HERE=NAME_THERE; `metrics` are
        METRIC or METRIC@JUDGE; `margins` say by metric within what size a difference does not matter, 0.01 or "2%".
        Numbers that a difference in protocol touches are refused, or marked with `allow_mismatch`. Raises UsageError,
        UnknownName and ResultError.
        """
        place = other.folder if isinstance(other, Run) else _fetched(other)
        scores = comparing.read([self.folder, place])
        texts = [f"{name}={size}" for name, size in (margins or {}).items()]
        comparison = comparing.compared(scores, _listed(models), _listed(metrics), texts, allow_mismatch)
        return RunPair(scores, comparison)

    def report(self, path: PathText | None = None) -> Path:
        """Write the HTML page to a file, by default report.html in the run's folder, and return its path."""
        from fsbench import report  # matplotlib: not before it is needed
        from fsbench.report.run import read

        if path is None:
            return report.write(self.folder)
        write_text(Path(path), report.html(read(self.folder)))
        return Path(path)

    def _table(self, name: str, texts: Sequence[str]) -> pd.DataFrame:
        gaps: list[str] = []
        table = run_files.table(self.folder / name, texts, (), gaps)
        if table is None:
            raise ResultError(f"{printable(str(self.folder))}: {gaps[0]}", "the run is not whole: run it again")
        return table

    def __repr__(self) -> str:
        data, n_models = self.result.dataset, len(self.result.models)
        return f"<fsbench.Run {str(self.folder)!r}: {n_models} models on {data.name}, {len(self.result.values)} values>"

    def _repr_html_(self) -> str:
        result = self.result
        table = tables.summary(result.values, {metric.name: metric for metric in result.metrics}, _judges(result))
        notes = [
            f"{result.protocol.n_pairs} pairs of {result.dataset.name} ({result.dataset.revision[:20]}); "
            f"{result.created}; {self.folder}",
            *(f"{model.name} failed: {model.error}" for model in result.models if model.error),
        ]
        return tables.page("fsbench run", table, notes, result.warnings)


class RunPair:
    """A run compared with another by the samples that both have: `table` holds the differences.

    `comparison` is all that `fsbench compare --json` gives.
    """

    def __init__(self, scores: list[Scores], comparison: RunComparison) -> None:
        self.comparison = comparison
        self._scores = scores

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per model, metric and judge: verdict, effect with its interval, p, margin, counts and reasons.

        The effect is the second run's value less the first's. p is corrected for all rows (Holm).
        """
        rows = [record.model_dump(mode="json") for record in self.comparison.differences]
        return pd.DataFrame(rows, columns=list(RunDifference.model_fields))

    @property
    def mismatches(self) -> list[str]:
        """What the two runs did differently, in sentences."""
        return [
            f"{mismatch.what}: {mismatch.first} in the first, {mismatch.second} in the second; touches "
            f"{len(mismatch.touches) or 'no'} number{'' if len(mismatch.touches) == 1 else 's'}"
            for mismatch in self.comparison.mismatches
        ]

    def report(self, path: PathText) -> Path:
        """Write one page of both runs, and return its path."""
        from fsbench.report import comparison  # matplotlib: not before it is needed

        return comparison.write(self._scores, self.comparison, Path(path))

    def __repr__(self) -> str:
        verdicts = self.table["verdict"].value_counts()
        counts = ", ".join(f"{n} {verdict}" for verdict, n in verdicts.items())
        return f"<fsbench.RunPair {' with '.join(self.comparison.runs)}: {counts or 'nothing compared'}>"

    def _repr_html_(self) -> str:
        metrics = {**self._scores[-1].metrics, **self._scores[0].metrics}
        rows = [
            {
                "": title(record.model, record.reference, "B"),
                "metric": name_of(record, metrics[record.metric]),
                "verdict": record.verdict,
                "difference": record.reason
                if record.verdict == "refused"
                else difference(record, metrics[record.metric]),
            }
            for record in self.comparison.differences
        ]
        table = pd.DataFrame(rows, columns=["", "metric", "verdict", "difference"]).set_index("")
        notes = [f"A: {self.comparison.runs[0]}; B: {self.comparison.runs[-1]}", *self.comparison.unmatched]
        return tables.page("fsbench comparison", table, notes, self.mismatches)


def _fetched(place: PathText) -> Path:
    return fetched(os.fspath(place), cache_root())


def _listed(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _judges(result: RunResult) -> list[str]:
    """The judges of the ranking; without one, all that can tell people apart."""
    return list(result.ranking.judges) or [judge.name for judge in result.judges if not judge.unfit]
