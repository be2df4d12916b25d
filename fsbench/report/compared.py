"""What the page of a comparison is about: runs, the differences between them, the samples and pictures behind these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from fsbench.comparison.paired import PairedRows, Pairing
from fsbench.comparison.scores import TOGETHER, Scores
from fsbench.comparison.table import RunComparison, RunDifference
from fsbench.comparison.wording import letter_of, title
from fsbench.report.plots import LABEL, short
from fsbench.report.run import read
from fsbench.report.samples import NUMBER_BYTES, Side
from fsbench.report.thumbnails import MARKUP, Thumbnails
from fsbench.results import MetricRecord, column


@dataclass(frozen=True)
class Contrast:
    """A model of a run and the model of the first run that it is compared with."""

    letter: str  # of the run
    model: str
    reference: str
    scores: Scores
    records: tuple[RunDifference, ...]

    @property
    def title(self) -> str:
        """What is compared, in a heading."""
        return title(short(self.model, LABEL), short(self.reference, LABEL), self.letter)

    @property
    def compared(self) -> tuple[RunDifference, ...]:
        """The differences that are known."""
        return tuple(record for record in self.records if record.verdict != "refused")

    @property
    def refused(self) -> dict[str, list[str]]:
        """Metrics that were not compared, by reason."""
        reasons: dict[str, list[str]] = {}
        for record in self.records:
            if record.verdict == "refused":
                reasons.setdefault(record.reason, []).append(column(*record.key))
        return reasons


@dataclass(frozen=True)
class Compared:
    """What the page is about."""

    scores: Sequence[Scores]
    comparison: RunComparison
    _tables: dict[tuple[str, str], tuple[pd.DataFrame, dict[tuple[str, str], int]]] = field(
        default_factory=dict, repr=False
    )

    @cached_property
    def metrics(self) -> dict[str, MetricRecord]:
        """Metrics of all runs by name; what the first says of them counts."""
        return {name: metric for run in reversed(self.scores) for name, metric in run.metrics.items()}

    @cached_property
    def contrasts(self) -> list[Contrast]:
        """The pairs of models, run by run."""
        groups: dict[tuple[str, str, str], list[RunDifference]] = {}
        for record in self.comparison.differences:
            groups.setdefault((record.run, record.model, record.reference), []).append(record)
        by_label = {run.label: run for run in reversed(self.scores)}
        return [Contrast(self.letters[run], model, reference, by_label[run], tuple(records))
                for (run, model, reference), records in groups.items()]  # fmt: skip

    @cached_property
    def letters(self) -> dict[str, str]:
        """Letter of each run by its label."""
        return {run.label: letter_of(i) for i, run in reversed(list(enumerate(self.scores)))}

    @cached_property
    def _pairings(self) -> dict[str, Pairing]:
        return {run.label: Pairing(self.scores[0], run) for run in self.scores}

    def paired(self, contrast: Contrast, record: RunDifference) -> PairedRows | None:
        """The numbers of each sample behind a difference that is known; None where there are none."""
        models, key = (contrast.reference, contrast.model), record.key
        if self.scores[0].columns.get((contrast.reference, *key)) == TOGETHER:
            return None
        return self._pairings[contrast.scores.label].rows(models, key)

    @cached_property
    def pictures(self) -> dict[str, Thumbnails]:
        """Pictures of each run by its label; a baseline has none."""
        runs = {run.label: read(run.folder) for run in self.scores if run.folder is not None}
        return {label: Thumbnails(run) for label, run in runs.items()}

    @cached_property
    def picture_bytes(self) -> float:
        """What a picture takes on the page, in the run where it takes most."""
        return max((thumbnails.n_bytes for thumbnails in self.pictures.values()), default=MARKUP)

    @cached_property
    def pair_bytes(self) -> float:
        """What all numbers of a pair take."""
        return NUMBER_BYTES * sum(len(side.run.columns) for side in self.sides)

    @cached_property
    def sides(self) -> list[Side]:
        """The models that are compared, of those runs that have pictures: the first run's, then the others'."""
        named = {("A", contrast.reference): self.scores[0] for contrast in self.contrasts}
        named |= {(contrast.letter, contrast.model): contrast.scores for contrast in self.contrasts}
        return [Side(f"{letter}: {short(model, LABEL)}", self.pictures[scores.label].run, model)
                for (letter, model), scores in named.items() if scores.label in self.pictures]  # fmt: skip

    def sample(self, scores: Scores, model: str, source: str, target: str) -> pd.Series | None:
        """What a run's table says of one output of a model; None where it has no pictures of it."""
        if scores.label not in self.pictures:
            return None
        if (scores.label, model) not in self._tables:
            table = self.pictures[scores.label].run.of(model)
            pairs = zip(table["source"], table["id"], strict=True) if len(table) else ()
            self._tables[scores.label, model] = table, {pair: i for i, pair in enumerate(pairs)}
        table, places = self._tables[scores.label, model]
        return table.iloc[places[source, target]] if (source, target) in places else None


def improvement(paired: PairedRows, metric: MetricRecord) -> np.ndarray:
    """How much better the second model is on each sample, (M,)."""
    change: np.ndarray = (paired.b - paired.a) * (1 if metric.direction == "higher" else -1)
    return change
