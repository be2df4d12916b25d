"""One evaluation set with its evidence and metrics: prepared on the real images, then asked for every model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TypeVar, cast

import numpy as np

from fsbench import guard
from fsbench.errors import FsbenchError, Interrupted, ModelError, NotScorable, OutputError, PluginError, RemoteError
from fsbench.evidence.judge import JudgedOutputs
from fsbench.evidence.needs import JUDGE, Kinds
from fsbench.evidence.references import EnrolledJudge, enrol, find_faces
from fsbench.evidence.targets import TargetFeatures
from fsbench.extraction.features import FaceFeatures, find_landmarks
from fsbench.harness import summarise
from fsbench.harness.instruments import Instruments
from fsbench.harness.kept_rows import KeptRows
from fsbench.harness.measurements import Measured, features_of, of_clips, scored, statistic
from fsbench.images import ImageSet
from fsbench.interfaces import Context, DistributionMetric, Evidence, EvidenceKind, EvidenceOf, Faces, Metric, RowMetric
from fsbench.interfaces.evidence import VECTORS
from fsbench.pairs import EvaluationSet, Feed, Outputs, Pairs
from fsbench.record_types import SetName, Stage
from fsbench.registry import metrics

Given = TypeVar("Given")
Known = TypeVar("Known")

ONLY_FILES = "only files are known, not the model"

ELSEWHERE: Mapping[Stage, str] = {
    "crop": "it looks at outputs in their frames, and there are aligned crops only: see --stage",
    "frame": "it looks at aligned crops: see --stage",
}
"""Why a metric has no value at a stage that it does not look at."""

Rows = Measured | NotScorable
"""What one metric measured of all outputs of a model, or why there is nothing."""


@dataclass(frozen=True)
class OutputFeatures:
    """What all networks computed of a model's outputs."""

    outputs: Outputs
    faces: Mapping[str, FaceFeatures]  # by judge
    evidence: Mapping[str, Evidence | NotScorable]  # by name, but for the judges'
    faulty: Mapping[str, NotScorable] = field(default_factory=dict)  # why there are no features, by judge that failed


