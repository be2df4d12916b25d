"""Numbers of single pairs, the slices that they are in, and the rules by which galleries choose."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fsbench.report import samples
from fsbench.report.run import RunContents, read
from fsbench.report.sections import galleries
from fsbench.report.thumbnails import Thumbnails

MakeRun = Callable[..., Path]
ROOM = 8_000_000  # bytes


@pytest.fixture
def run(make_run: MakeRun) -> RunContents:
    return read(make_run(judges=("first", "second")))


def test_a_pair_has_every_number_of_every_model(run: RunContents) -> None:
    pair = ("Ada", "Bo/s1_2")
    told = samples.of_run(run, [pair, pair, ("Ada", "gone")])
    assert list(told["pairs"]) == [samples.key_of(*pair)]
    (entry,) = told["pairs"].values()
    assert entry["title"] == "Ada into Bo/s1_2"
    rows = run.samples[(run.samples["source"] == "Ada") & (run.samples["id"] == "Bo/s1_2")].set_index("model")
    assert [model[0] for model in entry["models"]] == [model.name for model in run.result.models]
    for name, *texts in entry["models"]:
        for column, text in zip(told["columns"], texts, strict=True):
            if column != "failure":
                assert float(text) == pytest.approx(rows.loc[name, column], rel=1e-3)
    facts = dict(entry["facts"])
    assert (facts["session"], facts["occluded"], facts["pitch"]) == ("s1", "0", "5")
    assert {"source: Ada", "target: Bo", "occluded: no"} <= set(entry["slices"])
    json.dumps(told, allow_nan=False)


def test_what_is_not_known_is_empty(run: RunContents) -> None:
    told = samples.of_run(run, [("Ada", "Bo/s0_0")])  # the first output has no face
    (entry,) = told["pairs"].values()
    known = dict(zip(told["columns"], entry["models"][0][1:], strict=True))
    assert known["id_similarity@first"] == ""
    assert known["pose_error"]


@pytest.mark.parametrize(
    ("values", "parts"),
    [([0, 1, 1, 0], {"no", "yes"}), ([2, 5, 5], {"2", "5"}), (range(9), {"0 to 2.67", "2.67 to 5.33", "5.33 to 8"}),
     ([0, 0, 0, 0, 0, 1, 2, 3], {"0 to 0.667", "0.667 to 3"})],
)  # fmt: skip
def test_slices_hold_every_value_once(values: list[float], parts: set[str], run: RunContents) -> None:
    table = run.samples.head(len(values)).assign(smile=np.array(values, float), yaw=0.0, occluded=0.0)
    slicer = samples._slicer(RunContents(**{**vars(run), "samples": table}))
    named = [[label for label in slicer(row) if label.startswith("smile")] for _, row in table.iterrows()]
    assert all(len(labels) == 1 for labels in named)
    assert {labels[0].removeprefix("smile: ") for labels in named} == parts


def test_judges_disagree_most_where_they_place_a_sample_apart(run: RunContents) -> None:
    samples_of = run.of("gan_mask")
    places = samples_of[["id_similarity@first", "id_similarity@second"]].dropna().rank(pct=True)
    apart = (places.max(axis=1) - places.min(axis=1)).nlargest(4).to_numpy()
    (gallery,) = galleries.galleries(Thumbnails(run), [m for m in run.result.models if m.name == "gan_mask"], ROOM)
    (group,) = (group for group in gallery.groups if group.rule == "judges disagree")
    rows = samples_of.set_index(["source", "id"]).index
    shown = [places.loc[rows.get_loc(strip.pair)] for strip in group.strips]
    np.testing.assert_allclose([place.max() - place.min() for place in shown], apart)
    assert group.strips[0].score.startswith("first 0.")
    assert ", second 0." in group.strips[0].score


def test_names_of_pairs_are_keys_without_their_characters() -> None:
    keys = {samples.key_of(*pair) for pair in [("a", "b"), ("a\0b", ""), ('"><', "\n"), ("", "ab")]}
    assert len(keys) == 4
    assert all(key.isalnum() for key in keys)
    assert pd.Series(sorted(keys)).str.startswith("p").all()
