"""What two runs did differently, and which of their numbers that touches."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from fsbench.comparison.scores import DIGESTS, Rows, Scores
from fsbench.config import BASELINES
from fsbench.files import printable
from fsbench.results import JudgeRecord, Key, MetricRecord, ObserverRecord, RunResult, column

DRIFT = 0.01
"""Mean change of a baseline's rows above which something was measured otherwise, as a share of the rows' spread."""

_LONGEST = 60
_DIGEST = re.compile("[0-9a-f]{20,}")


Measuring = JudgeRecord | ObserverRecord | MetricRecord
Named = TypeVar("Named", JudgeRecord, ObserverRecord, MetricRecord)


@dataclass(frozen=True)
class Mismatch:
    """A choice that two runs made differently."""

    what: str
    first: str
    second: str
    touches: frozenset[Key]  # metrics by judge whose numbers cannot be compared; none for what decides no number

    @property
    def sentence(self) -> str:
        """What it is, of the first run and of the second."""
        return f"{self.what}: {self.first} and {self.second}"


@dataclass(frozen=True)
class _Fact:
    """A choice, as it stands in a result."""

    what: str
    of: Callable[[RunResult], str]
    touches: Callable[[Key], bool]


def mismatches(first: Scores, second: Scores) -> list[Mismatch]:
    """Compare the protocols of two runs; what touches numbers stands first."""
    keys = [key for key in first.keys if key in set(second.keys)]
    differing = [*_of_facts(first, second, keys), *_of_networks(first, second, keys)]
    if controls := _of_baselines(first, second, keys):
        differing.append(controls)
    return sorted(differing, key=lambda mismatch: not mismatch.touches)


def decided_by(result: RunResult, key: Key) -> dict[str, str]:
    """Every choice that touches a number of a run, by what it is: numbers that agree in all of them are comparable.

    What is not in a result is not known: source images, and what no result records.
    """
    failing = {value.key for value in result.values if value.n_failed}
    sets = {value.key: value.set for value in result.values}
    facts = _facts(
        {record.name for record in result.protocol.sets}, failing.__contains__, lambda key: sets.get(key, "")
    )
    choices = {fact.what: fact.of(result) for fact in facts if fact.touches(key)}
    metric = next(record for record in result.metrics if record.name == key.metric)
    networks: tuple[Measuring, ...] = (*result.judges, *result.observers, metric)
    for record in networks:
        choices |= dict(_of_network(record)) if _is_asked(record, metric, key) else {}
    return choices


def _of_facts(first: Scores, second: Scores, keys: list[Key]) -> Iterator[Mismatch]:
    def fails(key: Key) -> bool:
        return _fails(first, key) or _fails(second, key)

    sets = {record.name for scores in (first, second) for record in scores.result.protocol.sets}
    yield from (
        Mismatch(fact.what, *_shown(*values), frozenset(filter(fact.touches, keys)))
        for fact in _facts(sets, fails, lambda key: _set_of(first, key))
        if len(set(values := (fact.of(first.result), fact.of(second.result)))) > 1
    )
    if sources := _other_sources(first, second):
        yield Mismatch("source images", *sources, frozenset(keys))


def _facts(sets: Iterable[str], fails: Callable[[Key], bool], set_of: Callable[[Key], str]) -> list[_Fact]:
    """Choices of a run, but for its networks and metrics; `fails` and `set_of` tell of a number what it counts."""
    everything, judged, nothing = (lambda key: True), (lambda key: key.judge is not None), (lambda key: False)
    pasted = lambda key: key.stage == "frame"  # noqa: E731
    facts = [
        _Fact("data set", lambda result: result.dataset.name, everything),
        _Fact("data revision", lambda result: result.dataset.revision, everything),
        _Fact("size of the crops", lambda result: f"{result.dataset.size} pixels", everything),
        _Fact("stage", lambda result: result.protocol.stage, lambda key: key.stage == "crop"),
        _Fact("preset of the paste", lambda result: _of_frames(result, "preset"), pasted),
        _Fact("paste", lambda result: _of_frames(result, "paste"), pasted),
        _Fact("region of the frame", lambda result: _of_frames(result, "region"), pasted),
        _Fact("outputs", lambda result: result.protocol.outputs, everything),
        _Fact("detector", lambda result: result.protocol.detector, everything),
        _Fact("references", lambda result: result.protocol.references, judged),
        _Fact("real images (test)", lambda result: result.dataset.content.get("test", ""), judged),
        _Fact("gallery", lambda result: result.dataset.content.get("gallery", ""), judged),
        _Fact("gallery size", lambda result: f"{result.protocol.gallery_images} images", judged),
        _Fact("failures", lambda result: result.protocol.failures, fails),
        _Fact("baselines that failures count as", _floors, fails),
        _Fact("training images", lambda result: result.dataset.content.get("train", ""), nothing),
        _Fact("device", lambda result: str(result.environment.get("device", "")), nothing),
    ]
    facts += [
        _Fact(f"version of {name}", lambda result, name=name: _package(result, name), nothing)  # type: ignore[misc]
        for name in ("fsbench", "torch", "onnxruntime", "mediapipe")
    ]
    return facts + [
        _Fact(f"targets ({name})", lambda result, name=name: _targets(result, name),  # type: ignore[misc]
              lambda key, name=name: set_of(key) == name)  # type: ignore[misc]
        for name in sorted(sets)
    ]  # fmt: skip


def _of_frames(result: RunResult, name: str) -> str:
    frames = result.protocol.frames
    return "" if frames is None else str(getattr(frames, name))


def _targets(result: RunResult, name: str) -> str:
    """Digest of the target images of a set; in older results of the split that they are of."""
    record = next((record for record in result.protocol.sets if record.name == name), None)
    split = "test" if name == "stills" else "test clips"
    return (record.targets or result.dataset.content.get(split, "")) if record is not None else ""


def _set_of(scores: Scores, key: Key) -> str:
    return next((value.set for value in scores.result.values if value.key == key), "")


def _fails(scores: Scores, key: Key) -> bool:
    rows = (scores.columns.get((model, *key)) for model in scores.contestants)
    return any(isinstance(column, Rows) and column.failed for column in rows)


def _floors(result: RunResult) -> str:
    return ", ".join(sorted(model.name for model in result.models if model.kind == "baseline"))


def _package(result: RunResult, name: str) -> str:
    packages = result.environment.get("packages")
    return str(packages.get(name, "")) if isinstance(packages, dict) else ""


def _other_sources(first: Scores, second: Scores) -> tuple[str, str] | None:
    """Source people that both runs have and show by other images; None where older runs do not know."""
    known = [
        {str(row.source): str(row.source_sha256) for row in table.itertuples()}
        for scores in (first, second)
        for table in scores.tables.values()
        if DIGESTS[1] in table
    ]
    other = {name for a in known for b in known for name in a.keys() & b.keys() if a[name] != b[name]}
    if not other:
        return None
    names = f"images of {len(other)} of the people ({printable(min(other))[:_LONGEST]})"
    return names, "others of the same names"


def _of_networks(first: Scores, second: Scores, keys: list[Key]) -> Iterator[Mismatch]:
    """Judges, observers and metrics of one name that are not the same."""
    pairs: list[tuple[Measuring, Measuring]] = [
        *_both(first.result.judges, second.result.judges),
        *_both(first.result.observers, second.result.observers),
        *_both(first.result.metrics, second.result.metrics),
    ]
    for record, other in pairs:
        touched = frozenset(key for key in keys if _is_asked(record, first.metrics[key.metric], key))
        for (what, a), (_, b) in zip(_of_network(record), _of_network(other), strict=True):
            if a != b:
                yield Mismatch(what, *_shown(a, b), touched)


def _of_network(record: Measuring) -> list[tuple[str, str]]:
    """Facts about a judge, an observer or a metric that decide what it gives, in one order."""
    whose = f"judge {record.name}" if isinstance(record, JudgeRecord) else record.name
    facts = [("version", str(record.version)), ("weights", _weights(record))]
    if not isinstance(record, MetricRecord):
        facts.append(("precision", record.precision))
    if isinstance(record, JudgeRecord):
        facts.append(("dimension", str(record.dim)))
    if isinstance(record, MetricRecord):
        facts.append(("observer", record.observer))  # some take the best that a machine has
        facts += [(name, str(getattr(record, name))) for name in ("unit", "direction", "sample")]
    return [(f"{what} of {whose}", value) for what, value in facts]


def _is_asked(record: Measuring, metric: MetricRecord, key: Key) -> bool:
    """Whether a number comes from a judge, an observer or a metric."""
    if isinstance(record, JudgeRecord):
        return key.judge == record.name
    if isinstance(record, MetricRecord):
        return key.metric == record.name
    return record.name in metric.observer.split(", ")


def _both(first: Iterable[Named], second: Iterable[Named]) -> Iterator[tuple[Named, Named]]:
    by_name = {record.name: record for record in second}
    return ((record, by_name[record.name]) for record in first if record.name in by_name)


def _weights(record: Measuring) -> str:
    return ", ".join(f"{name} {sha256}" for name, sha256 in sorted(record.weights.items()))


def _of_baselines(first: Scores, second: Scores, keys: list[Key]) -> Mismatch | None:
    """What baselines say: they do the same in every run, so that their rows differ only where something else does."""
    drifted: dict[Key, float] = {}
    for key in keys:
        for name in BASELINES:
            a, b = (scores.columns.get((name, *key)) for scores in (first, second))
            if not (isinstance(a, Rows) and isinstance(b, Rows) and len(a.rows) == len(b.rows)):
                continue
            known = np.isfinite(a.rows) & np.isfinite(b.rows)
            spread = _spread(first, key)
            change = float(np.abs(a.rows - b.rows)[known].mean()) if known.any() else 0.0
            if change > DRIFT * spread and spread:
                drifted[key] = max(drifted.get(key, 0.0), change / spread)
    if not drifted:
        return None
    worst = max(drifted, key=drifted.__getitem__)
    shown = column(*worst)
    return Mismatch(
        "scores of the baselines, which do the same in every run",
        "as they were",
        f"changed by up to {100 * drifted[worst]:.0f} % of their spread ({shown}), by something that is not recorded",
        frozenset(drifted),
    )


def _spread(scores: Scores, key: Key) -> float:
    """Standard deviation of the rows of all models of a run."""
    columns = (scores.columns.get((model.name, *key)) for model in scores.result.models)
    rows = [column.rows[np.isfinite(column.rows)] for column in columns if isinstance(column, Rows)]
    return float(np.concatenate(rows).std()) if rows else 0.0


def _shown(first: str, second: str) -> tuple[str, str]:
    """Two facts as they can be printed: of long ones the part in which they begin to differ."""
    start = next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), 0)
    start = max(0, start - 8) if max(len(first), len(second)) > _LONGEST else 0
    return _part(first, start), _part(second, start)


def _part(text: str, start: int) -> str:
    if _DIGEST.fullmatch(text):
        return f"{text[:12]}..."
    shown = printable(text[start : start + _LONGEST])
    return f"{'...' if start else ''}{shown}{'...' if len(text) > start + _LONGEST else ''}" if text else "none"
