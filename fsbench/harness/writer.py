"""The result of a run: fed with models as they finish, written when all of them have."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from fsbench import environment, results
from fsbench.config import Plan
from fsbench.errors import one_line, traceback_of
from fsbench.harness import illustrations, records, warn
from fsbench.harness.differences import paired_differences
from fsbench.harness.evaluation import Evaluation, OutputFeatures
from fsbench.harness.model_evaluation import Evaluator, ModelEvaluation
from fsbench.harness.run_folder import RunFolder
from fsbench.stats.ranking import ranking

CROPS = "aligned crop, outputs rounded to 8 bits, scored from memory"
"""Stage of the outputs of models that fsbench runs."""


@dataclass
class RunWriter:
    """Measures models one after the other, writes their outputs, and in the end all files of the run."""

    plan: Plan
    evaluation: Evaluation
    folder: RunFolder
    command: str
    started: float  # time.monotonic()
    stage: str = CROPS
    done: list[ModelEvaluation] = field(default_factory=list)
    failed: list[results.ModelRecord] = field(default_factory=list)
    tracebacks: dict[str, str] = field(default_factory=dict)  # by metric that failed: the file of the first one
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._evaluator = Evaluator(self.evaluation, self.plan)

    def begin(self, inputs: Mapping[str, str] | None = None) -> None:
        """Make the folder this plan's, and write targets, sources and exact swaps; `inputs` as in `RunFolder.check`."""
        self.folder.begin(self.plan, inputs)
        self.evaluation.context.log(f"results go to {self.folder.path}")
        self.folder.write_inputs(self.evaluation.pairs)

    def add(self, record: results.ModelRecord, features: OutputFeatures, **known: Any) -> results.ModelRecord:
        """Measure a model and write its outputs; `known` as in `Evaluator.evaluate`. Returns its whole record."""
        done = self._evaluator.evaluate(record, features, **known)
        pairs = self.evaluation.pairs
        done.samples["output"] = self.folder.write_outputs(record.name, pairs, features.outputs.images)
        if done.fed_back is not None:
            self.folder.write_passes(record.name, done.fed_back)
        for name, traceback in done.tracebacks.items():
            if name not in self.tracebacks:
                self.tracebacks[name] = self.folder.write_traceback(f"metric {name}", traceback)
        self.done.append(done)
        return done.record

    def fail(self, record: results.ModelRecord, error: Exception) -> None:
        """Keep a model that failed as a record with its error, and go on without it."""
        self.failed.append(record)
        path = self.folder.write_traceback(record.name, traceback_of(error))
        self.warnings.append(
            f"{record.name} failed, and the run went on without it: {one_line(error)} (traceback: {path})"
        )
        self.evaluation.context.log(self.warnings[-1])

    def finish(self, dataset: results.DatasetRecord, unused: Sequence[results.UnusedRecord] = ()) -> results.RunResult:
        """Write all files: what the numbers need, then result.json, then what only illustrates them."""
        self._write_tables()
        result = self._result(dataset, unused)
        results.save(result, self.folder.path)
        lost = self._illustrate()
        if lost:
            result = result.model_copy(update={"warnings": (*result.warnings, *lost)})
            results.save(result, self.folder.path)
        return result

    def _write_tables(self) -> None:
        self.folder.write_samples(pd.concat([model.samples for model in self.done], ignore_index=True))
        self.folder.write_table("references.parquet", self.evaluation.set.real.rows)
        for name, judge in self.evaluation.judges.items():
            vectors = {model.record.name: model.faces[name].vectors.numpy() for model in self.done}
            self.folder.write_features(name, {"references": judge.references.vectors.numpy()} | vectors)

    def _result(self, dataset: results.DatasetRecord, unused: Sequence[results.UnusedRecord]) -> results.RunResult:
        evaluation = self.evaluation
        judges = tuple(records.judge_record(judge) for judge in evaluation.judges.values())
        errors = evaluation.estimator_errors()
        metrics = tuple(
            records.metric_record(name, metric, errors.get(name)) for name, metric in evaluation.metrics.items()
        )
        models = (*(model.record for model in self.done), *self.failed)
        values = tuple(value for model in self.done for value in model.values)
        faults = [
            f"{value.metric}: {value.reason} (traceback: {self.tracebacks[value.metric]})"
            for value in values
            if value.is_fault and value.metric in self.tracebacks  # a reason of its own may read like a fault
        ]
        measured = [(model.record, model.estimates) for model in self.done]
        differences = paired_differences(measured, evaluation.metrics, self.warnings)
        return results.RunResult(
            schema=results.SCHEMA,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            command=self.command,
            seed=self.plan.seed,
            seconds=time.monotonic() - self.started,
            environment=environment.describe(evaluation.context.device),
            dataset=dataset,
            protocol=records.protocol_record(self.stage, evaluation.set, self.plan),
            judges=judges,
            observers=tuple(map(records.observer_record, evaluation.instruments.observers.values())),
            metrics=metrics,
            models=models,
            values=values,
            ranking=ranking(values, models, judges, metrics),
            differences=differences,
            unused=tuple(unused),
            warnings=(
                *self.warnings,
                *(warning for judge in judges for warning in warn.of_judge(judge)),
                *dict.fromkeys(faults),
            ),
        )

    def _illustrate(self) -> list[str]:
        """Write tables that no value depends on; returns a sentence for each that could not be made."""
        lost = []
        for name, make in illustrations.TABLES.items():
            try:
                if (table := make(self.evaluation, self.plan, self.done)) is not None:
                    self.folder.write_table(name, table)
            except Exception as error:  # noqa: BLE001 - whatever a library of plots raises, the numbers are there
                lost.append(f"{name} could not be made, and the report is without it: {one_line(error)}")
        return lost
