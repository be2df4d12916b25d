"""All conditions of a validation: outputs with each fault at each strength, measured and compared."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fsbench import validity
from fsbench.errors import NotScorable
from fsbench.faults import FAULTS, Fault, draw_ahead
from fsbench.harness.failures import Key
from fsbench.harness.faulty import FaultySet, MeasuredRows, expected, set_of, time_networks
from fsbench.harness.measurements import Measured
from fsbench.images import ImageSet
from fsbench.interfaces import Context, Sample, SetName
from fsbench.stats.resampling import Design
from fsbench.stats.validity import Condition, Response, halves, parts, respond

ALPHA = 0.05
"""Probability that a metric which responds to nothing is said to respond to anything."""

STILLS_ONLY = "this fault is drawn on stills only, and a metric of clips has no value there"

COPIES = ("copy_target", "copy_source")
"""Faults whose full strength is an answer that takes no work."""


@dataclass
class Subject:
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
    """Measures all conditions, fault by fault: features of faulty outputs are large, and none are kept."""

    def __init__(self, sets: Mapping[SetName, FaultySet], faults: Sequence[Fault], context: Context) -> None:
        self.sets, self.faults = sets, faults
        self.home = sets.get("stills") or sets["clips"]
        self.metrics = {
            name: metric for setting in sets.values() for name, metric in setting.evaluation.metrics.items()
        }
        self.subjects: dict[Key, Subject] = {}
        self.networks: dict[str, float] = {}  # seconds per output of each network by name, "" for the detector
        self._progress = context.stage("examining metrics")
        shown = sum(len(fault.strengths) * len(self._shown_on(fault)) for fault in faults)
        self._done, self._total = 0, shown + len(sets) + 2 * len(COPIES) * len(sets)

    def run(self) -> None:
        """Measure and compare; raises FsbenchError."""
        for name, setting in self.sets.items():
            for scene in setting.scenes:
                draw_ahead(scene, [fault for fault in self.faults if set_of(fault) == name])
        perfect = {name: self._rows(setting, setting.perfect()) for name, setting in self.sets.items()}
        for setting in self.sets.values():
            self.networks |= time_networks(setting.evaluation, setting.perfect())
        for name, setting in self.sets.items():
            self._facts(setting, {key: rows for key, rows in perfect[name].items() if self.home_of(key) is setting})
        self.subjects = dict(sorted(self.subjects.items(), key=lambda subject: subject[0][0]))  # as an update has them
        for fault in self.faults:
            ladders = {
                setting.name: [perfect[setting.name], *self._climb(setting, fault)] for setting in self._shown_on(fault)
            }
            for key, subject in self.subjects.items():
                name = "clips" if self.sample(key) == "clip" else set_of(fault)
                if name not in ladders:
                    subject.reasons[fault.name] = STILLS_ONLY
                elif key in ladders[name][-1]:
                    self._compare(key, subject, self.sets[name], fault, [rows[key] for rows in ladders[name]])

    def sample(self, key: Key) -> Sample:
        return self.metrics[key[0]].info.sample

    def home_of(self, key: Key) -> FaultySet:
        """The set that says what a metric is like without a fault."""
        return self.sets["clips"] if self.sample(key) == "clip" else self.home

    def design_of(self, key: Key) -> Design:
        """How the samples of a metric are drawn again, in the set that says what it is like without a fault."""
        return self.home_of(key).designs[self.sample(key)]

    def _shown_on(self, fault: Fault) -> list[FaultySet]:
        """The sets that a fault is shown on: metrics of clips are shown faults of stills too that need no drawing."""
        own, clips = self.sets.get(set_of(fault)), self.sets.get("clips")
        if clips is None or clips is own or fault.drawn or not clips.of_clips().evaluation.metrics:
            return [own] if own else []
        return [own, clips.of_clips()] if own else [clips.of_clips()]

    def _climb(self, setting: FaultySet, fault: Fault) -> Iterator[MeasuredRows]:
        for strength in fault.strengths:
            yield self._rows(setting, setting.outputs(fault, strength), {fault.name: strength})

    def _rows(self, setting: FaultySet, outputs: ImageSet, figures: Mapping[str, float] | None = None) -> MeasuredRows:
        rows, _ = setting.rows(outputs)
        self._done += 1
        self._progress(self._done, self._total, figures or {})
        return rows

    def _facts(self, home: FaultySet, perfect: MeasuredRows) -> None:
        """What needs no ladder: cost, and the values of answers that take no work."""
        if not perfect:
            return
        outputs = home.perfect()
        _, seconds = home.rows(outputs)  # once more: what had to be loaded is loaded now
        made = {name: home.outputs(FAULTS[name], FAULTS[name].strengths[-1]) for name in COPIES}
        copies = {name: self._rows(home, copy) for name, copy in made.items()}
        for key in perfect:
            everything = np.arange(len(self.design_of(key)))
            subject = self.subjects[key] = Subject()
            began = time.perf_counter()
            for name, rows in {"": perfect, **copies}.items():
                measured = rows[key]
                value = math.nan
                if not isinstance(measured, NotScorable):
                    value = home.condition(key[0], measured)(everything)
                subject.copies[name] = value if math.isfinite(value) else None
            summarising = (time.perf_counter() - began) / (1 + len(copies))
            subject.seconds = (seconds[key] + summarising) / len(outputs)

    def _compare(
        self, key: Key, subject: Subject, setting: FaultySet, fault: Fault, ladder: Sequence[Measured | NotScorable]
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
            setting.designs[metric.info.sample],
            most=metric.info.resamples,
            alpha=ALPHA / len(self.faults),
        )
        if response is None:
            assert not isinstance(ladder[0], NotScorable)
            subject.reasons[fault.name] = setting.reason(key[0], ladder[0])
            return
        subject.responses[fault.name] = response
        if setting is self.home_of(key):
            new = conditions[1:] if subject.halves else conditions
            pairs = halves(self.design_of(key))
            subject.halves += [np.array([[condition(half) for half in pair] for pair in pairs]) for condition in new]
            if not subject.parts and expected(metric.info, fault) == "respond":
                middle = len(conditions) // 2
                subject.parts_of = f"{fault.name} {fault.strengths[middle - 1]:g} {fault.unit}"
                self._depend_on_number(key, subject, conditions[middle])

    def _depend_on_number(self, key: Key, subject: Subject, condition: Condition) -> None:
        """Values of a quarter, of half and of all samples, and whether a quarter gives another one than all do."""
        design = self.design_of(key)
        n = len(design)
        whole, subsets = condition(np.arange(n)), []
        for size in (n // 4, n // 2):
            drawn = np.array([condition(part) for part in parts(design, size)])
            if not len(drawn) or not np.isfinite(drawn).all():
                continue
            subsets.append(validity.SubsetRecord(n=size, value=float(drawn.mean())))
            least = max(3 * float(drawn.std(ddof=1)) / math.sqrt(len(drawn)), 0.01 * abs(whole))
            if size == n // 4 and abs(subsets[0].value - whole) > least and whole:
                subject.bias = (subsets[0].value - whole) / abs(whole)
        if math.isfinite(whole):
            subject.parts = (*subsets, validity.SubsetRecord(n=n, value=whole))
