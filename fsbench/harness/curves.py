"""What metrics of clips say of single frames: where in a clip their values come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import numpy as np
import pandas as pd
from torch import Tensor

from fsbench import guard
from fsbench.errors import FsbenchError, NotScorable, PluginError
from fsbench.harness.evaluation import OutputFeatures, PreparedSet
from fsbench.harness.measurements import ClipRows
from fsbench.harness.summarise import Estimate, batches
from fsbench.interfaces import Curved, Evidence
from fsbench.pairs import Pairs
from fsbench.results import Key, column, of_frames

COLUMNS = ["source", "id", "identity", "session", "clip", "frame"]


def frame_rows(pairs: Pairs) -> pd.DataFrame:
    """What is known of each output of a clip, one row each; without rows for stills."""
    return pairs.rows[COLUMNS] if pairs.clips else pd.DataFrame(columns=COLUMNS)


def frame_columns(key: Key, estimate: Estimate) -> Iterator[tuple[str, np.ndarray]]:
    """Columns of frames.parquet with the rows of frames that a value of clips is made of; none for other values."""
    if isinstance(estimate.rows, ClipRows):
        yield from ((of_frames(key, k), rows) for k, rows in enumerate(estimate.rows.frames.T))


def per_frame(evaluation: PreparedSet, features: OutputFeatures, present: np.ndarray) -> dict[str, np.ndarray]:
    """A number for each output of a clip, (N,) by column, of each metric of clips that has a curve; NaN without one.

    What stands for outputs that are not `present`, (N,) bool, has none. A metric whose curve cannot be made is left
    out, and the log says why.
    """
    curves: dict[str, np.ndarray] = {}
    if not evaluation.pairs.clips:
        return curves
    for name, metric in evaluation.metrics.items():
        if metric.info.sample != "clip" or not isinstance(metric, Curved):
            continue
        evidence = {
            need: features.evidence.get(need, NotScorable("no curve is by judge")) for need in metric.info.needs
        }
        if any(isinstance(known, NotScorable) for known in evidence.values()):
            continue
        try:
            curve = _curve(metric, name, evaluation, features, cast(Mapping[str, Evidence], evidence))
            curves[column(name, None, evaluation.stage)] = np.where(present, curve, np.nan)
        except NotScorable:
            continue
        except FsbenchError as why:
            evaluation.context.log(f"{name} has no numbers of single frames: {why.sentence}")
    return curves


def _curve(
    metric: Curved, name: str, evaluation: PreparedSet, features: OutputFeatures, evidence: Mapping[str, Evidence]
) -> np.ndarray:
    values = np.full(len(evaluation.pairs), np.nan)
    built_in = type(metric).__module__.startswith("fsbench.")
    clips = batches(evaluation.pairs, features.outputs.images, evidence, "clip", copies=not built_in)
    for clip, batch in zip(evaluation.pairs.clips, clips, strict=True):
        given = guard.run(f"metric {name}", metric.curve, batch)
        if not isinstance(given, Tensor) or given.shape != (len(batch.rows),):
            raise PluginError(f"the curve of {name} is no number for each frame", f"it owes ({len(batch.rows)},)")
        values[clip] = given.double().cpu().numpy()
    return values
