from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fsbench import contracts
from fsbench.errors import DataError
from fsbench.harness.pairing import make_pairs
from fsbench.interfaces import DatasetInfo, Faces


class Toy:
    """Made-up people."""

    def __init__(self, people: int) -> None:
        self.everything = contracts.toy_faces(people, sessions=4, images=3, size=16)
        self.info = DatasetInfo("toy", "1", 16, "made up", "CC0-1.0", ("train", "test"))

    def faces(self, split: str) -> Faces:
        held_out = self.everything.rows["session"] >= "s2"
        return self.everything.select((held_out if split == "test" else ~held_out).to_numpy())

    def truth(self, source: str, targets: Faces) -> None:
        return None


@pytest.mark.parametrize("people", [2, 3])
def test_few_people_are_all_paired(people: int) -> None:
    toy = Toy(people)
    pairs = make_pairs(toy, toy.faces("test"))
    assert len(pairs) == 6 * people * (people - 1)
    assert not (pairs.rows["source"] == pairs.rows["identity"]).any()
    assert not pairs.rows.duplicated(["source", "id"]).any()


def test_samples_have_digests_of_their_images() -> None:
    toy = Toy(2)
    pairs = make_pairs(toy, toy.faces("test"))
    digests = pairs.shown("output")
    assert digests["source_sha256"].nunique() == 2
    assert digests["target_sha256"].nunique() == len(pairs) == 12
    expected = [hashes.tobytes().hex()[:16] for hashes in toy.faces("test").crops.hashes()[pairs.index]]
    assert digests["target_sha256"].tolist() == expected
    pd.testing.assert_frame_equal(pairs.shown("output", slice(5, 9)), digests.iloc[5:9])
    assert pairs.shown("clip").empty


def test_many_people_take_turns() -> None:
    toy = Toy(5)
    pairs = make_pairs(toy, toy.faces("test"))
    assert len(pairs) == 6 * 5
    assert pairs.rows["id"].is_unique
    assert len(pairs.rows.groupby(["source", "identity"])) == 5 * 4


@pytest.mark.parametrize(("people", "named"), [(3, 1), (5, 1), (6, 3), (7, 5)])
def test_sources_that_a_data_set_names_go_into_all_others(people: int, named: int) -> None:
    toy = Toy(people)
    sources = tuple(f"toy{i}" for i in range(named))
    toy.info = replace(toy.info, sources=sources)
    pairs = make_pairs(toy, toy.faces("test"))
    assert [group.identity for group in pairs.groups] == list(sources)
    assert not (pairs.rows["source"] == pairs.rows["identity"]).any()
    few = named <= 3
    assert len(pairs) == (6 * named * (people - 1) if few else 6 * people)
    assert len(pairs.rows.groupby(["source", "identity"])) == named * (people - 1)
    assert pairs.rule.startswith(f"every held-out image with {'every' if few else 'one'} other of {named} sources")


def test_sources_are_everybody_where_none_are_named() -> None:
    toy, named = Toy(5), Toy(5)
    named.info = replace(toy.info, sources=tuple(f"toy{i}" for i in range(5)))
    assert make_pairs(toy, toy.faces("test")).rows.equals(make_pairs(named, toy.faces("test")).rows)
    assert make_pairs(named, toy.faces("test")).rule == "every held-out image with one other identity, in turn"


def test_rows_follow_the_groups() -> None:
    toy = Toy(3)
    test = toy.faces("test")
    pairs = make_pairs(toy, test)
    index = np.concatenate([group.index for group in pairs.groups])
    assert pairs.rows["id"].tolist() == test.rows["id"].to_numpy()[index].tolist()


def test_sources_come_from_training_sessions() -> None:
    toy = Toy(2)
    pairs = make_pairs(toy, toy.faces("test"))
    train = toy.faces("train").of("toy0").crops[:]
    for image in pairs.groups[0].source.images:
        assert bool((train == image).flatten(1).all(1).any())


def test_one_identity_cannot_be_swapped() -> None:
    toy = Toy(1)
    with pytest.raises(DataError, match="two are needed"):
        make_pairs(toy, toy.faces("test"))


def test_a_clip_stays_with_one_source() -> None:
    toy = Toy(5)
    test = toy.faces("test")
    frames = test.rows.assign(clip=["c0", "c0", "c1", "c1", "", ""] * 5)
    pairs = make_pairs(toy, replace(test, rows=frames))
    clips = pairs.rows[pairs.rows["clip"] != ""].groupby(["identity", "session", "clip"])["source"]
    assert len(pairs) == 6 * 5
    assert (clips.nunique() == 1).all()
    assert pairs.rows.groupby("identity")["source"].nunique().min() >= 3
