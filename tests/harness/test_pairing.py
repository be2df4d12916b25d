from __future__ import annotations

from dataclasses import replace

import numpy as np
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


def test_many_people_take_turns() -> None:
    toy = Toy(5)
    pairs = make_pairs(toy, toy.faces("test"))
    assert len(pairs) == 6 * 5
    assert pairs.rows["id"].is_unique
    assert len(pairs.rows.groupby(["source", "identity"])) == 5 * 4


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
