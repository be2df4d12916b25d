"""Every metric as a function of tensors, and as a class that gathers batches.

    import fsbench.functional as F

    F.pose_error_five(output, target)                # (N,) degrees
    F.id_similarity(output, source)                  # (N,) cosines under dlib_resnet
    F.id_similarity(output, source, judge="onnx(sface)")
    F.fid(output, target)                            # a distance of distributions: one number
    F.frechet_distance(features_1, features_2)       # of any features

    similarity = F.IdSimilarity(judge="onnx(sface)")
    similarity.update(output, source)
    similarity.compute()

A function is made of the metric of its name when it is asked for, that of another package too: it calls the plug-in's
own `measure`, on images and evidence that are made of its arguments as `fsbench run` makes them, and gives the rows of
samples.parquet. `help(F.pose_error)` tells what it takes; a class has the name in CamelCase. Where two packages have a
metric of one name, the name means the one that it means on the command line. `dir(F)` lists them.

Images are aligned crops, as `fsbench.faces.align` makes them, (N, 3, S, S), RGB, floats in [0, 1]; they are rounded to
8 bits, and gradients do not pass. Nothing is read from the cache but weights, and nothing is written.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fsbench.environment import cache_root
from fsbench.errors import UnknownName
from fsbench.functional._distances import frechet_distance as frechet_distance
from fsbench.functional._functions import RunningMetric, class_of, function_of
from fsbench.registry import Entry, metrics

_RENAMED = {"inception_score": "is"}
"""What Python cannot write after a dot."""


def __getattr__(name: str) -> Any:
    """Make the function, or the class, of a metric."""
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    known = _RENAMED.get(name, name)
    if metrics.has(known):
        return _function(metrics.get(known), cache_root())
    for metric in metrics.names():
        if "/" not in metric and name == _camel(metric):
            return _class(metrics.get(metric), name, cache_root())
    try:
        metrics.get(name)
    except UnknownName as error:
        raise AttributeError(str(error)) from None
    raise AssertionError(name)


@functools.lru_cache(maxsize=1024)
def _function(entry: Entry[Any], cache: Path) -> Callable[..., Any]:
    return function_of(entry, __name__)


@functools.lru_cache(maxsize=1024)
def _class(entry: Entry[Any], name: str, cache: Path) -> type[RunningMetric]:
    return class_of(entry, name, __name__)


def __dir__() -> list[str]:
    names = [name for name in metrics.names() if "/" not in name]
    return sorted(["frechet_distance", *names, *map(_camel, names), *_RENAMED])


def _camel(name: str) -> str:
    """A name as that of a class.

    >>> _camel("id_retrieval_top5"), _camel("is")
    ('IdRetrievalTop5', 'InceptionScore')
    """
    written = next((shown for shown, metric in _RENAMED.items() if metric == name), name)
    return "".join(part[:1].upper() + part[1:] for part in written.split("_"))
