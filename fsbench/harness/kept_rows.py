"""Rows of metrics, kept per row: a metric that measured an output or a clip before does not measure it again.

A row is found by the metric's code, parameters and version, and by all that the metric was shown of the sample: source,
output, target, mask, facts about the target, and evidence. Evidence counts by its content, so that it does not matter
which network it came from. A metric whose rows are wider than WIDEST is measured each time, and so is one that needs
evidence of another package, or whose code is in no file.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from fsbench import hashes, interfaces, stats
from fsbench.evidence.needs import JUDGE, observers_in
from fsbench.extraction.blocks import length, spans
from fsbench.extraction.codehash import code_hash, plugin_key
from fsbench.harness import summarise
from fsbench.harness.measurements import is_framewise
from fsbench.images import ImageSet
from fsbench.interfaces import Context, Embeddings, Evidence, Metric, Observed, RowMetric
from fsbench.pairs import Pairs
from fsbench.registry import metrics, parse_spec
from fsbench.store import fingerprint

KIND = "metrics"
WIDEST = 64
"""Numbers in a row that is kept, at most: wider ones are features, which are kept already."""

_AT_ONCE = 1024  # samples whose evidence is hashed together


@dataclass(frozen=True)
class _Content:
    """What evidence shows."""

    shared: str  # hash of what it shows of all samples
    own: np.ndarray  # of what it shows of each, (N, 32) uint8


class KeptRows:
    """Measures the outputs of the models of one evaluation set, where rows are not known already."""

    def __init__(self, pairs: Pairs, context: Context) -> None:
        self.pairs, self._context = pairs, context
        self._recipes: dict[str, dict[str, Any] | None] = {}  # by metric
        self._images: ImageSet | None = None  # outputs of the model that is measured
        self._contents: dict[int, tuple[Evidence, _Content | None]] = {}  # of the evidence for it

    def measure(self, metric: RowMetric, name: str, images: ImageSet, evidence: Mapping[str, Evidence]) -> np.ndarray:
        """`summarise.measure` for those outputs whose rows are not known; raises what it raises."""
        pairs, store = self.pairs, self._context.store.features
        has_samples = metric.info.sample == "output" or bool(pairs.clips)
        identity = self._identity(metric, name, images, evidence) if has_samples else None
        if identity is None or not len(identity[1]):
            return summarise.measure(metric, name, pairs, images, evidence)
        key, samples = identity
        known, rows = store.get(key, samples)
        missing = np.flatnonzero(~known)
        if not len(missing):
            return rows["rows"]
        if known.any():
            taken = self._outputs_of(metric, missing)
            pairs, images = pairs.take(taken), images.select(taken)
            evidence = {need: _Chosen(given, taken) for need, given in evidence.items()}
        measured = summarise.measure(metric, name, pairs, images, evidence)
        if measured.shape[1] <= WIDEST:
            store.put(key, samples[missing], {"rows": measured})
        if not known.any():
            return measured
        whole = np.empty((len(known), measured.shape[1]))
        whole[missing], whole[known] = measured, rows["rows"]
        return whole

    def _outputs_of(self, metric: Metric, samples: np.ndarray) -> np.ndarray:
        """Which outputs some of a metric's samples are of, in ascending order."""
        if metric.info.sample == "output" or is_framewise(metric):  # all frames of a clip are known, or none
            return samples
        clips = self.pairs.clips
        return np.concatenate([np.arange(clips[k].start, clips[k].stop) for k in samples.tolist()])

    def _identity(
        self, metric: Metric, name: str, images: ImageSet, evidence: Mapping[str, Evidence]
    ) -> tuple[str, np.ndarray] | None:
        """Key of a metric's rows, and the hash of each sample, (N, 32); None where these cannot be known."""
        if name not in self._recipes:
            self._recipes[name] = metric_recipe(metric, name)
        if (recipe := self._recipes[name]) is None:
            return None
        if images is not self._images:
            self._images, self._contents = images, {}
        contents = [self._content(need, given) for need, given in evidence.items()]
        known = [content for content in contents if content is not None]
        if len(known) < len(contents):
            return None
        shown = {need: content.shared for need, content in zip(evidence, known, strict=True)}
        key = fingerprint({**recipe, "evidence": shown, "device": self._context.device.type})
        outputs = hashes.of_rows(self._beside, images.hashes(), *(content.own for content in known))
        if metric.info.sample == "output":
            return f"{KIND}/{key}", outputs
        clips = hashes.stack(hashlib.sha256(outputs[clip].data).digest() for clip in self.pairs.clips)
        if not is_framewise(metric):
            return f"{KIND}/{key}", clips
        lengths = [length(clip) for clip in self.pairs.clips]
        place = np.concatenate([np.arange(n) for n in lengths])
        return f"{KIND}/{key}", hashes.of_rows(np.repeat(clips, lengths, 0), place)

    @functools.cached_property
    def _beside(self) -> np.ndarray:
        """Hash of what a metric is shown of each pair beside the output and evidence, (N, 32) uint8."""
        groups = []
        for group in self.pairs.groups:
            rows = group.targets.rows
            shared = digest((group.identity, group.references[:], list(rows), [str(kind) for kind in rows.dtypes]))
            groups.append(hashes.of_rows(shared, group.targets.crops.hashes(), group.masks.hashes(), _row_hashes(rows)))
        return np.concatenate(groups)

    def _content(self, need: str, evidence: Evidence) -> _Content | None:
        """What some evidence shows of the outputs that are measured; hashed once."""
        if id(evidence) not in self._contents:
            self._contents[id(evidence)] = evidence, _content(need, evidence, len(self._beside))
        return self._contents[id(evidence)][1]


