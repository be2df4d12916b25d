"""Tables, vectors and pictures of a run's folder: a stranger may have made it, so that nothing is believed unchecked.

What does not fit is not used, and a sentence in `gaps` says why.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fsbench.errors import one_line
from fsbench.files import printable
from fsbench.store import read_arrays

MOST_ROWS, MOST_COLUMNS, MOST_BYTES = 20_000_000, 5_000, 2**32
"""What a table may say that it holds, before it is read."""

LARGEST_NUMBER = 1e15
MOST_PIXELS, LARGEST_PICTURE = 4096**2, 2**26
"""Of a picture: fsbench writes crops of up to 1024 pixels a side."""

_UNIT = 1e-3


def table(
    path: Path, texts: Sequence[str], numbers: Sequence[str], gaps: list[str], lists: Sequence[str] = ()
) -> pd.DataFrame | None:
    """A parquet file with certain columns of text, of numbers and of lists of text; None where it cannot be used.

    Other columns are kept where they hold text, or finite numbers, or nothing.
    """
    if not os.path.lexists(path):
        gaps.append(f"{path.name} is not there.")
        return None
    try:
        content = _read(path)
    except Exception as error:  # noqa: BLE001 - pyarrow raises errors of many kinds for damaged files
        gaps.append(f"{path.name} cannot be read: {one_line(error)[:200]}.")
        return None
    missing = [name for name in (*texts, *numbers, *lists) if name not in content]
    if missing:
        gaps.append(f"{path.name} has no column {', '.join(missing)}.")
        return None
    odd = [name for name in texts if not _is_text(content[name])]
    odd += [name for name in numbers if not _is_numeric(content[name])]
    odd += [name for name in lists if not _are_lists(content[name])]
    if odd:
        gaps.append(f"{path.name} holds other things than it should in {', '.join(odd)}.")
        return None
    others = [name for name in content if name not in (*texts, *numbers, *lists)]
    useless = [name for name in others if not (_is_text(content[name].dropna()) or _is_numeric(content[name]))]
    if useless:
        shown = ", ".join(printable(str(name)[:60]) for name in useless[:3])
        gaps.append(f"{path.name}: {len(useless)} columns hold neither text nor finite numbers: {shown}.")
    return content.drop(columns=useless)


def _read(path: Path) -> pd.DataFrame:
    import pyarrow.parquet as pq

    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("it is no regular file")
    with path.open("rb") as opened, pq.ParquetFile(opened) as file:
        about = file.metadata
        size = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
        if about.num_rows > MOST_ROWS or about.num_columns > MOST_COLUMNS or size > MOST_BYTES:
            raise ValueError(f"it says that it has {about.num_rows:,} rows and {about.num_columns:,} columns")
        whole = file.read()
        whole.validate(full=True)  # texts that are not UTF-8, and offsets that lead nowhere
        content: pd.DataFrame = whole.to_pandas(ignore_metadata=True)
    if content.columns.has_duplicates:
        raise ValueError("two columns have one name")
    return content[[name for name in content if not str(name).startswith("__index_level")]]


def _is_text(column: pd.Series) -> bool:
    return bool(column.astype(object).map(lambda value: isinstance(value, str) and len(value) < 10_000).all())


def _are_lists(column: pd.Series) -> bool:
    """Whether a column holds lists of text, as numpy arrays."""
    return all(isinstance(value, np.ndarray) and _is_text(pd.Series(value, dtype=object)) for value in column)


def _is_numeric(column: pd.Series) -> bool:
    """Whether a column holds numbers that can be drawn, and NaN or nothing."""
    if not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column) or column.isna().all()):
        return False
    values = column.dropna().to_numpy(np.float64, na_value=np.nan)
    return bool((np.abs(values) <= LARGEST_NUMBER).all())


def vectors(folder: Path, name: str, sizes: Mapping[str, int], gaps: list[str]) -> dict[str, np.ndarray]:
    """The unit vectors of a file whose number fits the tables, by model; a row of NaN is an image without a face."""
    path = folder / name
    if not os.path.lexists(path):
        gaps.append(f"{name} is not there.")
        return {}
    try:
        arrays, _ = read_arrays(path)
    except (OSError, ValueError) as error:
        gaps.append(f"{name} cannot be read: {one_line(error)[:200]}.")
        return {}
    fitting: dict[str, np.ndarray] = {}
    for key, size in sizes.items():
        array = arrays.get(key)
        if not size or (array is not None and len(array.shape) == 2 and len(array) == size and _are_unit(array)):
            fitting |= {} if array is None or not size else {key: array}
        elif array is None or array.ndim == 0 or len(array) != size:
            n = 0 if array is None or array.ndim == 0 else len(array)
            gaps.append(f"{name} has {n} vectors for {key}, but the table has {size} rows.")
        else:
            gaps.append(f"{name} has no unit vectors for {key}.")
    widths = {array.shape[1] for array in fitting.values()}
    if len(widths) > 1:
        gaps.append(f"{name} has vectors of different lengths.")
        return {}
    return fitting


def _are_unit(array: np.ndarray) -> bool:
    """Whether all rows (N, D) are of unit length, or of NaN."""
    if not np.issubdtype(array.dtype, np.floating) or array.shape[1] == 0:
        return False
    missing = np.isnan(array).all(1)
    length = np.linalg.norm(array[~missing].astype(np.float64), axis=1)
    return bool((np.abs(length - 1) < _UNIT).all())


def inside(folder: Path, path: Path | str) -> Path | None:
    """Where a path of a result leads, below the run's folder; None where it leads out of it or to no regular file."""
    try:
        whole = folder.resolve()
        target = (whole / path).resolve()
        return target if target.is_relative_to(whole) and stat.S_ISREG(target.stat().st_mode) else None
    except (OSError, ValueError, RuntimeError):  # not there, no name of this system, links in a circle
        return None
