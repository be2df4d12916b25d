"""Speed of judges and observers, and of the detector: crops through fsbench, from an empty store.

    uv run pytest benchmarks/test_speed_embed.py --benchmark-enable

`throughput.py` tells the same beside the networks alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from comparisons import DEVICE, Missing
from comparisons.networks import NETWORKS, Network, Sample
from skimage.data import astronaut

from fsbench.faces.detect import Detector

IMAGES = 32


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_extraction(benchmark: Any, network: Network, tmp_path: Path) -> None:
    try:
        extract, _ = network.sides(IMAGES, tmp_path)
    except Missing as why:
        pytest.skip(str(why))
    benchmark.extra_info["images"] = IMAGES
    benchmark.pedantic(extract, rounds=3, warmup_rounds=1)


def test_detection_in_crops(benchmark: Any) -> None:
    detector, crops = Detector(DEVICE), Sample.of(IMAGES).crops
    benchmark.extra_info["images"] = IMAGES
    benchmark.pedantic(detector.detect_crops, (crops,), rounds=3, warmup_rounds=1)


def test_detection_in_a_photograph(benchmark: Any) -> None:
    benchmark.pedantic(Detector(DEVICE).detect_photo, (astronaut(),), rounds=3, warmup_rounds=1)
