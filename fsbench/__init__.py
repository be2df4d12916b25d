"""Evaluation and benchmarking for face-swap models.

From Python, as from the command line (docs/python.md):

    fsbench.run(models=..., dataset=...)   train or load models, let them swap, measure; returns a `Run`
    fsbench.score(outputs=..., ...)        measure images that any tool made; returns a `Run`
    fsbench.load(DIR)                      a `Run` that is finished
    fsbench.Evaluation(dataset=..., ...)   real images prepared once, for a model that is scored again and again
    fsbench.functional                     every metric as a function of tensors, and as a class that gathers batches

Public are also `fsbench.registry`, `fsbench.interfaces`, `fsbench.images`, `fsbench.errors`, `fsbench.training`,
`fsbench.feedback`, `fsbench.faces.align` and `fsbench.contracts`; everything else may change. Importing this module
imports nothing else: what is named above is imported when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fsbench import functional as functional
    from fsbench.api.evaluation import Evaluation as Evaluation
    from fsbench.api.jobs import run as run
    from fsbench.api.jobs import score as score
    from fsbench.api.runs import Run as Run
    from fsbench.api.runs import load as load

__version__ = "0.1.0"

_HOMES = {
    "Evaluation": "fsbench.api.evaluation",
    "Run": "fsbench.api.runs",
    "load": "fsbench.api.runs",
    "run": "fsbench.api.jobs",
    "score": "fsbench.api.jobs",
}
"""The Python API, and the module that each name is defined in."""

__all__ = ["Evaluation", "Run", "__version__", "functional", "load", "run", "score"]


def __getattr__(name: str) -> object:
    """Import what is asked for."""
    from importlib import import_module

    if name == "functional":
        return import_module("fsbench.functional")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
