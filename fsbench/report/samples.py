"""The numbers of single samples, for those that a page shows pictures of, and the slices that their targets are in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from fsbench.report.plots import LABEL, short
from fsbench.report.run import RunContents
from fsbench.store import fingerprint

PARTS = 3
"""Slices of a number that is known about targets, of equal size."""

KNOWN = ("identity", "session", "clip", "frame")
"""Columns with facts about a target that are told beside its tags."""

NUMBER_BYTES = 9
"""Bytes that a number of a sample takes on a page."""

Pair = tuple[str, str]
"""Name of the source, id of the target."""


def key_of(source: str, target: str) -> str:
    """Return what a page calls a pair, whatever is in its names."""
    return f"p{fingerprint([source, target])[:12]}"


def tags(run: RunContents, rows: pd.DataFrame) -> list[str]:
    """Float columns with facts about the target images that differ between some samples."""
    return [name for name in _floats(run) if rows[name].nunique() > 1]


def _floats(run: RunContents) -> list[str]:
    measured = {column.key for column in run.columns}
    floats = (str(name) for name in run.samples if pd.api.types.is_float_dtype(run.samples[name]))
    return [name for name in floats if name not in measured]


@dataclass(frozen=True)
class Side:
    """The outputs of one model of a run, and what a page calls them."""

    title: str
    run: RunContents
    model: str

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The samples."""
        return self.run.of(self.model)

    @cached_property
    def places(self) -> dict[Pair, int]:
        """Row of each pair."""
        pairs = zip(self.rows["source"], self.rows["id"], strict=True) if len(self.rows) else ()
        return {(str(source), str(target)): i for i, (source, target) in enumerate(pairs)}

    def texts(self, pair: Pair, columns: Sequence[str]) -> list[str]:
        """What it has of a pair: how it failed, then a number for each column, "" for none."""
        row = self.rows.iloc[self.places[pair]]
        values = (row.get(column) for column in columns)
        numbers = ["" if value is None or pd.isna(value) else f"{value:.4g}" for value in values]
        return [str(row.get("failure") or ""), *numbers]


def of_run(run: RunContents, pairs: Iterable[Pair]) -> dict[str, Any]:
    """Return every number of some pairs for all models of a run, as `numbers` does."""
    return numbers([Side(short(model.name, LABEL), run, model.name) for model in run.result.models], pairs)


def numbers(sides: Sequence[Side], pairs: Iterable[Pair]) -> dict[str, Any]:
    """Return every number of some pairs, for the page's script; numbers are texts.

    `columns`: those of samples.parquet, which may hold shares where a value is in percent; `pairs`, by key: `title`,
    `facts` about the target, `slices`, and `models`, each a list of a title and a text per column.
    """
    known = (column.key for side in sides for column in side.run.columns if column.key in side.rows)
    columns = list(dict.fromkeys(known))
    slicers = {id(side.run): _slicer(side.run) for side in sides}
    told = {}
    for pair in dict.fromkeys(pairs):
        having = [side for side in sides if pair in side.places]
        if having:
            target = having[0].rows.iloc[having[0].places[pair]]
            told[key_of(*pair)] = {
                "title": f"{pair[0]} into {pair[1]}",
                "facts": _facts(target, _floats(having[0].run)),
                "slices": slicers[id(having[0].run)](target),
                "models": [[side.title, *side.texts(pair, columns)] for side in having],
            }
    return {"columns": ["failure", *columns], "pairs": told}


def _facts(target: pd.Series[Any], floats: Sequence[str]) -> list[tuple[str, str]]:
    known = [(name, str(target[name])) for name in KNOWN if name in target and str(target[name])]
    return known + [(name, f"{target[name]:.4g}") for name in floats if pd.notna(target[name])]


def _slicer(run: RunContents) -> Callable[[pd.Series[Any]], list[str]]:
    """Tell the slices that a target is in: its source and person, and a part of each of its tags."""
    parts = {tag: _parts(run.samples[tag].dropna().to_numpy(np.float64)) for tag in tags(run, run.samples)}

    def slices(target: pd.Series[Any]) -> list[str]:
        labels = [f"source: {target['source']}", f"target: {target['identity']}"]
        return labels + [f"{tag}: {part(float(target[tag]))}" for tag, part in parts.items() if pd.notna(target[tag])]

    return slices


def _parts(values: np.ndarray) -> Callable[[float], str]:
    """Name the part that a number is in: itself where there are few, else one of parts that hold equally many."""
    distinct = np.unique(values)
    if set(distinct) <= {0, 1}:
        return lambda value: "yes" if value else "no"
    if len(distinct) <= PARTS:
        return lambda value: f"{value:.4g}"
    edges = np.unique(np.quantile(values, np.linspace(0, 1, PARTS + 1)))

    def part(value: float) -> str:
        i = int(np.clip(np.searchsorted(edges, value, side="right") - 1, 0, len(edges) - 2))
        return f"{edges[i]:.3g} to {edges[i + 1]:.3g}"

    return part
