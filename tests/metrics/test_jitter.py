"""The metrics jitter, jitter_common and jitter_wobble, against closed forms and on shaken clips."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from fsbench.contracts import toy_clip, with_evidence
from fsbench.datasets.synthetic import Synthetic
from fsbench.faces.detect import Detector
from fsbench.faults.pixels import resample
from fsbench.interfaces import Batch, Context, Observed
from fsbench.metrics._clips import jumps, known_mean
from fsbench.metrics._landmarks import eye_distance
from fsbench.metrics.gt_jitter import GtJitter
from fsbench.metrics.jitter import Jitter, JitterCommon, JitterWobble
from fsbench.observers.reencoded import Reencoded

N = 12
EYES = 20.0
BASE = np.array([[0.0, 0.0], [EYES, 0.0], [10.0, 12.0], [3.0, 20.0], [17.0, 20.0]])
ZERO = pytest.approx(0, abs=1e-5)
ALTERNATING = (-1.0) ** np.arange(N)
"""Its second difference is 4, so that its jitter is 4 / sqrt(6)."""


def moving(n: int = N, seed: int = 0) -> np.ndarray:
    """Landmarks (n, 5, 2) of a head that moves about, its eyes 20 pixels apart."""
    return BASE + 30 * np.random.default_rng(seed).random((n, 1, 2))


def clip_of(
    output: np.ndarray, target: np.ndarray, again: np.ndarray | None = None, frame: np.ndarray | None = None
) -> Batch:
    """A clip of known landmarks, found `again` in frames that were encoded again, by default without noise.

    Its images are others, of fewer frames: nothing looks at them.
    """

    def observed(name: str, **sides: np.ndarray) -> Observed:
        arrays = {side: {"landmarks": torch.from_numpy(points).float()} for side, points in sides.items()}
        return Observed(name, arrays.get("output", {}), arrays["target"])

    evidence = {
        "five_points": observed("five_points", output=output, target=target),
        "reencoded(five_points)": observed("reencoded(five_points)", target=target if again is None else again),
    }
    rows = pd.DataFrame({"frame": np.arange(len(output)) if frame is None else frame})
    return replace(with_evidence(toy_clip(3), **evidence), rows=rows)


@pytest.fixture
def measured(context: Context) -> Mapping[str, Jitter]:
    return {"whole": Jitter(context=context), "common": JitterCommon(context=context),
            "wobble": JitterWobble(context=context)}  # fmt: skip


def values(metrics: Mapping[str, Jitter], *clip: np.ndarray | None, **known: np.ndarray) -> dict[str, float]:
    batch = clip_of(*clip, **known)
    return {name: metric.measure(batch).item() for name, metric in metrics.items()}


Metrics = Mapping[str, Jitter]


def test_outputs_that_move_as_their_targets_are_at_zero_wherever_they_are(measured: Metrics) -> None:
    target = moving()
    assert values(measured, target, target) == {"whole": 0, "common": 0, "wobble": 0}
    drift = np.arange(N)[:, None, None] * np.array([0.7, -0.2])  # a constant speed is no acceleration
    assert list(values(measured, target + 5 + drift, target).values()) == [ZERO] * 3


def test_a_shake_is_common_and_has_its_closed_form(measured: Metrics) -> None:
    target = moving()
    shake = 0.5 * ALTERNATING[:, None, None] * np.array([1.0, 0.0])
    wanted = 100 * 0.5 * 4 / math.sqrt(6) / EYES
    assert values(measured, target + shake, target) == {
        "whole": pytest.approx(wanted), "common": pytest.approx(wanted), "wobble": ZERO}  # fmt: skip


@pytest.mark.parametrize("kind", ["turn", "scaling"])
def test_turns_and_scalings_are_common(kind: str, measured: Metrics) -> None:
    target = moving()
    about = target - target.mean(1, keepdims=True)
    field = about if kind == "scaling" else np.stack([-about[..., 1], about[..., 0]], -1)
    shaken = target + 0.01 * ALTERNATING[:, None, None] * field
    wanted = 100 * 0.01 * math.sqrt((about**2).sum(2).mean()) * 4 / math.sqrt(6) / EYES
    assert values(measured, shaken, target) == {
        "whole": pytest.approx(wanted, rel=1e-3), "common": pytest.approx(wanted, rel=1e-3),
        "wobble": pytest.approx(0, abs=0.01)}  # fmt: skip


def test_landmarks_against_each_other_wobble(measured: Metrics) -> None:
    """The eyes move apart and the corners of the mouth together, by as much: neither shift, turn nor scaling."""
    square = np.array([[0.0, 0.0], [EYES, 0.0], [10.0, 10.0], [0.0, 20.0], [EYES, 20.0]])
    field = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0], [-1.0, 0.0], [1.0, 0.0]])
    target = np.repeat(square[None], N, 0)
    moved = values(measured, target + ALTERNATING[:, None, None] * field, target)
    wanted = 100 * math.sqrt(4 / 5) * 4 / math.sqrt(6) / EYES
    assert moved["wobble"] == pytest.approx(wanted)
    assert moved["common"] == ZERO


def test_the_parts_add_up_in_quadrature(measured: Metrics) -> None:
    target = moving()
    noisy = target + np.random.default_rng(3).normal(size=target.shape)
    whole = values(measured, noisy, target)
    assert whole["common"] ** 2 + whole["wobble"] ** 2 == pytest.approx(whole["whole"] ** 2)
    assert min(whole.values()) > 1


def test_white_displacement_has_its_own_size(context: Context) -> None:
    target = moving(4000)
    shaken = target + np.random.default_rng(4).normal(size=(4000, 1, 2))  # root mean square length sqrt(2) pixels
    assert Jitter(context=context).measure(clip_of(shaken, target)).item() == pytest.approx(
        100 * math.sqrt(2) / EYES, rel=0.03
    )


def test_noise_of_the_network_is_subtracted_in_quadrature(measured: Metrics) -> None:
    random, n = np.random.default_rng(5), 4000
    target = moving(n)
    detected = target + 0.3 * random.normal(size=target.shape)
    again = target + 0.3 * random.normal(size=target.shape)
    still = target + 0.3 * random.normal(size=target.shape)
    assert max(values(measured, still, detected, again).values()) < 0.6, "the noise alone is at 100 * 0.6 / 20 = 3"
    shaken = still + 0.5 * random.normal(size=(n, 1, 2))
    known = values(measured, shaken, detected, again)
    assert known["whole"] == pytest.approx(100 * 0.5 * math.sqrt(2) / EYES, rel=0.05)
    assert known["common"] == pytest.approx(100 * 0.5 * math.sqrt(2) / EYES, rel=0.05)
    assert known["wobble"] < 0.6


def head(n: int, motion: float, depth: float) -> np.ndarray:
    """Landmarks (n, 5, 2) of a head whose nose is `depth` pixels before its eyes, that turns and moves by `motion`."""
    t = np.arange(n) / 25
    yaw = 0.02 * motion * np.sin(2 * math.pi * 1.5 * t)  # radians
    points = np.column_stack([BASE - BASE.mean(0), [0, 0, depth, 2, 2]])
    turned = np.stack([points[:, 0] * np.cos(a) + points[:, 2] * np.sin(a) for a in yaw])
    where = motion * np.stack([np.sin(2 * math.pi * 0.7 * t), np.sin(2 * math.pi * 0.9 * t + 1)], 1)
    return np.stack([turned, np.repeat(points[None, :, 1], n, 0)], 2) + 40 + where[:, None]


@pytest.mark.parametrize("jitter", [0.2, 1.0])
def test_the_motion_of_the_head_changes_it_by_less_than_five_percent(jitter: float, context: Context) -> None:
    """Output and target have noses of other lengths, so that a turn leaves a residual."""
    metric, known = Jitter(context=context), {}
    for motion in (0.0, 3.0, 6.0):
        random = np.random.default_rng(6)
        noise = [0.3 * random.normal(size=(2000, 5, 2)) for _ in range(3)]
        shake = jitter * random.normal(size=(2000, 1, 2))
        target = head(2000, motion, 10)
        known[motion] = metric.measure(
            clip_of(head(2000, motion, 13) + shake + noise[0], target + noise[1], target + noise[2])
        ).item()
    assert known[3.0] == pytest.approx(known[0.0], rel=0.05)
    assert known[6.0] == pytest.approx(known[0.0], rel=0.05)


def test_pixels_are_relative_to_the_face(measured: Metrics) -> None:
    target = moving()
    noisy = target + np.random.default_rng(1).normal(size=target.shape)
    twice = values(measured, 2 * noisy, 2 * target)
    assert twice == {name: pytest.approx(value) for name, value in values(measured, noisy, target).items()}


def test_frames_beside_missing_frames_and_lost_faces_are_left_out(context: Context) -> None:
    metric, target = Jitter(context=context), moving()
    jump = np.zeros((N, 1, 2))
    jump[6:] = 50.0
    assert metric.measure(clip_of(target + jump, target)) > 50
    gap = np.where(np.arange(N) < 6, np.arange(N), np.arange(N) + 1)
    assert metric.measure(clip_of(target + jump, target, frame=gap)).item() == ZERO, "across a gap nothing is compared"
    for output, known in ((target + jump, target.copy()), ((target + jump).copy(), target)):
        (known if known is not target else output)[5:7] = np.nan
        assert metric.measure(clip_of(output, known, target)).item() == ZERO


@pytest.mark.parametrize("n", [1, 2])
def test_fewer_than_three_frames_are_no_motion(n: int, context: Context) -> None:
    assert Jitter(context=context).measure(clip_of(moving()[:n], moving()[:n])).isnan().all()


def test_clips_without_a_triple_or_a_scale_are_not_scored(context: Context) -> None:
    metric, target, lost = Jitter(context=context), moving(), np.full((N, 5, 2), np.nan)
    assert metric.measure(clip_of(target, target, frame=2 * np.arange(N))).isnan().all(), "every second one is missing"
    assert metric.measure(clip_of(target, lost)).isnan().all()
    assert metric.measure(clip_of(lost, target)).isnan().all()
    assert metric.measure(clip_of(target, target, lost)).isnan().all(), "without a floor there is no value"
    assert metric.measure(clip_of(target, np.zeros_like(target))).isnan().all(), "eyes that coincide give no scale"


def test_a_clip_has_one_row_and_the_network_is_named(context: Context) -> None:
    metric = Jitter(context=context)
    assert metric.info.needs == ("five_points", "reencoded(five_points)"), "the mesh's file is not there"
    assert Jitter(landmarks="face_mesh", context=context).info.needs == ("face_mesh", "reencoded(face_mesh)")
    assert metric.measure(clip_of(moving(), moving())).shape == (1,)
    assert metric.summarise(np.array([[1.0], [3.0]])) == 2


def test_true_landmarks_show_the_noise_of_the_network(context: Context) -> None:
    truth = moving(4000)
    detected = truth + 0.3 * np.random.default_rng(7).normal(size=truth.shape)
    batch = clip_of(detected, moving(4000, seed=1))
    batch = with_evidence(batch, true_landmarks=torch.from_numpy(truth))
    metric = GtJitter(context=context)
    assert metric.measure(batch).item() == pytest.approx(100 * 0.3 * math.sqrt(2) / EYES, rel=0.03)
    assert metric.info.needs == ("five_points", "true_landmarks")
    exact = with_evidence(clip_of(truth, truth), true_landmarks=torch.from_numpy(truth).float())
    assert metric.measure(exact).item() == ZERO


@pytest.mark.slow
def test_a_shaken_copy_of_a_drawn_clip_has_the_injected_jitter(context: Context) -> None:
    """By the detector's own landmarks, to a tenth; of the shift that was drawn, and not of its mean over all draws."""
    drawn = Synthetic(people=2, sessions=2, images=1, gallery=0, clips=1, frames=40, context=context).faces("test")
    clip = drawn.select((drawn.rows["clip"] != "").to_numpy() & (drawn.rows["identity"] == "p000").to_numpy())
    shift = 2.0 * np.random.default_rng(8).normal(size=(len(clip), 2))
    shaken = resample(clip.crops[:], torch.from_numpy(shift).float()).clamp(0, 1)
    detector, still = Detector(context.device), torch.zeros(len(clip), 5, 2)
    again = Reencoded(context=context).observe(clip.crops[:], still)["landmarks"].numpy()
    target, output = (detector.detect_crops(images).astype(float) for images in (clip.crops[:], shaken))
    frame = clip.rows["frame"].to_numpy(int)
    wanted = 100 * np.sqrt(known_mean((jumps(shift[:, None], frame) ** 2).sum(2))) / eye_distance(target)
    value = Jitter(context=context).measure(clip_of(output, target, again, frame)).item()
    assert value == pytest.approx(wanted, rel=0.1)
    assert JitterCommon(context=context).measure(clip_of(output, target, again, frame)).item() == pytest.approx(
        wanted, rel=0.1
    )
    assert Jitter(context=context).measure(clip_of(target, target, again, frame)).item() == 0
