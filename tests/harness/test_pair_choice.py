"""Which pairs are measured: those of a user's table, and of many some."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from fsbench import results
from fsbench.config import Plan
from fsbench.environment import build_dataset
from fsbench.errors import DataError, MissingData, OutputError
from fsbench.harness.export import export
from fsbench.harness.pair_choice import PairChoice
from fsbench.harness.run import run
from fsbench.harness.sets import by_set
from fsbench.interfaces import Context

SPEC = "synthetic(people=4,sessions=4,images=2,gallery=3,clips=1,frames=3,size=64)"
Choose = Callable[..., dict[str, list[tuple[str, str]]]]


@pytest.fixture
def choose(context: Context, tmp_path: Path) -> Choose:
    """The pairs (source, target) of each set that a table asks for."""
    dataset = build_dataset(SPEC, context)
    test = dataset.faces("test")

    def call(text: str, most: int | None = None, files: bool = False) -> dict[str, list[tuple[str, str]]]:
        (tmp_path / "pairs.csv").write_text(text)
        choice = PairChoice.of(Plan(pairs=str(tmp_path / "pairs.csv"), max_pairs=most), files=files)
        sets = choice.pairs(dataset, test, by_set(test))
        return {name: list(zip(pairs.rows["source"], pairs.rows["id"], strict=True)) for name, pairs in sets.items()}

    return call


@pytest.fixture
def ids(context: Context) -> list[str]:
    """Held-out stills of the first person, then frames of a clip of it."""
    rows = build_dataset(SPEC, context).faces("test").rows
    own = rows[rows["identity"] == "p000"]
    return [*own.loc[own["clip"] == "", "id"].tolist()[:2], *own.loc[own["clip"] != "", "id"]]


def test_a_table_says_what_goes_into_what(choose: Choose, ids: list[str]) -> None:
    first, second, *frames = ids
    text = f"source,target\np003,{second}\np001,{first}\np003,{first}\n"
    assert choose(text) == {"stills": [("p003", first), ("p003", second), ("p001", first)]}
    clips = "".join(f"sources/p002;targets/{frame}.png\n" for frame in reversed(frames))
    assert choose(f"source;target\n{clips}") == {"clips": [("p002", frame) for frame in frames]}
    both = choose(f"target,source,note\n{first},p001,a\n{frames[0]},p001,b\n")
    assert both == {"stills": [("p001", first)], "clips": [("p001", frames[0])]}
    assert len(choose(text, most=2)["stills"]) == 2


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("p009,{0}", "row 2: there is no identity 'p009' to swap"),
        ("p001,nobody/1", "row 2: there is no held-out image 'nobody/1'"),
        ("p001,", "row 2: there is no held-out image ''"),
        (",{0}", "row 2: there is no identity '' to swap"),
        ("p000,{0}", "row 2: p000 would be swapped into an own image"),
        ("p001,{0}\np002,{0}\nsources/p001,targets/{0}.png", "row 4 asks what row 2 asks"),
        ("p001,../../etc/passwd", "no held-out image"),
        *((f"p001,{target}", "no held-out image") for target in (".", "..", "/", "targets/", "targets/.", "a/.png")),
        *((f"{source},{{0}}", "there is no identity") for source in (".", "..", "/", "sources/", "p001/..")),
    ],
)
def test_a_row_that_cannot_be_is_named(rows: str, said: str, choose: Choose, ids: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        choose("source,target\n" + rows.format(ids[0]))
    assert said in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("header", "row", "said"),
    [
        ("output", "p002/{0}.png", "row 2: the output of this pair is called p001/{0}.png, not 'p002/{0}.png'"),
        ("output", "swapped.png", "not 'swapped.png'"),
        ("output", ".", "not '.'"),
        ("output", "p001/{0}", ""),
        ("output", "p001/{0}.jpg", ""),
        ("output", "", ""),
        ("model", "mine", "row 2 names a model"),
    ],
)
def test_a_table_of_files_says_what_their_names_do(
    header: str, row: str, said: str, choose: Choose, ids: list[str]
) -> None:
    text = f"source,target,{header}\np001,{ids[0]},{row.format(ids[0])}\n"
    if said:
        with pytest.raises(DataError) as caught:
            choose(text, files=True)
        assert said.format(ids[0]) in caught.value.message
    else:
        assert choose(text, files=True) == {"stills": [("p001", ids[0])]}
    assert choose(text) == {"stills": [("p001", ids[0])]}, "a run makes its outputs, whatever the table calls them"


def test_a_table_without_its_columns(choose: Choose, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no column 'source'") as caught:
        choose("person,target\na,b\n")
    assert "output" not in caught.value.hint
    with pytest.raises(MissingData, match="there is no file"):
        PairChoice.of(Plan(pairs=str(tmp_path / "absent.csv")))


def test_a_run_of_the_exported_table_is_the_run_without_one(context: Context, tmp_path: Path) -> None:
    small = SPEC.replace("people=4", "people=3")
    export(build_dataset(small, context), small, tmp_path / "crops", context)
    plan = Plan(dataset=small, models=(), metrics=("gt_psnr", "id_similarity", "vbench_flickering"))
    plain = run(plan, tmp_path / "plain", context)
    asked = run(plan.model_copy(update={"pairs": str(tmp_path / "crops/pairs.csv")}), tmp_path / "asked", context)
    for one, other in zip(plain.values, asked.values, strict=True):
        assert (one.model, one.metric, one.n_total) == (other.model, other.metric, other.n_total)
        assert other.value == pytest.approx(one.value, abs=1e-12)
    assert asked.protocol.pairing == "the pairs of pairs.csv"
    assert [model.content for model in asked.models] == [model.content for model in plain.models]


def test_a_run_goes_on_with_the_same_table_only(context: Context, tmp_path: Path, ids: list[str]) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(f"source,target\np001,{ids[0]}\np001,{ids[1]}\n")
    plan = Plan(dataset=SPEC, models=("alpha_paste",), baselines=False, metrics=("gt_psnr",), pairs=str(path))
    assert run(plan, tmp_path / "out", context).protocol.n_pairs == 2
    run(plan, tmp_path / "out", context, resume=True)
    path.write_text(f"source,target\np001,{ids[0]}\n")
    with pytest.raises(OutputError, match=r"the table pairs\.csv changed since"):
        run(plan, tmp_path / "out", context, resume=True)
    samples = pd.read_parquet(tmp_path / "out/samples.parquet")
    assert samples["id"].tolist() == ids[:2]
    assert results.load(tmp_path / "out").protocol.sets[0].pairing == "the pairs of pairs.csv"
