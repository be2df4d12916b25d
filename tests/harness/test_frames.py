"""The stage "frame": outputs back in their frames, the identity swap beside them, and what knows of the stage."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch
from clips import picture
from torch import Tensor

from fsbench import report, results
from fsbench.choices import Preset
from fsbench.comparison import scores
from fsbench.comparison.protocol import mismatches
from fsbench.config import Plan
from fsbench.errors import UsageError
from fsbench.evidence import references
from fsbench.faces.align import TEMPLATE, align
from fsbench.faces.frames import REGION, side_of
from fsbench.faces.paste import PRESETS
from fsbench.gates import baseline
from fsbench.gates.decide import decide
from fsbench.gates.rules import Rule
from fsbench.harness import evaluation, frames, illustrations, sets
from fsbench.harness.run import run
from fsbench.images import ImageSet
from fsbench.interfaces import (
    Batch,
    Context,
    DatasetInfo,
    EmbedderInfo,
    Faces,
    MetricInfo,
    Source,
    Swapped,
    Targets,
    Truth,
)
from fsbench.registry import datasets, embedders, metrics, swappers
from fsbench.stats.summaries import mean

SIZE, FRAMES, CLIPS = 32, 6, 3
WIDTH, HEIGHT = 160, 120
SIDE = side_of(SIZE)
FACTS = MetricInfo(unit="levels", direction="lower", bounds=(0.0, 255.0), needs=(), no_face="scored", reference="-",
                   measures=("detail",), stages=("crop", "frame"))  # fmt: skip

alive: list[weakref.ref[np.ndarray]] = []


class Scenes:
    """Two people who move through pictures; every frame is known, and told where it is read."""

    info = DatasetInfo("scenes", "1", SIZE, "made up", "CC0-1.0", ("test",))
    most_alive = 0

    def __init__(self) -> None:
        rows, crops, points = [], [], []
        for person in ("ann", "bob"):
            for session in range(CLIPS):
                for number in range(FRAMES):
                    place = f"{person}/c{session}/{number}"
                    crop, own = align(*self._frame(place), SIZE)
                    crops.append(crop)
                    points.append(own)
                    rows.append({"id": place, "identity": person, "session": f"c{session}", "clip": f"c{session}",
                                 "frame": number})  # fmt: skip
        self._faces = Faces(ImageSet(np.stack(crops)), pd.DataFrame(rows), np.stack(points))

    @staticmethod
    def _frame(place: str) -> tuple[np.ndarray, np.ndarray]:
        person, clip, number = place.split("/")
        image = picture(WIDTH, HEIGHT, seed=ord(person[0]) + 10 * int(clip[1:]))
        grain = np.random.default_rng(int(number)).integers(-2, 3, image.shape)
        image = (np.roll(image, int(number), 1) + grain).clip(0, 255).astype(np.uint8)
        side, angle = 50 + int(number), np.radians(3 * int(number))
        turn = side * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return image, ((TEMPLATE - 0.5) @ turn.T + (70 + 2 * int(number), 60)).astype(np.float32)

    def faces(self, split: str) -> Faces:
        return self._faces

    def truth(self, source: str, targets: Faces) -> Truth | None:
        return None

    def frames(self, targets: Faces) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for place in targets.rows["id"]:
            image, points = self._frame(place)
            alive.append(weakref.ref(image))
            Scenes.most_alive = max(Scenes.most_alive, sum(frame() is not None for frame in alive))
            yield image, points[None]


class Frameless(Scenes):
    """The same, of which the frames are not known."""

    frames = None  # type: ignore[assignment]


@pytest.fixture(autouse=True)
def _toys(registering: None, monkeypatch: pytest.MonkeyPatch) -> None:
    alive.clear()
    Scenes.most_alive = 0
    datasets.register("scenes")(Scenes)
    datasets.register("frameless")(Frameless)

    @swappers.register("brighten")
    class Brighten:
        """Makes the inside of a square of the crop brighter by `levels`; of frames numbered `lost` it has no output."""

        def __init__(self, *, levels: float = 40.0, lost: int = -1) -> None:
            self.levels, self.lost = levels, lost

        def swap(self, source: Source, targets: Targets) -> Swapped:
            alpha = torch.zeros_like(targets.images[:, :1])
            alpha[:, :, 8:24, 8:24] = 1
            absent = tuple("missing" if number == self.lost else "" for number in targets.rows["frame"])
            return Swapped((targets.images + self.levels / 255 * alpha).clamp(0, 1), alpha, absent)

    @embedders.register("halves")
    class Halves:
        """Knows images by the colours of their halves."""

        info = EmbedderInfo("halves", 6, (), "-")

        def embed(self, crops: Tensor, landmarks: Tensor) -> Tensor:
            return torch.nn.functional.adaptive_avg_pool2d(crops, (1, 2)).flatten(1)

    @metrics.register("change")
    class Change:
        """Mean absolute difference to the target, in levels."""

        info = FACTS
        summarise = staticmethod(mean)

        def measure(self, batch: Batch) -> Tensor:
            return 255 * (batch.output - batch.target).abs().double().mean((1, 2, 3))

    @metrics.register("pasted")
    class Pasted:
        """Share of the region that is output."""

        info = replace(FACTS, needs=("paste_weight",), stages=("frame",))
        summarise = staticmethod(mean)

        def measure(self, batch: Batch) -> Tensor:
            return batch["paste_weight"].double().mean((1, 2, 3))

    @metrics.register("length")
    class Length:
        """Frames of a clip."""

        info = replace(FACTS, sample="clip", stages=("frame",))
        summarise = staticmethod(mean)

        def measure(self, batch: Batch) -> Tensor:
            return torch.tensor([float(len(batch.rows))])

        def curve(self, batch: Batch) -> Tensor:
            return torch.arange(len(batch.rows)).double()

    def everywhere(images: ImageSet, title: str, context: Context) -> np.ndarray:
        size = images.shape[1]
        points = TEMPLATE if size == SIZE else REGION
        return np.repeat((points * size)[None], len(images), 0).astype(np.float32)

    monkeypatch.setattr(illustrations, "TABLES", {})  # maps take long to compile
    for module in (evaluation, references, sets, frames):
        monkeypatch.setattr(module, "find_landmarks", everywhere)


def plan(stage: str, preset: str = "fsbench", *models: str, dataset: str = "scenes", baselines: bool = False) -> Plan:
    return Plan(
        dataset=dataset, models=models or ("brighten",), metrics=("change", "pasted", "length", "id_similarity"),
        judges=("halves",), device="cpu", resamples=100, stage=stage, preset=preset, baselines=baselines,
    )  # fmt: skip


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def value(result: results.RunResult, model: str, metric: str, stage: str) -> results.Value:
    (found,) = (value for value in result.find(model, metric) if value.stage == stage)
    return found


@pytest.mark.parametrize("preset", get_args(Preset))
def test_the_identity_swap_of_each_preset_is_run_and_its_floor_is_told(
    preset: str, out: Path, fresh_context: Context
) -> None:
    result = run(plan("frame", preset), out, fresh_context)
    record = result.protocol.frames
    assert (record.preset, record.n_floors) == (preset, 20)
    assert set(record.floors) == set(get_args(Preset))
    assert 0 < record.floors["exact"] < 1
    assert all(floor < 2 for floor in record.floors.values())
    floor, own = (value(result, name, "change", "frame") for name in ("identity_swap", "brighten"))
    assert 0 <= floor.value < 0.1
    if preset in ("fsbench", "exact", "insightface", "facefusion"):  # others match colours, or erode by many pixels
        assert 0 < floor.value < 0.5 < own.value
    kinds = {model.name: model.kind for model in result.models}
    assert kinds == {"identity_swap": "floor", "brighten": "ready"}
    assert {each.stage for each in result.find("identity_swap")} == {"frame"}
    (difference,) = (d for d in result.differences if d.metric == "change")
    assert (difference.model, difference.other, difference.stage) == ("brighten", "identity_swap", "frame")
    assert difference.effect == pytest.approx(own.value - floor.value)
    assert "Floor" in report.write(out).read_text()
    assert record.paste in (out / "report.html").read_text()


def test_both_stages_have_the_values_that_each_has_alone(out: Path, fresh_context: Context) -> None:
    alone = {stage: run(plan(stage), out / stage, fresh_context) for stage in ("crop", "frame", "both")}
    assert {each.stage for each in alone["crop"].values} == {"crop"}
    assert {each.stage for each in alone["frame"].values} == {"frame"}
    known = {(each.model, each.key): each for stage in ("crop", "frame") for each in alone[stage].values}
    both = [each for each in alone["both"].values if each.value is not None]
    assert len(both) == 2 + 2 * 4, "of the model two on crops, of model and floor four in frames"
    for each in both:
        assert each == known[each.model, each.key]
    assert {each.key for each in both} >= {
        results.Key("change", None, "crop"),
        results.Key("change", None, "frame"),
        results.Key("id_similarity", "halves", "frame"),
        results.Key("length", None, "frame"),
    }
    assert (alone["crop"].protocol.stage, alone["frame"].protocol.stage) == ("crop", "frame")
    assert alone["both"].protocol.stage == "crop"
    assert alone["crop"].protocol.frames is None
    assert alone["both"].ranking == alone["crop"].ranking
    reasons = {each.metric: each.reason for each in alone["crop"].values if each.value is None}
    assert set(reasons) == {"pasted", "length"}
    assert all("--stage" in reason for reason in reasons.values())


def test_a_brighter_square_has_the_area_and_the_change_that_it_should(out: Path, fresh_context: Context) -> None:
    """16 of 32 pixels a side, brighter by 40 levels; the region is 1.75 crops a side."""
    result = run(plan("frame", "exact"), out, fresh_context)
    share = (16 / 32) ** 2 / 1.75**2
    assert value(result, "brighten", "change", "frame").value == pytest.approx(40 * share, rel=0.12)
    assert value(result, "brighten", "pasted", "frame").value == pytest.approx(1 / 1.75**2, rel=0.02)
    masked = run(plan("frame", "fsbench"), out.parent / "masked", fresh_context)
    assert value(masked, "brighten", "pasted", "frame").value == pytest.approx(share, rel=0.05)


def test_tables_and_pictures(out: Path, fresh_context: Context) -> None:
    run(plan("both"), out, fresh_context)
    samples = pd.read_parquet(out / "samples.parquet")
    own, floor = (samples[samples["model"] == name] for name in ("brighten", "identity_swap"))
    assert {"change", "change/frame", "pasted/frame", "id_similarity@halves/frame"} <= set(samples)
    assert own["change/frame"].notna().all()
    assert floor["change"].isna().all()
    assert floor["change/frame"].notna().all()
    assert own["id"].tolist() == floor["id"].tolist()
    clips, curves = (pd.read_parquet(out / f"{name}.parquet") for name in ("clips", "frames"))
    assert clips["length/frame"].tolist() == [FRAMES] * len(clips)
    assert curves.loc[curves["model"] == "brighten", "length/frame"].tolist() == list(range(FRAMES)) * 2 * CLIPS
    for row in own.itertuples():
        for path in (f"frames/brighten/{row.source}/{row.id}.png", f"inputs/frame/{row.id}.png"):
            assert (out / path).is_file()
    loaded = scores.load(out)
    assert isinstance(loaded.columns["brighten", "change", None, "frame"], scores.Rows)


def test_frames_are_read_a_few_at_a_time(out: Path, fresh_context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MOST_AT_ONCE", 2)
    run(plan("frame"), out, fresh_context)
    assert len(alive) > 3 * len(Scenes().faces("test"))
    assert Scenes.most_alive <= 4


def test_pasted_frames_are_kept(out: Path, fresh_context: Context) -> None:
    first = run(plan("both"), out, fresh_context)
    alive.clear()
    again = run(plan("both"), out.parent / "again", fresh_context)
    assert len(alive) == 20, "those of the floors"
    assert again.values == first.values
    run(plan("both", "exact"), out.parent / "other", fresh_context)
    assert len(alive) > 60


def test_failures_are_those_of_the_crops(out: Path, fresh_context: Context) -> None:
    results_of = {
        stage: run(plan(stage, "fsbench", "brighten(lost=2)"), out / stage, fresh_context)
        for stage in ("crop", "frame")
    }
    counts = {stage: result.models[-1].failures for stage, result in results_of.items()}
    assert counts["crop"] == counts["frame"] == {"missing": 2 * CLIPS}
    crop, frame = (value(result, "brighten(lost=2)", "change", stage) for stage, result in results_of.items())
    assert (frame.n_scored, frame.n_failed) == (crop.n_scored, crop.n_failed) == (2 * CLIPS * (FRAMES - 1), 2 * CLIPS)
    assert results_of["frame"].find("copy_source") == [], "which only says what failures count as"


def test_a_data_set_without_frames_is_refused_in_a_sentence(out: Path, fresh_context: Context) -> None:
    for stage in ("frame", "both"):
        with pytest.raises(UsageError, match="frameless does not know the frames") as caught:
            run(plan(stage, dataset="frameless"), out, fresh_context)
        assert "--stage" in caught.value.hint
        assert not out.exists()


def test_another_preset_touches_the_numbers_of_frames_alone(out: Path, fresh_context: Context) -> None:
    loaded = []
    for preset in ("fsbench", "exact"):
        run(plan("both", preset), out / preset, fresh_context)
        loaded.append(scores.load(out / preset))
    differing = {mismatch.what: mismatch.touches for mismatch in mismatches(*loaded)}
    assert {"preset of the paste", "paste"} <= set(differing)
    touched = frozenset().union(*differing.values())
    assert {key.stage for key in touched} == {"frame"}
    assert {key.metric for key in touched} == {"change", "pasted", "length", "id_similarity"}


def test_what_the_command_line_offers_is_what_there_is() -> None:
    assert get_args(Preset) == tuple(PRESETS)


def test_a_gate_holds_a_run_against_the_numbers_of_frames(out: Path, fresh_context: Context) -> None:
    """Rules and baselines name them METRIC/frame; the same metric on crops is another number."""
    for levels in (20, 40):
        run(plan("both", "fsbench", f"brighten(levels={levels})"), out / str(levels), fresh_context)
    old, new = (scores.load(out / str(levels)) for levels in (20, 40))
    baseline.save(old, out / "baseline.json", metrics=["change/frame"])
    kept = baseline.load(out / "baseline.json")
    assert kept.keys == [results.Key("change", None, "frame")]
    rule = Rule.parse("change/frame rise<=0.1")
    assert rule.keys_in(kept) == kept.keys
    names = {"brighten(levels=20)": "brighten(levels=40)"}
    (check,) = decide(new, kept, [rule], stands_for=names).checks
    assert check.stage == "frame"
    assert check.effect == pytest.approx(
        value(new.result, "brighten(levels=40)", "change", "frame").value
        - value(old.result, "brighten(levels=20)", "change", "frame").value,
        rel=1e-4,
    )
    assert check.state == "regression"
    same = decide(old, kept, [rule])
    assert same.state == "pass"
