"""Judges, metrics and kinds of evidence of a plan: built, not run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from fsbench.config import Plan
from fsbench.errors import DeviceError, FsbenchError, NotScorable, UsageError
from fsbench.evidence.needs import JUDGE, Kinds, build_kinds
from fsbench.extraction.extractor import Extractor, Judge, build_judges
from fsbench.interfaces import Context, Metric, Observer, Sample, Stage
from fsbench.registry import metrics
from fsbench.specs import result_name
from fsbench.training import fast_bfloat16


@dataclass(frozen=True)
class Instruments:
    """Judges, metrics and kinds of evidence of a plan, built but not run."""

    judges: Sequence[Judge]
    metrics: Mapping[str, Metric]
    checks: Mapping[str, Metric]  # by metric: the one that tells how far its estimator is off (`MetricInfo.checked_by`)
    kinds: Kinds
    left_out: Mapping[str, str] = field(default_factory=dict)  # why other metrics cannot be made, by name

    @classmethod
    def of(cls, plan: Plan, context: Context, *, strict: bool = True) -> Instruments:
        """Build them; raises FsbenchError for what does not exist.

        Raises NotScorable where the plan names a metric whose network is not there; metrics that it does not name may
        go without, as may all where it is not `strict`. One of these that cannot be made is left out. Raises
        DeviceError for float16 on a CPU.
        """
        if plan.precision == "float16" and context.device.type == "cpu":
            raise DeviceError("--precision float16 is for GPUs", "use bfloat16 on a CPU")
        if plan.precision == "bfloat16" and not fast_bfloat16(context.device):
            context.log(f"{context.device} has to emulate bfloat16, slower than float32: leave --precision out")
        context = replace(context, precision=plan.precision)
        judges, strict = build_judges(plan.judges, context), strict and bool(plan.metrics)
        if strict:
            built = {result_name(name): metrics.build(name, context) for name in plan.metrics}
            left_out: dict[str, str] = {}
        else:
            built, left_out = build_metrics(plan.metrics, context)
        instruments = cls.for_metrics(judges, built, plan.observers, context)
        lacking = [
            *instruments.kinds.missing.values(),
            *(NotScorable(metric.info.missing) for metric in built.values() if metric.info.missing),
        ]
        if strict and lacking:
            raise lacking[0]
        return replace(instruments, left_out=left_out)

    @classmethod
    def for_metrics(
        cls, judges: Sequence[Judge], built: Mapping[str, Metric], observers: Sequence[str], context: Context
    ) -> Instruments:
        """Add to metrics what they need; `observers` as in `Plan`."""
        checks: dict[str, Metric] = {}
        for name, metric in built.items():
            try:
                if check := metric.info.checked_by:
                    checks[name] = built.get(check) or metrics.build(check, context)
            except FsbenchError as error:  # of a metric that another package names
                context.log(f"how far the estimator of {name} is off is not known: {error.sentence}")
        kinds = build_kinds([*built.values(), *checks.values()], observers, context)
        return cls(judges, built, checks, kinds)

    def only(self, names: Collection[str], judges: Sequence[Judge]) -> Instruments:
        """Some of the metrics with what they need, and other judges."""
        kept = {name: metric for name, metric in self.metrics.items() if name in names}
        checks = {name: check for name, check in self.checks.items() if name in names}
        needs = {need for metric in (*kept.values(), *checks.values()) for need in metric.info.needs}
        kinds = {name: kind for name, kind in self.kinds.kinds.items() if name in needs}
        return Instruments(judges, kept, checks, replace(self.kinds, kinds=kinds))

    def of_samples(self, samples: Collection[Sample], every_judge: bool) -> Instruments:
        """The metrics whose rows stand for such samples; with all judges, or with those that these metrics ask."""
        names = [name for name, metric in self.metrics.items() if metric.info.sample in samples]
        asked = every_judge or any(JUDGE in self.metrics[name].info.needs for name in names)
        return self.only(names, self.judges if asked else [])

    def at(self, stage: Stage | None, every_judge: bool) -> Instruments:
        """The metrics that look at a stage, None for no metric, with all judges or those that these metrics ask."""
        names = [name for name, metric in self.metrics.items() if stage in metric.info.stages]
        asked = every_judge or any(JUDGE in self.metrics[name].info.needs for name in names)
        return self.only(names, self.judges if asked else [])

    @property
    def observers(self) -> dict[str, Extractor[Observer]]:
        """Observers that metrics need, by specification."""
        return {name: kind.observer for name, kind in self.kinds.observers.items()}


def build_metrics(names: Sequence[str], context: Context) -> tuple[dict[str, Metric], dict[str, str]]:
    """Make metrics by name, all for none; and why some cannot be made. Raises UsageError for a wrong name."""
    built: dict[str, Metric] = {}
    missing: dict[str, str] = {}
    for text in names or metrics.names():
        name = result_name(text)
        try:
            built[name] = metrics.build(text, context)
        except FsbenchError as error:
            if names and isinstance(error, UsageError):
                raise
            missing[name] = error.sentence
    return built, missing
