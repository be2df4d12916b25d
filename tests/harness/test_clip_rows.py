"""Intervals and differences of metrics of clips where there are two clips: over blocks of their frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from fsbench import contracts
from fsbench.harness import designs, summarise, warn
from fsbench.harness.differences import paired_differences
from fsbench.harness.failures import Counted
from fsbench.harness.measurements import ClipRows, Measured, of_clips, only
from fsbench.images import ImageSet
from fsbench.interfaces import Batch, Faces, MetricInfo
from fsbench.metrics._clips import OfFrames
from fsbench.pairs import Group, Pairs
from fsbench.results import Key, ModelRecord
from fsbench.stats.blocks import BLOCKS, BlockDesign
from fsbench.stats.summaries import mean

FRAMES = 60


class Light(OfFrames):
    """Root mean square brightness of the frames of a clip."""

    info = MetricInfo(
        unit="", direction="lower", bounds=(0, 1), needs=(), no_face="-", reference="closed form", sample="clip"
    )
    summarise = staticmethod(mean)

    def frame_rows(self, batch: Batch) -> torch.Tensor:
        return batch.output.mean((1, 2, 3)).double() ** 2

    def clip_row(self, rows: np.ndarray) -> float:
        return float(np.sqrt(rows.mean()))


class Whole:
    """The same, of which no frames are known."""

    info, summarise = Light.info, staticmethod(mean)

    def measure(self, batch: Batch) -> torch.Tensor:
        return Light().measure(batch)


def pairs(clips: int = 1) -> Pairs:
    """Two people, of whom each goes into so many clips of the other."""
    faces = contracts.toy_faces(2, sessions=clips, images=FRAMES, size=16)
    rows = faces.rows.assign(clip="c", frame=np.tile(np.arange(FRAMES), 2 * clips))
    faces = Faces(faces.crops, rows, faces.landmarks)
    groups = []
    for source, target in (("toy0", "toy1"), ("toy1", "toy0")):
        index = np.flatnonzero(rows["identity"] == target)
        groups.append(Group(source, faces.of(source).crops.select(slice(2)), index, faces.select(index), None))
    return Pairs(tuple(groups), "all")


def outputs(levels: np.ndarray) -> ImageSet:
    pixels = np.broadcast_to(levels.round()[:, None, None, None], (len(levels), 16, 16, 3))
    return ImageSet(pixels.astype(np.uint8).copy())


def levels(shift: float = 0.0, seed: int = 0, clips: int = 2) -> np.ndarray:
    return 100 + shift + 20 * np.random.default_rng(seed).normal(size=clips * FRAMES)


def measured(metric: Light | Whole, of: np.ndarray, all_pairs: Pairs | None = None) -> Measured:
    all_pairs = all_pairs or pairs()
    rows = summarise.measure(metric, "light", all_pairs, outputs(of), {})
    return of_clips(metric, "light", rows, all_pairs.clips)


def value(metric: Light | Whole, rows: Measured | Counted, all_pairs: Pairs | None = None):
    own = rows.rows if isinstance(rows, Counted) else rows
    design = designs.Designs.of(all_pairs or pairs(), 300, 0).of_samples("clip", own)
    return summarise.value(metric, "light", "m", None, design, rows, set_name="clips")


def test_two_clips_have_an_interval_over_blocks_of_their_frames() -> None:
    of = levels()
    found, _ = value(Light(), measured(Light(), of))
    clips = outputs(of)[:].mean((1, 2, 3)).double().reshape(2, FRAMES)
    assert found.value == pytest.approx(float((clips**2).mean(1).sqrt().mean()), rel=1e-9)
    assert (found.resampled, found.n_clusters, found.n_scored, found.n_total) == ("blocks of frames", 2 * BLOCKS, 2, 2)
    half = (found.high - found.low) / 2
    assert half == pytest.approx(2.1 * 20 / 255 / np.sqrt(2 * FRAMES), rel=0.5)
    assert found.low < 100 / 255 + 0.01 < found.high
    assert "nothing of other clips" in warn.of_values([found])[0]


def test_a_metric_without_rows_of_frames_has_none_and_says_why() -> None:
    found, _ = value(Whole(), measured(Whole(), levels()))
    assert found.value == value(Light(), measured(Light(), levels()))[0].value
    assert (found.low, found.high, found.resampled) == (None, None, "sessions")
    assert found.no_interval == "2 sessions of targets are too few for an interval"
    assert warn.of_values([found]) == []


def test_enough_clips_are_drawn_whole() -> None:
    many = pairs(clips=4)
    rows = measured(Light(), levels(clips=8), many)
    found, estimate = value(Light(), rows, many)
    whole, _ = value(Whole(), measured(Whole(), levels(clips=8), many), many)
    assert found.model_dump() == whole.model_dump()
    assert found.resampled == "sessions"
    assert estimate is not None
    assert not isinstance(estimate.design, BlockDesign)


def test_clips_of_few_frames_have_none() -> None:
    faces = pairs()
    short = faces.take(np.r_[0:10, FRAMES : FRAMES + 10])
    found, _ = value(Light(), measured(Light(), levels()[:20], short), short)
    assert found.value is not None
    assert found.no_interval == "2 sessions of targets are too few for an interval"


@pytest.mark.parametrize(("metric", "lost"), [(Light, ()), (Light, (1,))])
def test_paired_differences_are_over_the_same_blocks(metric: Callable[[], Light], lost: tuple[int, ...]) -> None:
    """Two models share what changes; one may have lost a clip, which is then left out of both."""
    shared, models = levels(), []
    for name, of in (("a", shared + 8), ("b", shared + np.random.default_rng(1).normal(size=len(shared)))):
        rows = measured(metric(), of)
        rows = only(rows, ~np.isin(np.arange(2), lost)) if name == "a" else rows
        models.append(
            (ModelRecord(name=name, spec=name, summary="", kind="ready"), {Key("light"): value(metric(), rows)[1]})
        )
    (found,) = paired_differences(models, {"light": metric()}, [])
    assert found.n == 2 - len(lost)
    assert found.effect == pytest.approx(8 / 255, rel=0.05)
    assert found.p < 1e-6
    assert found.low < 8 / 255 * 1.03
    assert found.high - found.low < 0.3 * (8 / 255)


def test_what_a_failure_counts_as_has_no_frames_and_so_no_interval() -> None:
    rows = measured(Light(), levels())
    floor = np.array([0.9, 0.9]), np.array([True, True])
    counted = Counted.with_failures(Light(), rows, np.array(["no_face", ""], object), floor)
    assert isinstance(counted.rows, ClipRows)
    found, _ = value(Light(), counted)
    own = float(rows.rows[1, 0])
    assert found.value == pytest.approx((0.9 + own) / 2)
    assert found.value_of_scored == pytest.approx(own)
    assert (found.low, found.high) == (None, None)
    assert found.no_interval.startswith("the model failed on 1 of 2 clips")
    models = [
        (ModelRecord(name=name, spec=name, summary="", kind="ready"), {Key("light"): value(Light(), of)[1]})
        for name, of in (("a", counted), ("b", rows))
    ]
    (difference,) = paired_differences(models, {"light": Light()}, [])
    assert difference.effect is None
    assert "failed on 1 of 2 clips" in difference.reason


def test_outputs_that_are_frames_of_two_clips_are_drawn_in_blocks_too() -> None:
    class Brightness(Light):
        info = replace(Light.info, sample="output")

        def measure(self, batch: Batch) -> torch.Tensor:
            return batch.output.mean((1, 2, 3))

    everything = pairs()
    rows = summarise.measure(Brightness(), "brightness", everything, outputs(levels()), {})
    design = designs.Designs.of(everything, 300, 0).of_samples("output", rows)
    found, _ = summarise.value(Brightness(), "brightness", "m", None, design, rows)
    assert (found.resampled, found.n_scored) == ("blocks of frames", 2 * FRAMES)
    assert found.low < found.value < found.high
    stills = replace(everything.groups[0].targets, rows=everything.groups[0].targets.rows.assign(clip=""))
    alone = Pairs((replace(everything.groups[0], targets=stills),), "all")
    assert designs.Designs.of(alone, 300, 0).outputs.unit == "sessions"


def test_the_contract_refuses_rows_of_frames_that_make_another_row() -> None:
    class Ordered(Light):
        """Brightness of the first frame, whose value the order decides."""

        info = replace(Light.info, measures=("flicker",), group="temporal")

        def clip_row(self, rows: np.ndarray) -> float:
            return float(rows[0].mean())

    with pytest.raises(AssertionError, match="clip_row"):
        contracts.check_metric(Ordered())
