"""The groups that reports sort metrics into. Free of torch, because result files and reports name them too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

MetricGroup = Literal["identity", "realism", "attributes", "temporal", "truth"]


@dataclass(frozen=True)
class GroupFacts:
    """How a group is called, and the question that its metrics answer."""

    title: str
    question: str


GROUPS: Mapping[MetricGroup, GroupFacts] = {
    "identity": GroupFacts("Identity", "whose face is it?"),
    "realism": GroupFacts("Realism", "do the outputs, all together, look like the targets?"),
    "attributes": GroupFacts("Attributes", "is what belongs to the target still there?"),
    "temporal": GroupFacts("Motion", "do the outputs of a clip move as its frames do?"),
    "truth": GroupFacts("Ground truth", "how near is the exact swap?"),
}
"""In the order of tables."""
