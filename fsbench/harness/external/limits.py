"""What limits what the numbers of outputs of other tools mean, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fsbench.datasets.people import Album
from fsbench.extraction.extractor import Judge
from fsbench.files import some
from fsbench.harness import warn
from fsbench.harness.external.asked import AskedPairs
from fsbench.harness.external.files import SEVERAL, Cut, ToolOutputs
from fsbench.interfaces import Faces, Split

NO_COACH = "none"
"""Family of a tool that was trained against no recogniser."""


def of_outputs(n: int, kept: AskedPairs, cuts: Mapping[str, Cut]) -> list[str]:
    """Say which of `n` pairs are not measured, which outputs cannot be read, and which show nobody knows whom."""
    warnings = [f"{n - len(kept)} of {n} pairs left out, no face was found in their targets"] if len(kept) < n else []
    for name, cut in cuts.items():
        for why, rows in cut.facts[cut.lost == "unreadable"].groupby("why"):
            warnings.append(
                f"{name}: {len(rows)} of {len(kept)} outputs cannot be read "
                f"({why.removeprefix('cannot be read: ')}): {some(rows['file'].tolist())}"
            )
        if len(unclear := cut.facts[cut.facts["cut"].str.startswith(SEVERAL)]):
            warnings.append(
                f"{name}: {len(unclear)} of {len(kept)} outputs show several faces, and another frame than "
                f"their target; of each the largest was cut: {some(unclear['file'].tolist())}"
            )
    return warnings


def of_coaches(
    tools: Sequence[ToolOutputs], coaches: Mapping[str, Sequence[str]], judges: Sequence[Judge]
) -> list[str]:
    """Say where it is open whether a judge is partial to a model."""
    families, warnings = sorted({judge.network.info.family for judge in judges}), []
    for name in (tool.name for tool in tools):
        if not coaches.get(name):
            warnings.append(
                f"what {name} was trained against is not known: a judge may have been its coach "
                f"(--coach {name}=FAMILY, or {name}={NO_COACH})"
            )
        warnings += [
            f"{name} was trained against {family}, and no judge is of a family of that name: they are of "
            f"{', '.join(families)}"
            for family in coaches.get(name, ())
            if family not in (NO_COACH, *families)
        ]
    return warnings


def of_albums(source_album: Album, target_album: Album) -> list[str]:
    """Say what in the folders limits what the numbers mean."""
    albums = {"source": source_album} | ({} if target_album is source_album else {"target": target_album})
    warnings = [f"{role}: {warning}" for role, album in albums.items() for warning in (*album.warnings, *album.uneven)]
    return warnings + [f"source: {warning}" for warning in source_album.several]


def of_people(used: Mapping[Split, Faces]) -> list[str]:
    """Say what about the people limits what the numbers mean."""
    warnings = []
    strangers = used["gallery"].identities if "gallery" in used else []
    if (n := len(used["test"].identities) + len(strangers)) < warn.FEW_STRANGERS:
        warnings.append(f"outputs can be taken for {n} people only, so retrieval says little: --gallery adds others")
    return warnings + warn.few_sessions(used["test"])
