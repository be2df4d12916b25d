"""The real Inception network on real photographs: numbers move as they should."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from metric_features import value
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur

from fsbench.environment import make_context
from fsbench.images import ImageSet, read_image, shrink
from fsbench.interfaces import Observed, PairedFeatures
from fsbench.metrics.fid import Fid
from fsbench.metrics.kid import Kid
from fsbench.registry import observers
from fsbench.stats.resampling import Design
from fsbench.store import Store

N = 90  # photographs, each of another person
Features = Callable[[Tensor], Tensor]


@pytest.fixture(scope="module")
def people(shared: Path) -> Tensor:
    """(90, 3, 96, 96) the middles of photographs of as many people of LFW."""
    folders = sorted((shared / "data/lfw").iterdir())[:N]
    middles = [read_image(sorted(folder.glob("*.jpg"))[0])[50:200, 50:200] for folder in folders]
    return ImageSet(np.stack([shrink(image, 96) for image in middles]))[:]


@pytest.fixture(scope="module")
def features(real_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Features:
    context = replace(make_context("cpu"), store=Store(tmp_path_factory.mktemp("cache")))
    observer = observers.build(f"inception@{real_file}", context)
    return lambda images: observer.observe(images, torch.full((len(images), 5, 2), torch.nan))["features"].cpu()


def seen(output: Tensor, target: Tensor) -> PairedFeatures:
    return Observed("inception", {"features": output}, {"features": target}).features("features")


@pytest.mark.slow
def test_blur_raises_both_distances_in_order_and_two_halves_differ_by_nothing(
    people: Tensor, features: Features
) -> None:
    sharp = features(people)
    blurred = {
        sigma: features(ImageSet.of(gaussian_blur(people, [6 * sigma + 1] * 2, [float(sigma)] * 2))[:])
        for sigma in (1, 3)
    }
    for metric in (Fid(), Kid()):
        values = [value(metric, seen(output, sharp)) for output in (sharp, blurred[1], blurred[3])]
        assert values[0] == pytest.approx(0, abs=1e-3 * values[1])
        assert values[0] < values[1] < values[2]

    order = np.random.default_rng(0).permutation(N)
    one, other = sharp[order[: N // 2]], sharp[order[N // 2 :]]
    halves, across = seen(one, other), seen(blurred[3][order[: N // 2]], other)
    of, one = Kid().statistic(halves), np.zeros(len(halves))
    design = Design.of(one, np.arange(len(halves)), one, resamples=1000, seed=0)
    low, high = design.spread(design.resample(of)).interval(of(np.arange(len(halves))))
    assert low < 0 < high
    assert abs(value(Kid(), halves)) < 0.2 * value(Kid(), across)
