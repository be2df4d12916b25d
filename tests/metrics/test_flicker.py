"""The metrics flicker, flicker_colour and flicker_sharpness, against closed forms."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from skimage.color import rgb2lab

from fsbench.contracts import toy_clip, with_evidence
from fsbench.faces.align import TEMPLATE
from fsbench.interfaces import Batch, Context, Observed
from fsbench.metrics.flicker import Flicker, FlickerColour, FlickerSharpness

N, SIZE = 8, 32
ALTERNATING = (-1.0) ** torch.arange(N)
WHITE = 4 / math.sqrt(6)
"""Jump of +1, -1, +1, ...: its second difference is 4."""


def flat(levels: torch.Tensor) -> torch.Tensor:
    """Grey frames of these levels, (N, 3, SIZE, SIZE)."""
    return levels.float()[:, None, None, None].expand(len(levels), 3, SIZE, SIZE).clone()


def clip_of(
    output: torch.Tensor, target: torch.Tensor, frame: np.ndarray | None = None, seen: torch.Tensor | None = None
) -> Batch:
    """A clip whose scene stands still, with a face at the usual place."""
    n = len(output)
    flow = {"forward": torch.zeros(n, 2, SIZE, SIZE), "visible": torch.ones(n, 1, SIZE, SIZE) if seen is None else seen}
    for array in flow.values():
        array[-1] = torch.nan
    landmarks = torch.from_numpy(TEMPLATE * SIZE).float().expand(n, 5, 2).clone()
    evidence = {name: Observed(name, {}, flow) for name in ("flow(dis)", "flow(tvl1)")}
    evidence["five_points"] = Observed("five_points", {}, {"landmarks": landmarks})
    rows = pd.DataFrame({"frame": np.arange(n) if frame is None else frame})
    return replace(with_evidence(toy_clip(3), **evidence), rows=rows, output=output, target=target)


def noise(seed: int = 0) -> torch.Tensor:
    return torch.rand(N, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def test_a_copy_of_the_clip_is_as_steady_as_it(context: Context) -> None:
    assert Flicker(context=context).measure(clip_of(noise(), noise())).item() == pytest.approx(1, abs=1e-12)
    for metric in (FlickerColour(), FlickerSharpness()):
        assert metric.measure(clip_of(noise(), noise())).item() == 0


def test_the_warp_error_is_a_ratio_of_mean_squares(context: Context) -> None:
    target, output = flat(0.5 + 0.01 * ALTERNATING), flat(0.4 + 0.03 * ALTERNATING)
    assert Flicker(context=context).measure(clip_of(output, target)).item() == pytest.approx(9, rel=1e-4)
    half = torch.ones(N, 1, SIZE, SIZE)
    half[..., :16] = 0
    output[..., :16] = noise()[..., :16]  # where nothing is compared
    assert Flicker(context=context).measure(clip_of(output, target, seen=half)).item() == pytest.approx(9, rel=1e-4)


def test_clips_are_averaged_as_ratios(context: Context) -> None:
    assert Flicker(context=context).summarise(np.array([[0.5], [2.0], [8.0]])) == pytest.approx(2)
    assert Flicker(context=context).summarise(np.array([[0.0], [2.0]])) == 0


def test_pixels_are_followed(context: Context) -> None:
    """A pattern that runs to the right by a pixel a frame has no warp error; one that stands still has."""
    wide = torch.rand(3, SIZE, SIZE + N, generator=torch.Generator().manual_seed(2))
    running = torch.stack([wide[:, :, N - t : N - t + SIZE] for t in range(N)])
    batch = clip_of(wide[None, :, :, :SIZE].expand(N, 3, SIZE, SIZE), running + 0.01 * noise())
    flow = batch["flow(dis)"].target
    flow["forward"][:, 0] = 1.0
    flow["visible"][..., -1:] = 0.0  # which leave the picture
    own = replace(batch, output=running)
    assert Flicker(flow="dis", context=context).measure(own).item() < 1e-6
    assert Flicker(flow="dis", context=context).measure(batch).item() > 100


def test_pairs_across_a_gap_are_left_out(context: Context) -> None:
    target, output = flat(0.5 + 0.01 * ALTERNATING), flat(0.5 + 0.01 * ALTERNATING)
    output[4:] += 0.4
    assert Flicker(context=context).measure(clip_of(output, target)).item() > 10
    gap = np.where(np.arange(N) < 4, np.arange(N), np.arange(N) + 1)
    assert Flicker(context=context).measure(clip_of(output, target, gap)).item() == pytest.approx(1, abs=1e-4)
    steady, step = flat(torch.full((N,), 0.5)), flat(torch.where(torch.arange(N) < 4, 0.5, 0.9))
    assert FlickerColour().measure(clip_of(step, steady)).item() > 5
    assert FlickerColour().measure(clip_of(step, steady, gap)).item() == pytest.approx(0, abs=1e-4)
    for metric in (Flicker(context=context), FlickerColour()):
        assert metric.measure(clip_of(output, target, 2 * np.arange(N))).isnan().all()


def test_nothing_to_compare_is_not_scored(context: Context) -> None:
    assert Flicker(context=context).measure(clip_of(noise(), noise(), seen=torch.zeros(N, 1, SIZE, SIZE))).isnan().all()
    assert Flicker(context=context).measure(clip_of(noise(), flat(torch.full((N,), 0.5)))).isnan().all(), (
        "a real clip without any error"
    )
    for metric in (FlickerColour(), FlickerSharpness()):
        batch = clip_of(noise(), noise(1))
        batch["five_points"].target["landmarks"][:] = torch.nan
        assert metric.measure(batch).isnan().all()
        assert metric.measure(clip_of(noise()[:2], noise()[:2])).isnan().all()


def test_colour_that_alternates_has_its_closed_form() -> None:
    levels = 0.5 + 0.02 * ALTERNATING
    light = rgb2lab(np.repeat(levels.numpy()[:, None], 3, 1)[None])[0, :, 0]
    wanted = (light[0] - light[1]) / 2 * WHITE
    target = flat(0.3 + 0.05 * torch.arange(N))
    assert FlickerColour().measure(clip_of(flat(levels), flat(levels * 0 + 0.3))).item() == pytest.approx(
        wanted, rel=1e-4
    )
    assert FlickerColour().measure(clip_of(target, target)).item() == 0, "light that changes in both"


def test_a_cast_that_stays_is_no_flicker() -> None:
    cast = flat(torch.full((N,), 0.5)) * torch.tensor([1.0, 0.8, 0.6])[None, :, None, None]
    assert FlickerColour().measure(clip_of(cast, flat(torch.full((N,), 0.5)))).item() == pytest.approx(0, abs=1e-4)


def test_frames_without_a_face_are_left_out() -> None:
    output, target = flat(0.5 + 0.02 * ALTERNATING), flat(torch.full((N,), 0.5))
    output[6:] = 1.0
    batch = clip_of(output, target)
    whole = FlickerColour().measure(batch).item()
    batch["five_points"].target["landmarks"][6:] = torch.nan
    rest = FlickerColour().measure(clip_of(output[:6], target[:6])).item()
    assert FlickerColour().measure(batch).item() == pytest.approx(rest)
    assert whole > rest


def test_sharpness_has_its_closed_form_whatever_the_brightness() -> None:
    """Contrast e^0.1 and e^-0.1 in turn, and a brightness that jumps as well."""
    pattern = 0.1 * (noise()[:1] - 0.5)
    contrast, light = torch.exp(0.1 * ALTERNATING)[:, None, None, None], (0.5 + 0.2 * ALTERNATING)[:, None, None, None]
    target = flat(torch.full((N,), 0.5)) + pattern
    grey = target.mean((2, 3), keepdim=True)
    output = grey + contrast * (target - grey)
    value = FlickerSharpness().measure(clip_of(output, target)).item()
    assert value == pytest.approx(100 * 0.1 * WHITE, rel=0.02)
    assert FlickerSharpness().measure(clip_of(light / 0.5 * output, target)).item() == pytest.approx(value, rel=1e-3)
    blurred = grey + 0.3 * (target - grey)
    assert FlickerSharpness().measure(clip_of(blurred, target)).item() == pytest.approx(0, abs=0.01)


def test_the_flow_is_named(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    assert Flicker(flow="tvl1", context=context).info.needs == ("flow(tvl1)",)
    monkeypatch.setattr("fsbench.metrics.flicker.find_spec", lambda name: None)
    assert Flicker(context=context).info.needs == ("flow(tvl1)",)
