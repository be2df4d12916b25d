"""All differences between runs that are asked for, corrected for their number, and what is said of each.

A difference is better or worse where its p-value, corrected by Holm over the whole table, is below ALPHA; of rates the
larger p-value counts, that over clusters or McNemar's. It is equivalent where its interval of 95 % lies within the
margin on both sides, however small the p-value; and inconclusive else: one of `detectable` would have been seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from fsbench.compare import ALPHA
from fsbench.comparison.margins import Margin
from fsbench.comparison.paired import PairedDifference, Pairing
from fsbench.comparison.protocol import Mismatch, mismatches
from fsbench.comparison.scores import Scores
from fsbench.errors import NotScorable, UnknownName, UsageError
from fsbench.files import some
from fsbench.record_types import Count, Number, Record, Stage
from fsbench.results import Key, RunResult, column
from fsbench.stats.ranking import ENOUGH_ANSWERED, answered
from fsbench.stats.resampling import Spread, holm

Verdict = Literal["better", "worse", "equivalent", "inconclusive", "refused"]

DEFAULT_MARGIN = Margin(0.01)
"""Within which headline metrics, which are cosines, count as equivalent."""


class RunDifference(Record):
    """A model of a run compared with one of the first run, by one metric under one judge or without one."""

    run: str
    model: str
    reference: str  # the model of the first run
    metric: str
    judge: str | None = None
    stage: Stage = "crop"
    verdict: Verdict
    reason: str = ""  # why it is refused, or inconclusive in spite of a small p-value
    marks: tuple[str, ...] = ()  # what differs in protocol, where that was allowed
    n: Count = 0  # samples that both have
    n_only_model: Count = 0  # shared samples on which the model alone was scored: they are left out
    n_only_reference: Count = 0
    value: Number | None = None  # on these samples
    reference_value: Number | None = None
    effect: Number | None = None  # value less reference_value
    low: Number | None = None  # of its interval
    high: Number | None = None
    p: Number | None = None  # corrected for all of the table
    mcnemar_p: Number | None = None  # of rates, of this comparison alone
    detectable: Number | None = None  # minimum detectable effect, corrected for all of the table
    margin: Number | None = None  # of equivalence
    n_better: Count = 0  # samples on which the model is better than the reference
    n_worse: Count = 0

    @property
    def key(self) -> Key:
        """What is compared."""
        return Key(self.metric, self.judge, self.stage)


class MismatchRecord(Record):
    """What a run does otherwise than the first."""

    run: str
    what: str
    first: str
    second: str
    touches: tuple[str, ...]  # metrics, with judges


class RunComparison(Record):
    """What is said of several runs."""

    runs: tuple[str, ...]  # the first is what the others are compared with
    created: tuple[str, ...]
    mismatches: tuple[MismatchRecord, ...]
    unmatched: tuple[str, ...]  # sentences about samples that are not in all runs
    differences: tuple[RunDifference, ...]

    @property
    def n_tested(self) -> int:
        """Differences that the correction is for."""
        return sum(difference.p is not None for difference in self.differences)


def compare_runs(
    runs: Sequence[Scores],
    *,
    models: Sequence[str] = (),
    metrics: Sequence[str] = (),
    margins: Mapping[str, Margin] | None = None,
    allow_mismatch: bool = False,
) -> RunComparison:
    """Compare each run with the first; raises UsageError for models and metrics that are not there.

    `models` are texts NAME or FIRST=OTHER; by default contestants of one name, or the only two. `metrics` are METRIC or
    METRIC@JUDGE, with /frame behind it for that stage; by default the headline metrics and those of the summary.
    """
    first, *others = runs
    records: list[RunDifference] = []
    tested: list[tuple[int, PairedDifference, Scores]] = []
    recorded, unmatched = list[MismatchRecord](), dict[str, None]()
    for other in others:
        pairing, differing = Pairing(first, other), mismatches(first, other)
        recorded += [_record(other, mismatch) for mismatch in differing]
        for names in pair_models(first, other, models):
            for key in chosen_keys(first, other, metrics):
                headline = {**other.metrics, **first.metrics}[key[0]].headline
                margin = (margins or {}).get(key[0], DEFAULT_MARGIN if headline else None)
                record, paired = _difference(pairing, names, key, differing, margin, allow_mismatch, bool(metrics))
                if paired is not None:
                    tested.append((len(records), paired, other))
                records.append(record)
        unmatched |= dict.fromkeys(_unmatched(pairing, differing))
    for (i, paired, other), p in zip(tested, holm([p_of(paired) for _, paired, _ in tested]), strict=True):
        records[i] = _decided(records[i], paired.difference.spread, p, len(tested), first, other)
    return RunComparison(
        runs=tuple(scores.label for scores in runs),
        created=tuple(scores.result.created for scores in runs),
        mismatches=tuple(recorded),
        unmatched=tuple(unmatched),
        differences=tuple(records),
    )


def pair_models(first: Scores, other: Scores, typed: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Pairs of a model of the first run and one of another; raises UsageError, UnknownName."""
    names, others = ([model.name for model in scores.result.models] for scores in (first, other))
    if typed:
        return [_typed_pair(text, names, others) for text in typed]
    if shared := [(name, name) for name in first.contestants if name in other.contestants]:
        return shared
    if len(first.contestants) == len(other.contestants) == 1:
        return [(first.contestants[0], other.contestants[0])]
    raise UsageError(
        f"no model of {first.label} ({some(first.contestants) or 'none'}) is called like one of {other.label} "
        f"({some(other.contestants) or 'none'})",
        "say which are compared: --models FIRST=OTHER",
    )


