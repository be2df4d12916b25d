"""Outputs with a known fault, measured with the same pairs, networks and rows as in a run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from fsbench.config import Plan
from fsbench.datasets.synthetic import Synthetic
from fsbench.errors import DataError, NotScorable
from fsbench.faces.detect import Detector
from fsbench.faults import TEMPORAL, Fault, Scene
from fsbench.harness.evaluation import PreparedSet
from fsbench.harness.failures import Key
from fsbench.harness.instruments import Instruments
from fsbench.harness.measurements import Measured, scored, statistic
from fsbench.harness.pairing import make_pairs
from fsbench.harness.sets import by_set
from fsbench.harness.strangers import gather
from fsbench.images import ImageSet
from fsbench.interfaces import Context, Faces, MetricInfo, Sample, SetName, silent
from fsbench.stats.blocks import design
from fsbench.stats.resampling import Design
from fsbench.stats.validity import Condition, Expected

TIMED = 8
"""Outputs that networks are timed on."""

SAMPLES: Mapping[SetName, tuple[Sample, ...]] = {"stills": ("output",), "clips": ("output", "clip")}
"""What the metrics are of that are examined on a set."""

MeasuredRows = Mapping[Key, Measured | NotScorable]


def quiet(context: Context) -> Context:
    """Return a context without progress bars: one bar tells of all conditions."""
    return replace(context, stage=lambda title: silent)


@dataclass(frozen=True)
class FaultySet:
    """Some stills, or frames of all clips, as targets; their evaluation, and how samples are resampled."""

    name: SetName
    targets: Faces
    gallery: Faces | None
    evaluation: PreparedSet
    scenes: tuple[Scene, ...]  # group by group of the pairs
    designs: Mapping[Sample, Design]

    @classmethod
    def build(
        cls, dataset: Synthetic, name: SetName, n: int, instruments: Instruments, plan: Plan, context: Context
    ) -> FaultySet:
        """Extract the features of the real images; about `n` targets, spread over people, sessions and clips.

        Raises DataError where the data set has no such targets.
        """
        sets = by_set(dataset.faces("test"))
        if name not in sets:
            raise DataError(f"{dataset.info.name} has no {name} to show faults on", f"it has {', '.join(sets)}")
        faces, samples = sets[name], SAMPLES[name]
        targets = faces.select(consecutive(faces, n) if name == "clips" else spread(faces, n))
        gallery = gather(dataset, targets, "", context)
        pairs = make_pairs(dataset, targets)
        own = instruments.of_samples(samples, every_judge=True)
        evaluation = PreparedSet.prepare(own, pairs, targets, gallery, context, set_name=name)
        evaluation = replace(evaluation, context=quiet(context))
        scenes = tuple(Scene.of(dataset, group.identity, group.targets) for group in pairs.groups)
        designs = {sample: design(pairs.samples(sample), plan.resamples, plan.seed) for sample in samples}
        return cls(name, targets, gallery, evaluation, scenes, designs)

    def of_clips(self) -> FaultySet:
        """The same for the metrics of clips alone."""
        own = self.evaluation.instruments.of_samples(["clip"], every_judge=False)
        return replace(self, evaluation=self.evaluation.only(own))

    def perfect(self) -> ImageSet:
        """The exact swaps of all pairs, in their order."""
        return ImageSet.join([scene.exact for scene in self.scenes])

    def outputs(self, fault: Fault, strength: float) -> ImageSet:
        """The same with a fault; raises FsbenchError for one that this split cannot show."""
        return ImageSet.join([fault.apply(scene, strength) for scene in self.scenes])

    def rows(self, outputs: ImageSet) -> tuple[MeasuredRows, dict[Key, float]]:
        """Measure outputs; and the seconds that each metric took."""
        features = self.evaluation.extract("faulty outputs", outputs)
        measured: dict[Key, Measured | NotScorable] = {}
        seconds = {}
        began = time.perf_counter()
        for name, judge, rows in self.evaluation.measure(features):
            measured[name, judge] = rows
            seconds[name, judge] = time.perf_counter() - began
            began = time.perf_counter()
        return measured, seconds

    def condition(self, name: str, rows: Measured) -> Condition:
        """Make what a metric measured ready to be drawn again; it has no value where too few could be scored."""
        metric, chosen = self.evaluation.metrics[name], scored(rows)
        fewest = max(1, metric.info.min_samples)
        if chosen.sum() >= fewest:
            try:
                return Condition.scored(statistic(metric, rows, chosen), chosen, fewest)
            except NotScorable:
                pass
        return Condition.scored(lambda index: math.nan, chosen & False)

    def reason(self, name: str, rows: Measured) -> str:
        """Why a metric has no value of what it measured."""
        metric, chosen = self.evaluation.metrics[name], scored(rows)
        if chosen.sum() < metric.info.min_samples:
            clips = "clips of " if metric.info.sample == "clip" else ""
            return f"{chosen.sum()} {clips}exact swaps could be scored, {metric.info.min_samples} are needed"
        try:
            return f"the exact swaps have the value {statistic(metric, rows, chosen)(np.arange(chosen.sum()))}"
        except NotScorable as why:
            return why.message


def set_of(fault: Fault) -> SetName:
    """The set that metrics of outputs are shown a fault on."""
    return "clips" if fault.clips or fault.aspect in TEMPORAL else "stills"


def expected(info: MetricInfo, fault: Fault) -> Expected:
    """What a metric should do about a fault, by what it says that it measures."""
    if fault.aspect in info.measures:
        return "respond"
    return "either" if set(fault.also) & set(info.measures) else "ignore"


def spread(faces: Faces, n: int) -> np.ndarray:
    """Choose `n` entries, in their order: as many sessions as can be, of all people alike."""
    rows = faces.rows
    image = rows.groupby(["identity", "session"]).cumcount().to_numpy()
    session = rows.groupby("identity")["session"].transform(lambda mine: mine.factorize()[0]).to_numpy(int)
    return np.sort(np.lexsort((np.arange(len(rows)), session, image))[:n])


def consecutive(faces: Faces, n: int) -> np.ndarray:
    """Choose consecutive frames of every clip, so many that there are about `n` in all.

    They are those around the frame in which the eyes are most shut, where that is known: a blink is short, and a fault
    of blinks shows nowhere else. Else the first.
    """
    rows = faces.rows.assign(row=np.arange(len(faces)), shut=faces.rows.get("blink", 0.0))
    clips = rows.sort_values("frame").groupby(["identity", "session", "clip"])
    length = max(2, n // clips.ngroups)
    chosen = []
    for _, clip in clips:
        first = int(np.clip(clip["shut"].to_numpy().argmax() - length // 2, 0, max(0, len(clip) - length)))
        chosen.append(clip["row"].to_numpy()[first : first + length])
    return np.sort(np.concatenate(chosen))


def time_networks(evaluation: PreparedSet, outputs: ImageSet) -> dict[str, float]:
    """Seconds per output of the detector (""), of each judge and of each observer by name; nothing is cached."""
    device = evaluation.context.device
    few = outputs.on(device, slice(TIMED))
    detector = Detector(device)
    points = torch.from_numpy(detector.detect_crops(few).astype(np.float32)).to(device)
    with_face = torch.arange(len(few))[~points.isnan().any(2).any(1).cpu()]
    calls: dict[str, Callable[[], object]] = {"": lambda: detector.detect_crops(few)}
    for name, enrolled in evaluation.judges.items():
        calls[name] = partial(enrolled.judge.network.embed, few[with_face], points[with_face])
    for name, observer in evaluation.instruments.observers.items():
        calls[name] = partial(observer.network.observe, few, points)
    with torch.inference_mode():
        return {name: _seconds(call) / len(few) for name, call in calls.items()}


def _seconds(call: Callable[[], object]) -> float:
    """How long the second call takes: the first may load what it needs."""
    call()
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
