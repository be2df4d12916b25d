"""Metrics of clips between runs that have few: blocks of the clips' frames are drawn again, as within a run.

What the frames add to a value stands in frames.parquet. Only the plug-in knows what it makes of them (`plugins`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Any

import numpy as np
import pandas as pd

from fsbench import run_files
from fsbench.comparison import plugins
from fsbench.comparison.scores import LABELS, Scores
from fsbench.errors import NotScorable, one_line
from fsbench.results import Key, of_frames
from fsbench.stats.blocks import BlockDesign, of_clips
from fsbench.stats.resampling import Difference

FILE = "frames.parquet"

_ROUNDING = 1e-6


@dataclass(frozen=True)
class ClipScores:
    """What a model of a run has on some clips, in one order."""

    scores: Scores
    model: str
    rows: np.ndarray  # (C,) of clips
    places: np.ndarray  # (C,) of these in the run's table of clips


def difference(first: ClipScores, second: ClipScores, key: Key) -> Difference:
    """The second value less the first, of the same clips; raises NotScorable where nothing can be said."""
    from fsbench.interfaces import Framewise

    metric = plugins.build(key.metric)
    if not isinstance(metric, Framewise):
        raise NotScorable(f"{key.metric} is not made of frames, and there are too few clips for an interval")
    try:
        return _difference(metric, first, second, key)
    except NotScorable:
        raise
    except Exception as error:  # of a plug-in, for numbers that it did not give
        raise NotScorable(f"{key.metric} cannot be made of {FILE}: {one_line(error)}") from error


def _difference(metric: Any, first: ClipScores, second: ClipScores, key: Key) -> Difference:
    own, others = (_frames(side, key, metric.clip_row) for side in (first, second))
    if not all(a["frame"].equals(b["frame"]) for a, b in zip(own, others, strict=True)):
        raise NotScorable("the two runs have other frames of a clip")
    result = first.scores.result
    design = BlockDesign.of_frames(pd.concat(own), resamples=result.protocol.resamples, seed=result.seed)
    of, of_second = (
        of_clips([_rows(frames, key) for frames in clips], metric.clip_row, metric.summarise) for clips in (own, others)
    )
    everything = np.arange(len(design))
    resampled, resampled_second = (design.resample(statistic, metric.info.resamples) for statistic in (of, of_second))
    return design.difference(of_second(everything) - of(everything), resampled_second, resampled)


def _frames(side: ClipScores, key: Key, clip_row: Callable[[np.ndarray], float]) -> list[pd.DataFrame]:
    """The frames of each clip; raises NotScorable where they do not give the clip's row again."""
    scores, gaps = side.scores, list[str]()
    if scores.folder is None:
        raise NotScorable(f"{scores.label} is a baseline, which keeps no frames of clips")
    table = run_files.table(scores.folder / FILE, ("model", *LABELS["clip"]), ("frame", of_frames(key, 0)), gaps)
    if table is None:
        raise NotScorable(f"{scores.label}: {gaps[0]}".rstrip("."))
    if (table["frame"] % 1 != 0).any():  # nor is NaN
        raise NotScorable(f"{scores.label}: {FILE} has frames without a number")
    labels = list(LABELS["clip"])
    of_model = table[table["model"] == side.model].astype({"frame": np.int64})
    by_clip = {names: frames.reset_index(drop=True) for names, frames in of_model.groupby(labels, sort=False)}
    places = scores.tables["clip"].iloc[side.places][labels].itertuples(index=False, name=None)
    clips = [by_clip.get(names, of_model[:0]) for names in places]
    made = [clip_row(_rows(frames, key)) if len(frames) else np.nan for frames in clips]
    if not np.allclose(made, side.rows, rtol=_ROUNDING):
        raise NotScorable(f"{scores.label}: {FILE} does not give the rows of clips.parquet again")
    return clips


def _rows(frames: pd.DataFrame, key: Key) -> np.ndarray:
    """What the frames add to a value, (M, K)."""
    columns = takewhile(frames.__contains__, (of_frames(key, k) for k in count()))
    rows: np.ndarray = frames[list(columns)].to_numpy(np.float64)
    return rows
