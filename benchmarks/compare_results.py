"""Comparison of two folders of results, leaf by leaf: what of fsbench's files is a number, and which are equal.

Leaves are the values of JSON files, the columns of tables, tensors, and the pixels of images.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

IGNORED = ("schema", "created", "command", "environment", "seconds", "swap_seconds", "cost", "device", "weights_sha256")
"""Fields about the time and the machine. Trained weights are compared themselves, tensor by tensor."""

PROSE = ("summary", "description", "reference", "no_face", "notes", "advice")
"""Fields of text about a metric, model, judge or data set; they hold no number that was measured.

A leaf of such a name that is no text is compared.
"""

KEYS = ("split", "identity", "model", "metric", "judge", "fault", "name", "where", "far", "strength", "n")
"""Fields that say which record of a list it is."""


@dataclass
class Comparison:
    """Leaves of two results: how many were compared, and those that are not equal."""

    n: int = 0
    n_equal: int = 0
    differences: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)  # leaves that only the new side has
    ignored: Counter[str] = field(default_factory=Counter)  # leaves that were not compared, by the reason


def compare(old: Path, new: Path, ignore: Sequence[str] = ()) -> Comparison:
    """Compare all files of two folders of results."""
    comparison = Comparison()
    files = {
        side: {str(path.relative_to(side)): path for path in side.rglob("*") if path.suffix in READERS}
        for side in (old, new)
    }
    for name in sorted(files[old].keys() | files[new].keys()):
        leaves = [read(files[side][name]) if name in files[side] else {} for side in (old, new)]
        compare_leaves(name, *leaves, ignore, comparison)
    return comparison


def compare_leaves(
    name: str, old: Mapping[str, Any], new: Mapping[str, Any], ignore: Sequence[str], comparison: Comparison
) -> None:
    """Compare the leaves of one file."""
    for path in [*old, *(path for path in new if path not in old)]:
        where = f"{name}:{path}"
        if pattern := _ignored(where, path, old.get(path, new.get(path)), ignore):
            comparison.ignored[pattern] += 1
        elif path not in old:
            comparison.added.append(where)
        else:
            comparison.n += 1
            if path in new and same(old[path], new[path]):
                comparison.n_equal += 1
            else:
                comparison.differences.append(f"{where}: {_told(old[path], new.get(path, _ABSENT))}")


def _ignored(where: str, path: str, value: Any, ignore: Sequence[str]) -> str:
    """Field or pattern by which a leaf is not compared, or ""."""
    fields = re.sub(r"\[.*?\]", "", path).split(".")
    named = (*IGNORED, *PROSE) if isinstance(value, str | list) else IGNORED  # a count may bear the name of a text
    by_name = (name for name in named if name in fields and ".json:" in where)
    return next(by_name, "") or next((pattern for pattern in ignore if fnmatchcase(where, pattern)), "")


_ABSENT = "nothing"


def same(one: Any, other: Any) -> bool:
    """Whether two leaves are equal to the last digit; NaN equals NaN, and 1 is not True."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        if one.shape != other.shape or one.dtype != other.dtype:
            return False
        return (
            all(map(same, one.ravel().tolist(), other.ravel().tolist()))
            if one.dtype == object
            else bool(np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))
        )
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return bool(one == other)


def _told(one: Any, other: Any) -> str:
    if not (isinstance(one, np.ndarray) and isinstance(other, np.ndarray)):
        return f"{one!r} became {other!r}"[:300]
    if one.shape != other.shape or one.dtype != other.dtype:
        return f"{one.dtype}{list(one.shape)} became {other.dtype}{list(other.shape)}"
    rows = [i for i, pair in enumerate(zip(one, other, strict=True)) if not same(*map(np.asarray, pair))]
    return f"{len(rows)} of {len(one)} rows differ, the first is {rows[0]}: {one[rows[0]]!r} became {other[rows[0]]!r}"[
        :300
    ]


def read(path: Path) -> dict[str, Any]:
    """Leaves of a file by name: JSON by path, tables by column, tensors by name, images by their pixels."""
    return READERS[path.suffix](path)


def _read_json(path: Path) -> dict[str, Any]:
    return dict(flatten(json.loads(path.read_text(encoding="utf-8"))))


def flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of a JSON value; records in a list are named by their KEYS, other items by number.

    >>> dict(flatten({"values": [{"model": "m", "metric": "k", "low": 0.5}], "n": 2}))
    {'values[m,k].model': 'm', 'values[m,k].metric': 'k', 'values[m,k].low': 0.5, 'n': 2}
    """
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from flatten(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        seen: Counter[str] = Counter()
        for number, item in enumerate(value):
            label = _label(item) or str(number)
            seen[label] += 1
            yield from flatten(item, f"{path}[{label}]" if seen[label] == 1 else f"{path}[{label}#{seen[label]}]")
    else:
        yield path, value


def _label(item: Any) -> str:
    if not isinstance(item, dict):
        return ""
    parts = (item[key].get("name", "") if isinstance(item[key], dict) else item[key] for key in KEYS if key in item)
    return ",".join(str(part) for part in parts if part is not None)


def _read_parquet(path: Path) -> dict[str, Any]:
    import pandas as pd

    return _columns(pd.read_parquet(path))


def _read_csv(path: Path) -> dict[str, Any]:
    import pandas as pd

    return _columns(pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig"))


def _columns(table: Any) -> dict[str, Any]:
    columns = {str(name): column.to_numpy() for name, column in table.items()}
    return {name: values if values.dtype.kind in "fiub" else values.astype(object) for name, values in columns.items()}


def _read_tensors(path: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    return dict(load_file(path))


def _read_image(path: Path) -> dict[str, Any]:
    from PIL import Image

    with Image.open(path) as image:
        return {"pixels": f"{image.size} {image.mode} {hashlib.sha256(image.tobytes()).hexdigest()}"}


READERS = {".json": _read_json, ".parquet": _read_parquet, ".csv": _read_csv, ".safetensors": _read_tensors,
           ".png": _read_image}  # fmt: skip
"""How the files of a result are read, by suffix; files of another kind (report.html, logs) are not compared."""


def report(old: Path, new: Path, titles: Sequence[str], ignore: Sequence[str]) -> bool:
    """Print a table of jobs and all differences; True where everything is equal."""
    found = {
        title: compare(old / title, new / title, [pattern.removeprefix(f"{title}/") for pattern in ignore])
        for title in titles
    }
    print(f"\n{'job':12}{'compared':>10}{'equal':>10}{'different':>11}{'added':>8}{'ignored':>9}")
    for title, one in found.items():
        counts = (one.n, one.n_equal, len(one.differences), len(one.added), sum(one.ignored.values()))
        print("{:12}{:10}{:10}{:11}{:8}{:9}".format(title, *counts))
    print("ignored fields:", dict(sum((one.ignored for one in found.values()), Counter())))
    for title, one in found.items():
        if added := Counter(re.sub(r"\[.*?\]", "[*]", name) for name in one.added):
            print(f"only the new side of {title} has:", *(f"  {name} ({n})" for name, n in added.items()), sep="\n")
        print(*(f"DIFFERENT {title}/{line}" for line in one.differences), sep="\n", end="\n" if one.differences else "")
    equal = all(one.n and not one.differences for one in found.values())
    print("equal to the last digit" if equal else "NOT EQUAL")
    return equal