@dataclass(frozen=True)
class PreparedSet:
    """An evaluation set with the features of its real images, evidence and instruments: outputs can be measured."""

    set: EvaluationSet
    instruments: Instruments
    judges: Mapping[str, EnrolledJudge]  # by name
    targets: Mapping[str, TargetFeatures]  # by judge
    evidence: Mapping[str, EvidenceOf | NotScorable]  # by name, but for the judges'
    context: Context
    stage: Stage = "crop"  # where outputs are looked at

    @classmethod
    def prepare(
        cls,
        instruments: Instruments,
        pairs: Pairs,
        test: Faces,
        gallery: Faces | None,
        context: Context,
        named: bool = False,
        set_name: SetName = "stills",
    ) -> PreparedSet:
        """Evaluate images of the test split that are their own references; `named` as in `EvaluationSet`."""
        real = find_faces(test, gallery, context)
        judges = {judge.name: enrol(judge, real, context) for judge in instruments.judges}
        ready = EvaluationSet(pairs, test, real.test_landmarks, real, set_name, named)
        return cls.of(instruments, ready, judges, context)

    @classmethod
    def of(
        cls,
        instruments: Instruments,
        evaluation: EvaluationSet,
        judges: Mapping[str, EnrolledJudge],
        context: Context,
        stage: Stage = "crop",
    ) -> PreparedSet:
        """Extract the features of the targets, and prepare the evidence, once for all models."""
        prepared = {name: _prepared(name, kind, evaluation) for name, kind in instruments.kinds.kinds.items()}
        asked = {judge.name: judges[judge.name] for judge in instruments.judges}
        targets: dict[str, TargetFeatures] = {}
        for name, judge in asked.items():
            vectors = judge.of_targets(evaluation.targets, evaluation.target_landmarks, evaluation.real, context)
            targets[name] = TargetFeatures(name, {VECTORS: vectors}, evaluation.pairs.index)
        return cls(evaluation, instruments, asked, targets, {**instruments.kinds.missing, **prepared}, context, stage)

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Metrics by name."""
        return self.instruments.metrics

    @cached_property
    def kept_rows(self) -> KeptRows:
        """Rows that were measured before."""
        return KeptRows(self.pairs, self.context)

    @property
    def pairs(self) -> Pairs:
        """The pairs of the evaluation set."""
        return self.set.pairs

    def only(self, instruments: Instruments) -> PreparedSet:
        """The same for some of its instruments."""
        asked = [judge.name for judge in instruments.judges]
        needs = {need for metric in instruments.metrics.values() for need in metric.info.needs}
        return replace(
            self,
            instruments=instruments,
            judges={name: self.judges[name] for name in asked},
            evidence={name: known for name, known in self.evidence.items() if name in needs},
        )

    def extract(
        self,
        label: str,
        images: ImageSet,
        feed: Feed | str = ONLY_FILES,
        seconds: float = 0.0,
        absent: np.ndarray | None = None,
        weights: ImageSet | None = None,
        changes: np.ndarray | None = None,
    ) -> OutputFeatures:
        """Extract the features of a model's outputs, in the order of the pairs; fields as in `Outputs`."""
        landmarks = find_landmarks(images, label, self.context)
        outputs = Outputs(label, images, landmarks, feed, seconds, absent, changes, weights)
        faces: dict[str, FaceFeatures] = {}
        faulty: dict[str, NotScorable] = {}
        for name, judge in self.judges.items():
            extracted = _attempt(name, partial(judge.extract, context=self.context), outputs)
            if isinstance(extracted, NotScorable):
                faulty[name] = extracted
                extracted = FaceFeatures.without_faces(len(images), like=judge.references)
            faces[name] = extracted
        return OutputFeatures(outputs, faces, self._known(outputs, self.evidence), faulty)

    def _known(self, outputs: Outputs, names: Iterable[str]) -> dict[str, Evidence | NotScorable]:
        """The evidence of these names for the outputs of a model."""
        known: dict[str, Evidence | NotScorable] = {}
        for name in names:
            of = self.evidence.get(name, NotScorable(f"{name} is not there"))
            known[name] = of if isinstance(of, NotScorable) else _attempt(name, partial(_checked, name, of), outputs)
        return known

    def measure(self, features: OutputFeatures) -> Iterator[tuple[str, str | None, Rows]]:
        """Metric, judge (None for a metric that needs none) and rows."""
        judged: dict[str, Evidence | NotScorable] = {
            name: features.faulty.get(name)
            or JudgedOutputs(self.judges[name], self.set.real.rows, self.targets[name], faces)
            for name, faces in features.faces.items()
        }
        for name, metric in self.metrics.items():
            for judge in judged if JUDGE in metric.info.needs else (None,):
                known = features.evidence if judge is None else {**features.evidence, JUDGE: judged[judge]}
                yield name, judge, self._rows(name, metric, features.outputs.images, known)

    def _rows(self, name: str, metric: Metric, images: ImageSet, known: Mapping[str, Evidence | NotScorable]) -> Rows:
        if self.stage not in metric.info.stages:
            return NotScorable(ELSEWHERE[self.stage])
        evidence: dict[str, Evidence] = {}
        for need in metric.info.needs:
            if isinstance(given := known[need], NotScorable):
                return given
            evidence[need] = given
        try:
            if isinstance(metric, DistributionMetric):
                return features_of(metric, name, evidence, len(images))
            rows = self.kept_rows.measure(cast(RowMetric, metric), name, images, evidence)
            return of_clips(metric, name, rows, self.pairs.clips)
        except NotScorable as why:
            return why
        except RemoteError:
            raise
        except Exception as error:  # noqa: BLE001 - a metric's fault must not cost what the others measure
            return summarise.fault(error)

    def alone(self, pairs: Pairs, name: str) -> PreparedSet:
        """The same for other pairs of the same images and a single metric that needs judges only."""
        instruments = Instruments(self.instruments.judges, {name: metrics.build(name, self.context)}, {}, Kinds({}, {}))
        targets = {judge: replace(features, index=pairs.index) for judge, features in self.targets.items()}
        ready = replace(self.set, pairs=pairs)
        return replace(self, set=ready, instruments=instruments, targets=targets, evidence={})

    def estimator_errors(self) -> dict[str, float]:
        """How far the estimator of a metric is off on this data, by metric: its check's value for unchanged targets."""
        unchanged = Outputs(
            "held-out images", self.pairs.targets, self.set.target_landmarks[self.pairs.index], ONLY_FILES
        )
        errors: dict[str, float] = {}
        for name, check in self.instruments.checks.items():
            who, known = self.metrics[name].info.checked_by, self._known(unchanged, check.info.needs)
            rows = self._rows(who, check, self.pairs.targets, known)
            try:
                if isinstance(rows, NotScorable):
                    raise rows
                chosen = scored(rows)
                of = statistic(check, rows, chosen)
                error = guard.run(f"metric {who}", of, np.arange(chosen.sum())) if chosen.any() else math.nan
            except FsbenchError as why:
                if not isinstance(why, NotScorable) or why.__cause__ is not None:  # else nobody knows the true values
                    self.context.log(f"how far the estimator of {name} is off is not known: {why.sentence}")
                continue
            if math.isfinite(error):
                errors[name] = error
        return errors


def _prepared(name: str, kind: EvidenceKind, evaluation: EvaluationSet) -> EvidenceOf | NotScorable:
    """Prepare a kind of evidence; one of another package is given copies of images and tables throughout."""
    if type(kind).__module__.startswith("fsbench."):
        return _attempt(name, kind.prepare, evaluation)
    of = _attempt(name, kind.prepare, guard.copied(evaluation))
    return of if isinstance(of, NotScorable) else lambda outputs: of(guard.copied(outputs))


def _checked(name: str, of: EvidenceOf, outputs: Outputs) -> Evidence:
    """The evidence for some outputs; raises PluginError for what holds not one entry per output."""
    evidence = of(outputs)
    n = len(outputs.images)
    if not hasattr(evidence, "__getitem__") or isinstance(evidence, Mapping):
        raise PluginError(f"evidence {name} gave {type(evidence).__name__}", "it owes what can be cut by rows")
    if isinstance(evidence, Sized) and len(evidence) != n:
        raise PluginError(f"evidence {name} gave {len(evidence)} entries for {n} outputs", "it owes one per output")
    return evidence


def _attempt(name: str, step: Callable[[Given], Known], given: Given) -> Known | NotScorable:
    """What a kind of evidence gives, or why it gives nothing: its fault must not cost what the others give."""
    try:
        return guard.run(f"evidence {name}", step, given)
    except NotScorable as why:
        return why
    except (OutputError, Interrupted, ModelError):  # of the disk, of the user, and of the model
        raise
    except Exception as error:  # noqa: BLE001 - whatever a plug-in raises
        return summarise.fault(error)
