"""Each rule decided by the interval of the paired difference: non-inferiority.

A rule passes where the interval of 95 % of the loss ends within the margin, and is a regression where the loss exceeds
the margin significantly: one-sided at FALSE_ALARM, corrected by Holm for all checks that may block, so that of gates
whose models lost no more than the margins fewer than 2.5 % block. In between a run is too small to say: inconclusive.
A rule passes as well where every sample has the same number as in the baseline, however few there are. It does not pass
where samples of the baseline are not scored any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from fsbench.compare import ALPHA
from fsbench.comparison.paired import Pairing
from fsbench.comparison.protocol import mismatches
from fsbench.comparison.scores import Scores
from fsbench.comparison.table import silenced
from fsbench.errors import NotScorable, ResultError, UnknownName, UsageError
from fsbench.files import some
from fsbench.gates.rules import Inconclusive, Rule, Tier, default_rules
from fsbench.record_types import Count, Number, Record, Stage
from fsbench.results import Key, MetricRecord, column
from fsbench.stats.resampling import Difference, holm

FALSE_ALARM = ALPHA / 2
"""Probability that any rule is called a regression where no loss exceeds its margin."""

PASS, REGRESSION, INCONCLUSIVE = 0, 1, 3
"""Exit codes; 2 is bad input."""

State = Literal["pass", "regression", "inconclusive"]


class Check(Record):
    """A rule decided for one model, by one metric under one judge or without one."""

    rule: str
    tier: Tier
    model: str  # of the run
    baseline_model: str
    metric: str
    judge: str | None = None
    stage: Stage = "crop"
    state: State
    reason: str = ""  # what the state rests on, where there are no numbers
    margin: Number | None = None  # in the metric's unit
    n: Count = 0
    value: Number | None = None  # of the run
    baseline_value: Number | None = None
    effect: Number | None = None  # value less baseline_value
    low: Number | None = None  # of its interval
    high: Number | None = None
    p: Number | None = None  # that the loss is not above the margin, corrected
    detectable: Number | None = None  # smallest true difference from the baseline that is seen in four cases of five

    @property
    def key(self) -> Key:
        """What is checked."""
        return Key(self.metric, self.judge, self.stage)

    @property
    def blocks(self) -> bool:
        """Whether it alone makes a gate fail."""
        return self.state == "regression" and self.tier != "advisory"


class GateResult(Record):
    """What a gate says."""

    state: State
    exit_code: int
    run: str
    baseline: str
    baseline_created: str  # when its run was, ISO 8601
    age_days: Number | None = None  # of the baseline; null where its time cannot be read
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()  # what was not checked, and why


@dataclass(frozen=True)
class _Tested:
    """A check before it is corrected, and the p-value of a loss above the margin; None where it is decided."""

    check: Check
    p: float | None


def decide(
    run: Scores,
    baseline: Scores,
    rules: Sequence[Rule] = (),
    *,
    stands_for: Mapping[str, str] | None = None,
    inconclusive: Inconclusive | None = None,
    now: datetime | None = None,
) -> GateResult:
    """Hold a run against a baseline by some rules, by default those of `default_rules`.

    `stands_for` names the model of the run that stands for one of the baseline, where they are called differently.
    Raises ResultError where the protocols differ in what a rule asks, UsageError for rules and models that do not fit.
    """
    asked = [(rule, rule.keys_in(baseline)) for rule in rules or default_rules(baseline)]
    models = _models(run, baseline, stands_for or {})
    if not asked or not models:
        raise UsageError("there is nothing to check", "name a rule: --rule 'id_similarity drop<=0.01'")
    pairing, notes, tested = Pairing(baseline, run), dict[str, None](), list[_Tested]()
    _refuse_mismatch(pairing, {key for _, keys in asked for key in keys})
    for rule, keys in asked:
        for old, new in models.items():
            silent = {key: silenced(baseline.result, old, key) or silenced(run.result, new, key) for key in keys}
            for key, why in silent.items():
                if not why:
                    tested.append(_tested(rule, key, old, new, pairing))
                    continue
                notes[f"{column(*key)} was not checked for {new}: {why}"] = None
                if all(silent.values()):  # else the other judges decide
                    tested.append(_Tested(_check(rule, key, old, new, "inconclusive", why), None))
    checks = _corrected(tested)
    state = _state(checks)
    return GateResult(
        state=state,
        exit_code=_exit_code(state, inconclusive),
        run=run.label,
        baseline=baseline.label,
        baseline_created=baseline.result.created,
        age_days=_age(baseline.result.created, now or datetime.now(UTC)),
        checks=tuple(checks),
        notes=tuple(notes),
    )


def _models(run: Scores, baseline: Scores, stands_for: Mapping[str, str]) -> dict[str, str]:
    """Model of the run for each of the baseline's."""
    names = [model.name for model in run.result.models]
    for old, new in stands_for.items():
        if old not in baseline.contestants:
            raise UnknownName("model in the baseline:", old, baseline.contestants)
        if new not in names:
            raise UnknownName("model in the run:", new, names)
    if missing := [name for name in baseline.contestants if stands_for.get(name, name) not in names]:
        raise UsageError(
            f"the run has no model {some(missing)} of the baseline (it has {some(names) or 'none'})",
            f"say which stands for it: --as {missing[0]}=MODEL; or leave it out: fsbench baseline save --model",
        )
    return {name: stands_for.get(name, name) for name in baseline.contestants}


