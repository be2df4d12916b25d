"""Values and their resamples, kept by what they are computed of: drawing features and rows again takes long."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from fsbench.harness.failures import Counted
from fsbench.harness.kept_rows import digest, metric_recipe
from fsbench.harness.measurements import is_mean
from fsbench.interfaces import Context, Metric
from fsbench.stats.resampling import Design

KIND = "estimates"

Arrays = Mapping[str, np.ndarray]


class KeptEstimates:
    """Computes values over resamples, where they are not known already."""

    def __init__(self, context: Context) -> None:
        self._store = context.store
        self._recipes: dict[str, Mapping[str, object] | None] = {}  # by metric

    def get(self, metric: Metric, name: str, counted: Counted, design: Design, compute: Callable[[], Arrays]) -> Arrays:
        """Return what `compute` gives for what was measured and a design; it raises what `compute` raises.

        Means are computed each time: that takes no longer than to look for what is known.
        """
        measured = counted.rows
        if is_mean(metric, measured):
            return compute()
        if name not in self._recipes:
            self._recipes[name] = metric_recipe(metric, name)
        metric_key = self._recipes[name]
        drawn = (design.people, design.sessions, design.sources)
        recipe = metric_key and {
            "metric": metric_key,
            "measured": digest((measured, counted.scored, counted.failed)).hex(),
            "design": [digest(drawn).hex(), design.unit, design.resamples, design.seed, metric.info.resamples],
            "interval": metric.info.interval,
            "samples": [metric.info.min_samples, metric.info.max_samples],
        }
        return self._store.arrays(KIND, recipe, lambda: dict(compute())) if recipe else compute()
