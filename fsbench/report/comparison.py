"""One page about several runs: what differs between them, by how much, and on which samples.

A pure function of the runs' folders, free of torch. The first run is what the others are compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from fsbench.comparison.paired import PairedRows, Pairing
from fsbench.comparison.scores import Scores
from fsbench.comparison.table import RunComparison, RunDifference
from fsbench.comparison.wording import letter_of
from fsbench.report import page
from fsbench.report.run import Run, read
from fsbench.report.thumbnails import Thumbnails
from fsbench.results import MetricRecord, column
from fsbench.store import write_text


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
        names = self.model if self.model == self.reference else f"{self.model} against {self.reference}"
        return f"{names}: {self.letter} less A"

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
                reasons.setdefault(record.reason, []).append(column(record.metric, record.judge))
        return reasons


@dataclass(frozen=True)
class Compared:
    """What the page is about."""

    scores: Sequence[Scores]
    comparison: RunComparison

    @cached_property
    def metrics(self) -> dict[str, MetricRecord]:
        """Metrics of all runs by name; what the first says of them counts."""
        return {name: metric for one in reversed(self.scores) for name, metric in one.metrics.items()}

    @cached_property
    def contrasts(self) -> list[Contrast]:
        """The pairs of models, run by run."""
        groups: dict[tuple[str, str, str], list[RunDifference]] = {}
        for record in self.comparison.differences:
            groups.setdefault((record.run, record.model, record.reference), []).append(record)
        by_label = {one.label: (letter_of(i), one) for i, one in reversed(list(enumerate(self.scores)))}
        return [Contrast(by_label[run][0], model, reference, by_label[run][1], tuple(records))
                for (run, model, reference), records in groups.items()]  # fmt: skip

    @cached_property
    def letters(self) -> dict[str, str]:
        """Letter of each run by its label."""
        return {one.label: letter_of(i) for i, one in reversed(list(enumerate(self.scores)))}

    @cached_property
    def _pairings(self) -> dict[str, Pairing]:
        return {one.label: Pairing(self.scores[0], one) for one in self.scores}

    def paired(self, contrast: Contrast, record: RunDifference) -> PairedRows:
        """The numbers of each sample behind a difference that is known."""
        models = (contrast.reference, contrast.model)
        return self._pairings[contrast.scores.label].compare(models, (record.metric, record.judge))

    @cached_property
    def pictures(self) -> dict[str, Thumbnails]:
        """Pictures of each run by its label; a baseline has none."""
        runs = {one.label: read(one.folder) for one in self.scores if one.folder is not None}
        return {label: Thumbnails(run) for label, run in runs.items()}

    def samples(self, scores: Scores, model: str) -> dict[tuple[str, str], pd.Series]:
        """The samples of a model that may have pictures, by source and target."""
        if scores.label not in self.pictures:
            return {}
        return _samples(self.pictures[scores.label].run, model)


def _samples(run: Run, model: str) -> dict[tuple[str, str], pd.Series]:
    return {(str(row["source"]), str(row["id"])): row for _, row in run.of(model).iterrows()}


def improvement(paired: PairedRows, metric: MetricRecord) -> np.ndarray:
    """How much better the second model is on each sample, (M,)."""
    change: np.ndarray = (paired.b - paired.a) * (1 if metric.direction == "higher" else -1)
    return change


def write(scores: Sequence[Scores], comparison: RunComparison, path: Path) -> Path:
    """Write the page of a comparison, atomically, and return its path; raises ResultError."""
    write_text(path, html(Compared(scores, comparison)))
    return path


def html(compared: Compared) -> str:
    """Return the page."""
    from fsbench.report.comparison_sections import SECTIONS

    environment = page.environment()
    return environment.get_template("comparison/page.html.j2").render(
        compared=compared,
        comparison=compared.comparison,
        sections=page.render(SECTIONS, compared, environment, compared=compared),
        style=page.text("style.css"),
        script=page.text("page.js"),
    )
