"""What a gate asks: rules of the command line, and those of a gate.toml.

    critical = ["id_similarity drop<=0.01"]        a regression blocks, and so does not knowing
    supporting = ["pose_error rise<=5%"]           a regression blocks
    advisory = ["skin_colour rise<=0.5"]           nothing blocks, all is told
    inconclusive = "pass"                          or "fail": what not knowing means, instead of exit code 3
    as = ["gan_mask=gan_mask(size=lite)"]          the model that stands for one of the baseline

A rule is METRIC or METRIC@JUDGE, `drop<=` where higher is better or `rise<=` where lower is, and a margin in the
metric's unit, or in percent of the baseline's value. On the command line a tier may stand before it, as in
`advisory: skin_colour rise<=0.5`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, ValidationError

from fsbench.comparison.margins import Margin
from fsbench.comparison.scores import Scores
from fsbench.comparison.table import DEFAULT_MARGIN
from fsbench.errors import UnknownName, UsageError
from fsbench.files import first_problem, printable, read
from fsbench.record_types import Record
from fsbench.results import Key, MetricRecord, column

Tier = Literal["critical", "supporting", "advisory"]
Inconclusive = Literal["pass", "fail"]

EXAMPLE = "write METRIC drop<=0.01, METRIC@JUDGE drop<=2%, or METRIC rise<=0.5 where lower is better"
MOST_RULES, LONGEST, LARGEST = 1000, 500, 2**20

_RULE = re.compile(r"\s*(?:(\w+)\s*:)?\s*(\S.*?)\s+(\w+)\s*<=\s*(\S.*?)\s*", re.DOTALL)
_WORDS = {"higher": "drop", "lower": "rise"}


@dataclass(frozen=True)
class Rule:
    """A metric may get worse by a margin."""

    name: str  # METRIC or METRIC@JUDGE
    word: str  # drop or rise
    margin: Margin
    tier: Tier = "critical"

    @classmethod
    def parse(cls, text: str, tier: Tier = "critical") -> Rule:
        """Read a rule as it is typed; raises UsageError.

        >>> str(Rule.parse("advisory: pose_error rise <= 5 %"))
        'pose_error rise<=5%'
        """
        match = _RULE.fullmatch(text) if len(text) <= LONGEST else None
        if match is None or match[3] not in _WORDS.values():
            raise UsageError(f"{printable(text[:80])!r} is no rule", EXAMPLE)
        if match[1] is not None and match[1] not in get_args(Tier):
            raise UnknownName("tier", match[1], get_args(Tier))
        named: dict[str, Tier] = {name: name for name in get_args(Tier)}
        return cls(match[2], match[3], Margin.parse(match[4]), named.get(match[1] or "", tier))

    def __str__(self) -> str:
        return f"{self.name} {self.word}<={self.margin}"

    def keys_in(self, baseline: Scores) -> list[Key]:
        """What it is about; raises UnknownName, and UsageError for the wrong direction."""
        keys = [key for key in baseline.keys if self.name in (key[0], column(*key))]
        if not keys:
            known = {*baseline.metrics, *(column(*key) for key in baseline.keys)}
            raise UnknownName("metric in the baseline:", self.name, known, "fsbench baseline save --metric adds some")
        self._check(baseline.metrics[keys[0][0]])
        return keys

    def _check(self, metric: MetricRecord) -> None:
        if self.word != _WORDS[metric.direction]:
            right = _WORDS[metric.direction]
            raise UsageError(
                f"{metric.name} is better {metric.direction}: a {self.word} of it is no loss",
                f"write {self.name} {right}<={self.margin}",
            )


class GateConfig(Record):
    """What stands in a gate.toml."""

    critical: tuple[str, ...] = ()
    supporting: tuple[str, ...] = ()
    advisory: tuple[str, ...] = ()
    inconclusive: Inconclusive | None = None
    stands_for: tuple[str, ...] = Field((), alias="as")

    @property
    def rules(self) -> list[Rule]:
        """The rules of all tiers; raises UsageError."""
        tiers: Iterable[tuple[Tier, tuple[str, ...]]] = (
            ("critical", self.critical),
            ("supporting", self.supporting),
            ("advisory", self.advisory),
        )
        texts = [(text, tier) for tier, rules in tiers for text in rules]
        if len(texts) > MOST_RULES:
            raise UsageError(f"a gate has at most {MOST_RULES} rules, not {len(texts)}", "leave some out")
        return [Rule.parse(text, tier) for text, tier in texts]


def read_config(path: Path) -> GateConfig:
    """Read a gate.toml, UTF-8 with or without BOM; raises UsageError."""
    shown = printable(str(path))
    try:
        raw = tomllib.loads(read(path, LARGEST).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(
            f"{shown} cannot be read: {printable(reason)[:200]}", "name a file such as gate.toml"
        ) from error
    try:
        return GateConfig.model_validate(raw)
    except ValidationError as error:
        known = "critical, supporting, advisory, inconclusive, as"
        raise UsageError(f"{shown}: {first_problem(error)}", f"known: {known}") from error


def default_rules(baseline: Scores) -> list[Rule]:
    """Headline metrics, which are cosines, may drop by the margin of `fsbench compare`."""
    headlines = [metric for metric in baseline.result.metrics if metric.headline]
    return [Rule(metric.name, _WORDS[metric.direction], DEFAULT_MARGIN) for metric in headlines]