class _Chosen:
    """Evidence for some of the samples."""

    def __init__(self, evidence: Any, index: np.ndarray) -> None:
        self._evidence, self._index = evidence, index

    def __getitem__(self, rows: slice) -> Any:
        return self._evidence[self._index[rows]]


def metric_recipe(metric: Metric, name: str) -> dict[str, Any] | None:
    """What decides what a metric gives, beside what it is shown; None where it cannot be known."""
    spec = parse_spec(name)
    if not metrics.has(spec.name):
        return None
    entry = metrics.get(spec.name)
    if inspect.isclass(entry.factory) and type(metric) is not entry.factory:
        return None
    own = plugin_key(entry, spec, metric)
    weights = {file.name: file.sha256 for file in metric.info.weights}
    return own and {"plugin": own, "version": metric.info.version, "weights": weights, "code": _code()}


@functools.cache
def _code() -> str:
    """Hash of what fsbench shares with metrics: what a batch is, and statistics."""
    folders = [Path(package.__path__[0]) for package in (interfaces, stats)]
    return code_hash(
        {f"{path.parent.name}/{path.name}": path.read_bytes() for at in folders for path in at.glob("*.py")}
    )


def _content(need: str, evidence: Any, n: int) -> _Content | None:
    if isinstance(evidence, ImageSet):
        return _Content("", evidence.hashes())
    if need != JUDGE and not observers_in([need]):
        return None
    own, shared = [], ""
    for block in spans(n, _AT_ONCE):
        shown = evidence[block]
        shared = shared or digest(_shared(shown)).hex()
        own.append(hashes.of_rows(*(array.numpy() for array in _own(shown))))
    return _Content(shared, np.concatenate(own))


def _own(shown: Embeddings | Observed) -> list[Tensor]:
    """What evidence shows of each sample."""
    if isinstance(shown, Observed):
        return [side[name] for side in (shown.output, shown.target) for name in sorted(side)]
    return [shown.output, shown.target, *([shown.lookalikes.output] if shown.lookalikes else [])]


def _shared(shown: Embeddings | Observed) -> object:
    """What evidence shows of all samples, with the layout of what it shows of each."""
    layout = [(array.dtype, array.shape[1:]) for array in _own(shown)]
    if isinstance(shown, Observed):
        return shown.observer, sorted(shown.output), sorted(shown.target), layout
    people = (shown.lookalikes.people, shown.lookalikes.references) if shown.lookalikes else None
    return shown.judge, shown.references, shown.reference_rows, people, shown.calibration, layout


def _row_hashes(table: pd.DataFrame) -> np.ndarray:
    """A number for the content of each row, (N,) uint64; block by block, for texts are taken out of their columns."""
    blocks = (table.iloc[block] for block in spans(len(table), _AT_ONCE))
    return np.concatenate(
        [np.empty(0, np.uint64), *(pd.util.hash_pandas_object(block, index=False).to_numpy() for block in blocks)]
    )


def digest(value: object) -> bytes:
    """SHA-256 of plain values, arrays, tables, and records of these; arrays that lie in files are not copied."""
    content = hashlib.sha256()
    _add(content.update, value)
    return content.digest()


def _add(update: Callable[[Any], None], value: object) -> None:
    if isinstance(value, Tensor):
        value = value.numpy()
    if isinstance(value, np.ndarray):
        update(f"{value.dtype.str}{value.shape}".encode())
        update(np.ascontiguousarray(value).reshape(-1).view(np.uint8))
    elif isinstance(value, pd.DataFrame):
        _add(update, [(str(name), str(kind)) for name, kind in value.dtypes.items()])
        _add(update, _row_hashes(value))
    elif is_dataclass(value) and not isinstance(value, type):
        _add(update, [(field.name, getattr(value, field.name)) for field in fields(value)])
    elif isinstance(value, (tuple, list)):
        update(f"[{len(value)}".encode())
        for item in value:
            _add(update, item)
    else:
        update(f"{value!r};".encode())