def _typed_pair(text: str, names: Sequence[str], others: Sequence[str]) -> tuple[str, str]:
    """A pair as typed; names may hold = themselves."""
    splits = [(text[:i], text[i + 1 :]) for i, character in enumerate(text) if character == "="]
    pairs = [pair for pair in [(text, text), *splits] if pair[0] in names and pair[1] in others]
    if pairs:
        return pairs[0]
    known = [name for name in (text, *(pair[0] for pair in splits)) if name in names]
    if known:
        wanted = text[len(known[0]) + 1 :] or text
        raise UnknownName("model in the other run:", wanted, others)
    raise UnknownName("model in the first run:", splits[0][0] if splits else text, names)


def chosen_keys(first: Scores, other: Scores, typed: Sequence[str] = ()) -> list[Key]:
    """Metrics by judge that are compared; raises UnknownName for one that neither run has."""
    keys = list(dict.fromkeys([*first.keys, *other.keys]))
    metrics = {**other.metrics, **first.metrics}
    if typed:
        known = {name: [key for key in keys if name in (key[0], column(*key))] for name in typed}
        for name, keys_of in known.items():
            if not keys_of:
                raise UnknownName("metric in these runs:", name, {*metrics, *(column(*key) for key in keys)})
        chosen = [key for keys_of in known.values() for key in keys_of]
    else:
        shared = [key for key in keys if key in first.keys and key in other.keys]
        few = [key for key in shared if metrics[key[0]].in_summary]
        chosen = sorted(few or shared, key=lambda key: metrics[key[0]].place)
    return list(dict.fromkeys(chosen))


