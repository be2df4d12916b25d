"""Measures models one after the other: failures counted, values with intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from fsbench import results
from fsbench.config import BASELINES, Plan, parse_pipeline
from fsbench.errors import NotScorable, traceback_of
from fsbench.evidence.observer import ObservedOutputs
from fsbench.evidence.recursion import FedBack
from fsbench.harness import failures, summarise
from fsbench.harness.curves import frame_columns, frame_rows, per_frame
from fsbench.harness.designs import Designs
from fsbench.harness.evaluation import OutputFeatures, PreparedSet
from fsbench.harness.generate import SwappedPairs, swap_all
from fsbench.harness.kept_estimates import KeptEstimates
from fsbench.harness.measurements import Measured, column, only, scored
from fsbench.harness.model_evaluation import NOTHING, Measurements, ModelEvaluation, with_columns
from fsbench.harness.models import Model, build, prepare_model
from fsbench.harness.records import FLOOR
from fsbench.interfaces import Context, Faces, Sample
from fsbench.pairs import Pairs
from fsbench.stats.blocks import BlockDesign
from fsbench.stats.ranking import CONTESTANTS

FEATURES = "features"
"""What observers call the array that distances of distributions are made of."""

CHEAPEST_BASELINES = ("copy_target", "copy_source")
"""Measured where a model failed in a run without baselines: something has to say what a failure counts as."""


@dataclass(frozen=True)
class Evaluator:
    """Measures models one after the other; baselines first, since they say what a failure counts as."""

    evaluation: PreparedSet
    plan: Plan
    floor: failures.Floor = field(default_factory=failures.Floor)
    features_of: Callable[[str], OutputFeatures] | None = None  # of a baseline, by name; None: of its crops

    @cached_property
    def _estimates(self) -> KeptEstimates:
        return KeptEstimates(self.evaluation.context)

    @cached_property
    def _designs(self) -> Designs:
        return Designs.of(self.evaluation.pairs, self.plan.resamples, self.plan.seed)

    @cached_property
    def _clips(self) -> pd.DataFrame:
        return self.evaluation.pairs.shown("clip")

    def evaluate(
        self,
        record: results.ModelRecord,
        features: OutputFeatures,
        *,
        absent: np.ndarray | None = None,
        facts: pd.DataFrame | None = None,
    ) -> ModelEvaluation:
        """Measure the outputs of a model, in the order of the pairs.

        `absent` (N,) of str names the pairs without an image (one of ABSENT, "" for the others): what stands for it in
        the outputs is not measured. The columns of `facts`, N rows, are added to the samples. Of the crops of the
        identity swap nothing is measured: they are the targets.
        """
        pairs, label = self.evaluation.pairs, record.name
        absent = np.full(len(pairs), "", object) if absent is None else absent
        faceless = _faceless(features.outputs.landmarks)
        failed = np.full(len(pairs), "", object)
        if record.kind in CONTESTANTS:
            failed = self._failures(features, faceless, absent)
        measured = NOTHING if record.name == FLOOR else self.measure(record, features, failed, absent)
        outputs = pd.DataFrame({"failure": failed, **measured.columns["output"]})
        failed_clips = failures.of_clips(failed, pairs.clips)
        clips = with_columns(self._clips.assign(model=label, failure=failed_clips), measured.columns["clip"])
        counts = {
            "n_no_face": int((faceless & (absent == "")).sum()),
            "failures": failures.count(failed),
            "content": features.outputs.images.content_hash(),
        }
        fed_back = features.evidence.get("recursion")
        return ModelEvaluation(
            record.model_copy(update=counts),
            measured.values,
            measured.estimates,
            pairs,
            outputs if facts is None else outputs.join(facts),
            clips,
            with_columns(frame_rows(pairs), measured.curves).assign(model=label),
            features.faces,
            {
                name: _without(known.arrays[FEATURES].numpy(), absent != "")
                for name, known in observed(features).items()
            },
            fed_back if isinstance(fed_back, FedBack) else None,
            measured.tracebacks,
        )

    def measure(
        self, record: results.ModelRecord, features: OutputFeatures, failed: np.ndarray, absent: np.ndarray
    ) -> Measurements:
        """Ask all metrics of the outputs of a model; `failed` and `absent`, (N,) of str, say on which pairs it failed.

        Outputs in their frames have the failures of the crops that were pasted.
        """
        clips, label, stage = self.evaluation.pairs.clips, record.name, self.evaluation.stage
        failures_of: dict[Sample, np.ndarray] = {"output": failed, "clip": failures.of_clips(failed, clips)}
        absent_of: dict[Sample, np.ndarray] = {"output": absent, "clip": failures.of_clips(absent, clips)}
        columns: dict[Sample, dict[str, np.ndarray]] = {"output": {}, "clip": {}}
        values: list[results.Value] = []
        estimates: dict[results.Key, summarise.Estimate] = {}
        tracebacks: dict[str, str] = {}
        for name, judge, measured in self.evaluation.measure(features):
            if isinstance(measured, NotScorable):
                sample = self.evaluation.metrics[name].info.sample
                n = len(failures_of[sample])
                values.append(summarise.unscorable(name, label, judge, n, measured, self.evaluation.set.name, stage))
                if measured.__cause__ is not None:
                    tracebacks.setdefault(name, traceback_of(measured.__cause__))
                continue
            metric = self.evaluation.metrics[name]
            sample = metric.info.sample
            rows = only(measured, absent_of[sample] == "")
            counted = self._counted(record, name, judge, rows, failures_of[sample])
            value, estimate = summarise.value(
                metric,
                name,
                label,
                judge,
                self._designs.of_samples(sample, rows),
                counted,
                tracebacks,
                self.evaluation.set.name,
                self._estimates,
                stage,
            )
            values.append(value)
            if estimate is not None:
                estimates[value.key] = estimate
            if (own := column(rows)) is not None:
                columns[sample][results.column(*value.key)] = own
        curves = per_frame(self.evaluation, features, absent == "")
        if isinstance(self._designs.frames, BlockDesign):
            curves |= {name: rows for estimate in estimates.items() for name, rows in frame_columns(*estimate)}
        return Measurements(values, estimates, columns, curves, tracebacks)

    def _failures(self, features: OutputFeatures, faceless: np.ndarray, absent: np.ndarray) -> np.ndarray:
        pairs = self.evaluation.pairs
        target_faceless = _faceless(self.evaluation.set.target_landmarks)[pairs.index]
        return failures.find(features.outputs.images, pairs.targets, pairs.masks, faceless & ~target_faceless, absent)

    def _counted(
        self, record: results.ModelRecord, name: str, judge: str | None, rows: Measured, failed: np.ndarray
    ) -> failures.Counted:
        """Rows of a metric with what the failures of a contestant count as; those of baselines say what that is."""
        if record.kind in CONTESTANTS and ((failed != "").any() or not scored(rows).all()):
            return failures.Counted.with_failures(self.evaluation.metrics[name], rows, failed, self._floor(name, judge))
        if record.kind == "baseline" and record.name in BASELINES:
            self.floor.add(name, judge, rows)
        return failures.Counted.of(rows)

    def _floor(self, name: str, judge: str | None) -> tuple[np.ndarray, np.ndarray] | None:
        """What failures count as, where need be by baselines that the run did not ask for."""
        if not self.floor.rows:
            for label in CHEAPEST_BASELINES:
                for other, asked, rows in self.evaluation.measure((self.features_of or self._of_crops)(label)):
                    if not isinstance(rows, NotScorable):
                        self.floor.add(other, asked, rows)
        return self.floor.at(self.evaluation.metrics[name], name, judge)

    def _of_crops(self, label: str) -> OutputFeatures:
        _, swapped = baseline(label, self.evaluation.pairs, self.evaluation.context)
        return self.evaluation.extract(label, swapped.images)


def baseline(label: str, pairs: Pairs, context: Context) -> tuple[Model, SwappedPairs]:
    """A baseline that does not learn, and its outputs of all pairs."""
    model = prepare_model(build(parse_pipeline(label), context), _untrained, "auto", 0, context)
    return model, swap_all(model, pairs, context)


def observed(features: OutputFeatures) -> dict[str, ObservedOutputs]:
    """What observers made of outputs and targets, by observer that gives features of distributions."""
    return {
        name: known
        for name, known in features.evidence.items()
        if isinstance(known, ObservedOutputs) and FEATURES in known.arrays and known.arrays[FEATURES].ndim == 2
    }


def _without(array: np.ndarray, absent: np.ndarray) -> np.ndarray:
    """The same array, with rows of NaN for outputs that are not there."""
    return np.where(absent[:, None], np.float32(np.nan), array) if absent.any() else array


def _untrained() -> Faces:
    raise AssertionError("baselines do not learn")


def _faceless(landmarks: np.ndarray) -> np.ndarray:
    """Where no face was found, (N, 5, 2) -> (N,) bool."""
    faceless: np.ndarray = np.isnan(landmarks).any((1, 2))
    return faceless
