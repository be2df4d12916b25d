"""Golden values by hand: vectors in the plane before a judge whose impostor cosines are 0, 0.001, ... 0.999."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch

from fsbench.errors import NotScorable
from fsbench.interfaces import Batch, Judgement, Source
from fsbench.metrics.id_equivalent_far import IdEquivalentFar
from fsbench.metrics.id_target_verified import IdTargetVerified
from fsbench.metrics.id_target_verified_strict import IdTargetVerifiedStrict
from fsbench.metrics.id_verified import IdVerified
from fsbench.metrics.id_verified_strict import IdVerifiedStrict
from fsbench.stats.calibration import STEPS, Calibration, PairCosines


def judge(n_impostor: int = 100_000) -> Calibration:
    """Impostors spread evenly over [0, 1): FAR(c) = 1 - c at multiples of 0.001; just above 0.989 it is 1 %."""
    counts = np.zeros(2 * STEPS + 2, np.int64)
    counts[STEPS : 2 * STEPS : 10] = n_impostor // 1000
    return Calibration(99, 99, 99.0, PairCosines(counts, 0.5, 0.1), PairCosines(counts, 0.5, 0.1))


def cosines(*values: float) -> torch.Tensor:
    """Unit vectors that have these cosines to (1, 0)."""
    return torch.tensor([[value, math.sqrt(1 - value**2)] for value in values], dtype=torch.float64)


def mirrored(*values: float) -> torch.Tensor:
    return cosines(*values) * torch.tensor([1.0, -1.0])


LOST = torch.full((1, 2), torch.nan, dtype=torch.float64)
ROWS = [
    ("test", "ann", "s0"),
    ("test", "ann", "s1"),
    ("test", "bob", "t0"),
    ("test", "bob", "t1"),
    ("gallery", "ann", "g0"),
]


def batch(output: torch.Tensor, references: torch.Tensor, calibration: Calibration | None) -> Batch:
    """Outputs of ann's face in images of bob's session t0; references in the order of ROWS."""
    nothing = torch.zeros(len(output), 3, 2, 2)
    targets = pd.DataFrame({"identity": ["bob"] * len(output), "session": ["t0"] * len(output)})
    rows = pd.DataFrame(ROWS, columns=["split", "identity", "session"])
    view = Judgement("toy", output, output.nan_to_num(), references, rows, calibration=calibration)
    return Batch(Source("ann", nothing), targets, nothing, nothing, nothing[:, :1], view)


ONE = cosines(1, 1, 1, 1, 1)  # everybody's references at the same place: only cosines to (1, 0) matter
AROUND = torch.cat([cosines(0.9980, 0.9981, 0.9891, 0.9890, 0.5), LOST])


def test_the_threshold_is_that_of_the_false_accept_rate() -> None:
    here = batch(AROUND, ONE, judge())
    assert judge().point(1e-2).threshold == pytest.approx(0.9891)
    assert judge().point(1e-3).threshold == pytest.approx(0.9981)
    assert IdVerified().measure(here).tolist() == [1, 1, 1, 0, 0, 0]
    assert IdVerifiedStrict().measure(here).tolist() == [0, 1, 0, 0, 0, 0]
    assert IdVerified().summarise(IdVerified().measure(here).numpy()[:, None]) == pytest.approx(50)
    assert IdVerifiedStrict().summarise(IdVerifiedStrict().measure(here).numpy()[:, None]) == pytest.approx(100 / 6)


def test_a_row_is_the_share_of_the_persons_images() -> None:
    references = torch.cat([cosines(1.0, 0.5), mirrored(0.5, 1.0), cosines(1.0)])
    here = batch(cosines(1.0), references, judge())
    assert IdVerified().measure(here).tolist() == [0.5]  # ann's first image; the gallery is not asked
    assert IdTargetVerified().measure(here).tolist() == [1]  # bob's t1 alone: t0 is the target's own session


def test_a_lost_face_is_not_accepted_as_the_source_and_tells_nothing_of_the_target() -> None:
    here = batch(AROUND, ONE, judge())
    assert IdTargetVerified().measure(here).tolist()[:5] == [1, 1, 1, 0, 0]
    assert IdTargetVerifiedStrict().measure(here).tolist()[:5] == [0, 1, 0, 0, 0]
    assert IdTargetVerified().measure(here).isnan().tolist() == [False] * 5 + [True]
    assert IdEquivalentFar().measure(here).tolist()[5] == 1


def test_the_equivalent_rate_is_the_share_of_impostors_at_least_as_similar() -> None:
    references = torch.cat([cosines(1.0), mirrored(0.6), cosines(1.0, 1.0, 1.0)])
    rows = IdEquivalentFar().measure(batch(torch.cat([cosines(1.0, 0.6, -0.5), LOST]), references, judge()))
    to_second = [0.6, 0.6 * 0.6 - 0.8 * 0.8, -0.5 * 0.6 - math.sqrt(0.75) * 0.8]  # cosines to ann's second image
    expected = [(0 + 1 - 0.6) / 2, (1 - 0.6 + 1) / 2, 1, 1]
    assert to_second[1] < 0 > to_second[2]
    assert rows.tolist() == pytest.approx(expected)
    assert IdEquivalentFar().summarise(rows.numpy()[:, None]) == pytest.approx(100 * (0.7 + 1) / 2)


def test_more_similar_outputs_pass_stricter_gates() -> None:
    turned = batch(cosines(*np.linspace(0, 1, 50)), ONE, judge())
    assert bool((IdEquivalentFar().measure(turned).diff() < 0).all())
    assert bool((IdVerified().measure(turned).diff() >= 0).all())


def test_a_person_without_images_is_not_scored() -> None:
    references = ONE.clone()
    references[:2] = torch.nan
    here = batch(AROUND, references, judge())
    assert IdVerified().measure(here).isnan().all()
    assert IdEquivalentFar().measure(here).isnan().all()
    assert not IdTargetVerified().measure(here)[:5].isnan().any()


@pytest.mark.parametrize("metric", [IdVerified(), IdTargetVerified(), IdEquivalentFar()])
def test_a_judge_that_is_not_calibrated_has_no_gate(metric: IdVerified) -> None:
    with pytest.raises(NotScorable, match="toy is not calibrated"):
        metric.measure(batch(AROUND, ONE, None))


def test_too_few_impostor_pairs_give_no_threshold_but_a_rate() -> None:
    few = batch(AROUND, ONE, judge(20_000))
    assert IdVerified().measure(few).tolist() == [1, 1, 1, 0, 0, 0]
    with pytest.raises(NotScorable, match="20000 impostor pairs are too few"):
        IdVerifiedStrict().measure(few)
    many = batch(AROUND, ONE, judge())
    assert IdEquivalentFar().measure(few).tolist() == IdEquivalentFar().measure(many).tolist()
