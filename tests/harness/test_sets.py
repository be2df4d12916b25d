"""Stills and clips as evaluation sets: which metrics look at which, in what order, and what a clip counts as."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from fsbench import contracts, results
from fsbench.config import Plan
from fsbench.errors import DataError
from fsbench.evidence import references
from fsbench.faces.align import TEMPLATE
from fsbench.harness import evaluation as evaluations
from fsbench.harness import failures, sets, summarise
from fsbench.harness.pairing import make_pairs
from fsbench.harness.run import run
from fsbench.harness.splits import Splits
from fsbench.images import ImageSet
from fsbench.interfaces import Batch, Context, DatasetInfo, EmbedderInfo, Faces, MetricInfo, Source, Targets, Truth
from fsbench.registry import datasets, embedders, metrics, swappers
from fsbench.stats.summaries import mean

SIZE, FRAMES = 16, 11
PLUGIN = Path(__file__).parents[1] / "plugin_package" / "fsbench_example.py"
CLIP_FACTS = MetricInfo(unit="", direction="lower", bounds=(0.0, 1.0), needs=(), no_face="scored", reference="-",
                        sample="clip", group="temporal", measures=("shake",))  # fmt: skip


def reels(people: int = 2, stills: int = 3, lost: tuple[int, ...] = ()) -> Faces:
    """Each person has a session of stills and two clips, whose frames stand in no order; frames `lost` are missing."""
    faces = contracts.toy_faces(people, sessions=3, images=FRAMES, size=SIZE)
    rows = faces.rows.assign(clip=np.where(faces.rows["session"] == "s0", "", "take"))
    keep = np.where(rows["clip"] == "", rows["frame"] < stills, ~rows["frame"].isin(lost))
    shuffled = np.random.default_rng(3).permutation(np.flatnonzero(keep))
    return replace(faces, rows=rows).select(shuffled)


class Reels:
    """Made-up people in stills and clips."""

    def __init__(self, *, stills: int = 3, lost: str = "", known: bool = False) -> None:
        self.test = reels(stills=stills, lost=tuple(map(int, lost.split())))
        self.known = known
        self.info = DatasetInfo("reels", "1", SIZE, "made up", "CC0-1.0", ("test",))

    def faces(self, split: str) -> Faces:
        return self.test

    def truth(self, source: str, targets: Faces) -> Truth | None:
        return Truth(targets.crops, targets.masks) if self.known and targets.masks is not None else None


@pytest.fixture(autouse=True)
def _toys(registering: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data set, a judge, a swapper, the example package, and a detector that finds a face in everything."""
    datasets.register("reels")(Reels)
    spec = importlib.util.spec_from_file_location("fsbench_example", PLUGIN)
    assert spec is not None and spec.loader is not None  # noqa: PT018
    spec.loader.exec_module(importlib.util.module_from_spec(spec))

    @swappers.register("pulse")
    class Pulse:
        """Makes images darker, every other one twice as much."""

        def swap(self, source: Source, targets: Targets) -> Tensor:
            dark = torch.from_numpy((targets.rows["frame"] % 2).to_numpy(dtype=np.float32, copy=True))
            return targets.images * (0.9 - 0.1 * dark[:, None, None, None])

    @embedders.register("halves")
    class Halves:
        """Knows images by the colours of their halves."""

        info = EmbedderInfo("halves", 6, (), "-")

        def embed(self, crops: Tensor, landmarks: Tensor) -> Tensor:
            return torch.nn.functional.adaptive_avg_pool2d(crops, (1, 2)).flatten(1)

    def everywhere(crops: ImageSet, title: str, context: Context) -> np.ndarray:
        return np.repeat((TEMPLATE * SIZE)[None], len(crops), 0)

    for module in (evaluations, references, sets):
        monkeypatch.setattr(module, "find_landmarks", everywhere)


