"""How evenly each person's images lie over sessions and poses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fsbench.report.run import Run
from fsbench.results import IdentityRecord

PEOPLE = 12  # identities that are shown, where there are more
SESSIONS = 20  # pieces of a bar; the smallest sessions are one piece, where there are more


@dataclass(frozen=True)
class Part:
    """A piece of a bar."""

    name: str
    count: int
    share: float
    kind: int  # which colour: poses have their own, sessions take turns


@dataclass(frozen=True)
class Bar:
    """One identity in one split."""

    title: str
    parts: tuple[Part, ...]


def bars(run: Run) -> dict[str, list[Bar]]:
    """Return stacked bars of what is known, by session and by pose; strangers of the gallery have none."""
    shown: list[IdentityRecord] = [one for one in run.result.dataset.identities if one.split != "gallery"]
    people = list(dict.fromkeys(one.identity for one in shown))[:PEOPLE]
    shown = [one for name in people for one in shown if one.identity == name]
    poses = list(dict.fromkeys(name for one in shown for name in one.poses))
    found = {
        "session": [_bar(one, largest, largest) for one in shown if (largest := _largest(one.sessions))],
        "pose": [_bar(one, one.poses, poses) for one in shown if one.poses],
    }
    return {by: drawn for by, drawn in found.items() if drawn}


def _largest(sessions: Mapping[str, int]) -> dict[str, int]:
    ordered = sorted(sessions.items(), key=lambda entry: -entry[1])
    if len(ordered) <= SESSIONS:
        return dict(ordered)
    rest = ordered[SESSIONS - 1 :]
    return dict(ordered[: SESSIONS - 1]) | {f"{len(rest)} others": sum(count for _, count in rest)}


def _bar(record: IdentityRecord, counts: Mapping[str, int], names: Iterable[str]) -> Bar:
    total = max(sum(counts.values()), 1)
    parts = (Part(name, counts.get(name, 0), counts.get(name, 0) / total, i) for i, name in enumerate(names))
    return Bar(f"{record.identity}, {record.split}", tuple(part for part in parts if part.count))
