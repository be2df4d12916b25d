"""The metric vbench_subject_consistency, on features whose cosines are known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from fsbench.contracts import check_metric, toy_clip, with_evidence
from fsbench.interfaces import Batch, Observed
from fsbench.metrics.vbench_subject_consistency import VbenchSubjectConsistency


def clip_of(degrees: list[float], frame: list[int] | None = None) -> Batch:
    """Frames whose features, of different lengths, point to these directions of a plane."""
    angles = torch.tensor(degrees).deg2rad()
    features = torch.stack([angles.cos(), angles.sin()], 1) * torch.linspace(0.5, 3, len(degrees))[:, None]
    clip = with_evidence(toy_clip(3), dino=Observed("dino", {"class_token": features}, {}))
    return replace(clip, rows=pd.DataFrame({"frame": frame or list(range(len(degrees)))}))


def value(degrees: list[float], frame: list[int] | None = None) -> float:
    return float(VbenchSubjectConsistency().measure(clip_of(degrees, frame)))


def cosine(degrees: float) -> float:
    return max(0.0, math.cos(math.radians(degrees)))


def test_a_still_is_at_one() -> None:
    assert value([30, 30, 30]) == pytest.approx(1)


def test_each_frame_is_compared_with_the_one_before_and_with_the_first() -> None:
    second, third = cosine(20), (cosine(40) + cosine(60)) / 2
    assert value([0, 20, 60]) == pytest.approx((second + third) / 2)


def test_opposite_features_count_as_nothing_alike() -> None:
    assert value([0, 180, 0]) == pytest.approx((0 + (0 + 1) / 2) / 2)


def test_frames_after_a_gap_are_left_out_and_the_first_remains_the_first() -> None:
    assert value([0, 20, 60, 70], [0, 1, 5, 6]) == pytest.approx((cosine(20) + (cosine(10) + cosine(70)) / 2) / 2)
    assert math.isnan(value([0, 20], [0, 2]))
    assert math.isnan(value([0]))
    assert VbenchSubjectConsistency().summarise(np.array([[0.5], [0.7]])) == pytest.approx(0.6)


def test_it_keeps_the_contract() -> None:
    check_metric(VbenchSubjectConsistency())
