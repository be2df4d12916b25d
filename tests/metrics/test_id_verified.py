"""Golden values by hand: vectors in the plane before a judge whose impostor cosines are 0, 0.001, ... 0.999."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from metric_identities import AROUND, ONE, calibrated_batch, cosines, even_calibration, mirrored

from fsbench.errors import NotScorable
from fsbench.metrics.id_equivalent_far import IdEquivalentFar
from fsbench.metrics.id_target_verified import IdTargetVerified, IdTargetVerifiedStrict
from fsbench.metrics.id_verified import IdVerified, IdVerifiedStrict


def test_the_threshold_is_that_of_the_false_accept_rate() -> None:
    here = calibrated_batch(AROUND, ONE, even_calibration())
    assert even_calibration().point(1e-2).threshold == pytest.approx(0.9891)
    assert even_calibration().point(1e-3).threshold == pytest.approx(0.9981)
    assert IdVerified().measure(here).tolist() == [1, 1, 1, 0, 0, 0]
    assert IdVerifiedStrict().measure(here).tolist() == [0, 1, 0, 0, 0, 0]
    assert IdVerified().summarise(IdVerified().measure(here).numpy()[:, None]) == pytest.approx(50)
    assert IdVerifiedStrict().summarise(IdVerifiedStrict().measure(here).numpy()[:, None]) == pytest.approx(100 / 6)


def test_a_row_is_the_share_of_the_persons_images() -> None:
    references = torch.cat([cosines(1.0, 0.5), mirrored(0.5, 1.0), cosines(1.0)])
    here = calibrated_batch(cosines(1.0), references, even_calibration())
    assert IdVerified().measure(here).tolist() == [0.5]  # ann's first image; the gallery is not asked
    assert IdTargetVerified().measure(here).tolist() == [1]  # bob's t1 alone: t0 is the target's own session


def test_a_lost_face_is_not_accepted_as_the_source_and_tells_nothing_of_the_target() -> None:
    here = calibrated_batch(AROUND, ONE, even_calibration())
    assert IdTargetVerified().measure(here).tolist()[:5] == [1, 1, 1, 0, 0]
    assert IdTargetVerifiedStrict().measure(here).tolist()[:5] == [0, 1, 0, 0, 0]
    assert IdTargetVerified().measure(here).isnan().tolist() == [False] * 5 + [True]
    assert IdEquivalentFar().measure(here).tolist()[5] == 1


def test_more_similar_outputs_pass_stricter_gates() -> None:
    turned = calibrated_batch(cosines(*np.linspace(0, 1, 50)), ONE, even_calibration())
    assert bool((IdEquivalentFar().measure(turned).diff() < 0).all())
    assert bool((IdVerified().measure(turned).diff() >= 0).all())


def test_a_person_without_images_is_not_scored() -> None:
    references = ONE.clone()
    references[:2] = torch.nan
    here = calibrated_batch(AROUND, references, even_calibration())
    assert IdVerified().measure(here).isnan().all()
    assert IdEquivalentFar().measure(here).isnan().all()
    assert not IdTargetVerified().measure(here)[:5].isnan().any()


@pytest.mark.parametrize("metric", [IdVerified(), IdTargetVerified(), IdEquivalentFar()])
def test_a_judge_that_is_not_calibrated_has_no_gate(metric: IdVerified) -> None:
    with pytest.raises(NotScorable, match="toy is not calibrated"):
        metric.measure(calibrated_batch(AROUND, ONE, None))


def test_too_few_impostor_pairs_give_no_threshold_but_a_rate() -> None:
    few = calibrated_batch(AROUND, ONE, even_calibration(20_000))
    assert IdVerified().measure(few).tolist() == [1, 1, 1, 0, 0, 0]
    with pytest.raises(NotScorable, match="20000 impostor pairs are too few"):
        IdVerifiedStrict().measure(few)
    many = calibrated_batch(AROUND, ONE, even_calibration())
    assert IdEquivalentFar().measure(few).tolist() == IdEquivalentFar().measure(many).tolist()
