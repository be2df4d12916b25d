"""What one model did, as it goes into the files of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from fsbench import results
from fsbench.evidence.recursion import FedBack
from fsbench.extraction.features import FaceFeatures
from fsbench.harness import summarise
from fsbench.harness.run_folder import output_paths, target_path
from fsbench.interfaces import Sample
from fsbench.pairs import Pairs


@dataclass(frozen=True)
class Measurements:
    """What metrics measured of a model's outputs, in one set and at one stage."""

    values: list[results.Value]
    estimates: Mapping[results.Key, summarise.Estimate]  # what differences to other models are made of
    columns: Mapping[Sample, Mapping[str, np.ndarray]]  # of samples.parquet and clips.parquet
    curves: Mapping[str, np.ndarray]  # columns of frames.parquet
    tracebacks: Mapping[str, str]  # by metric that failed, of what it, or what it needs, raised first


@dataclass(frozen=True)
class ModelEvaluation:
    """What one model did, without its images."""

    record: results.ModelRecord
    values: list[results.Value]
    estimates: Mapping[results.Key, summarise.Estimate]
    pairs: Pairs  # of the outputs
    measured: pd.DataFrame  # (N, ...) what was measured of each output, and that it failed
    clips: pd.DataFrame  # its part of clips.parquet, but for paths; without rows where it was shown stills only
    frames: pd.DataFrame  # its part of frames.parquet: what metrics of clips say of single frames
    faces: Mapping[str, FaceFeatures]  # by judge, (N, ...)
    observed: Mapping[str, np.ndarray]  # by observer, (N, D): what distances of distributions are made of
    fed_back: FedBack | None  # where a metric needed it
    tracebacks: Mapping[str, str]

    def samples(self, rows: slice = slice(None)) -> pd.DataFrame:
        """Some rows of its part of samples.parquet, put together when they are asked for: texts take much memory."""
        shown, label = self.pairs.shown("output", rows), self.record.name
        shown = shown.assign(model=label, output=output_paths(label, shown))
        return pd.concat([shown, self.measured.iloc[rows]], axis=1)

    def with_frames(self, measured: Measurements) -> ModelEvaluation:
        """Add what was measured of the same outputs in their frames."""
        return replace(
            self,
            values=[*self.values, *measured.values],
            estimates={**self.estimates, **measured.estimates},
            measured=with_columns(self.measured, measured.columns["output"]),
            clips=with_columns(self.clips, measured.columns["clip"]),
            frames=with_columns(self.frames, measured.curves),
            tracebacks={**measured.tracebacks, **self.tracebacks},
        )

    def with_paths(self) -> ModelEvaluation:
        """Add the paths of the frames of its clips."""
        clips = [self.pairs.rows.iloc[clip] for clip in self.pairs.clips]
        outputs = [output_paths(self.record.name, rows).tolist() for rows in clips]
        targets = [[target_path(str(row)) for row in rows["id"]] for rows in clips]
        paths = {"outputs": pd.Series(outputs, dtype=object), "targets": pd.Series(targets, dtype=object)}
        return replace(self, clips=self.clips.assign(**paths))

    @classmethod
    def join(cls, parts: Sequence[ModelEvaluation]) -> ModelEvaluation:
        """Put the sets of a model together: outputs are those of the first."""
        first, *others = parts
        frames = next((part.record.failures for part in others), {})
        record = first.record.model_copy(update={"frame_failures": frames})
        return replace(
            first,
            record=record,
            values=[value for part in parts for value in part.values],
            estimates={key: estimate for part in parts for key, estimate in part.estimates.items()},
            clips=pd.concat([part.clips for part in parts if len(part.clips)] or [first.clips], ignore_index=True),
            frames=pd.concat([part.frames for part in parts if len(part.frames)] or [first.frames], ignore_index=True),
            tracebacks={name: text for part in reversed(parts) for name, text in part.tracebacks.items()},
        )


def with_columns(table: pd.DataFrame, columns: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """A table with more columns, all at once: `assign` puts them in one by one, and pandas warns of what that costs."""
    return pd.concat([table, pd.DataFrame(dict(columns), index=table.index)], axis=1)


NOTHING = Measurements([], {}, {"output": {}, "clip": {}}, {}, {})
