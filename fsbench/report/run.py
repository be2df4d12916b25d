"""Reads the files of a run. What is missing or does not fit becomes a sentence in `gaps`, never a crash."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd

from fsbench import results, run_files
from fsbench.compare import Comparisons, Pair, PairedComparison, winners
from fsbench.record_types import Sample, Stage
from fsbench.results import JudgeRecord, Key, MetricRecord, ModelRecord, RunResult, Value, headlines, slug
from fsbench.sampling import evenly
from fsbench.stats.ranking import CONTESTANTS

NOTHING_SWAPPED = "copy_target"
REFERENCES = "references"
SOURCES = 4  # source people whose pictures and look-alikes are shown, where there are more

Features = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Column:
    """One metric under one judge, or without one, at one stage."""

    metric: MetricRecord
    judge: str | None
    stage: Stage = "crop"

    @property
    def key(self) -> str:
        """Name of its column in samples.parquet."""
        return results.column(self.metric.name, self.judge, self.stage)


@dataclass(frozen=True)
class Scored:
    """A model that has a value."""

    model: ModelRecord
    record: Value
    value: float


@dataclass(frozen=True)
class RunContents:
    """The files of a run directory."""

    folder: Path
    result: RunResult
    samples: pd.DataFrame  # empty where there is no file
    clips: pd.DataFrame  # the same of metrics of clips
    references: pd.DataFrame | None
    features: Mapping[str, Features]  # judge -> unit vectors: references (R, D), and by model (N, D)
    lookalikes: pd.DataFrame  # empty where there is no file, as are the next two
    maps: pd.DataFrame
    recursion: pd.DataFrame
    gaps: tuple[str, ...]
    frames: pd.DataFrame = field(default_factory=pd.DataFrame)  # of clips; empty where there is no file

    @property
    def contestants(self) -> list[ModelRecord]:
        """Models that are compared, as opposed to ceilings and baselines."""
        return [model for model in self.result.models if model.kind in CONTESTANTS]

    @property
    def sources(self) -> list[str]:
        """The source people that are shown one by one, evenly chosen."""
        names: np.ndarray = np.array([]) if self.samples.empty else self.samples["source"].unique()
        return [str(names[i]) for i in evenly(len(names), SOURCES)]

    @property
    def judges(self) -> list[JudgeRecord]:
        """The judges, those that count for the ranking first."""
        return sorted(self.result.judges, key=lambda judge: judge.name not in self.result.ranking.judges)

    @property
    def columns(self) -> list[Column]:
        """Metrics by judge, headline metrics and the judges that count first, else in the order of the result."""
        measured = {value.key for value in self.result.values}
        ordered = [*headlines(self.result.metrics), *(metric for metric in self.result.metrics if not metric.headline)]
        judges = [None, *(judge.name for judge in self.judges)]
        return [
            Column(metric, judge, stage)
            for metric in ordered
            for judge in judges
            for stage in get_args(Stage)
            if (metric.name, judge, stage) in measured
        ]

    @property
    def headline(self) -> Column | None:
        """The first column that counts with a score for any output: pictures are ranked and sliced by it."""
        scored, unfit = {str(name) for name in self.samples if self.samples[name].notna().any()}, self.result.unfit
        return next((column for column in self.columns if column.key in scored and column.judge not in unfit), None)

    @cached_property
    def _comparisons(self) -> Comparisons:
        return Comparisons(self.result)

    @property
    def knows_differences(self) -> bool:
        """Whether the result holds differences between models; those of older versions do not."""
        return self._comparisons.known

    def compare(self, pairs: Iterable[tuple[str, str, Column]]) -> list[PairedComparison]:
        """Compare pairs of models under a column each, in their order, corrected for their number."""
        return self._comparisons.of(
            Pair(model, other, column.metric.name, column.judge, column.stage) for model, other, column in pairs
        )

    def winners(self, contests: Iterable[tuple[Column, Sequence[str]]]) -> list[str]:
        """Name the model of each contest under a column that is better than all others, else ""."""
        keyed = [(Key(column.metric.name, column.judge, column.stage), names) for column, names in contests]
        return winners(self._comparisons, keyed)

    def value(self, model: str, column: Column) -> Value | None:
        """Return what stands in a cell of the table, or None where there is no such cell."""
        values = self.result.find(model, column.metric.name)
        return next((value for value in values if (value.judge, value.stage) == (column.judge, column.stage)), None)

    def scored(self, models: Iterable[ModelRecord], column: Column) -> list[Scored]:
        """Return the models that have a value, in their order."""
        cells = ((model, self.value(model.name, column)) for model in models)
        return [Scored(model, record, record.value) for model, record in cells if record and record.value is not None]

    def of(self, model: str) -> pd.DataFrame:
        """Return the samples of one model, in the order of its features."""
        if self.samples.empty:
            return self.samples
        return self.samples[self.samples["model"] == model].reset_index(drop=True)


TEXTS = ("model", "source", "id", "identity", "session", "output")


def read(folder: Path) -> RunContents:
    """Read a run directory; raises ResultError where result.json is missing or damaged."""
    result = results.load(folder)
    folder = folder if folder.is_dir() else folder.parent
    gaps: list[str] = []
    samples = _samples(folder, result, gaps)
    references = run_files.table(folder / "references.parquet", ("identity", "session", "split"), (), gaps)
    nothing = pd.DataFrame()
    clips = nothing if samples is None else _clips(folder, result, gaps)
    samples = nothing if samples is None else samples
    run = RunContents(folder, result, samples, clips, references, {}, nothing, nothing, nothing, ())
    features = {judge.name: arrays for judge in result.judges if (arrays := _features(run, judge.name, gaps))}
    lookalikes = maps = recursion = nothing
    if any(judge.lookalikes for judge in result.judges):
        lookalikes = _of_images(run, "lookalikes.parquet", ("judge", "name"), ("rank",), gaps)
    if features:
        maps = _of_images(run, "umap.parquet", ("judge",), ("x2", "y2", "x3", "y3", "z3"), gaps)
    if (folder / "recursion.parquet").exists():  # in old runs, and without such a metric, nothing was fed back
        recursion = _of_images(run, "recursion.parquet", (), ("n",), gaps, ("colour", "sharpness"))
    frames = nothing if clips.empty else _frames(folder, result, gaps)
    return replace(
        run, features=features, lookalikes=lookalikes, maps=maps, recursion=recursion, frames=frames, gaps=tuple(gaps)
    )


def _samples(folder: Path, result: RunResult, gaps: list[str]) -> pd.DataFrame | None:
    """One row per output, as many of each model as its values count."""
    table = run_files.table(folder / "samples.parquet", TEXTS, (), gaps)
    if table is None:
        return None
    if not _counts_agree("samples.parquet", table, result, "output", gaps):
        return None
    return _numbers("samples.parquet", table, result, gaps)


def _clips(folder: Path, result: RunResult, gaps: list[str]) -> pd.DataFrame:
    """One row per clip that metrics of clips were computed of; empty where there is no such file."""
    path = folder / "clips.parquet"
    if not path.exists() and not any(record.n_clips for record in result.protocol.sets):
        return pd.DataFrame()
    texts = ("model", "source", "identity", "session", "clip")
    table = run_files.table(path, texts, ("frames",), gaps, ("outputs", "targets"))
    if table is None or not _counts_agree(path.name, table, result, "clip", gaps):
        return pd.DataFrame()
    numbers = _numbers(path.name, table, result, gaps)
    return pd.DataFrame() if numbers is None else numbers


def _frames(folder: Path, result: RunResult, gaps: list[str]) -> pd.DataFrame:
    """One row per frame of these clips; empty where there is no such file, as in old runs."""
    path = folder / "frames.parquet"
    if not path.exists():
        return pd.DataFrame()
    texts = ("model", "source", "id", "identity", "session", "clip")
    table = run_files.table(path, texts, ("frame",), gaps)
    numbers = None if table is None else _numbers(path.name, table, result, gaps)
    return pd.DataFrame() if numbers is None else numbers


def _counts_agree(name: str, table: pd.DataFrame, result: RunResult, sample: Sample, gaps: list[str]) -> bool:
    """Whether a table has as many rows of each model as values of such samples count."""
    counts = table["model"].value_counts()
    metrics = {metric.name for metric in result.metrics if metric.sample == sample}
    for value in result.values:
        if sample == "clip" and not value.n_total:  # a data set without clips
            continue
        if value.metric in metrics and value.n_total != counts.get(value.model, 0):
            gaps.append(
                f"{name} has {counts.get(value.model, 0):,} rows of {value.model}, and not "
                f"{value.n_total:,}: it is of another run."
            )
            return False
    return True


def _numbers(name: str, table: pd.DataFrame, result: RunResult, gaps: list[str]) -> pd.DataFrame | None:
    """The same with columns of metrics as numbers; None where one holds something else."""
    names = {
        results.column(metric.name, judge, stage)
        for metric in result.metrics
        for judge in (None, *(judge.name for judge in result.judges))
        for stage in get_args(Stage)
    }
    odd = [
        column
        for column in table
        if column in names and not pd.api.types.is_numeric_dtype(table[column]) and not table[column].isna().all()
    ]
    if odd:
        gaps.append(f"{name} holds other things than numbers in {', '.join(map(str, odd))}.")
        return None
    return table.astype(dict.fromkeys([column for column in table if column in names], np.float64))


def _of_images(
    run: RunContents,
    name: str,
    texts: tuple[str, ...],
    numbers: tuple[str, ...],
    gaps: list[str],
    or_nothing: tuple[str, ...] = (),
) -> pd.DataFrame:
    """A table about images, which it names by model and row; those that are not in the other tables are left out.

    Its columns `numbers` hold one in each row, its columns `or_nothing` need not.
    """
    table = run_files.table(run.folder / name, ("model", *texts), ("row", *numbers, *or_nothing), gaps)
    if table is None:
        return pd.DataFrame()
    if empty := [column for column in numbers if table[column].isna().any()]:
        gaps.append(f"{name} has rows without {', '.join(empty)}.")
        return pd.DataFrame()
    whole = [column for column in ("row", "rank", "n") if column in table]
    if not (table[whole] % 1 == 0).all(axis=None):  # nor is NaN
        gaps.append(f"{name} holds other things than whole numbers in {', '.join(whole)}.")
        return pd.DataFrame()
    table = table.astype(dict.fromkeys(whole, np.int64))
    sizes = _sizes(run, "")
    there = table["row"].between(0, [sizes.get(model, 0) for model in table["model"]], inclusive="left")
    if not there.all():
        gaps.append(f"{name} tells of {(~there).sum():,} images that the other tables do not have.")
    return table[there]


def _sizes(run: RunContents, references: str) -> dict[str, int]:
    """Number of images of each model, and of the real ones, by the name that these go under: no model may take it."""
    real = 0 if run.references is None else len(run.references)
    return {model.name: len(run.of(model.name)) for model in run.result.models} | {references: real}


def _features(run: RunContents, judge: str, gaps: list[str]) -> Features:
    """Vectors whose number fits the tables; a model's may be missing, the references' may not."""
    fitting = run_files.vectors(run.folder, f"features/{slug(judge)}.safetensors", _sizes(run, REFERENCES), gaps)
    if REFERENCES in fitting and not np.isfinite(fitting[REFERENCES]).any():
        gaps.append(f"{judge} was given no face in any real image.")
        return {}
    return fitting if REFERENCES in fitting else {}
