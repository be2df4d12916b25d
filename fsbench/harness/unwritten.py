"""The run of a process that shares the work and leaves the result to another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fsbench import results
from fsbench.harness.writer import RunWriter


class Unwritten(RunWriter):
    """Takes models as `RunWriter` does, and neither measures nor writes them."""

    def begin(self, inputs: Mapping[str, str] | None = None) -> None:
        """Leave the folder alone."""

    def add(self, record: results.ModelRecord, *_: Any, **__: Any) -> results.ModelRecord:
        """Let a model go: its outputs and features are in the store."""
        return record

    def fail(self, record: results.ModelRecord, error: Exception) -> None:
        """Let a model go that failed: it fails in the process that writes, too, and is told there."""

    def finish(self, dataset: results.DatasetRecord, unused: Sequence[results.UnusedRecord] = ()) -> results.RunResult:
        """Return a result without values."""
        nothing: dict[str, Any] = {"dataset": dataset, "unused": tuple(unused), "models": (), "values": ()}
        return results.RunResult.model_construct(**nothing)
