"""What `fsbench.Evaluation` gives for one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import pandas as pd

from fsbench.api import tables
from fsbench.errors import UsageError
from fsbench.exports.tables import values_frame
from fsbench.exports.trackers import mlflow_name, scalars
from fsbench.harness.differences import paired_differences
from fsbench.harness.model_evaluation import ModelEvaluation
from fsbench.interfaces import Metric
from fsbench.results import DifferenceRecord, JudgeRecord, MetricRecord, ModelRecord
from fsbench.stats.resampling import holm


class SwapScores:
    """The values of one model: as a data frame, as scalars for a logger, and against other scores.

    `record` is what result files say of a model: failures by kind, seconds per image, coaches. `warnings` are
    sentences about what limits its values.
    """

    def __init__(
        self,
        done: ModelEvaluation,
        metrics: Mapping[str, Metric],
        records: Mapping[str, MetricRecord],
        judges: Mapping[str, JudgeRecord],
        warnings: Sequence[str],
    ) -> None:
        self.record: ModelRecord = done.record
        self.warnings = tuple(warnings)
        self._values, self._estimates = done.values, done.estimates
        self._metrics, self._records, self._judges = metrics, records, judges
        self._samples, self._clips = done.samples, done.clips

    @property
    def name(self) -> str:
        """What the model is called."""
        return self.record.name

    @cached_property
    def values(self) -> pd.DataFrame:
        """One row per metric and judge, as in `Run.values`."""
        return values_frame(self._values, self._records.values())

    @cached_property
    def samples(self) -> pd.DataFrame:
        """One row per output, as in `Run.samples`."""
        return self._samples().drop(columns="output")

    @cached_property
    def clips(self) -> pd.DataFrame:
        """One row per output clip, as in `Run.clips`."""
        return self._clips

    def scalars(self, *, plain: bool = False) -> dict[str, float]:
        """Values by flat names, for a logger: `id_similarity@dlib_resnet`, and below it `/low` and `/high`.

        What has no value, or no interval, is left out: `values` tells why. With `plain` names are those that MLflow
        takes, which has no `@` and no parentheses: `id_similarity_dlib_resnet`. `fsbench export` writes the same names.
        """
        return {mlflow_name(name) if plain else name: number for name, number in scalars(self._values)}

    def compare(self, other: SwapScores) -> pd.DataFrame:
        """Paired differences, these scores less the others, on the same outputs: one row per metric and judge.

        `effect` with its interval, in the metric's unit; `p` is two-sided, corrected for all rows (Holm); `detectable`
        is the smallest true difference that would have been seen in four cases of five. Raises UsageError for scores of
        another Evaluation: their pairs need not be the same.
        """
        if self._records is not other._records:
            raise UsageError(f"{self.name} and {other.name} were scored by two evaluations", "score both with one")
        pair = [(scores.record, scores._estimates) for scores in (self, other)]
        records = [record.of(self.name) for record in paired_differences(pair, self._metrics, [])]
        tested = [i for i, record in enumerate(records) if record.p is not None]
        ps = holm([p for record in records if (p := record.p) is not None])
        for i, p in zip(tested, ps, strict=True):
            records[i] = records[i].model_copy(update={"p": p})
        rows = [record.model_dump() for record in records]
        return pd.DataFrame(rows, columns=list(DifferenceRecord.model_fields)).fillna({"judge": ""})

    def __repr__(self) -> str:
        scored = sum(value.value is not None for value in self._values)
        return f"<fsbench scores of {self.name!r}: {scored} of {len(self._values)} values>"

    def _repr_html_(self) -> str:
        fit = [name for name, judge in self._judges.items() if not judge.unfit]
        table = tables.summary(self._values, self._records, fit)
        return tables.page(f"fsbench scores: {self.name}", table, warnings=self.warnings)
