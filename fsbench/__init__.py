"""Evaluation and benchmarking for face-swap models.

The public names are those of this module, `fsbench.interfaces`, `fsbench.images`, `fsbench.errors`, `fsbench.training`
and `fsbench.contracts`; everything else may change. Importing this module imports neither torch nor pandas.
"""

from fsbench.registry import datasets, embedders, metrics, refiners, swappers

__version__ = "0.1.0"
__all__ = ["__version__", "datasets", "embedders", "metrics", "refiners", "swappers"]
