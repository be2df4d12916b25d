"""ToolOutputs made elsewhere, of painted people."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fsbench.config import Plan
from fsbench.errors import DataError, MissingData, UsageError
from fsbench.harness.external.files import ToolOutputs
from fsbench.harness.score import score
from fsbench.images import read_image
from fsbench.interfaces import Context
from fsbench.png import write_png
from fsbench.results import RunResult

Photograph = Callable[..., None]
SIZE = 64
PLAN = Plan(judges=("colour",), metrics=("id_similarity", "id_nearer_source"), resamples=100)
TARGETS = 4


@pytest.fixture
def folders(tmp_path: Path, photograph: Photograph) -> Path:
    """Two sources of three images, four targets of eve in two sessions, and outputs `good` and `lazy`."""
    for k, name in enumerate(("ann", "bob")):
        for i in range(3):
            photograph(tmp_path / "people" / name / f"{i}.png", name, 10 * k + i)
    for i in range(TARGETS):
        target = tmp_path / "targets" / "eve" / f"s{i // 2}" / f"{i}.png"
        photograph(target, "eve", 100 + i, first=100 + 20 * i)
        for name in ("ann", "bob"):
            photograph(tmp_path / "good" / f"{name}_{i}.png", name, 200 + i)
            copy = read_image(target)
            copy[0, 0] = 255  # its own face would be found elsewhere
            write_png(tmp_path / "lazy" / name / f"eve/s{i // 2}/{i}.png", copy)
    return tmp_path


def run(folders: Path, context: Context, *names: str, **more: object) -> RunResult:
    outputs = [ToolOutputs.find(name, folders / name) for name in names]
    return score(outputs, folders / "people", folders / "targets", PLAN, folders / "out", context, size=SIZE, **more)  # type: ignore[arg-type]


def value(result: RunResult, model: str, metric: str) -> float:
    (found,) = result.find(model, metric)
    assert found.value is not None
    return found.value


def test_outputs_are_measured_beside_the_baselines(folders: Path, fresh_context: Context) -> None:
    result = run(folders, fresh_context, "good", "lazy", command="fsbench score")
    assert [(model.name, model.kind) for model in result.models] == [
        ("copy_target", "baseline"),
        ("copy_source", "baseline"),
        ("good", "precomputed"),
        ("lazy", "precomputed"),
    ]
    assert value(result, "good", "id_similarity") > 0.95
    assert value(result, "good", "id_nearer_source") == 100
    assert value(result, "lazy", "id_nearer_source") == 0
    assert value(result, "lazy", "id_similarity") == pytest.approx(value(result, "copy_target", "id_similarity"))
    assert result.protocol.n_pairs == 2 * TARGETS
    samples = pd.read_parquet(folders / "out" / "samples.parquet")
    assert len(samples) == 4 * 2 * TARGETS
    assert samples["source"].unique().tolist() == ["ann", "bob"]
    references = pd.read_parquet(folders / "out" / "references.parquet")
    assert references["identity"].value_counts().to_dict() == {"eve": 4, "ann": 3, "bob": 3}
    assert [rank.model for rank in result.ranking.ranks] == ["good", "lazy"]
    assert {record.identity: record.n_sessions for record in result.dataset.identities} == {
        "eve": 2,
        "ann": 3,
        "bob": 3,
    }


def test_baselines_may_be_left_out_and_failures_count_as_before(folders: Path, fresh_context: Context) -> None:
    outputs = [ToolOutputs.find(name, folders / name) for name in ("good", "lazy")]
    whole, alone = (
        score(
            outputs, folders / "people", folders / "targets", PLAN.model_copy(update={"baselines": baselines}),
            folders / f"out {baselines}", fresh_context, size=SIZE,
        )
        for baselines in (True, False)
    )  # fmt: skip
    assert [model.name for model in whole.models] == ["copy_target", "copy_source", "good", "lazy"]
    assert [model.name for model in alone.models] == ["good", "lazy"]
    assert alone.models[1].failures
    for name in ("good", "lazy"):
        for metric in PLAN.metrics:
            assert alone.find(name, metric) == whole.find(name, metric)


def test_a_full_frame_is_cut_like_its_target_and_a_crop_by_its_own_face(folders: Path, fresh_context: Context) -> None:
    for path in sorted((folders / "lazy").rglob("*.png")):
        whole = read_image(path)
        photo = np.zeros((160, 180, 3), np.uint8) + np.uint8(70)
        photo[40:120, 40:140] = whole
        photo[0, 0] = 128
        write_png(folders / "padded" / path.relative_to(folders / "lazy"), photo)
    result = run(folders, fresh_context, "lazy", "padded")
    for source in ("ann", "bob"):
        for target in sorted((folders / "out/inputs/target").rglob("*.png")):
            inside = target.relative_to(folders / "out/inputs/target")
            lazy = read_image(folders / "out/outputs/lazy" / source / inside)
            assert np.array_equal(lazy, read_image(target))
            assert not np.array_equal(lazy, read_image(folders / "out/outputs/padded" / source / inside))
    notes = {model.name: model.notes for model in result.models}
    assert notes["lazy"] == ("0 of 8 outputs were cut by their own face, the others like their target",)
    assert notes["padded"] == ("8 of 8 outputs were cut by their own face, the others like their target",)


@pytest.mark.parametrize("size", [(80, 100), (50, 30), (200, 90)])
def test_an_output_without_a_face_is_counted(
    folders: Path, fresh_context: Context, size: tuple[int, int], photograph: Photograph
) -> None:
    photograph(folders / "good" / "bob_3.png", "nobody", 0, size=size)
    result = run(folders, fresh_context, "good")
    assert result.models[-1].n_no_face == 1
    assert result.models[-1].failures == {"no_face": 1}
    assert "good failed on 1 of 8 pairs (12 %): 1 without a face" in result.warnings
    (nearer,) = result.find("good", "id_nearer_source")
    assert nearer.n_total == 8


def test_a_target_without_a_face_is_left_out_and_told(
    folders: Path, fresh_context: Context, photograph: Photograph
) -> None:
    photograph(folders / "targets/eve/s1/3.png", "nobody", 0)
    result = run(folders, fresh_context, "good")
    assert result.protocol.n_pairs == 6
    assert "2 of 8 pairs left out, no face was found in their targets" in result.warnings
    assert "target: 1 of 4 images left out, no face found: eve/s1/3.png" in result.warnings


def test_a_source_without_a_face_is_an_error(folders: Path, fresh_context: Context, photograph: Photograph) -> None:
    for path in (folders / "people/ann").iterdir():
        photograph(path, "nobody", 0)
    with pytest.raises(DataError, match="no face was found in any image of the source ann"):
        run(folders, fresh_context, "good")


def test_a_missing_output_is_a_failure_of_its_model_alone(folders: Path, fresh_context: Context) -> None:
    (folders / "lazy/bob/eve/s0/1.png").unlink()
    (folders / "lazy/bob/eve/s0/0.png").write_bytes(b"")
    (folders / "good/ann_0.png").write_bytes((folders / "good/ann_0.png").read_bytes()[:300])
    result = run(folders, fresh_context, "good", "lazy")
    assert result.protocol.n_pairs == 8
    failures = {model.name: model.failures for model in result.models[2:]}
    assert failures["good"] == {"unreadable": 1}
    assert (failures["lazy"]["missing"], failures["lazy"]["unreadable"]) == (1, 1)
    assert any("good: 1 of 8 outputs cannot be read" in said and "ann_0.png" in said for said in result.warnings)
    samples = pd.read_parquet(folders / "out" / "samples.parquet")
    (row,) = samples[(samples["model"] == "good") & (samples["failure"] == "unreadable")].to_dict("records")
    assert row["file"] == "ann_0.png"
    assert "truncated" in row["why"]


def test_missing_pairs_can_be_dropped(folders: Path, fresh_context: Context) -> None:
    (folders / "lazy/bob/eve/s0/1.png").unlink()
    result = run(folders, fresh_context, "good", "lazy", missing="drop")
    assert result.protocol.n_pairs == 7
    assert any(said.startswith("1 of 8 pairs left out for all tools") for said in result.warnings)


def test_a_tool_without_an_answer_drops_no_pair(folders: Path, fresh_context: Context, photograph: Photograph) -> None:
    photograph(folders / "odd" / "what.png", "ann", 1)
    (folders / "lazy/bob/eve/s0/1.png").unlink()
    result = run(folders, fresh_context, "odd", "good", "lazy", missing="drop")
    assert result.protocol.n_pairs == 7
    assert [bool(model.error) for model in result.models] == [False, False, False, False, True]


def test_folders_of_tools_in_one_folder_are_guessed_at(
    folders: Path, fresh_context: Context, photograph: Photograph
) -> None:
    for tool in ("a", "b"):
        photograph(folders / "all tools" / tool / "ann_0.png", "ann", 1)
    with pytest.raises(DataError, match="its name does not say") as caught:
        run(folders, fresh_context, "all tools")
    assert f"--outputs '{folders}/all tools/*'" in caught.value.hint


def test_what_nobody_used_is_counted_and_named(folders: Path, fresh_context: Context, photograph: Photograph) -> None:
    photograph(folders / "targets/eve/s1/9.png", "eve", 9)
    photograph(folders / "people/zoe/0.png", "bob", 9)
    photograph(folders / "good/what.png", "ann", 0)
    (folders / "good/readme.txt").write_text("")
    result = run(folders, fresh_context, "good")
    unused = {(record.where, file) for record in result.unused for file in record.files}
    assert unused == {
        ("good", "what.png"),
        ("good", "readme.txt"),
        ("targets", "eve/s1/9.png"),
        ("people", "zoe/0.png"),
    }
    assert sum("--pairs CSV" in said for said in result.warnings) == 2


def test_a_table_says_what_names_do_not(folders: Path, fresh_context: Context, photograph: Photograph) -> None:
    for i in range(TARGETS):
        photograph(folders / "odd" / f"{i:04d}.png", "ann", i)
    lines = [f"{i:04d},ann,{TARGETS - 1 - i}" for i in range(TARGETS)]
    (folders / "pairs.csv").write_text("\n".join(["output,source,target", *lines]))
    result = run(folders, fresh_context, "odd", table=folders / "pairs.csv")
    assert result.protocol.n_pairs == TARGETS
    assert result.protocol.pairing == "the pairs of a table"
    first = read_image(folders / "out/outputs/odd/ann/eve/s0/0.png")
    assert first.mean((0, 1))[0] > 150


def test_one_folder_for_sources_and_targets(folders: Path, fresh_context: Context, photograph: Photograph) -> None:
    for i in range(3):
        photograph(folders / "swap" / "ann" / f"bob/{i}.png", "ann", i)
    result = score(
        [ToolOutputs.find("swap", folders / "swap")],
        folders / "people",
        folders / "people",
        PLAN,
        folders / "out",
        fresh_context,
        size=SIZE,
    )
    references = pd.read_parquet(folders / "out" / "references.parquet")
    assert len(references) == 6
    assert value(result, "swap", "id_nearer_source") == 100


def test_an_image_in_both_folders_stands_once(folders: Path, fresh_context: Context, photograph: Photograph) -> None:
    for i in range(2):
        copy = folders / "targets" / "ann" / f"{i}.png"
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes((folders / "people/ann" / f"{i}.png").read_bytes())
    photograph(folders / "targets" / "ann" / "2.png", "ann", 900)  # another picture of that name
    run(folders, fresh_context, "lazy")
    ids = pd.read_parquet(folders / "out" / "references.parquet")["id"]
    assert sorted(ids[ids.str.startswith("ann")]) == ["ann/0", "ann/1", "ann/2", "ann/2~source"]


def test_flat_folders_are_warned_of(folders: Path, fresh_context: Context, photograph: Photograph) -> None:
    for i in range(2):
        photograph(folders / "flat" / f"{i}.png", "eve", i)
        photograph(folders / "swap" / f"ann_{i}.png", "ann", i)
    result = score(
        [ToolOutputs.find("swap", folders / "swap")],
        folders / "people",
        folders / "flat",
        PLAN,
        folders / "out",
        fresh_context,
        size=SIZE,
    )
    (told,) = [warning for warning in result.warnings if "PERSON/*.jpg" in warning]
    assert told.startswith("target: 2 images lie in no folder of a person, so each was read as another person")
    assert sum("held-out sessions" in warning for warning in result.warnings) == 1


def test_what_is_wrong_is_found_before_any_face_is_looked_for(
    folders: Path, fresh_context: Context, monkeypatch: pytest.MonkeyPatch, photograph: Photograph
) -> None:
    monkeypatch.setattr("fsbench.faces.detect.Detector", None)
    photograph(folders / "odd" / "what.png", "ann", 0)
    with pytest.raises(DataError, match=r"what.png: its name does not say"):
        run(folders, fresh_context, "odd")
    outputs = ToolOutputs.find("lazy", folders / "lazy")
    for names in (["lazy", "lazy"], ["copy_target"], ["references"], [""]):
        with pytest.raises(UsageError, match=r"is the name of|has an empty name"):
            score(
                [ToolOutputs(name, outputs.folder, outputs.files) for name in names],
                folders / "people",
                folders / "targets",
                PLAN,
                folders / "out",
                fresh_context,
            )
    with pytest.raises(UsageError, match="unknown embedder"):
        score(
            [outputs], folders / "people", folders / "targets", Plan(judges=("nobody",)), folders / "out", fresh_context
        )
    assert not (folders / "out").exists()


def test_coaches_are_recorded_left_out_and_asked_for(folders: Path, fresh_context: Context) -> None:
    coaches = {"good": ["colour", "shape"]}
    with pytest.raises(UsageError, match="--coach names best, of which there are no outputs"):
        run(folders, fresh_context, "good", coaches={"best": ["colour"]})
    result = run(folders, fresh_context, "good", "lazy", coaches=coaches)
    assert {model.name: model.coaches for model in result.models[2:]} == {"good": ("colour", "shape"), "lazy": ()}
    assert result.ranking.left_out == {"colour": "good trained against it"}
    said = [warning for warning in result.warnings if "trained against" in warning]
    assert said == [
        "good was trained against shape, and no judge is of a family of that name: they are of colour",
        "what lazy was trained against is not known: a judge may have been its coach (--coach lazy=FAMILY, or "
        "lazy=none)",
    ]


def test_what_had_no_coach_is_not_asked_for(folders: Path, fresh_context: Context) -> None:
    result = run(folders, fresh_context, "good", coaches={"good": ["none"]})
    assert result.models[-1].coaches == ()
    assert not any("trained against" in warning for warning in result.warnings)


def test_unknown_sessions_and_uneven_people_are_told_by_role(
    folders: Path, fresh_context: Context, photograph: Photograph
) -> None:
    photograph(folders / "targets/eve/s1/9.png", "eve", 9)
    result = run(folders, fresh_context, "good")
    assert any(said.startswith("source: no sessions are known of ann, bob:") for said in result.warnings)
    assert any(said.startswith("target: eve: session s1 holds 3 of 5 images") for said in result.warnings)


def test_outputs_have_to_be_there(folders: Path, fresh_context: Context) -> None:
    with pytest.raises(MissingData, match="there is no folder"):
        ToolOutputs.find("x", folders / "x")
    (folders / "x").mkdir()
    with pytest.raises(DataError, match="holds no image"):
        run(folders, fresh_context, "x")


@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (["what.png", "who/0.png"], "does not say|names none"),
        (["notes.txt"], "holds no image: 1 file not used"),
        ([], "holds no image"),
        (["carl_0.png"], "does not say|names none"),
        (["1/0.png"], "does not say|names none"),
    ],
)
def test_a_tool_without_an_answer_is_a_row_with_its_reason(
    folders: Path, fresh_context: Context, photograph: Photograph, files: list[str], reason: str, table: bool
) -> None:
    (folders / "odd").mkdir()
    for name in files:
        photograph(folders / "odd" / name, "ann", 1)
    lines = [
        f"{tool};{who}_{i}.png;{who};{i}"
        for tool in ("good", "odd")
        for who in ("ann", "bob")
        for i in range(TARGETS)
        if tool == "good" or (i == 0 and "1/0.png" in files)
    ]
    (folders / "pairs.csv").write_text("\n".join(["model;output;source;target", *lines]))
    result = run(folders, fresh_context, "good", "odd", **({"table": folders / "pairs.csv"} if table else {}))
    assert [(model.name, bool(model.error)) for model in result.models[2:]] == [("good", False), ("odd", True)]
    assert re.search(
        reason if "1/0.png" not in files or not table else "is there, such as 'ann_0.png'", result.models[-1].error
    )
    assert result.models[2].failures == {}
    assert any(said.startswith("nothing of odd was measured:") for said in result.warnings)
    assert {file for record in result.unused if record.where == "odd" for file in record.files} == set(files)
    assert value(result, "good", "id_nearer_source") == 100
    (place,) = [rank for rank in result.ranking.ranks if rank.model == "odd"]
    assert place.mean is None


def test_where_no_tool_has_an_answer_the_first_says_why(
    folders: Path, fresh_context: Context, photograph: Photograph
) -> None:
    for tool in ("odd", "even"):
        photograph(folders / tool / "what.png", "ann", 1)
    with pytest.raises(DataError, match=r"^what.png: its name does not say"):
        run(folders, fresh_context, "odd", "even")


def test_metrics_of_clips_have_no_value_of_photographs(folders: Path, context: Context) -> None:
    """Whether or not their rows are made of rows of frames."""
    clips = ("vbench_flickering", "jitter(landmarks=five_points)", "gt_jitter", "tl_id")
    outputs = [ToolOutputs.find("good", folders / "good")]
    plan = Plan(judges=("colour",), metrics=("id_similarity", *clips), resamples=100)
    result = score(outputs, folders / "people", folders / "targets", plan, folders / "out", context, size=SIZE)
    reasons = {value.metric: value.reason for value in result.values if value.value is None}
    assert set(reasons) == set(clips)
    assert not any(value.is_fault for value in result.values)
    assert reasons["vbench_flickering"] == reasons["tl_id"] == "there are no clips"
