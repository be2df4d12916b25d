"""The floor of the codec, beside the values of a run on videos."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from clips import write_clip
from discs import BLUE, RED, DiscDetector, frame
from torch import Tensor

from fsbench import report, results
from fsbench.config import Plan
from fsbench.datasets.video import VideoFolder
from fsbench.errors import OutputError
from fsbench.extraction import video_faces
from fsbench.faces.video import writer
from fsbench.harness import illustrations, write_read
from fsbench.harness.run import run
from fsbench.interfaces import Batch, Context, MetricInfo, Source, Targets
from fsbench.registry import metrics, swappers
from fsbench.stats.summaries import mean


@pytest.fixture
def videos(tmp_path: Path, registering: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(video_faces, "Detector", DiscDetector)
    monkeypatch.setattr(illustrations, "TABLES", {})
    for name, colour in (("ann", RED), ("bob", BLUE)):
        for number in (1, 2):
            frames = [frame((colour, 60 + i, 48, 50)) for i in range(6)]
            (tmp_path / "videos" / name).mkdir(parents=True, exist_ok=True)
            write_clip(tmp_path / "videos" / name / f"{number}.mp4", frames)

    @metrics.register("change")
    class Change:
        """Mean absolute difference to the target in levels of 255."""

        info = MetricInfo(unit="levels", direction="lower", bounds=(0.0, 255.0), needs=(), no_face="scored",
                          reference="-", measures=("detail",), stages=("crop", "frame"))  # fmt: skip
        summarise = staticmethod(mean)

        def measure(self, batch: Batch) -> Tensor:
            return 255 * (batch.output - batch.target).abs().mean((1, 2, 3))

    @swappers.register("brighten")
    class Brighten:
        """The target, brighter by 40 levels."""

        def swap(self, source: Source, targets: Targets) -> Tensor:
            return (targets.images + 40 / 255).clamp(0, 1)

    return tmp_path / "videos"


def measured(videos: Path, out: Path, context: Context, **of: object) -> results.RunResult:
    plan = Plan(
        dataset=f"video(size=64):{videos}", models=("brighten",), metrics=("change", "vbench_flickering"),
        judges=("dlib_resnet",), device="cpu", resamples=100, **{"stage": "both", **of},
    )  # fmt: skip
    return run(plan, out, context)


def value(result: results.RunResult, model: str, metric: str, stage: str) -> float | None:
    return next(v.value for v in result.find(model, metric) if v.stage == stage)


def test_the_floor_stands_beside_every_value(videos: Path, tmp_path: Path, context: Context) -> None:
    result = measured(videos, tmp_path / "out", context)
    (floor,) = (model for model in result.models if model.name == "write_read")
    assert floor.kind == "floor"
    assert "H.264 at crf 18" in floor.spec
    for stage in ("crop", "frame"):
        assert 0 < value(result, "write_read", "change", stage) < 5
        assert value(result, "copy_target", "change", stage) == 0
        assert value(result, "write_read", "vbench_flickering", stage) == pytest.approx(
            value(result, "copy_target", "vbench_flickering", stage), abs=0.02
        )
        assert any(
            (one.model, one.other, one.metric, one.stage) == ("brighten", "write_read", "change", stage)
            for one in result.differences
        )
    assert {v.stage for v in result.find("identity_swap")} == {"frame"}
    assert "write_read" not in str(result.ranking)
    page = report.write(tmp_path / "out").read_text()
    assert "write_read" in page
    assert page.index("identity_swap") > 0


def test_what_is_written_without_loss_is_at_0(
    videos: Path, tmp_path: Path, fresh_context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    container, _, lossless = writer._FORMATS[".mkv"]
    monkeypatch.setitem(writer._FORMATS, ".mkv", (container, lossless, lossless))
    result = measured(videos, tmp_path / "out", fresh_context)
    for stage in ("crop", "frame"):
        assert value(result, "write_read", "change", stage) == 0


def test_it_is_one_of_the_baselines_and_of_videos(videos: Path, tmp_path: Path, context: Context) -> None:
    result = measured(videos, tmp_path / "out", context, baselines=False, stage="crop")
    assert [model.name for model in result.models] == ["brighten"]


def test_a_codec_that_fails_costs_no_run(
    videos: Path, tmp_path: Path, fresh_context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OutputError("the disk is full")

    monkeypatch.setattr(VideoFolder, "written", full)
    result = measured(videos, tmp_path / "out", fresh_context, stage="crop")
    assert "write_read" not in {model.name for model in result.models}
    assert any("codec" in warning and "disk is full" in warning for warning in result.warnings)


def test_long_clips_are_written_in_parts(videos: Path, fresh_context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = VideoFolder(context=fresh_context.__class__(**{**vars(fresh_context), "path": str(videos)}), size=64)
    faces = dataset.faces("test")
    monkeypatch.setattr(write_read, "LONGEST", 4)
    lengths, own = [], VideoFolder.written

    def counted(self: VideoFolder, targets: object):
        lengths.append(len(targets))  # type: ignore[arg-type]
        return own(self, targets)  # type: ignore[arg-type]

    monkeypatch.setattr(VideoFolder, "written", counted)
    written = write_read.written_again(dataset, dataset.info.revision, faces, fresh_context)
    assert lengths == [4, 2, 4, 2]
    assert written.crops.shape == faces.crops.shape
    assert (written.crops[:] - faces.crops[:]).abs().mean() < 5 / 255
    assert not torch.equal(written.crops[:], faces.crops[:])
