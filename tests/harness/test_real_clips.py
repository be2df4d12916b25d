"""Real talking heads, where they are: what a paste costs, and motion that is known to have been added."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fsbench.config import Plan
from fsbench.faces.align import TEMPLATE
from fsbench.faces.detect import Detector
from fsbench.faces.paste import PRESETS, cut, floor
from fsbench.faces.video import Video
from fsbench.faces.warp import warp
from fsbench.harness import illustrations
from fsbench.harness.run import run
from fsbench.interfaces import Context, Source, Targets
from fsbench.registry import swappers

CLIPS = ("hill", "ocasio_cortez")
SHAKE = 0.018
"""Root mean square by which the copy is displaced, as a share of the crop's side."""


@pytest.fixture
def clips(shared: Path) -> Path:
    folder = shared / "data" / "clips"
    if not all((folder / f"{name}.mp4").is_file() for name in CLIPS):
        pytest.skip("the clips of talking heads are not there")
    return folder


@pytest.mark.parametrize("name", CLIPS)
def test_the_exact_inverse_changes_a_real_frame_by_less_than_a_grey_level(name: str, clips: Path) -> None:
    """With as many pixels in the crop as in the frame; of fewer the floor tells the loss."""
    detector, levels = Detector(torch.device("cpu")), dict[int, list[float]]()
    for number, shown in enumerate(Video(clips / f"{name}.mp4").frames()):
        if number in (0, 100):
            landmarks = detector.detect_photo(shown.image).landmarks[0]
            for size in (128, 512):
                crop = cut(shown.image, landmarks, size)
                levels.setdefault(size, []).append(floor(shown.image, crop, PRESETS["exact"]))
    assert 0 < np.mean(levels[512]) < 1 < np.mean(levels[128])


def test_a_copy_that_is_shaken_has_that_jitter_and_a_copy_has_none(
    clips: Path, tmp_path: Path, context: Context, registering: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On crops and in frames; two clips are too few to be drawn again: intervals are over blocks of their frames."""

    @swappers.register("shaken")
    class Shaken:
        """The target, displaced by an independent random vector in each frame."""

        def swap(self, source: Source, targets: Targets) -> Tensor:
            size, shifts = targets.images.shape[-1], []
            for name in targets.rows["id"]:
                random = np.random.default_rng(zlib.crc32(name.encode()))
                shifts.append(random.normal(0, SHAKE * size / np.sqrt(2), 2))
            moved = np.repeat(np.eye(2, 3)[None], len(shifts), 0)
            moved[:, :, 2] = shifts
            return warp(targets.images, moved, size, mode="bicubic").clamp(0, 1)

    monkeypatch.setattr(illustrations, "TABLES", {})
    for name in CLIPS:
        (tmp_path / "videos").mkdir(exist_ok=True)
        (tmp_path / "videos" / f"{name}.mp4").symlink_to(clips / f"{name}.mp4")
    plan = Plan(
        dataset=f"video:{tmp_path / 'videos'}", models=("shaken", "copy_target"), stage="both", preset="exact",
        metrics=("jitter(landmarks=five_points)", "jitter_common(landmarks=five_points)", "missed_frames"),
        judges=("dlib_resnet",), baselines=False, device="cpu", resamples=100,
    )  # fmt: skip
    result = run(plan, tmp_path / "out", context)
    eyes = float(np.linalg.norm(TEMPLATE[1] - TEMPLATE[0]))
    injected = 100 * SHAKE / eyes
    for value in result.values:
        if value.metric.startswith("jitter") and value.value is not None:
            expected = {"shaken": injected, "copy_target": 0.0}.get(value.model)
            assert (value.resampled, value.n_clusters) == ("blocks of frames", 24)
            assert value.low <= value.value <= value.high
            if value.model == "shaken":
                assert value.value / 20 < value.high - value.low < value.value
            if expected is not None:
                assert value.value == pytest.approx(expected, rel=0.1, abs=0.01), (value.model, value.key)
    assert any("nothing of other clips" in warning for warning in result.warnings)
    differences = [one for one in result.differences if (one.metric, one.stage) == (plan.metrics[0], "frame")]
    assert {(one.model, one.other) for one in differences} == {("shaken", "copy_target"), ("shaken", "identity_swap")}
    for difference in differences:
        assert difference.n == 2
        assert 0 < difference.low < difference.effect < difference.high
    seen = {(value.model, value.stage) for value in result.values if value.metric.startswith("jitter")}
    assert {("shaken", "crop"), ("shaken", "frame"), ("copy_target", "crop")} <= seen
    missed = {value.model: value.value for value in result.values if value.metric == "missed_frames"}
    assert missed == {"shaken": 0.0, "copy_target": 100.0}
