"""Frames that were not swapped are counted, by whatever reason they were not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fsbench import contracts
from fsbench.interfaces import Batch
from fsbench.metrics.missed_frames import MissedFrames

CLIP = contracts.toy_clip(12)


def value(batch: Batch) -> float:
    (row,) = MissedFrames().measure(batch).tolist()
    return row


def unswapped(n: int) -> Batch:
    output = CLIP.output.clone()
    output[:n] = CLIP.target[:n]
    return replace(CLIP, output=output)


@pytest.mark.parametrize("n", [0, 1, 5, 12])
def test_frames_that_pass_as_they_were(n: int) -> None:
    assert value(unswapped(n)) == pytest.approx(100 * n / 12)


def test_frames_without_an_output() -> None:
    absent = torch.zeros(12, dtype=torch.bool)
    absent[[2, 3, 9]] = True
    gone = replace(CLIP, evidence={**CLIP.evidence, "absent": absent})
    assert value(gone) == pytest.approx(25)
    both = unswapped(3)  # of which one is absent too, and counts once
    assert value(replace(both, evidence=gone.evidence)) == pytest.approx(100 * 5 / 12)


def test_frames_without_a_face_of_a_clip_that_says_how_many_it_has() -> None:
    stated = replace(CLIP, rows=CLIP.rows.assign(clip_frames=16.0))
    assert value(stated) == pytest.approx(25)
    assert value(replace(unswapped(4), rows=stated.rows)) == pytest.approx(50)


def test_numbers_that_are_left_out_where_it_does_not() -> None:
    gaps = CLIP.rows.assign(frame=[*range(6), *range(10, 16)])
    assert value(replace(CLIP, rows=gaps)) == pytest.approx(25)
    unknown = replace(CLIP, rows=gaps.assign(clip_frames=np.nan))
    assert value(unknown) == pytest.approx(25)


def test_noise_of_a_codec_is_no_swap_and_a_small_change_is_one() -> None:
    noise = torch.randn(CLIP.target.shape, generator=torch.Generator().manual_seed(0))
    assert value(replace(CLIP, output=CLIP.target + 2 / 255 * noise)) == 100
    assert value(replace(CLIP, output=CLIP.target + 6 / 255)) == 0
    outside = torch.where(CLIP.mask > 0.5, CLIP.target, torch.zeros_like(CLIP.target))
    assert value(replace(CLIP, output=outside)) == 100, "only the face counts"
