"""The metric tlp, against distances of single pairs of frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from metric_running import clip_of, running

from fsbench import weights
from fsbench.interfaces import Context
from fsbench.metrics._tecogan import inner
from fsbench.metrics.tlp import Tlp


def test_tlp_is_a_hundred_times_the_difference(weights_folder: Path, fresh_context: Context) -> None:
    weights.import_file(weights_folder / "lpips_alexnet.pickle", fresh_context.store.root / "weights", "lpips_alex")
    metric = Tlp(context=fresh_context)
    assert metric.measure(clip_of(running(1), running(1))).item() == 0
    distance = [
        [float(metric._distance(inner(images[k : k + 1]), inner(images[k + 1 : k + 2]))) for k in (2, 3, 4)]
        for images in (running(3), running(1))
    ]
    wanted = 100 * np.abs(np.subtract(*distance)).mean()
    assert metric.measure(clip_of(running(3), running(1))).item() == pytest.approx(wanted, rel=0.02)
    assert wanted > 1


def test_tlp_needs_its_network(fresh_context: Context) -> None:
    assert "lpips_alex" in Tlp(context=fresh_context).info.missing
