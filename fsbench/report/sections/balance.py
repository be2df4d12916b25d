"""How evenly each person's images lie over sessions and poses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fsbench.report.page import Section
from fsbench.report.run import RunContents
from fsbench.results import IdentityRecord

PEOPLE = 12  # identities that are shown, where there are more
SESSIONS = 20  # pieces of a bar; the smallest sessions are one piece, where there are more


@dataclass(frozen=True)
class BarPart:
    """A piece of a bar."""

    name: str
    count: int
    share: float
    kind: int  # which colour: poses have their own, sessions take turns


@dataclass(frozen=True)
class StackedBar:
    """One identity in one split."""

    title: str
    parts: tuple[BarPart, ...]


def build(run: RunContents) -> dict[str, Any] | None:
    balance = bars(run)
    return {"balance": balance} if balance else None


def bars(run: RunContents) -> dict[str, list[StackedBar]]:
    """Return stacked bars of what is known, by session and by pose; strangers of the gallery have none."""
    records: list[IdentityRecord] = [record for record in run.result.dataset.identities if record.split != "gallery"]
    people = list(dict.fromkeys(record.identity for record in records))[:PEOPLE]
    records = [record for name in people for record in records if record.identity == name]
    poses = list(dict.fromkeys(name for record in records for name in record.poses))
    by_kind = {
        "session": [_bar(record, largest, largest) for record in records if (largest := _largest(record.sessions))],
        "pose": [_bar(record, record.poses, poses) for record in records if record.poses],
    }
    return {kind: drawn for kind, drawn in by_kind.items() if drawn}


def _largest(sessions: Mapping[str, int]) -> dict[str, int]:
    ordered = sorted(sessions.items(), key=lambda entry: -entry[1])
    if len(ordered) <= SESSIONS:
        return dict(ordered)
    rest = ordered[SESSIONS - 1 :]
    return dict(ordered[: SESSIONS - 1]) | {f"{len(rest)} others": sum(count for _, count in rest)}


def _bar(record: IdentityRecord, counts: Mapping[str, int], names: Iterable[str]) -> StackedBar:
    total = max(sum(counts.values()), 1)
    parts = (BarPart(name, counts.get(name, 0), counts.get(name, 0) / total, i) for i, name in enumerate(names))
    return StackedBar(f"{record.identity}, {record.split}", tuple(part for part in parts if part.count))


SECTIONS = (Section("balance", "Balance", build, "run/balance.html.j2"),)
