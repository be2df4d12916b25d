"""Metrics that only their plug-in can compute: made for a comparison, of what stands in the files of runs.

The plug-in is imported, and torch with it: not before somebody asks for such a metric by name.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fsbench.errors import NotScorable, one_line
from fsbench.unkept import UnkeptStore

if TYPE_CHECKING:
    from fsbench.interfaces import Metric

NOWHERE = Path("no folder")
"""Where a metric looks for data and weights: what it makes of numbers that are there needs none."""


def build(name: str) -> Metric:
    """Make a metric of a specification; raises NotScorable where there is none of that name here."""
    import torch

    from fsbench.interfaces import Context
    from fsbench.registry import metrics

    context = Context(torch.device("cpu"), store=UnkeptStore(NOWHERE), data_root=NOWHERE, log=lambda text: None)
    try:
        return metrics.build(name, context)
    except Exception as error:
        raise NotScorable(f"{name} cannot be made here: {one_line(error)}") from error