def _difference(
    pairing: Pairing,
    names: tuple[str, str],
    key: Key,
    differing: Sequence[Mismatch],
    margin: Margin | None,
    allow_mismatch: bool,
    with_plugins: bool,
) -> tuple[RunDifference, PairedDifference | None]:
    """One difference before it is corrected, and the rows behind it; without them where it is refused."""
    first, other = pairing.first, pairing.second
    touching = tuple(mismatch.sentence for mismatch in differing if key in mismatch.touches)
    record = RunDifference(
        run=other.label,
        model=names[1],
        reference=names[0],
        metric=key[0],
        judge=key[1],
        stage=key[2],
        verdict="refused",
        marks=touching,
    )
    reason = silenced(first.result, names[0], key) or silenced(other.result, names[1], key)
    if touching and not allow_mismatch:
        reason = "the protocols differ (" + "; ".join(touching) + ")"
        return record.model_copy(update={"reason": reason, "marks": ()}), None
    try:
        if reason or key not in first.keys or key not in other.keys:
            lacking = first if key not in first.keys else other
            raise NotScorable(reason or f"{lacking.label} has no {column(*key)}")
        paired = pairing.compare(names, key, with_plugins=with_plugins)
    except NotScorable as why:
        return record.model_copy(update={"reason": why.message}), None
    difference, rows, (more, less) = paired.difference, paired.rows, paired.rows.flips
    higher = first.metrics[key[0]].direction == "higher"
    changes = {
        "n": len(rows.rows),
        "n_only_model": rows.only_second,
        "n_only_reference": rows.only_first,
        "value": paired.other,
        "reference_value": paired.value,
        **{name: getattr(difference, name) for name in ("effect", "low", "high", "p")},
        "mcnemar_p": rows.mcnemar,
        "margin": margin.size(paired.value) if margin else None,
        "n_better": more if higher else less,
        "n_worse": less if higher else more,
    }
    return record.model_copy(update=changes), paired


def p_of(paired: PairedDifference) -> float:
    """The p-value that decides: that over clusters, and of rates the larger of it and McNemar's."""
    return max(paired.difference.p, paired.rows.mcnemar or 0.0)


def silenced(result: RunResult, model: str, key: Key) -> str:
    """Why a judge says nothing of a model; "" where it does."""
    judge = next((judge for judge in result.judges if judge.name == key[1]), None)
    record = next(record for record in result.models if record.name == model)
    if judge is None:
        return ""
    coaches = {*record.coaches, *(record.training.coaches if record.training else ())}
    return judge.unfit or (f"{model} was trained against {judge.name}" if judge.family in coaches else "")


def _decided(
    record: RunDifference, spread: Spread | None, p: float, n: int, first: Scores, other: Scores
) -> RunDifference:
    """The same with its verdict."""
    assert record.effect is not None
    assert record.low is not None
    assert record.high is not None
    key = record.key
    verdict: Verdict = "inconclusive"
    reason, margin = "", record.margin or 0.0
    if -margin <= record.low and record.high <= margin:
        verdict = "equivalent"
    elif p < ALPHA:
        better = (record.effect > 0) == (first.metrics[record.metric].direction == "higher")
        winner = other.value(record.model, key) if better else first.value(record.reference, key)
        if winner is None or answered(winner) < ENOUGH_ANSWERED:
            reason = "the better one failed on too many pairs"
        else:
            verdict = "better" if better else "worse"
    detectable = spread.detectable(ALPHA / n) if spread else None
    return record.model_copy(update={"verdict": verdict, "reason": reason, "p": p, "detectable": detectable})


def _record(other: Scores, mismatch: Mismatch) -> MismatchRecord:
    touched = tuple(sorted(column(*key) for key in mismatch.touches))
    return MismatchRecord(
        run=other.label, what=mismatch.what, first=mismatch.first, second=mismatch.second, touches=touched
    )


def _unmatched(pairing: Pairing, differing: Sequence[Mismatch]) -> Iterator[str]:
    """Say what samples are not in a comparison, and what is not known of those that are."""
    other = pairing.second.label
    for sample in pairing.first.tables:
        try:
            matched = pairing.matched(sample)
        except NotScorable as why:
            yield f"{other}: {why.message}"
            continue
        left_out = {
            "only in the first run": matched.n_first,
            "only in this one": matched.n_second,
            "of other images under the same name": matched.n_changed,
        }
        if any(left_out.values()):
            counts = ", ".join(f"{n} {why}" for why, n in left_out.items() if n)
            yield f"{other}: {len(matched.first)} {sample}s are compared; left out: {counts}"
        if not matched.known and any("images" in mismatch.what or "targets" in mismatch.what for mismatch in differing):
            yield f"{other}: paired by names, since an older fsbench wrote no digests of images with one of the runs"