def plan(*names: str, dataset: str = "reels", models: tuple[str, ...] = ("pulse",)) -> Plan:
    return Plan(dataset=dataset, models=models, metrics=names, judges=("halves",), device="cpu", resamples=100)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def test_frames_stand_side_by_side_in_their_order() -> None:
    parts = sets.by_set(reels())
    assert list(parts) == ["stills", "clips"]
    assert set(parts["stills"].rows["clip"]) == {""}
    frames = parts["clips"].rows.groupby(["identity", "session"], sort=False)["frame"].apply(list)
    assert frames.tolist() == [list(range(FRAMES))] * 4
    changes = (
        parts["clips"].rows[["identity", "session"]].shift() != parts["clips"].rows[["identity", "session"]]
    ).any(axis=1)
    assert changes.sum() == 4, "each clip stands together"


def test_stills_alone_stay_as_they_are() -> None:
    faces = contracts.toy_faces(size=SIZE)
    assert sets.by_set(faces) == {"stills": faces}
    clips = faces.select(np.arange(4))
    clips = replace(clips, rows=clips.rows.assign(clip="c"))
    assert list(sets.by_set(clips)) == ["clips"]


def test_a_frame_that_stands_twice_is_refused() -> None:
    faces = reels()
    again = faces.rows.index[faces.rows["clip"] != ""][0]
    row = faces.rows.loc[again]
    with pytest.raises(DataError, match=f"frames stand twice.*{row.identity}/{row.session}/take frame {row.frame}"):
        sets.by_set(faces.select([*range(len(faces)), again]))


def test_a_clip_in_train_and_in_test_is_refused_by_name() -> None:
    class Leaking:
        info = DatasetInfo("leaking", "1", SIZE, "-", "-", ("train", "test"))

        def faces(self, split: str) -> Faces:
            faces = reels()
            half = faces.rows["frame"] < 5
            return faces.select((half if split == "train" else ~half).to_numpy())

    splits = Splits(Leaking())
    assert len(splits["test"])
    with pytest.raises(DataError, match="frames of one clip in train and in test: toy0/s1/take"):
        splits["train"]


def test_clips_of_pairs_hold_one_source_and_all_frames() -> None:
    parts = sets.by_set(reels(people=5))
    pairs = make_pairs(Reels(), parts["clips"])
    rows = pairs.samples("clip")
    assert len(rows) == len(pairs.clips) == 10
    assert rows["frames"].tolist() == [FRAMES] * 10
    for clip, row in zip(pairs.clips, rows.itertuples(), strict=True):
        own = pairs.rows.iloc[clip]
        assert own["frame"].tolist() == list(range(FRAMES))
        assert set(own["source"]) == {row.source}
        assert set(own["session"]) == {row.session}


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_a_metric_of_the_example_package_has_one_value_for_any_chunk(
    chunk: int, out: Path, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summarise, "CHUNK", chunk)
    result = run(plan("light_flicker", "brightness"), out, context)
    (value,) = result.find("pulse", "light_flicker")
    assert (value.set, value.stage, value.n_scored, value.n_total) == ("clips", "crop", 4, 4)
    clips = sets.by_set(reels())["clips"]
    levels = torch.stack([clips.crops[k].mean() for k in range(len(clips))]).numpy()
    closed_form = [
        np.abs(np.diff(0.1 * levels[rows] * (1 + clips.rows["frame"].to_numpy()[rows] % 2))).mean()
        for rows in clips.rows.groupby(["identity", "session"], sort=False).indices.values()
    ]
    assert value.value == pytest.approx(np.mean(closed_form), abs=2 / 255)
    record = next(metric for metric in result.metrics if metric.name == "light_flicker")
    assert (record.sample, record.stages) == ("clip", ("crop",))
    if chunk != 1:
        return
    with monkeypatch.context() as patch:
        patch.setattr(summarise, "CHUNK", 5)
        again = run(plan("light_flicker", "brightness"), out.parent / "again", context)
    assert again.find("pulse", "light_flicker") == [value]


