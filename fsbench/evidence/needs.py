"""From what metrics need to the kinds of evidence that give it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fsbench.errors import FsbenchError, NotScorable, PluginError
from fsbench.evidence.observer import ObserverArrays
from fsbench.extraction.extractor import observer_files
from fsbench.interfaces import Context, EvidenceKind, Metric
from fsbench.registry import evidence, observers, parse_spec

JUDGE = "judge"
"""The evidence that is another for each judge: a metric that needs it is computed once per judge."""

_RENAMED = {"truth": "write exact", "observer": "name the observer itself, such as face_mesh"}
"""What older versions called evidence."""


@dataclass(frozen=True)
class Kinds:
    """The kinds of evidence that metrics need, beside the judges, by name; and why some cannot be made."""

    kinds: Mapping[str, EvidenceKind]
    missing: Mapping[str, NotScorable]

    @property
    def observers(self) -> dict[str, ObserverArrays]:
        """Those that are observers."""
        return {name: kind for name, kind in self.kinds.items() if isinstance(kind, ObserverArrays)}


def build_kinds(metrics: Iterable[Metric], files: Sequence[str], context: Context) -> Kinds:
    """Make the kinds of evidence that metrics need.

    `files` are specifications NAME@PATH of observers that are to be made from a file of the user's: raises UsageError
    for one that is not so written, and FsbenchError for a file that is not of that network. Any other kind that cannot
    be made, or that nothing gives, is missing.
    """
    paths = observer_files(files)
    kinds: dict[str, EvidenceKind] = {}
    missing: dict[str, NotScorable] = {}
    for need in dict.fromkeys(need for metric in metrics for need in metric.info.needs):
        if need == JUDGE:
            continue
        own = parse_spec(need).name
        path = paths.get(observers.get(own).full_name, "") if observers.has(own) else ""
        try:
            kinds[need] = _build(need, path, context)
        except FsbenchError as error:
            if path:
                raise
            missing[need] = NotScorable(error.sentence)
    return Kinds(kinds, missing)


def _build(need: str, path: str, context: Context) -> EvidenceKind:
    name = parse_spec(need).name
    if evidence.has(name) and observers.has(name):
        owners = f"evidence of {evidence.get(name).origin} and of an observer of {observers.get(name).origin}"
        raise PluginError(f"{need!r} is the name of {owners}", "write the package before it: PACKAGE/NAME")
    if evidence.has(name):
        return evidence.build(need, context)
    if observers.has(name):
        return ObserverArrays(need, path, context)
    known = ", ".join([JUDGE, *evidence.names(), *observers.names()])
    raise PluginError(f"there is no evidence and no observer {need!r}", _RENAMED.get(need, f"known: {known}"))


def observers_in(needs: Sequence[str]) -> list[str]:
    """Those needs of a metric that are specifications of observers."""
    return [need for need in needs if observers.has(parse_spec(need).name)]
