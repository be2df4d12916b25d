"""What a suite of experiments leaves behind, and the answers to its questions.

    DIR/suite.json           SuiteResult: title, question, answers and comparisons of each experiment, in the order of
                             the suite; written before the first experiment and after each
    DIR/report.html          all of that on one page, with values, intervals and pictures
    DIR/EXPERIMENT/          the run folder of each experiment (`fsbench.results`), with a report of its own
    DIR/EXPERIMENT-error.txt the traceback of an experiment that failed

An answer is made of paired differences to the experiment's baseline. All comparisons of one experiment are corrected
together for their number (Holm). A judge says nothing of a model that was trained against its family.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError

from fsbench.compare import Comparisons, Pair, PairedComparison, Relation, corrected, detectable, size_of
from fsbench.config import Experiment, Suite
from fsbench.errors import ResultError
from fsbench.files import first_problem, printable, read
from fsbench.record_types import Name, Number, Record, Stage
from fsbench.results import LARGEST_FILE, SUITE_FILE, MetricRecord, RunResult
from fsbench.stats.ranking import CONTESTANTS
from fsbench.store import write_text

SCHEMA = 1


class ComparisonRecord(Record):
    """A model compared with the baseline of its experiment, by one metric under one judge or without one."""

    model: Name
    metric: Name
    judge: str | None = None
    stage: Stage = "crop"
    relation: Relation
    effect: Number | None = None  # value of the model less that of the baseline, in the metric's unit
    low: Number | None = None  # of the interval, of this comparison alone
    high: Number | None = None
    p: Number | None = None  # corrected for all comparisons of the experiment
    detectable: Number | None = None  # minimum detectable effect, corrected likewise
    reason: str = ""  # why the relation is unknown


class ExperimentRecord(Record):
    """An experiment, and what its run says of its question."""

    title: Name
    question: str = ""
    folder: Name  # below the suite's folder
    baseline: str  # name of a model in the run's result
    finished: bool = False
    error: str = ""  # why there is no result
    answers: tuple[str, ...] = ()  # sentences, one for each model that is compared, and what limits them
    comparisons: tuple[ComparisonRecord, ...] = ()


class SuiteResult(Record):
    """What is known of the experiments of a suite."""

    schema_number: int = SCHEMA
    name: str
    command: str = ""
    experiments: tuple[ExperimentRecord, ...]

    def having(self, record: ExperimentRecord) -> SuiteResult:
        """The same with the new record of one experiment."""
        replaced = tuple(record if old.folder == record.folder else old for old in self.experiments)
        return self.model_copy(update={"experiments": replaced})


def begin(suite: Suite, command: str) -> SuiteResult:
    """Return the result of a suite of which nothing was run yet."""
    return SuiteResult(name=suite.name, command=command, experiments=tuple(map(_record, suite.experiments)))


def answered(experiment: Experiment, result: RunResult) -> ExperimentRecord:
    """Answer the question of an experiment from the result of its run."""
    baseline = experiment.baseline_label
    compared = compare(result, baseline, named=bool(experiment.plan.metrics))
    return _record(experiment).model_copy(
        update={
            "finished": True,
            "answers": tuple(sentences(result, baseline, compared)),
            "comparisons": tuple(map(_comparison, compared)),
        }
    )


def failed(experiment: Experiment, why: str) -> ExperimentRecord:
    """Return the record of an experiment without a result."""
    return _record(experiment).model_copy(update={"error": why})


def _record(experiment: Experiment) -> ExperimentRecord:
    return ExperimentRecord(
        title=experiment.title,
        question=experiment.question,
        folder=experiment.folder,
        baseline=experiment.baseline_label,
    )


def compare(result: RunResult, baseline: str, *, named: bool) -> list[PairedComparison]:
    """Compare each contestant with the baseline, by every metric of the run where they were `named`, else by few.

    These are the headline metrics and those of the summary. What a judge cannot say is unknown, with the reason.
    """
    metrics = [metric for metric in result.metrics if named or metric.in_summary]
    keys = dict.fromkeys(value.key for value in result.values)
    coaches = {model.name: {*model.coaches, *(model.training.coaches if model.training else ())}
               for model in result.models}  # fmt: skip
    families = {judge.name: judge.family for judge in result.judges}
    pairs, silenced = list[Pair](), dict[Pair, str]()
    for model in (model.name for model in result.models if model.kind in CONTESTANTS and not model.error):
        for metric, judge, stage in (key for one in metrics for key in keys if key.metric == one.name):
            pair = Pair(model, baseline, metric, judge, stage)
            pupils = [name for name in (model, baseline) if judge and families.get(judge) in coaches.get(name, ())]
            if model == baseline or judge in result.unfit:
                continue
            pairs.append(pair)
            if pupils:
                silenced[pair] = f"{' and '.join(pupils)} trained against {judge}"
    known = Comparisons(result).of(pair for pair in pairs if pair not in silenced)
    by_pair = {comparison.pair: _explained(comparison, result) for comparison in corrected(known)}
    return [by_pair.get(pair) or PairedComparison(pair, "unknown", None, reason=silenced[pair]) for pair in pairs]


def _explained(comparison: PairedComparison, result: RunResult) -> PairedComparison:
    """The same with a reason where it is unknown: that of the model or of the value which is not there."""
    if comparison.relation != "unknown" or comparison.reason:
        return comparison
    pair = comparison.pair
    reasons = [f"{model.name} failed" for model in result.models if model.name == pair.other and model.error]
    reasons += [
        value.reason
        for name in (pair.model, pair.other)
        for value in result.find(name, pair.metric)
        if value.key == pair.key and value.value is None and value.reason
    ]
    reason = reasons[0] if reasons else "there is no paired difference"
    return PairedComparison(pair, "unknown", comparison.difference, comparison.p, reason)


def _comparison(comparison: PairedComparison) -> ComparisonRecord:
    pair, record = comparison.pair, comparison.difference
    numbers = {name: getattr(record, name) for name in ("effect", "low", "high", "detectable")} if record else {}
    return ComparisonRecord(
        model=pair.model,
        **pair.key._asdict(),
        relation=comparison.relation,
        p=comparison.p,
        reason=comparison.reason,
        **numbers,
    )


def sentences(result: RunResult, baseline: str, compared: Sequence[PairedComparison]) -> list[str]:
    """Say of each model how it stands to the baseline: better, worse, or no difference that this run would see."""
    metrics = {metric.name: metric for metric in result.metrics}
    of_model: dict[str, list[PairedComparison]] = {}
    for comparison in compared:
        of_model.setdefault(comparison.pair.model, []).append(comparison)
    lines = [_sentence(model, baseline, mine, metrics) for model, mine in of_model.items()]
    lines += [f"{model.name} failed: {model.error}." for model in result.models if model.error]
    lines += [f"Nothing is said under {judge.name}: {judge.unfit}." for judge in result.judges if judge.unfit]
    if not of_model:
        lines.insert(0, f"Nothing is compared with {baseline}: no other model was trained or loaded and measured.")
    return lines


def _sentence(model: str, baseline: str, compared: Sequence[PairedComparison], metrics: dict[str, MetricRecord]) -> str:
    """Print, by relation, the difference by each metric with its interval; below 0 it is to the worse."""

    def clause(relation: Relation) -> str:
        chosen = [comparison for comparison in compared if comparison.relation == relation]
        return ", ".join(f"{_key(one)} ({_size(one, metrics[one.pair.metric])})" for one in chosen)

    clauses = [f"{relation} by {text}" for relation in ("better", "worse") if (text := clause(relation))]
    if text := clause("unclear"):
        clauses.append(f"no difference detectable at this size by {text} (below 0 is worse)")
    silent: dict[str, list[str]] = {}
    for comparison in compared:
        if comparison.relation == "unknown":
            silent.setdefault(comparison.reason, []).append(_key(comparison))
    clauses += [f"nothing is said by {', '.join(keys)}: {reason}" for reason, keys in silent.items()]
    return f"{model} against {baseline}: {'; '.join(clauses)}."


def _size(comparison: PairedComparison, metric: MetricRecord) -> str:
    """Print a difference; of one that only the correction makes undetectable, with its p-value."""
    record, text = comparison.difference, size_of(comparison, metric)
    if least := detectable(comparison, metric):
        text += f", {least} would be detected"
    excludes_0 = record is not None and (record.low or 0) * (record.high or 0) > 0
    return text + (f", corrected p {comparison.p:.2f}" if comparison.relation == "unclear" and excludes_0 else "")


def _key(comparison: PairedComparison) -> str:
    pair = comparison.pair
    under = f"{pair.metric} under {pair.judge}" if pair.judge else pair.metric
    return under if pair.stage == "crop" else f"{under} in the frame"


def has_faults(results: Iterable[RunResult]) -> bool:
    """Whether a model or a metric of any run failed."""
    return any(
        any(model.error for model in result.models) or any(value.is_fault for value in result.values)
        for result in results
    )


def save(result: SuiteResult, folder: Path) -> None:
    """Write suite.json atomically."""
    write_text(folder / SUITE_FILE, result.model_dump_json(indent=1) + "\n")


def load(folder: Path) -> SuiteResult:
    """Read DIR/suite.json; raises ResultError."""
    path = folder / SUITE_FILE
    shown, hint = printable(str(path)), "run the suite again with --resume: finished experiments are kept"
    try:
        raw = json.loads(read(path, LARGEST_FILE))
    except (OSError, ValueError, RecursionError) as error:
        raise ResultError(f"{shown} cannot be read: {str(error)[:200]}", hint) from error
    number = raw.get("schema_number") if isinstance(raw, dict) else None
    if isinstance(number, int) and number > SCHEMA:
        raise ResultError(f"{shown} was written by a newer fsbench (schema {number})", "upgrade fsbench to read it")
    try:
        return SuiteResult.model_validate(raw)
    except ValidationError as error:
        raise ResultError(f"{shown} is no valid result of a suite: {first_problem(error)}", hint) from error
