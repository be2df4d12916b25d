"""Drift by closed form; how outputs are fed back is tested in tests/harness/test_recursion.py."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fsbench import contracts
from fsbench.errors import NotScorable
from fsbench.interfaces import Passes
from fsbench.metrics.recursion_drift import FIRST, LAST, RecursionDrift
from fsbench.metrics.skin_colour import SkinColour

BATCH = contracts.toy_batch(4)


def test_the_drift_is_the_difference_of_skin_colour_between_the_first_and_the_last_pass() -> None:
    first, last = BATCH.output, BATCH.output * 0.7
    batch = contracts.with_evidence(BATCH, recursion=Passes({FIRST: first, 10: first * 0, LAST: last}))
    expected = SkinColour().measure(replace(BATCH, output=last, target=first))
    assert RecursionDrift().measure(batch).tolist() == pytest.approx(expected.tolist())
    assert (expected > 1).all()


def test_a_stable_model_is_at_0_and_an_output_that_was_not_fed_back_is_not_scored() -> None:
    fed_back = BATCH.output.clone()
    fed_back[2:] = torch.nan
    batch = contracts.with_evidence(BATCH, recursion=Passes({FIRST: fed_back, LAST: fed_back}))
    rows = RecursionDrift().measure(batch)
    assert rows[:2].tolist() == [0.0, 0.0]
    assert rows.isnan().tolist() == [False, False, True, True]


def test_no_recursion_is_said() -> None:
    with pytest.raises(NotScorable, match="not trained"):
        RecursionDrift().measure(contracts.with_evidence(BATCH, recursion=NotScorable("not trained")))
