"""Records of an examination: what each metric does about each fault, and what is known about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace

import numpy as np

from fsbench import validity
from fsbench.evidence.needs import observers_in
from fsbench.faults import FAULTS
from fsbench.harness import records
from fsbench.harness.examination import COPIES, Examination, Subject
from fsbench.harness.failures import Key
from fsbench.harness.faulty import expected, set_of
from fsbench.interfaces import MetricInfo
from fsbench.registry import metrics as registry
from fsbench.registry import parse_spec
from fsbench.stats.validity import Expected, Response, full_scale, reliability, verdict


def unexamined_record(name: str, why: str, judge: str | None = None) -> validity.UnexaminedRecord:
    known = parse_spec(name).name in registry.names()
    summary = registry.get(parse_spec(name).name).summary if known else ""
    return validity.UnexaminedRecord(metric=name, judge=judge, summary=summary, reason=why)


def _expected(examination: Examination, key: Key) -> dict[str, Expected]:
    return {fault.name: expected(examination.metrics[key[0]].info, fault) for fault in examination.faults}


def _full_scale(examination: Examination, key: Key, subject: Subject) -> float | None:
    should = _expected(examination, key)
    return full_scale([(response, should[name]) for name, response in subject.responses.items()])


def responses(examination: Examination) -> Iterator[validity.ResponseRecord]:
    """All cells of the matrix, those of a metric together."""
    for key, subject in examination.subjects.items():
        if not subject.responses:
            continue
        full, should = _full_scale(examination, key, subject), _expected(examination, key)
        for fault in examination.faults:
            where = {"metric": key[0], "judge": key[1], "fault": fault.name, "expected": should[fault.name]}
            response = subject.responses.get(fault.name)
            if response is None:
                reason = subject.reasons[fault.name]
                yield validity.ResponseRecord(**where, verdict="unexamined", reason=reason)
                continue
            facts = asdict(response) | {"steps": _steps(examination, key[0], response)}
            yield validity.ResponseRecord(
                **where,
                **facts,
                verdict=verdict(response, should[fault.name], full),
                share=response.change / full if full else None,
            )


def _steps(examination: Examination, name: str, response: Response) -> tuple[validity.StepRecord, ...]:
    """Curves, intervals of values cut at what the metric can be."""
    least, most = examination.metrics[name].info.bounds
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


def examined(examination: Examination) -> Iterator[validity.ExaminedRecord]:
    """What is known about each metric that has a value."""
    sets = examination.sets.values()
    errors = {name: error for setting in sets for name, error in setting.evaluation.estimator_errors().items()}
    for key, subject in examination.subjects.items():
        if not subject.responses:
            continue
        metric = examination.metrics[key[0]]
        perfect, copies = subject.copies[""], {name: subject.copies[name] for name in COPIES}
        home, clips = examination.home_of(key), examination.sample(key) == "clip"
        here = [name for name in subject.responses if clips or examination.sets[set_of(FAULTS[name])] is home]
        first = _steps(examination, key[0], subject.responses[here[0]])[0] if here else None
        n = len(examination.design_of(key))
        yield validity.ExaminedRecord(
            metric=records.metric_record(key[0], metric, errors.get(key[0])),
            judge=key[1],
            measures=metric.info.measures,
            perfect=perfect,
            perfect_low=first.low if first else None,
            perfect_high=first.high if first else None,
            trivial=copies,
            won_by=tuple(_winners(metric.info, perfect, copies)),
            full_scale=_full_scale(examination, key, subject),
            reliability=reliability(np.array(subject.halves)) if subject.halves else None,
            parts=subject.parts,
            parts_of=subject.parts_of,
            bias=subject.bias,
            cost=validity.CostRecord(networks=1000 * _networks(examination, key), metric=1000 * subject.seconds),
            cautions=tuple(caution for fewest, caution in sorted(metric.info.cautions) if n < fewest)[:1],
        )


def _networks(examination: Examination, key: Key) -> float:
    """Seconds per output of the networks that a metric asks: the detector finds faces for all of them."""
    needs = observers_in(examination.metrics[key[0]].info.needs)
    asked = [*([key[1]] if key[1] else []), *needs]
    return sum(examination.networks[name] for name in asked) + (examination.networks[""] if asked else 0)


def unexamined(examination: Examination) -> Iterator[validity.UnexaminedRecord]:
    """Metrics that have no value under any fault."""
    for (name, judge), subject in examination.subjects.items():
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
