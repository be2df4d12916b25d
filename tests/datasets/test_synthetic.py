"""The data set: rows, splits, parameters, cache, processes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fsbench import members
from fsbench.datasets import balance
from fsbench.datasets.synthetic import Synthetic, work
from fsbench.datasets.synthetic.people import SEEDS
from fsbench.datasets.synthetic.plan import SyntheticPlan
from fsbench.datasets.synthetic.work import KIND, draw_chunk, draw_missing
from fsbench.environment import make_context
from fsbench.errors import BadParameter, DataError
from fsbench.harness.sets import by_set
from fsbench.interfaces import SPLITS, Context, Dataset, Faces, Split
from fsbench.store import Store, fingerprint

SMALL: dict[str, Any] = {"sessions": 3, "images": 4, "gallery": 3, "size": 48, "frames": 4}
CPU = torch.device("cpu")


@pytest.fixture
def small(context: Context) -> Synthetic:
    return Synthetic(**SMALL, context=context)


def test_is_a_data_set(small: Synthetic) -> None:
    dataset: Dataset = small
    info = dataset.info
    assert info.name == "synthetic"
    assert info.synthetic
    assert info.size == 48
    assert info.splits == ("train", "test", "gallery")


def test_default_sizes_are_what_the_documentation_says() -> None:
    outline = {split: Synthetic(context=make_context("cpu")).outline(split) for split in SPLITS}
    assert {split: len(rows) for split, rows in outline.items()} == {
        "train": 2 * 12 * 20,
        "test": 2 * 10 * 5 + 2 * 2 * 48,
        "gallery": 50 * 2 * 2,
    }
    assert (outline["test"]["clip"] != "").sum() == 2 * 2 * 48


def test_faces_agree_with_each_other(small: Synthetic) -> None:
    faces = small.faces("train")
    assert len(faces) == len(faces.crops) == len(faces.landmarks) == 2 * 2 * 4
    assert faces.masks is not None
    assert faces.crops.shape == (16, 48, 48, 3)
    assert faces.masks.shape == (16, 48, 48, 1)
    assert faces.landmarks.shape == (16, 5, 2)
    assert faces.identities == ["p000", "p001"]
    assert faces.rows["id"].is_unique
    assert faces.rows["id"][5] == "p000/s01/0001"
    assert set(faces.rows.columns[:5]) == {"id", "identity", "session", "clip", "frame"}
    assert all(faces.rows[tag].dtype == np.float64 and faces.rows[tag].notna().all() for tag in work.TAGS)


def test_landmarks_fall_near_the_template(small: Synthetic) -> None:
    from fsbench.faces.align import TEMPLATE

    faces = small.faces("train")
    assert np.abs(faces.landmarks.mean(0) / 48 - TEMPLATE).max() < 0.03
    assert small.landmarks68("train").shape == (16, 68, 2)


def test_sessions_are_in_one_split_only(small: Synthetic) -> None:
    sessions = {
        split: set(zip(*(small.faces(split).rows[column] for column in ("identity", "session")), strict=True))
        for split in SPLITS
    }
    named = list(sessions.values())
    assert all(named[a].isdisjoint(named[b]) for a in range(3) for b in range(a))
    of_clips = small.faces("test").rows.groupby("session")["clip"].nunique()
    assert (of_clips == 1).all(), "stills and clips share no session"


def test_gallery_shows_other_people(small: Synthetic) -> None:
    gallery, train = small.faces("gallery"), small.faces("train")
    assert gallery.identities == ["p002", "p003", "p004"]
    assert set(gallery.identities).isdisjoint(train.identities)


def test_clips_are_smooth(context: Context) -> None:
    clips = by_set(Synthetic(**{**SMALL, "jitter": 0.0}, context=context).faces("test"))["clips"]
    assert list(clips.rows["frame"][:4]) == [0, 1, 2, 3]
    assert list(clips.rows["clip"].unique()) == ["c00", "c01"]
    steps = np.abs(np.diff(clips.crops.levels()[:4].astype(float), axis=0)).mean((1, 2, 3))
    apart = np.abs(clips.crops.levels()[0].astype(float) - clips.crops.levels()[4]).mean()
    assert steps.max() < apart / 2


def test_a_frame_does_not_depend_on_how_many_follow(context: Context) -> None:
    short, long = (by_set(Synthetic(**{**SMALL, "frames": n}, context=context).faces("test"))["clips"] for n in (4, 22))
    both = long.select(long.rows["id"].isin(short.rows["id"]).to_numpy())
    assert both.crops.content_hash() == short.crops.content_hash()


def test_clips_know_their_exact_swaps(small: Synthetic) -> None:
    clips = by_set(small.faces("test"))["clips"].of("p001")
    truth = small.truth("p000", clips)
    assert len(truth.exact) == len(clips) == 8
    assert (truth.exact[:] - clips.crops[:]).abs().mean() > 0.01


# ------------------------------------------------------------------------------------------------------------ truth


def test_swap_with_oneself_is_the_target(small: Synthetic) -> None:
    targets = small.faces("test").of("p001")
    truth = small.truth("p001", targets)
    np.testing.assert_array_equal(truth.exact.levels(), targets.crops.levels())


def test_truth_changes_the_face_and_little_else(small: Synthetic) -> None:
    targets = small.faces("test").of("p000")
    truth = small.truth("p001", targets)
    change = np.abs(truth.exact.levels().astype(float) - targets.crops.levels()).mean(-1)
    mask = truth.mask.levels()[..., 0] / 255
    assert (change * mask).sum() / mask.sum() > 12
    outside = mask == 0
    assert (change[outside] > 8).mean() < 0.1  # cast shadows, and the rim of the chin


def test_truth_follows_the_order_of_the_targets(small: Synthetic) -> None:
    targets = small.faces("test").of("p000")
    order = np.arange(len(targets))[::-1]
    straight, turned = small.truth("p001", targets), small.truth("p001", targets.select(order))
    np.testing.assert_array_equal(straight.exact.levels()[order], turned.exact.levels())


def test_truth_of_unknown_names_is_refused(small: Synthetic) -> None:
    targets = small.faces("test")
    with pytest.raises(DataError, match="no identity 'p999'"):
        small.truth("p999", targets)
    foreign = Faces(targets.crops, targets.rows.assign(id="elsewhere"), targets.landmarks, targets.masks)
    with pytest.raises(DataError, match="elsewhere is not an image"):
        small.truth("p001", foreign)


# ------------------------------------------------------------------------------------------------------- parameters


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("people", 1),
        ("sessions", 1),
        ("images", 0),
        ("gallery", -1),
        ("size", 31),
        ("size", 1025),
        ("seed", -1),
        ("jitter", 0.2),
        ("swap", "neck"),
    ],
)
def test_bad_parameters(name: str, value: Any, context: Context) -> None:
    with pytest.raises(BadParameter, match=name):
        Synthetic(**{name: value}, context=context)


def test_unknown_split(small: Synthetic) -> None:
    with pytest.raises(DataError, match="train, test"):
        small.faces("validation")  # type: ignore[arg-type]


def test_revision_covers_parameters_and_renderer(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Synthetic(context=context).info.revision
    assert plain == Synthetic(context=context).info.revision
    assert plain != Synthetic(seed=1, context=context).info.revision
    monkeypatch.setattr("fsbench.datasets.synthetic.dataset.VERSION", 0)
    assert plain != Synthetic(context=context).info.revision


@pytest.mark.parametrize(("dominant", "sessions", "images"), [(0.7, 22, 20), (0.66, 6, 10), (0.9, 4, 30)])
def test_one_session_may_dominate_training(context: Context, dominant: float, sessions: int, images: int) -> None:
    parameters = {"sessions": sessions, "images": images, "gallery": 0, "context": context}
    even, uneven = Synthetic(**parameters), Synthetic(**parameters, dominant=dominant)
    for name, rows in uneven.outline("train").groupby("identity"):
        counts = rows["session"].value_counts()
        assert len(rows) == (even.outline("train")["identity"] == name).sum()  # as many images in all
        assert counts["s00"] == round(dominant * len(rows))
        assert len(counts) == even.outline("train")["session"].nunique()
        assert counts.drop("s00").max() - counts.drop("s00").min() <= 1
    assert uneven.outline("test").equals(even.outline("test"))
    assert len(balance.warnings(uneven.outline("train"))) == 2
    assert balance.warnings(even.outline("train")) == []


def test_some_people_are_sources_and_some_were_never_seen(context: Context) -> None:
    data = Synthetic(**{**SMALL, "people": 4, "sources": 1, "unseen": 2}, context=context)
    assert data.info.sources == ("p000",)
    train, test = data.faces("train"), data.faces("test")
    assert train.identities == ["p000", "p001"]
    assert test.identities == ["p000", "p001", "p002", "p003"]
    assert test.rows.groupby("identity")["unseen"].unique().map(list).to_dict() == {
        "p000": [0], "p001": [0], "p002": [1], "p003": [1],
    }  # fmt: skip
    assert "unseen" not in train.rows
    whole = Synthetic(**{**SMALL, "people": 4}, context=context)
    assert whole.info.sources == ()
    assert "unseen" not in whole.faces("test").rows
    same = whole.faces("test").rows
    assert test.rows[list(same)].equals(same)  # the same images
    assert data.truth("p000", test.of("p003").select([0])).exact.shape == (1, 48, 48, 3)


@pytest.mark.parametrize(
    ("parameters", "sources"),
    [
        ({"people": 5, "unseen": 2}, ("p000", "p001", "p002")),
        ({"people": 5, "sources": 5}, ()),
        ({"people": 5, "sources": 2, "unseen": 1}, ("p000", "p001")),
    ],
)
def test_people_without_training_images_are_no_sources(
    context: Context, parameters: dict[str, int], sources: tuple[str, ...]
) -> None:
    assert Synthetic(**parameters, context=context).info.sources == sources


def test_people_may_be_lit_differently(context: Context) -> None:
    even, apart = (Synthetic(**SMALL, light_gap=gap, context=context) for gap in (0.0, 0.3))

    def warmth(data: Synthetic, name: str, split: Split) -> tuple[float, float]:
        """Mean red over blue of the skin, and mean level."""
        faces = data.faces(split).of(name)
        assert faces.masks is not None
        pixels = faces.crops[:].movedim(1, -1)[faces.masks[:][:, 0] > 0.9].mean(0)
        return float(pixels[0] / pixels[2]), float(pixels.mean())

    for split in ("train", "test"):
        for name, warmer in (("p000", False), ("p001", True)):
            (ratio, level), (plain_ratio, plain_level) = warmth(apart, name, split), warmth(even, name, split)
            assert (ratio > 1.1 * plain_ratio, ratio < plain_ratio / 1.1) == (warmer, not warmer)
            assert (level > plain_level) == warmer
    assert apart.faces("gallery").content_hash() == even.faces("gallery").content_hash()
    target = apart.faces("test").of("p000").select([0])
    exact = apart.truth("p001", target).exact[:]
    assert torch.equal(exact[..., :4, :4], target.crops[:][..., :4, :4])  # in the target's light


@pytest.mark.parametrize("gap", [-0.1, 0.6, float("nan")])
def test_a_light_that_cannot_be_is_refused(context: Context, gap: float) -> None:
    with pytest.raises(BadParameter, match="light_gap"):
        Synthetic(light_gap=gap, context=context)


@pytest.mark.parametrize(
    "parameters", [{"unseen": 1}, {"people": 4, "unseen": 3}, {"people": 4, "sources": 4, "unseen": 1}]
)
def test_too_few_people_to_train_on_are_refused(context: Context, parameters: dict[str, int]) -> None:
    with pytest.raises(BadParameter, match="too few with training images"):
        Synthetic(**parameters, context=context)


def test_what_is_off_does_not_change_the_revision(context: Context) -> None:
    assert Synthetic(context=context, dominant=0.0).info.revision == Synthetic(context=context).info.revision
    assert Synthetic(context=context, dominant=0.7).info.revision != Synthetic(context=context).info.revision
    assert not {"dominant", "sources", "unseen", "light_gap"} & set(
        SyntheticPlan(2, 3, 2, 0, 32, 0, 0.01, "face").facts
    )


def test_seeds_give_other_people(context: Context) -> None:
    one = Synthetic(**SMALL, context=context).faces("gallery").crops.levels()
    other = Synthetic(**SMALL, seed=1, context=context).faces("gallery").crops.levels()
    assert np.abs(one.astype(float) - other).mean() > 10


def test_chosen_seeds_are_unique_and_enough() -> None:
    assert len(set(SEEDS)) == len(SEEDS) >= 52  # a pair and a gallery of fifty


# ------------------------------------------------------------------------------------------------------------ cache


@pytest.fixture
def plan() -> SyntheticPlan:
    return SyntheticPlan(people=2, sessions=3, images=2, gallery=0, size=32, seed=0, jitter=0.01, swap="face")


def stored(store: Store) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((store.root / KIND).iterdir())}


def test_same_bytes_twice_and_with_helpers(plan: SyntheticPlan, tmp_path: Path) -> None:
    stores = [Store(tmp_path / name) for name in ("once", "again", "helped")]
    for store, workers in zip(stores, (1, 1, 2), strict=True):
        told: list[int] = []
        draw_missing(plan.chunks("train"), store, CPU, told.append, workers)
        assert sum(told) == 2 * 2 * 2
    once, again, helped = map(stored, stores)
    assert once == again == helped


def test_only_what_is_missing_is_drawn(plan: SyntheticPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, chunks, drawn = Store(tmp_path), plan.chunks("train"), []
    draw_missing(chunks, store, CPU, lambda n: None, 1)
    before = stored(store)
    (tmp_path / KIND / f"{fingerprint(chunks[2].recipe)}.safetensors").unlink()
    monkeypatch.setattr(work, "draw_chunk", lambda chunk, device: drawn.append(chunk) or draw_chunk(chunk, device))
    draw_missing(chunks, store, CPU, lambda n: None, 1)
    assert drawn == [chunks[2]]
    assert stored(store) == before


def test_interrupted_drawing_keeps_finished_chunks(
    plan: SyntheticPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, chunks = Store(tmp_path), plan.chunks("train")

    def stop(n: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_missing(chunks, store, CPU, stop, 1)
    assert len(stored(store)) == 1
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize("program", ["/bin/true", "/bin/false"])
def test_what_helpers_that_end_do_not_draw_is_drawn_here(
    plan: SyntheticPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    alone, told = Store(tmp_path / "alone"), []
    draw_missing(plan.chunks("train"), alone, CPU, lambda n: None, 1)
    monkeypatch.setattr(members.sys, "executable", program)
    store = Store(tmp_path / "left", told.append)
    draw_missing(plan.chunks("train"), store, CPU, lambda n: None, 3)
    assert stored(store) == stored(alone)
    assert len(told) == (2 if program == "/bin/false" else 0)
    assert all("others do its work" in line for line in told)


def test_chunks_survive_json(plan: SyntheticPlan) -> None:
    for chunk in (*plan.chunks("test"), plan.exact(plan.chunks("test")[0], 1)):
        assert type(chunk).from_json(dataclasses.asdict(chunk)) == chunk