def test_the_files_hold_a_row_per_clip(out: Path, context: Context) -> None:
    result = run(plan("light_flicker", "brightness", models=("pulse",)), out, context)
    clips, samples = pd.read_parquet(out / "clips.parquet"), pd.read_parquet(out / "samples.parquet")
    own = clips[clips["model"] == "pulse"]
    assert own["frames"].tolist() == [FRAMES] * 4
    assert own["light_flicker"].mean() == pytest.approx(result.find("pulse", "light_flicker")[0].value)
    assert "light_flicker" not in samples and "brightness" not in clips  # noqa: PT018
    assert (samples["clip"] == "").all()
    for paths in (*own["outputs"], *own["targets"]):
        assert len(paths) == FRAMES
        assert all((out / path).is_file() for path in paths)
    assert [(record.name, record.n_pairs, record.n_clips) for record in result.protocol.sets] == [
        ("stills", 6, 0),
        ("clips", 4 * FRAMES, 4),
    ]
    assert set(result.dataset.content) == {"test", "test clips"}


def test_a_curve_tells_which_frames_a_value_comes_from(out: Path, context: Context) -> None:
    @metrics.register("crooked")
    class Crooked:
        """Its curve is too short."""

        info = CLIP_FACTS
        summarise = staticmethod(mean)

        def measure(self, batch: Batch) -> Tensor:
            return torch.zeros(1)

        def curve(self, batch: Batch) -> Tensor:
            return torch.zeros(1)

    logged: list[str] = []
    asked = plan("light_flicker", "crooked", models=("pulse",), dataset="reels(lost='4')")
    result = run(asked, out, replace(context, log=logged.append))
    frames, clips = pd.read_parquet(out / "frames.parquet"), pd.read_parquet(out / "clips.parquet")
    own = frames[frames["model"] == "pulse"]
    assert len(own) == 4 * (FRAMES - 1)
    assert "crooked" not in own
    assert any("crooked has no numbers of single frames" in line for line in logged)
    assert own.loc[own["light_flicker"].isna(), "frame"].tolist() == [0, 5] * 4, "the first frame, and one after a gap"
    by_clip = own.groupby(["identity", "session", "clip"], sort=False)["light_flicker"].mean()
    assert by_clip.tolist() == pytest.approx(clips.loc[clips["model"] == "pulse", "light_flicker"].tolist())
    assert by_clip.mean() == pytest.approx(result.find("pulse", "light_flicker")[0].value)


def test_metrics_of_outputs_look_at_frames_where_there_are_no_stills(out: Path, context: Context) -> None:
    result = run(plan("light_flicker", "brightness", "id_similarity", dataset="reels(stills=0)"), out, context)
    assert {value.metric: (value.set, value.n_total) for value in result.find("pulse")} == {
        "light_flicker": ("clips", 4),
        "brightness": ("clips", 4 * FRAMES),
        "id_similarity": ("clips", 4 * FRAMES),
    }
    assert all(value.value is not None for value in result.find("pulse"))
    assert len(pd.read_parquet(out / "samples.parquet").query("model == 'pulse'")) == 4 * FRAMES


def test_without_clips_a_metric_of_clips_is_null_with_the_reason(out: Path, context: Context) -> None:
    @datasets.register("photos")
    class Photos(Reels):
        """Stills."""

        def faces(self, split: str) -> Faces:
            faces = contracts.toy_faces(size=SIZE)
            return faces

    result = run(plan("light_flicker", "brightness", dataset="photos"), out, context)
    (value,) = result.find("pulse", "light_flicker")
    assert (value.value, value.n_total, value.reason) == (None, 0, "the test split has no clips")
    assert not (out / "clips.parquet").exists()
    assert result.find("pulse", "brightness")[0].value is not None


def test_clips_are_not_swapped_where_no_metric_asks(out: Path, context: Context) -> None:
    result = run(plan("brightness"), out, context)
    assert [record.name for record in result.protocol.sets] == ["stills"]
    assert len([*(out / "outputs" / "pulse").rglob("*.png")]) == 6


def test_missing_frames_are_gaps(out: Path, context: Context) -> None:
    whole = run(plan("light_flicker"), out, context).find("pulse", "light_flicker")[0]
    gaps = run(plan("light_flicker", dataset="reels(lost='1 3 5 7 9')"), out.parent / "gaps", context)
    assert whole.value is not None
    assert gaps.find("pulse", "light_flicker")[0].n_scored == 0, "no two frames follow each other"


