"""A metric with the networks that it needs, asked for outputs that are given as tensors."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from fsbench import environment, guard, names
from fsbench.config import Plan
from fsbench.errors import NotScorable, UsageError
from fsbench.evidence.needs import JUDGE, Kinds, build_kinds
from fsbench.extraction.extractor import Extractor, Judge, build_judges
from fsbench.functional._asked import Inputs
from fsbench.functional._inputs import Given
from fsbench.harness import measurements
from fsbench.harness.summarise import rows_of
from fsbench.interfaces import (
    Context,
    DistributionMetric,
    Embedder,
    Embeddings,
    FeatureSpace,
    Metric,
    PairedFeatures,
    RowMetric,
)
from fsbench.registry import Entry, Spec, embedders, parse_spec
from fsbench.specs import result_name
from fsbench.unkept import UnkeptStore

DEFAULT_JUDGE = Plan().judges[0]

_LOG = logging.getLogger("fsbench")


@dataclass(frozen=True)
class BuiltMetric:
    """A metric, the judge and the kinds of evidence that it needs, and where they compute; nothing is kept on disk."""

    name: str
    metric: Metric
    judge: Judge | None
    kinds: Kinds
    context: Context

    @classmethod
    def build(
        cls, entry: Entry[Metric], parameters: Mapping[str, Any], judge: str | Embedder, device: str
    ) -> BuiltMetric:
        """Make them; raises FsbenchError for what does not exist, or whose files are missing."""
        with guard.unchanged():  # networks draw random numbers before they are given their weights
            return cls._build(entry, parameters, judge, device)

    @classmethod
    def _build(
        cls, entry: Entry[Metric], parameters: Mapping[str, Any], judge: str | Embedder, device: str
    ) -> BuiltMetric:
        context = context_on(device)
        if isinstance(judge, str):
            if not embedders.has(parse_spec(judge).name):
                names.check_names("embedders", [judge])  # reads all plug-ins to say what the name may mean
        elif not hasattr(judge, "info") or not hasattr(judge, "embed"):
            raise UsageError(
                f"judge is {type(judge).__name__}",
                "give a name of fsbench list embedders, or an object with info and embed",
            )
        metric = entry.build(Spec(entry.name, {key: cast(str, value) for key, value in parameters.items()}), context)
        own: Judge | None = None
        if JUDGE in metric.info.needs:
            own = (
                build_judges([judge], context)[0]
                if isinstance(judge, str)
                else Extractor(type(judge).__name__, judge, None)
            )
        return cls(result_name(entry.full_name), metric, own, build_kinds([metric], (), context), context)

    @property
    def required_judge(self) -> Judge:
        """The judge of a metric that needs one."""
        assert self.judge is not None
        return self.judge

    def rows(self, given: Given) -> np.ndarray:
        """One row per output, or one of a clip, (N, K) float64, NaN where it cannot be scored."""
        with guard.unchanged(), torch.no_grad():
            try:
                metric = cast(RowMetric, self.metric)
                parts = [rows_of(metric, self.name, batch) for batch in Inputs(self, given).batches()]
            except NotScorable as why:
                if self.judge is None or given.people is not None:
                    raise
                hint = "give people={name: images, ...}, real images of several people, or gallery= of strangers"
                raise NotScorable(why.message, hint) from why
        return np.concatenate(parts)

    def features(self, output: Tensor, target: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """What a distribution is made of, (N, D) float32 of each side: of images (N, 3, S, S), or as given (N, D)."""
        if output.ndim == 2 or target.ndim == 2:
            return _matrix("output", output, target), _matrix("target", target, output)
        inputs = Inputs(self, Given(output, target))
        (need,) = self.metric.info.needs
        array = cast(DistributionMetric, self.metric).array
        with guard.unchanged(), torch.no_grad():
            known = inputs.evidence(need)
            seen = known[slice(0, inputs.n)]
        if isinstance(seen, Embeddings):
            sides = seen.output, seen.target
        elif isinstance(known, FeatureSpace) and hasattr(seen, "output"):
            if array not in seen.output:
                raise NotScorable(f"{need} gives no {array}")
            sides = seen.output[array], seen.target[array]
        else:
            raise UsageError(f"{self.name} is of features of {need}", "give features (N, D) of both sides")
        first, second = (side.reshape(inputs.n, -1).numpy() for side in sides)
        return first, second

    def value_of_rows(self, rows: np.ndarray) -> float:
        """The value of rows; raises NotScorable where too few can be scored."""
        known = measurements.scored(rows)
        self._check(int(known.sum()), len(rows))
        return measurements.statistic(self.metric, rows, known)(np.arange(known.sum()))

    def value_of_features(self, output: np.ndarray, target: np.ndarray) -> float:
        """The value of features of outputs and of their targets; raises NotScorable where too few are known."""
        paired = PairedFeatures.of(np.asarray(output, np.float32), np.asarray(target, np.float32))
        self._check(int(paired.scored.sum()), len(paired))
        return measurements.statistic(self.metric, paired, paired.scored)(np.arange(paired.scored.sum()))

    def _check(self, n_scored: int, n_total: int) -> None:
        info = self.metric.info
        if n_scored < info.min_samples:
            least = f", at least {info.min_samples} are needed" if info.min_samples > 1 else ""
            raise NotScorable(f"{n_scored or 'none'} of {n_total} {info.sample}s could be scored{least}")


def context_on(device: str) -> Context:
    """What networks are made with; raises UsageError, DeviceError."""
    store = UnkeptStore(environment.cache_root(), _LOG.info)
    return Context(environment.find_device(device), store, environment.data_root(), log=_LOG.info)


def built(entry: Entry[Metric], parameters: Mapping[str, Any], judge: str | Embedder, device: str) -> BuiltMetric:
    """As `BuiltMetric.build`; what was made last for the same names is made once, since networks take time to load."""
    if isinstance(judge, str):
        return _made(entry, tuple(sorted(parameters.items())), judge, device, environment.cache_root())
    return BuiltMetric.build(entry, parameters, judge, device)


@functools.lru_cache(maxsize=8)
def _made(
    entry: Entry[Metric], parameters: tuple[tuple[str, Any], ...], judge: str, device: str, cache: Path
) -> BuiltMetric:
    return BuiltMetric.build(entry, dict(parameters), judge, device)


def _matrix(name: str, features: Tensor, other: Tensor) -> np.ndarray:
    if features.ndim != 2 or features.shape != other.shape:
        raise UsageError(
            f"{name} has the shape {tuple(features.shape)} beside {tuple(other.shape)}",
            "give images (N, 3, S, S) or features (N, D) of outputs and of their targets, row by row; two sets that do "
            "not belong together are for frechet_distance",
        )
    matrix: np.ndarray = features.detach().float().cpu().numpy()
    return matrix
