"""Parametric people with exact ground truth, drawn in plain torch from an embedded CC0 head model."""

from fsbench.datasets.synthetic.dataset import Synthetic

__all__ = ["Synthetic"]
