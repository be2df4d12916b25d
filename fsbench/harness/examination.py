"""All conditions of a validation: outputs with each fault at each strength, measured and compared."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from fsbench import validity
from fsbench.errors import NotScorable
from fsbench.evidence.needs import observers_in
from fsbench.faults import FAULTS, Fault, draw_ahead
from fsbench.harness import records
from fsbench.harness.failures import Key
from fsbench.harness.faulty import FaultySet, MeasuredRows, expected, split_of, time_networks
from fsbench.images import ImageSet
from fsbench.interfaces import Context, MetricInfo, Split
from fsbench.registry import metrics as registry
from fsbench.registry import parse_spec
from fsbench.stats.validity import (
    Condition,
    Expected,
    Response,
    full_scale,
    halves,
    parts,
    reliability,
    respond,
    verdict,
)

ALPHA = 0.05
"""Probability that a metric which responds to nothing is said to respond to anything."""

COPIES = ("copy_target", "copy_source")
"""Faults whose full strength is an answer that takes no work."""


def unexamined_record(name: str, why: str, judge: str | None = None) -> validity.UnexaminedRecord:
    known = parse_spec(name).name in registry.names()
    summary = registry.get(parse_spec(name).name).summary if known else ""
    return validity.UnexaminedRecord(metric=name, judge=judge, summary=summary, reason=why)


@dataclass
class _Subject:
    """What was found about one metric, under one judge or without one."""

    responses: dict[str, Response] = field(default_factory=dict)  # by fault
    reasons: dict[str, str] = field(default_factory=dict)  # of faults without a response
    halves: list[np.ndarray] = field(default_factory=list)  # (splits, 2) values of each condition of the home setting
    copies: dict[str, float | None] = field(default_factory=dict)  # "" is the exact swap
    seconds: float = 0.0  # per output
    parts: tuple[validity.SubsetRecord, ...] = ()
    parts_of: str = ""
    bias: float | None = None


class Examination:
    """Measures all conditions, fault by fault: rows of a distribution metric are large, and none are kept."""

    def __init__(self, sets: Mapping[Split, FaultySet], faults: Sequence[Fault], context: Context) -> None:
        self.sets, self.faults = sets, faults
        self.home = sets.get("test") or sets["clips"]
        self._halves = halves(self.home.design)
        self.metrics = self.home.evaluation.metrics
        self._subjects: dict[Key, _Subject] = {}
        self._progress = context.stage("examining metrics")
        self._done, self._total = 0, sum(len(fault.strengths) for fault in faults) + len(sets) + len(COPIES)

    def run(self) -> None:
        """Measure and compare; raises FsbenchError."""
        for split, setting in self.sets.items():
            for scene in setting.scenes:
                draw_ahead(scene, [fault for fault in self.faults if split_of(fault) == split])
        perfect = {split: self._rows(setting, setting.perfect()) for split, setting in self.sets.items()}
        self._facts(perfect[self.home.split])
        for fault in self.faults:
            setting = self.sets[split_of(fault)]
            ladder = [perfect[setting.split], *self._climb(setting, fault)]
            for key, subject in self._subjects.items():
                self._compare(key, subject, setting, fault, [rows[key] for rows in ladder])

    def _climb(self, setting: FaultySet, fault: Fault) -> Iterator[MeasuredRows]:
        for strength in fault.strengths:
            yield self._rows(setting, setting.outputs(fault, strength), {fault.name: strength})

    def _rows(self, setting: FaultySet, outputs: ImageSet, figures: Mapping[str, float] | None = None) -> MeasuredRows:
        rows, _ = setting.rows(outputs)
        self._done += 1
        self._progress(self._done, self._total, figures or {})
        return rows

    def _facts(self, perfect: MeasuredRows) -> None:
        """What needs no ladder: cost, and the values of answers that take no work."""
        outputs = self.home.perfect()
        self.networks = time_networks(self.home.evaluation, outputs)
        _, seconds = self.home.rows(outputs)  # once more: what had to be loaded is loaded now
        made = {name: self.home.outputs(FAULTS[name], FAULTS[name].strengths[-1]) for name in COPIES}
        copies = {name: self._rows(self.home, copy) for name, copy in made.items()}
        everything = np.arange(len(outputs))
        for key in perfect:
            subject = self._subjects[key] = _Subject()
            began = time.perf_counter()
            for name, rows in {"": perfect, **copies}.items():
                measured = rows[key]
                value = math.nan
                if not isinstance(measured, NotScorable):
                    value = self.home.condition(key[0], measured)(everything)
                subject.copies[name] = value if math.isfinite(value) else None
            summarising = (time.perf_counter() - began) / (1 + len(copies))
            subject.seconds = (seconds[key] + summarising) / len(outputs)

    def _compare(
        self, key: Key, subject: _Subject, setting: FaultySet, fault: Fault, ladder: Sequence[np.ndarray | NotScorable]
    ) -> None:
        """How one metric responds to one fault."""
        metric = self.metrics[key[0]]
        conditions: list[Condition] = []
        for measured in ladder:
            if isinstance(measured, NotScorable):
                subject.reasons[fault.name] = measured.message
                return
            conditions.append(setting.condition(key[0], measured))
        worse = 1 if metric.info.direction == "lower" else -1
        response = respond(
            conditions,
            (0.0, *fault.strengths),
            worse,
            setting.design,
            most=metric.info.resamples,
            alpha=ALPHA / len(self.faults),
        )
        if response is None:
            assert isinstance(ladder[0], np.ndarray)
            subject.reasons[fault.name] = setting.reason(key[0], ladder[0])
            return
        subject.responses[fault.name] = response
        if setting is self.home:
            new = conditions[1:] if subject.halves else conditions
            subject.halves += [
                np.array([[condition(half) for half in pair] for pair in self._halves]) for condition in new
            ]
            if not subject.parts and expected(metric.info, fault) == "respond":
                middle = len(conditions) // 2
                subject.parts_of = f"{fault.name} {fault.strengths[middle - 1]:g} {fault.unit}"
                self._depend_on_number(subject, conditions[middle])

    def _depend_on_number(self, subject: _Subject, condition: Condition) -> None:
        """Values of a quarter, of half and of all outputs, and whether a quarter gives another one than all do."""
        n = len(self.home.design)
        whole, subsets = condition(np.arange(n)), []
        for size in (n // 4, n // 2):
            drawn = np.array([condition(part) for part in parts(self.home.design, size)])
            if not len(drawn) or not np.isfinite(drawn).all():
                continue
            subsets.append(validity.SubsetRecord(n=size, value=float(drawn.mean())))
            least = max(3 * float(drawn.std(ddof=1)) / math.sqrt(len(drawn)), 0.01 * abs(whole))
            if size == n // 4 and abs(subsets[0].value - whole) > least and whole:
                subject.bias = (subsets[0].value - whole) / abs(whole)
        if math.isfinite(whole):
            subject.parts = (*subsets, validity.SubsetRecord(n=n, value=whole))

    def _expected(self, key: Key) -> dict[str, Expected]:
        return {fault.name: expected(self.metrics[key[0]].info, fault) for fault in self.faults}

    def _full_scale(self, key: Key, subject: _Subject) -> float | None:
        should = self._expected(key)
        return full_scale([(response, should[name]) for name, response in subject.responses.items()])

    def responses(self) -> Iterator[validity.ResponseRecord]:
        """All cells of the matrix, those of a metric together."""
        for key, subject in self._subjects.items():
            if not subject.responses:
                continue
            full, should = self._full_scale(key, subject), self._expected(key)
            for fault in self.faults:
                where = {"metric": key[0], "judge": key[1], "fault": fault.name, "expected": should[fault.name]}
                response = subject.responses.get(fault.name)
                if response is None:
                    reason = subject.reasons[fault.name]
                    yield validity.ResponseRecord(**where, verdict="unexamined", reason=reason)
                    continue
                facts = asdict(response) | {"steps": self._steps(key[0], response)}
                yield validity.ResponseRecord(
                    **where,
                    **facts,
                    verdict=verdict(response, should[fault.name], full),
                    share=response.change / full if full else None,
                )

    def _steps(self, name: str, response: Response) -> tuple[validity.StepRecord, ...]:
        """Curves, intervals of values cut at what the metric can be."""
        least, most = self.metrics[name].info.bounds
        return tuple(
            validity.StepRecord(
                **asdict(
                    replace(
                        step,
                        low=None if step.low is None else max(step.low, least),
                        high=None if step.high is None else min(step.high, most),
                    )
                )
            )
            for step in response.steps
        )

    def examined(self) -> Iterator[validity.ExaminedRecord]:
        """What is known about each metric that has a value."""
        errors = self.home.evaluation.estimator_errors()
        for key, subject in self._subjects.items():
            if not subject.responses:
                continue
            metric = self.metrics[key[0]]
            perfect, copies = subject.copies[""], {name: subject.copies[name] for name in COPIES}
            here = [name for name in subject.responses if self.sets[split_of(FAULTS[name])] is self.home]
            first = self._steps(key[0], subject.responses[here[0]])[0] if here else None
            n = len(self.home.design)
            yield validity.ExaminedRecord(
                metric=records.metric_record(key[0], metric, errors.get(key[0])),
                judge=key[1],
                measures=metric.info.measures,
                perfect=perfect,
                perfect_low=first.low if first else None,
                perfect_high=first.high if first else None,
                trivial=copies,
                won_by=tuple(_winners(metric.info, perfect, copies)),
                full_scale=self._full_scale(key, subject),
                reliability=reliability(np.array(subject.halves)) if subject.halves else None,
                parts=subject.parts,
                parts_of=subject.parts_of,
                bias=subject.bias,
                cost=validity.CostRecord(networks=1000 * self._networks(key), metric=1000 * subject.seconds),
                cautions=tuple(caution for fewest, caution in sorted(metric.info.cautions) if n < fewest)[:1],
            )

    def _networks(self, key: Key) -> float:
        """Seconds per output of the networks that a metric asks: the detector finds faces for all of them."""
        needs = observers_in(self.metrics[key[0]].info.needs)
        asked = [*([key[1]] if key[1] else []), *needs]
        return sum(self.networks[name] for name in asked) + (self.networks[""] if asked else 0)

    def unexamined(self) -> Iterator[validity.UnexaminedRecord]:
        """Metrics that have no value under any fault."""
        for (name, judge), subject in self._subjects.items():
            if not subject.responses:
                yield unexamined_record(name, "; ".join(dict.fromkeys(subject.reasons.values())), judge)


def _winners(info: MetricInfo, perfect: float | None, copies: Mapping[str, float | None]) -> Iterable[str]:
    """Copies whose value is at least as good as that of the exact swaps."""
    if perfect is None:
        return
    sign = 1 if info.direction == "higher" else -1
    for name, value in copies.items():
        if value is not None and sign * (value - perfect) >= -1e-9 * abs(perfect):
            yield name
