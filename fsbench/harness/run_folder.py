"""The files of a run, written so that a killed process leaves nothing half-done that anybody would read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fsbench.atomic import atomic_path
from fsbench.config import Plan
from fsbench.errors import OutputError
from fsbench.evidence.recursion import FedBack
from fsbench.extraction.blocks import spans
from fsbench.files import some
from fsbench.harness.models import Model, file_name
from fsbench.harness.progress_file import PROGRESS_FILE
from fsbench.harness.run_lock import LOCK_FILE, RunLock, refuse_if_taken
from fsbench.harness.train import write_sidecar
from fsbench.images import ImageSet
from fsbench.pairs import Pairs
from fsbench.png import write_pngs
from fsbench.results import FILE_NAME, PLAN_FILE, slug
from fsbench.spreadsheets import no_formula
from fsbench.store import copy_file, write_text
from fsbench.stored import header_of

INPUTS = "inputs"
TARGETS = "inputs/target"
OUTPUTS, FRAMES = "outputs", "frames"
ROWS = 1024
"""Rows of features that are written at a time."""

LINES = 2000
"""Of tables, that are encoded at a time."""

_LATER = {"stage": "crop", "preset": "fsbench"}
"""Fields of plans that older versions did not have, as they were then."""


@dataclass(frozen=True)
class RunFolder:
    """One `--out` directory; `fsbench.results` says what stands in it."""

    path: Path

    def check(self, plan: Plan, resume: bool, inputs: Mapping[str, str] | None = None) -> None:
        """Raise OutputError where the folder holds something that this plan may not write over.

        `inputs` are hashes of what is not the plan and decides the numbers, by what a sentence calls it.
        """
        plan_file = self.path / PLAN_FILE
        if self.path.exists() and not self.path.is_dir():
            raise OutputError(f"--out {self.path} is a file", "name a new directory")
        refuse_if_taken(self.path)
        if plan_file.exists():
            other = self._other(plan, inputs)
            if other or not resume:
                state = "a finished run" if (self.path / FILE_NAME).exists() else "an unfinished run"
                remedy = (
                    "name another --out, or remove it"
                    if other
                    else "add --resume to go on with it, or name another --out"
                )
                raise OutputError(f"--out {self.path} holds {state}{other}", remedy)
        elif self.path.exists() and any(not _is_passing(path) for path in self.path.iterdir()):
            raise OutputError(f"--out {self.path} is not empty and holds no run of fsbench", "name a new directory")

    def is_finished(self, plan: Plan) -> bool:
        """Whether the folder holds the finished run of a plan."""
        return (self.path / FILE_NAME).is_file() and not self._other(plan, None)

    def _other(self, plan: Plan, inputs: Mapping[str, str] | None) -> str:
        """What tells the run that is there from this one; "" for nothing."""
        try:
            there = json.loads((self.path / PLAN_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            there = None
        before = there.pop(INPUTS, {}) if isinstance(there, dict) else {}
        if not _is_plan(there, plan) or not isinstance(before, dict):
            return " of another plan"
        changed = [name for name in {**before, **(inputs or {})} if before.get(name) != (inputs or {}).get(name)]
        return f" of other content: {some(changed)} changed since" if changed and inputs is not None else ""

    def begin(self, plan: Plan, inputs: Mapping[str, str] | None, tell: Callable[[str], None]) -> RunLock | None:
        """Make the folder this plan's; it holds no finished run until the result is written.

        Returns the lock on it. Raises OutputError where another process has that.
        """
        lock = RunLock.take(self.path, tell)
        for path in (self.path / FILE_NAME, *self.path.rglob("*.partial")):
            path.unlink(missing_ok=True)
        content = plan.model_dump() | ({INPUTS: dict(inputs)} if inputs else {})
        write_text(self.path / PLAN_FILE, json.dumps(content, indent=1, sort_keys=True) + "\n")
        return lock

    def write_inputs(self, pairs: Pairs) -> None:
        """Write targets, source references and exact swaps."""
        for group in pairs.groups:
            self._write_images(TARGETS, group.targets.rows["id"], group.targets.crops)
            self._write_images("inputs/source", pd.Series([group.identity]), group.references.select(slice(1)))
            if group.truth is not None:
                self._write_images(f"inputs/exact/{slug(group.identity)}", group.targets.rows["id"], group.truth.exact)

    def write_frames(self, pairs: Pairs) -> None:
        """Write what metrics look at of the frames that targets were cut from."""
        for group in pairs.groups:
            self._write_images("inputs/frame", group.targets.rows["id"], group.targets.crops)

    def write_outputs(self, label: str, pairs: Pairs, outputs: ImageSet, below: str = OUTPUTS) -> None:
        """Write a model's outputs."""
        for group, images in zip(pairs.groups, pairs.by_group(outputs), strict=True):
            self._write_images(output_folder(label, group.identity, below), group.targets.rows["id"], images)

    def write_passes(self, label: str, fed_back: FedBack) -> None:
        """Write outputs of a model that were fed back, after each number of passes."""
        for n, images in fed_back.images.items():
            self._write_images(f"recursion/{slug(label)}", pd.Series([f"{row}/{n}" for row in fed_back.rows]), images)

    def _write_images(self, folder: str, names: pd.Series[str], images: ImageSet) -> None:
        write_pngs((self.path / folder / f"{name}.png" for name in names), images)

    def write_model(self, model: Model) -> None:
        """Copy the weights of parts that were trained to where `name@PATH` finds them."""
        for part in model.parts:
            if part.origin == "trained" and part.weights is not None and part.training is not None:
                copy = self.path / "models" / file_name(part.kind, slug(part.label))
                copy_file(part.weights, copy)
                write_sidecar(part.training, part.trained_on, copy)

    def write_traceback(self, label: str, traceback: str) -> str:
        """Keep the traceback of a model or a metric that failed; returns its path below the folder."""
        path = f"errors/{slug(label)}.txt"
        write_text(self.path / path, traceback)
        return path

    def write_samples(self, parts: Callable[[], Iterable[pd.DataFrame]]) -> None:
        """Write the rows of all outputs, as parquet and as CSV for spreadsheets (UTF-8 with a byte-order mark).

        `parts` as in `write_parts`. A text that a spreadsheet would compute has an apostrophe before it in the CSV:
        names come from outside.
        """
        columns = self.write_parts("samples.parquet", parts)
        with (
            atomic_path(self.path / "scores.csv") as partial,
            partial.open("w", encoding="utf-8-sig", newline="") as file,
        ):
            for k, part in enumerate(parts()):
                texts = part.select_dtypes(exclude=["number", "bool"])
                safe = part.assign(**{str(name): part[name].map(no_formula) for name in texts})
                safe.reindex(columns=columns).to_csv(file, index=False, header=k == 0)

    def write_table(self, name: str, *tables: pd.DataFrame) -> None:
        """Write a parquet file of tables, one below the other; columns that one lacks are null there."""
        blocks = [(table, block) for table in tables for block in spans(max(1, len(table)), LINES)]
        self.write_parts(name, lambda: (table.iloc[block] for table, block in blocks))

    def write_parts(self, name: str, parts: Callable[[], Iterable[pd.DataFrame]]) -> list[str]:
        """Write a table part by part: encoding, and texts as Python's objects, take much memory. Returns its columns.

        `parts` gives them as often as it is asked: the first time tells the types of the columns.
        """
        schema = pa.unify_schemas(
            [pa.Schema.from_pandas(part, preserve_index=False) for part in parts()], promote_options="permissive"
        )
        with atomic_path(self.path / name) as partial, pq.ParquetWriter(partial, schema) as writer:
            for part in parts():
                whole = part.reindex(columns=schema.names)
                writer.write_table(pa.Table.from_pandas(whole, schema, preserve_index=False))
        return list(schema.names)

    def write_features(self, network: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write what one judge or observer gives, (N, D) float32 each, block by block: they may be memory-mapped."""
        path = self.path / "features" / f"{slug(network)}.safetensors"
        with atomic_path(path) as partial, partial.open("wb") as file:
            names, dtype = sorted(arrays), np.dtype("<f4")
            file.write(header_of((name, dtype, arrays[name].shape) for name in names))
            for name in names:
                for start in range(0, len(arrays[name]), ROWS):
                    file.write(np.ascontiguousarray(arrays[name][start : start + ROWS], dtype).tobytes())


def _is_plan(there: object, plan: Plan) -> bool:
    """Whether what stands in a file is a plan, also one that an older fsbench wrote."""
    return isinstance(there, dict) and {**_LATER, **there} == json.loads(plan.model_dump_json())


def output_folder(label: str, source: str, below: str = OUTPUTS) -> str:
    """Path below the folder of a run of what a model made of one source."""
    return f"{below}/{slug(label)}/{slug(source)}"


def output_paths(label: str, rows: pd.DataFrame) -> pd.Series[str]:
    """Paths below the folder of a run of a model's outputs, by `source` and `id` of their pairs."""
    folders = {source: output_folder(label, source) for source in rows["source"].unique()}
    return rows["source"].map(folders) + "/" + rows["id"].astype(str) + ".png"


def target_path(name: str) -> str:
    """Path below the folder of the target with an id."""
    return f"{TARGETS}/{name}.png"


def _is_passing(path: Path) -> bool:
    """Whether it is what a run that was killed leaves behind before its plan."""
    return path.suffix == ".partial" or path.name in (LOCK_FILE, PROGRESS_FILE)