def _refuse_mismatch(pairing: Pairing, keys: set[Key]) -> None:
    """Raise ResultError where what is checked was measured in another way, or on other images."""
    baseline, run = pairing.first, pairing.second
    hint = "measure the run as the baseline was, or save a new baseline: fsbench baseline save RUN FILE"
    touching = [mismatch.sentence for mismatch in mismatches(baseline, run) if mismatch.touches & keys]
    if touching:
        raise ResultError(f"the baseline and the run are not of one protocol ({'; '.join(touching)})", hint)
    for sample in {baseline.metrics[key[0]].sample for key in keys} & set(baseline.tables):
        try:
            matched = pairing.matched(sample)
        except NotScorable as why:
            raise ResultError(f"the baseline and the run cannot be paired: {why.message}", hint) from why
        if matched.n_first or matched.n_second or matched.n_changed:
            raise ResultError(
                f"the baseline and the run are not of the same {sample}s ({matched.n_first} are only in the baseline, "
                f"{matched.n_second} only in the run, {matched.n_changed} have other images)",
                hint,
            )


def _check(rule: Rule, key: Key, old: str, new: str, state: State, reason: str = "") -> Check:
    return Check(rule=str(rule), tier=rule.tier, model=new, baseline_model=old, **key._asdict(),
                 state=state, reason=reason)  # fmt: skip


def _tested(rule: Rule, key: Key, old: str, new: str, pairing: Pairing) -> _Tested:
    baseline, run = pairing.first, pairing.second
    record = next(model for model in run.result.models if model.name == new)
    if record.error:
        return _Tested(_check(rule, key, old, new, "regression", f"{new} failed: {record.error}"), None)
    try:
        paired = pairing.compare((old, new), key)
    except NotScorable as why:
        return _Tested(_check(rule, key, old, new, *_unpaired(run, baseline, old, new, key, why.message)), None)
    metric, margin, difference = baseline.metrics[key[0]], rule.margin.size(paired.value), paired.difference
    loss, ends = _loss(difference, metric)
    n_lost = paired.rows.only_first
    lost = f"{n_lost} samples of the baseline are not scored in the run" if n_lost else ""
    check = _check(rule, key, old, new, "pass" if ends[1] <= margin and not lost else "inconclusive", lost).model_copy(
        update={
            "margin": margin,
            "n": len(paired.rows.a),
            "value": paired.other,
            "baseline_value": paired.value,
            **{name: getattr(difference, name) for name in ("effect", "low", "high", "detectable")},
        }
    )
    return _Tested(check, _p_above(margin, loss, difference))


def _unpaired(run: Scores, baseline: Scores, old: str, new: str, key: Key, why: str) -> tuple[State, str]:
    """What is said of a rule without a difference: a model that scores no more at all is a regression."""
    before, now = baseline.value(old, key), run.value(new, key)
    lost = now is not None and now.value is None and now.n_failed > 0
    if before is not None and before.value is not None and lost:
        return "regression", why
    return "inconclusive", why


def _loss(difference: Difference, metric: MetricRecord) -> tuple[float, tuple[float, float]]:
    """How much worse the run is, and its interval; below 0 it is better."""
    if metric.direction == "higher":
        return -difference.effect, (-difference.high, -difference.low)
    return difference.effect, (difference.low, difference.high)


def _p_above(margin: float, loss: float, difference: Difference) -> float:
    """One-sided p-value of a loss that is not above the margin."""
    if difference.spread is not None:
        return difference.spread.p_above(loss - margin)
    return difference.p / 2 if loss > margin else 1.0  # the same loss in all sessions: a sign test of these


def _corrected(tested: Sequence[_Tested]) -> list[Check]:
    """Checks with corrected p-values: those that may block together, and those that may not."""
    checks = [test.check for test in tested]
    for advisory in (False, True):
        places = [
            i for i, test in enumerate(tested) if test.p is not None and (test.check.tier == "advisory") == advisory
        ]
        for i, p in zip(places, holm([tested[i].p or 0.0 for i in places]), strict=True):
            state = "regression" if checks[i].state == "inconclusive" and p < FALSE_ALARM else checks[i].state
            checks[i] = checks[i].model_copy(update={"p": p, "state": state})
    return checks


def _state(checks: Sequence[Check]) -> State:
    """Regression where one blocks; inconclusive where one that is critical is."""
    if any(check.blocks for check in checks):
        return "regression"
    unknown = any(check.state == "inconclusive" and check.tier == "critical" for check in checks)
    return "inconclusive" if unknown else "pass"


def _exit_code(state: State, inconclusive: Inconclusive | None) -> int:
    if state == "inconclusive" and inconclusive is not None:
        return PASS if inconclusive == "pass" else REGRESSION
    return {"pass": PASS, "regression": REGRESSION, "inconclusive": INCONCLUSIVE}[state]


def _age(created: str, now: datetime) -> float | None:
    """Days since a time in ISO 8601, UTC unless it says otherwise."""
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round((now - moment).total_seconds() / 86400, 2)
