"""Where the contestants stand, and whether the judges agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fsbench.report.run import RunContents
from fsbench.results import Rank

ENOUGH = 2  # contestants, without which there is nothing to rank


@dataclass(frozen=True)
class JudgeRank:
    """The rank that one judge gives, as printed."""

    text: str
    counts: bool  # whether the judge counts


@dataclass(frozen=True)
class Standing:
    """A contestant and its ranks."""

    model: str
    rank: float | None  # mean over the judges that count
    places: tuple[JudgeRank, ...]  # in the order of the ranking's judges
    disputed: bool  # the judges that count place it differently

    @property
    def mean(self) -> str:
        """The rank as printed."""
        return place(self.rank)


@dataclass(frozen=True)
class Ranking:
    """The contestants, the best first; none where there are too few to rank."""

    metric: str
    judges: tuple[str, ...]  # those that count first
    left_out: Mapping[str, str]
    standings: tuple[Standing, ...]
    advice: str


def ranking(run: RunContents) -> Ranking:
    """Build the table that stands at the top of the page."""
    record = run.result.ranking
    judges = tuple(judge.name for judge in run.judges)
    standings = tuple(
        Standing(
            rank.model,
            rank.mean,
            tuple(JudgeRank(place(rank.by_judge.get(judge)), judge in record.judges) for judge in judges),
            disputed(rank, record.judges),
        )
        for rank in record.ranks
    )
    left_out = record.left_out if standings else {}  # baselines are not ranked
    return Ranking(record.metric, judges, left_out, standings if len(standings) >= ENOUGH else (), record.advice)


def disputed(rank: Rank, judges: tuple[str, ...]) -> bool:
    """Whether judges place a contestant differently."""
    return len({rank.by_judge.get(judge) for judge in judges}) > 1


def place(rank: float | None) -> str:
    """Print a rank or a mean of ranks.

    >>> place(1.0), place(1.5), place(4 / 3), place(None)
    ('1', '1.5', '1.33', 'none')
    """
    return "none" if rank is None else f"{rank:.3g}"