def test_a_clip_of_one_frame_is_counted_and_not_scored(out: Path, context: Context) -> None:
    lost = " ".join(map(str, range(1, FRAMES)))
    result = run(plan("light_flicker", "brightness", dataset=f"reels(lost='{lost}')"), out, context)
    (value,) = result.find("pulse", "light_flicker")
    assert (value.n_scored, value.n_total) == (0, 4)
    assert value.reason == "none of 4 clips could be scored"


def test_frames_that_a_model_leaves_unchanged_make_a_clip_fail(out: Path, context: Context) -> None:
    @swappers.register("sleeps")
    class Sleeps:
        """Changes one frame in six."""

        def swap(self, source: Source, targets: Targets) -> Tensor:
            wakes = torch.from_numpy((targets.rows["frame"] % 6 == 0).to_numpy(dtype=np.float32, copy=True))
            return targets.images * (1 - 0.3 * wakes[:, None, None, None])

    result = run(plan("light_flicker", "brightness", models=("pulse", "sleeps")), out, context)
    records = {model.name: model for model in result.models}
    assert records["sleeps"].frame_failures["unchanged"] == 4 * (FRAMES - 2)
    clips = pd.read_parquet(out / "clips.parquet")
    assert clips.loc[clips["model"] == "sleeps", "failure"].tolist() == ["unchanged"] * 4
    assert clips.loc[clips["model"] == "pulse", "failure"].tolist() == [""] * 4
    (value,) = result.find("sleeps", "light_flicker")
    assert value.n_failed == 4
    floor = (
        clips[clips["model"].isin(["copy_target", "copy_source", "alpha_paste"])]
        .groupby(["source", "session"], sort=False)["light_flicker"]
        .max()
    )
    assert value.value == pytest.approx(float(np.maximum(floor.to_numpy(), clips_of(clips, "sleeps")).mean())), (
        "each counts as the worst baseline, or as its own if worse"
    )


def clips_of(clips: pd.DataFrame, model: str) -> np.ndarray:
    return clips.loc[clips["model"] == model, "light_flicker"].to_numpy(float)


def test_which_clips_failed() -> None:
    kinds = np.array(["", "no_face", "no_face", "", "", "", "unchanged", "no_face", "no_face", ""], object)
    clips = (slice(0, 4), slice(4, 6), slice(6, 10))
    assert failures.of_clips(kinds, clips).tolist() == ["no_face", "", "no_face"]
    assert failures.of_clips(kinds, ()).tolist() == []


def test_a_metric_of_frames_says_that_there_are_crops_only(out: Path, context: Context) -> None:
    @metrics.register("edge")
    class Edge:
        """Looks at the edge of the paste-back."""

        info = replace(CLIP_FACTS, sample="output", stages=("frame",), group="attributes")
        summarise = staticmethod(mean)

        def measure(self, batch: Batch) -> Tensor:
            return batch.output.mean((1, 2, 3))

    (value,) = run(plan("edge"), out, context).find("pulse", "edge")
    assert value.reason == "it looks at outputs in their frames, and there are aligned crops only: see --stage"


@pytest.mark.parametrize("rows", [torch.zeros(FRAMES), torch.tensor(0.0), torch.zeros(1, 2, 3), None])
def test_a_metric_that_gives_no_row_of_its_clip_is_told(rows: Tensor | None, out: Path, context: Context) -> None:
    @metrics.register("wrong")
    class Wrong:
        """Gives a row per frame."""

        info = CLIP_FACTS
        summarise = staticmethod(mean)

        def measure(self, batch: Batch) -> Tensor:
            return rows

    (value,) = run(plan("wrong"), out, context).find("pulse", "wrong")
    assert value.is_fault
    assert "one row per clip" in value.reason


def test_what_was_called_stage_says_where_outputs_come_from() -> None:
    old = results.load(Path(__file__).parents[1] / "old_results" / "schema_4.json")
    raw = json.loads((Path(__file__).parents[1] / "old_results" / "schema_4.json").read_text())
    assert old.protocol.stage == "crop"
    assert old.protocol.outputs == raw["protocol"]["stage"]
    assert old.protocol.n_pairs == raw["protocol"]["n_pairs"]
    assert {value.set for value in old.values} == {"stills"}
    assert {metric.sample for metric in old.metrics} == {"output"}
