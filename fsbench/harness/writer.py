"""The result of a run: fed with models as they finish, written when all of them have."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import numpy as np
import pandas as pd

from fsbench import environment, results
from fsbench.config import Plan
from fsbench.errors import NotScorable, RemoteError, one_line, traceback_of
from fsbench.events import Event, ModelFailed, ModelFinished, ResultWritten, Warned
from fsbench.evidence.needs import JUDGE
from fsbench.evidence.targets import TargetFeatures
from fsbench.extraction.blocks import spans
from fsbench.harness import illustrations, records, summarise, warn
from fsbench.harness.differences import paired_differences
from fsbench.harness.evaluation import ELSEWHERE, OutputFeatures, PreparedSet
from fsbench.harness.evaluator import FEATURES, Evaluator, baseline, observed
from fsbench.harness.frames import FrameStage
from fsbench.harness.instruments import Instruments
from fsbench.harness.model_evaluation import ModelEvaluation
from fsbench.harness.run_folder import FRAMES, LINES, RunFolder
from fsbench.harness.run_lock import RunLock
from fsbench.harness.sets import PreparedSets
from fsbench.interfaces import Metric
from fsbench.record_types import SetName, Stage
from fsbench.stats.ranking import ranking

CROPS = "aligned crop, outputs rounded to 8 bits, scored from memory"
"""What the protocol says of the outputs of models that fsbench runs."""


@dataclass
class RunWriter:
    """Measures models one after the other, writes their outputs, and in the end all files of the run."""

    plan: Plan
    instruments: Instruments
    evaluations: PreparedSets
    folder: RunFolder
    command: str
    started: float  # time.monotonic()
    outputs: str = CROPS  # where these come from
    stage: FrameStage | None = None  # puts outputs back into their frames
    of_frames: PreparedSets = field(default_factory=dict)  # the evaluations of outputs there
    done: list[ModelEvaluation] = field(default_factory=list)
    failed: list[results.ModelRecord] = field(default_factory=list)
    tracebacks: dict[str, str] = field(default_factory=dict)  # by metric that failed: the file of the first one
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock: RunLock | None = None
        self._told: set[str] = set()  # warnings, and models that are done or failed
        self._targets: dict[str, TargetFeatures] = {}  # by observer whose features are stored
        self._evaluators = {name: Evaluator(evaluation, self.plan) for name, evaluation in self.evaluations.items()}
        self._of_frames = {
            name: Evaluator(evaluation, self.plan, features_of=partial(self._baseline_in_frames, name))
            for name, evaluation in self.of_frames.items()
        }

    @property
    def main(self) -> PreparedSet:
        """The evaluation of outputs: its pairs are the rows of samples.parquet."""
        return next(iter(self.evaluations.values()))

    def begin(self, inputs: Mapping[str, str] | None = None) -> None:
        """Make the folder this plan's, and write targets, sources and exact swaps; `inputs` as in `RunFolder.check`."""
        log = self.main.context.log
        self._lock = self.folder.begin(self.plan, inputs, log)
        log(f"results go to {self.folder.path}")
        for evaluation in self.evaluations.values():
            self.folder.write_inputs(evaluation.pairs)
        for evaluation in self.of_frames.values():
            self.folder.write_frames(evaluation.pairs)

    def add(
        self,
        record: results.ModelRecord,
        features: Mapping[SetName, OutputFeatures],
        *,
        absent: Mapping[SetName, np.ndarray] | None = None,
        facts: pd.DataFrame | None = None,
        pasted: Mapping[SetName, OutputFeatures] | None = None,
    ) -> results.ModelRecord:
        """Measure the outputs of a model in each set, and write them; `facts` as in `Evaluator.evaluate`, of the first.

        `pasted` are the same in their frames. Of a floor these alone have values. Returns its whole record.
        """
        parts: list[ModelEvaluation] = []
        for name, evaluator in self._evaluators.items():
            known = None if parts else facts
            part = evaluator.evaluate(record, features[name], absent=(absent or {}).get(name), facts=known)
            if not parts:
                self._targets |= {observer: seen.targets for observer, seen in observed(features[name]).items()}
            self.folder.write_outputs(record.name, evaluator.evaluation.pairs, features[name].outputs.images)
            part = part.with_paths()
            if pasted and name in pasted:
                frames = self._of_frames[name]
                self.folder.write_outputs(record.name, frames.evaluation.pairs, pasted[name].outputs.images, FRAMES)
                lost = (absent or {}).get(name, np.full(len(part.pairs), "", object))
                failed = part.measured["failure"].to_numpy(object)
                part = part.with_frames(frames.measure(record, pasted[name], failed, lost))
            parts.append(part)
        done = ModelEvaluation.join(parts)
        if done.fed_back is not None:
            self.folder.write_passes(record.name, done.fed_back)
        for metric, traceback in done.tracebacks.items():
            if metric not in self.tracebacks:
                self.tracebacks[metric] = self.folder.write_traceback(f"metric {metric}", traceback)
        self.done.append(done)
        self._tell_news()
        return done.record

    def _baseline_in_frames(self, name: SetName, label: str) -> OutputFeatures:
        assert self.stage is not None
        crops = self.evaluations[name]
        _, swapped = baseline(label, crops.pairs, crops.context)
        return self.stage.extract(label, crops, self.of_frames[name], swapped)

    def fail(self, record: results.ModelRecord, error: Exception) -> None:
        """Keep a model that failed as a record with its error, and go on without it."""
        self.failed.append(record)
        path = self.folder.write_traceback(record.name, traceback_of(error))
        self.warnings.append(
            f"{record.name} failed, and the run went on without it: {one_line(error)} (traceback: {path})"
        )
        self.main.context.log(self.warnings[-1])
        self._tell_news()

    def _tell_news(self, warnings: Sequence[str] = ()) -> None:
        """Tell listeners of models that were measured or failed since, and of warnings."""
        news: dict[str, Event] = {}
        for model in self.done:
            if model.record.kind != "floor":
                news[f"done {model.record.name}"] = ModelFinished(model.record.name, self._summary(model))
        for record in self.failed:
            news[f"failed {record.name}"] = ModelFailed(record.name, record.error)
        news |= {f"warning {text}": Warned(text) for text in (*self.warnings, *warnings)}
        for key, event in news.items():
            if key not in self._told:
                self.main.context.tell(event)
        self._told |= set(news)

    def _summary(self, model: ModelEvaluation) -> dict[str, float | None]:
        """Values of the metrics that a summary shows."""
        infos = {name: metric.info for name, metric in self.instruments.metrics.items()}
        return {
            results.column(value.metric, value.judge, value.stage): value.value
            for value in model.values
            if infos[value.metric].headline or infos[value.metric].summary_rank
        }

    def finish(self, dataset: results.DatasetRecord, unused: Sequence[results.UnusedRecord] = ()) -> results.RunResult:
        """Write all files: what the numbers need, then result.json, then what only illustrates them."""
        self._write_tables()
        result = self._result(dataset, unused)
        results.save(result, self.folder.path)
        lost = self._illustrate()
        if lost:
            result = result.model_copy(update={"warnings": (*result.warnings, *lost)})
            results.save(result, self.folder.path)
        self._tell_news(result.warnings)
        self.main.context.tell(ResultWritten(self.folder.path / results.FILE_NAME))
        if self._lock is not None:
            self._lock.release()
        return result

    def _write_tables(self) -> None:
        blocks = [(model, rows) for model in self.done for rows in spans(len(model.pairs), LINES)]
        self.folder.write_samples(lambda: (model.samples(rows) for model, rows in blocks))
        if any(len(model.clips) for model in self.done):
            self.folder.write_table("clips.parquet", *(model.clips for model in self.done))
            self.folder.write_table("frames.parquet", *(model.frames for model in self.done))
        self.folder.write_table("references.parquet", self.main.set.real.rows)
        for name, judge in self.main.judges.items():
            vectors = {model.record.name: model.faces[name].vectors.numpy() for model in self.done}
            self.folder.write_features(name, {"references": judge.references.vectors.numpy()} | vectors)
        for name, targets in self._targets.items():
            own = {model.record.name: model.observed[name] for model in self.done if name in model.observed}
            self.folder.write_features(name, {"targets": targets[:][FEATURES].numpy()} | own)

    def _result(self, dataset: results.DatasetRecord, unused: Sequence[results.UnusedRecord]) -> results.RunResult:
        sets = self.evaluations.values()
        judges = tuple(records.judge_record(judge) for judge in self.main.judges.values())
        looked_at = (*self.of_frames.values(), *sets)  # what a metric errs by on crops, where it looks at both
        errors = {name: error for evaluation in looked_at for name, error in evaluation.estimator_errors().items()}
        metrics = tuple(
            records.metric_record(name, metric, errors.get(name)) for name, metric in self.instruments.metrics.items()
        )
        models = (*(model.record for model in self.done), *self.failed)
        values = tuple(value for model in self.done for value in (*model.values, *self._unmeasured(model)))
        faults = [
            f"{value.metric}: {value.reason} (traceback: {self.tracebacks[value.metric]})"
            for value in values
            if value.is_fault and value.metric in self.tracebacks  # a reason of its own may read like a fault
        ]
        measured = [(model.record, model.estimates) for model in self.done]
        frames = self.stage.record(self.main.set.targets) if self.stage is not None else None
        ranks_at = "frame" if self.plan.stage == "frame" else "crop"
        differences = paired_differences(measured, self.instruments.metrics, self.warnings)
        return results.RunResult(
            schema=results.SCHEMA,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            command=self.command,
            seed=self.plan.seed,
            seconds=time.monotonic() - self.started,
            environment=environment.describe(self.main.context.device),
            dataset=dataset,
            protocol=records.protocol_record(
                self.outputs, [evaluation.set for evaluation in sets], self.plan, self.instruments.metrics, frames
            ),
            judges=judges,
            observers=tuple(map(records.observer_record, self.instruments.observers.values())),
            metrics=metrics,
            models=models,
            values=values,
            ranking=ranking([value for value in values if value.stage == ranks_at], models, judges, metrics),
            differences=differences,
            unused=tuple(unused),
            warnings=(
                *self.warnings,
                *(warning for judge in judges for warning in warn.of_judge(judge)),
                *warn.of_values(values),
                *dict.fromkeys(faults),
            ),
        )

    def _unmeasured(self, model: ModelEvaluation) -> list[results.Value]:
        """Null for each metric of clips where the test split has none, or that does not look where the run does."""
        looked_at = (*self.evaluations.values(), *self.of_frames.values())
        known = {name for evaluation in looked_at for name in evaluation.metrics}
        stage: Stage = "frame" if self.plan.stage == "frame" else "crop"
        return [
            summarise.unscorable(name, model.record.name, judge, 0, self._why(metric), set_name, stage)
            for name, metric in self.instruments.metrics.items()
            if name not in known and model.record.kind != "floor"
            for set_name in [self.main.set.name if metric.info.sample == "output" else "clips"]
            for judge in (self.main.judges if JUDGE in metric.info.needs else (None,))
        ]

    def _why(self, metric: Metric) -> NotScorable:
        """Why a metric is in no evaluation."""
        if metric.info.sample == "clip" and "clips" not in self.evaluations:
            return NotScorable("the test split has no clips")
        return NotScorable(ELSEWHERE["frame"])

    def _illustrate(self) -> list[str]:
        """Write tables that no value depends on; returns a sentence for each that could not be made."""
        lost = []
        for name, make in illustrations.TABLES.items():
            try:
                if (table := make(self.main, self.plan, self.done)) is not None:
                    self.folder.write_table(name, table)
            except RemoteError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever a library of plots raises, the numbers are there
                lost.append(f"{name} could not be made, and the report is without it: {one_line(error)}")
        return lost
