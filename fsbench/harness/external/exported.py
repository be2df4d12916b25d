"""What other tools made of the crops of a data set: which files show which pairs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from fsbench.config import Pipeline, Plan
from fsbench.errors import DataError
from fsbench.extraction.extractor import Judge
from fsbench.files import gather, printable, some
from fsbench.harness.external import limits
from fsbench.harness.external.files import ToolOutputs
from fsbench.pairs import Pairs
from fsbench.results import UnusedRecord
from fsbench.specs import Spec


def names_of(pairs: Pairs) -> list[str]:
    """Path of the output of each pair, without suffix: SOURCE/TARGET, where TARGET is the target's id."""
    rows = pairs.rows
    return [f"{source}/{target}" for source, target in zip(rows["source"], rows["id"], strict=True)]


@dataclass(frozen=True)
class ExportedOutputs:
    """Folders of outputs for the pairs of a data set, and what each tool was trained against."""

    tools: Sequence[ToolOutputs] = ()
    coaches: Mapping[str, Sequence[str]] = field(default_factory=dict)  # families by name of the tool

    def plan(self, plan: Plan) -> Plan:
        """Return a plan whose models are these tools."""
        models = []
        for tool in self.tools:
            families = ",".join(family for family in self.coaches.get(tool.name, ()) if family != limits.NO_COACH)
            spec = Spec("precomputed", {"coach": families} if families else {}, str(tool.folder))
            models.append(str(Pipeline(parts=(spec,), name=tool.name)))
        return plan.model_copy(update={"models": tuple(models)})

    def faults(self, sets: Iterable[Pairs]) -> dict[str, DataError]:
        """Say of each tool of which no file shows a pair why that is; raises the first where all have a fault."""
        names = [name for pairs in sets for name in names_of(pairs)]
        wanted = set(names)
        faults = {
            tool.name: tool.empty()
            or DataError(
                f"none of the {len(tool.files)} images in {printable(str(tool.folder))} is named as a pair of the "
                f"data set, such as {names[0]}.png",
                f"there is {some(tool.files[:1])}; fsbench data export writes a table with the name of each output",
            )
            for tool in self.tools
            if not any(_stem(file) in wanted for file in tool.files)
        }
        if faults and len(faults) == len(self.tools):
            raise next(iter(faults.values()))
        return faults

    def unused(self, sets: Iterable[Pairs]) -> list[UnusedRecord]:
        """List the files that no pair asks for, and those that are no images, by tool."""
        wanted = {name for pairs in sets for name in names_of(pairs)}
        records = [
            *(record for tool in self.tools for record in tool.unused),
            *(
                record
                for tool in self.tools
                for record in gather(
                    tool.name, [("no pair has this name", file) for file in tool.files if _stem(file) not in wanted]
                )
            ),
        ]
        return [UnusedRecord(**vars(record)) for record in records]

    def warnings(self, judges: Sequence[Judge]) -> list[str]:
        """Say where it is open whether a judge is partial to a tool."""
        return limits.of_coaches(self.tools, self.coaches, judges)


def _stem(file: str) -> str:
    return str(PurePosixPath(file).with_suffix(""))
