"""What a page shows of its judges: ranks, tables, look-alikes, maps, slices, balance; against values that are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fsbench import report
from fsbench.report import lookalikes, maps, ranking, tables
from fsbench.report.run import RunContents, read
from fsbench.report.sections import balance, slices
from fsbench.report.verdict import sentences
from fsbench.results import DifferenceRecord, ModelRecord, Rank, RankingRecord, Value

JUDGE, ODD_NAME = "toy_judge", "<b>cycle</b>(mask=true)"
JUDGES = ("first", JUDGE, "second")


@pytest.fixture
def three(make_run) -> RunContents:
    """A run with three judges; a contestant was trained against the second one, so that it does not count."""
    return read(make_run(judges=JUDGES))


def ranked(run: RunContents, *ranks: tuple[str, float | None, dict[str, float]]) -> RunContents:
    """The same run with another ranking over the judges `a` and `b`."""
    record = RankingRecord(
        metric="id_similarity",
        judges=("a", "b"),
        left_out={},
        ranks=tuple(Rank(model=model, mean=mean, by_judge=by_judge) for model, mean, by_judge in ranks),
    )
    object.__setattr__(run, "result", run.result.model_copy(update={"ranking": record}))
    return run


def test_a_coach_stands_last_and_does_not_count(three: RunContents) -> None:
    assert [judge.name for judge in three.judges] == ["first", "second", JUDGE]
    assert three.headline is not None
    assert three.headline.key == "id_similarity@first"
    shown = ranking.ranking(three)
    assert shown.judges == ("first", "second", JUDGE)
    assert list(shown.left_out) == [JUDGE]
    assert [[place.counts for place in row.places] for row in shown.standings] == [[True, True, False]] * 2


def test_a_judge_that_does_not_count_cannot_make_a_rank_disputed(three: RunContents) -> None:
    one = Rank(model="m", mean=1.0, by_judge={"first": 1.0, "second": 1.0, JUDGE: 2.0})
    assert not ranking.disputed(one, ("first", "second"))
    assert ranking.disputed(one, ("first", JUDGE))


@pytest.mark.parametrize(
    ("ranks", "expected"),
    [
        (
            [("x", 1.0, {"a": 1, "b": 1}), ("y", 2.0, {"a": 2, "b": 2})],
            "x stands first by id_similarity: mean rank 1 over 2 judges. They agree on every rank.",
        ),
        (
            [("x", 1.5, {"a": 1, "b": 2}), ("y", 1.5, {"a": 2, "b": 1})],
            "x, y stand first by id_similarity: mean rank 1.5 over 2 judges. They disagree about x, y: read the ranks "
            "side by side.",
        ),
        (
            [("x", 1.0, {"a": 1, "b": 1}), ("y", 2.5, {"a": 2, "b": 3}), ("z", 2.5, {"a": 3, "b": 2})],
            "x stands first by id_similarity: mean rank 1 over 2 judges. All place it first; they disagree about y, z.",
        ),
    ],
)
def test_verdict_says_whether_judges_agree(make_run, ranks, expected: str) -> None:
    assert sentences(ranked(read(make_run()), *ranks))[0] == expected


def test_verdict_tells_what_the_other_judges_say(three: RunContents) -> None:
    first = next(line for line in sentences(three) if " reaches id_similarity " in line)
    for judge in JUDGES[1:]:
        assert f" under {judge} (" in first or f" and {judge} (" in first


def test_models_stand_in_the_order_of_their_ranks(three: RunContents) -> None:
    names = [rank.model for rank in three.result.ranking.ranks]
    for order in (names, names[::-1]):
        places = [Rank(model=name, mean=i + 1.0, by_judge={}) for i, name in enumerate(order)]
        record = three.result.ranking.model_copy(update={"ranks": tuple(places)})
        run = replace(three, result=three.result.model_copy(update={"ranking": record}))
        assert [model.name for model in tables.ordered(run) if model.name in names] == order


@pytest.mark.parametrize(
    ("effects", "caveat"),
    [
        ({}, ""),  # y and z are clearly worse under both
        ({("y", "b"): (0.01, 0.4)}, ", though no difference to y is detectable under b"),
        ({("y", "b"): (0.01, 0.4), ("y", "a"): (0.01, 0.4)}, ", though no difference to y is detectable under a and b"),
        (
            {("y", "b"): (-0.3, 0.001), ("z", "a"): (0.01, 0.4)},
            ", though no difference to z is detectable under a; y is better under b",
        ),
    ],
)
def test_verdict_says_in_one_breath_where_no_difference_is_detectable(make_run, effects, caveat: str) -> None:
    ranks = [(model, place, {"a": place, "b": place}) for place, model in enumerate("xyz", 1)]
    run = ranked(read(make_run()), *ranks)
    values = [
        Value(
            model=model,
            metric="id_similarity",
            judge=judge,
            value=0.5,
            low=0.1,
            high=0.9,
            n_scored=9,
            n_total=9,
            n_clusters=9,
        )
        for model in "xyz"
        for judge in "abc"
    ]
    known = {("y", "c"): (0.0, 1.0)} | {(other, judge): (0.5, 1e-4) for other in "yz" for judge in "ab"} | effects
    differences = [
        DifferenceRecord(
            model="x",
            other=other,
            metric="id_similarity",
            judge=judge,
            effect=effect,
            low=effect - 0.1,
            high=effect + 0.1,
            p=p,
            detectable=0.2,
            n=9,
        )
        for (other, judge), (effect, p) in known.items()
    ]
    changes = {
        "values": tuple(values),
        "differences": tuple(differences),
        "models": tuple(ModelRecord(name=name, spec=name, summary="", kind="precomputed") for name in "xyz"),
        "judges": tuple(run.judges[0].model_copy(update={"name": name}) for name in "abc"),
    }
    object.__setattr__(run, "result", run.result.model_copy(update=changes))
    said = f"x stands first by id_similarity: mean rank 1 over 2 judges{caveat}. They agree on every rank."
    assert sentences(run)[0] == said


def test_one_contestant_is_not_ranked(make_run) -> None:
    run = ranked(read(make_run()), ("x", 1.0, {"a": 1, "b": 1}))
    assert not ranking.ranking(run).standings
    assert "stands first" not in sentences(run)[0]


def test_summary_tells_all_of_one_judge_and_the_headline_of_the_others(three: RunContents) -> None:
    keys = [head.column.key for head in tables.summary(three).heads]
    assert keys == [
        "id_similarity@first",
        "id_similarity@second",
        f"id_similarity@{JUDGE}",
        "id_nearer_source@first",
        "id_target_verified@first",
        "pose_error",
    ]


def test_every_value_of_a_judge_stands_in_its_own_tables(three: RunContents) -> None:
    for judge in JUDGES:
        likeness, accepted = tables.of_judge(three, judge)
        assert [head.column.key for head in likeness.heads] == [f"id_similarity@{judge}", f"id_nearer_source@{judge}"]
        assert [head.column.key for head in accepted.heads] == [f"id_target_verified@{judge}"]
        for _, rows in (*likeness.groups, *accepted.groups):
            for row in rows:
                assert all(cell.text for cell in row.cells)


def test_charts_count_who_comes_first(three: RunContents) -> None:
    seen = three.lookalikes[(three.lookalikes["judge"] == "first") & (three.lookalikes["rank"] == 1)]
    charts = {chart.source: chart for chart in lookalikes.charts(three, "first", three.contestants)}
    assert list(charts) == ["Ada", "Bo"]
    for source, chart in charts.items():
        assert [series.title for series in chart.series] == ["real images", "gan_mask", ODD_NAME]
        for series in chart.series:
            rows = three.references if series.title == "real images" else three.of(series.title)
            role = "identity" if series.title == "real images" else "source"
            wanted = np.flatnonzero(rows[role] == source)
            model = "" if series.title == "real images" else series.title
            names = seen[(seen["model"] == model) & seen["row"].isin(wanted)]["name"]
            assert series.n_images == len(names) == len(wanted) - (1 if source == "Ada" else 0)
            assert {name: bar.count for name, bar in zip(chart.names, series.bars, strict=True) if bar.count} == dict(
                names.value_counts()
            )
            assert sum(bar.share for bar in series.bars) == pytest.approx(1)
        assert max(bar.length for series in chart.series for bar in series.bars) == 1


def lookalike_rows(model: str, names: list[str], offset: int = 0) -> pd.DataFrame:
    return pd.DataFrame(
        {"judge": JUDGE, "model": model, "row": range(offset, offset + len(names)), "rank": 1, "name": names}
    )


def test_the_rarest_names_are_counted_together(make_run) -> None:
    run = read(make_run(sessions=5, per_session=4))
    common = [f"n{i:02}" for i in range(lookalikes.NAMES)]
    told = pd.concat([lookalike_rows("", [*common, "x", "y", "z"]), lookalike_rows("gan_mask", common)])
    object.__setattr__(run, "lookalikes", told)
    chart = next(iter(lookalikes.charts(run, JUDGE, run.contestants)))
    assert chart.names == (*common, lookalikes.OTHERS)
    real, made = chart.series
    assert (real.bars[-1].count, real.bars[-1].share) == (3, pytest.approx(0.2))
    assert (made.bars[-1].count, made.bars[-1].share) == (0, pytest.approx(0))


def test_oftenest_names_are_shares_of_images(make_run) -> None:
    run = read(make_run())
    told = pd.concat([lookalike_rows("", ["p", "p", "p", "q"]), lookalike_rows("", ["q", "q"]).assign(rank=2)])
    object.__setattr__(run, "lookalikes", told)
    (series,) = lookalikes.charts(run, JUDGE, run.contestants)[0].series
    assert series.oftenest == (("p", 0.75), ("q", 0.75))


def test_numbers_in_place_of_names_are_told(make_run) -> None:
    run = read(make_run())
    for name, numbered in (("CASIA class 17", True), ("Class Act", False), ("Bo", False)):
        object.__setattr__(run, "lookalikes", lookalike_rows("", [name, "Ada"]))
        assert lookalikes.charts(run, JUDGE, run.contestants)[0].numbered is numbered
        assert ("name was not published" in report.html(run)) is numbered


def test_a_coach_that_a_user_names_is_marked(three: RunContents) -> None:
    first, *others = three.result.models
    models = (first.model_copy(update={"coaches": (three.judges[0].family,)}), *others)
    assert not any(cell.coached for cell in coached_cells(three, first.name))
    object.__setattr__(three, "result", three.result.model_copy(update={"models": models}))
    assert any(cell.coached for cell in coached_cells(three, first.name))
    assert tables.coaches(first.model_copy(update={"coaches": ("a", "b")})) == ("a", "b")


def coached_cells(run: RunContents, model: str) -> list[tables.Cell]:
    shown = tables.of_judge(run, run.judges[0].name)[0]
    return [cell for _, rows in shown.groups for row in rows if row.model.name == model for cell in row.cells]


def test_map_shows_every_image_with_a_face(three: RunContents) -> None:
    drawn = maps.draw(three, "first", three.contestants)
    assert drawn is not None
    assert [person for person, _ in drawn.legend] == ["Ada", "Bo"]
    assert [title for title, _ in drawn.panels] == ["gan_mask", ODD_NAME]
    clouds = drawn.points["clouds"]
    assert [cloud["model"] for cloud in clouds] == ["", "", "gan_mask", "gan_mask", ODD_NAME, ODD_NAME]
    assert [len(cloud["points"]) for cloud in clouds] == [33, 36, 33, 36, 33, 36]  # 12 images, Ada's first has no face
    points = np.concatenate([np.reshape(cloud["points"], (-1, 3)) for cloud in clouds])
    radius = np.linalg.norm(points, axis=1).max()
    assert radius == pytest.approx(maps.GRID, abs=1)
    assert [cloud["colour"] for cloud in clouds] == 3 * [colour for _, colour in drawn.legend]


def test_map_in_space_is_seen_from_a_side() -> None:
    up, right = maps._projected(np.array([[0.0, 1.0, 0.0], [np.cos(maps.TURN), 0.0, np.sin(maps.TURN)]]))
    assert up == pytest.approx([0, np.cos(maps.TILT)])
    assert right == pytest.approx([1, 0])


def test_no_map_without_coordinates(make_run) -> None:
    folder = make_run()
    (folder / "umap.parquet").unlink()
    assert maps.draw(read(folder), JUDGE, []) is None


def test_rows_of_another_run_are_left_out_and_told(make_run) -> None:
    folder: Path = make_run()
    path = folder / "lookalikes.parquet"
    table = pd.read_parquet(path)
    pd.concat([table, table.head(2).assign(row=9999), table.head(1).assign(model="gone")]).to_parquet(path)
    run = read(folder)
    assert run.gaps == ("lookalikes.parquet tells of 3 images that the other tables do not have.",)
    pd.testing.assert_frame_equal(run.lookalikes.reset_index(drop=True), table)


def test_slices_put_each_kind_of_fact_in_its_own_figure(three: RunContents) -> None:
    drawn = slices.draw_all(three)
    assert drawn is not None
    assert "id_similarity@first against yaw" in str(drawn.yaw)
    assert "occluded: yes" in str(drawn.switches)
    assert "occluded: no" in str(drawn.switches)
    assert [("smile" in figure) for figure in drawn.others] == [True]  # pitch is the same everywhere
    assert drawn.n_sessions == 6
    assert "Ada, s2" in str(drawn.sessions)


def test_sessions_stand_in_order_of_difficulty(make_run) -> None:
    run = read(make_run(sessions=16, per_session=1))
    figure = str(slices.draw_all(run).sessions)
    names = [f"{who}, s{i}" for who in ("Ada", "Bo") for i in range(16)]
    shown = sorted((name for name in names if f">{name}<" in figure), key=lambda name: figure.index(f">{name}<"))
    rows = run.samples[run.samples["model"].isin(["gan_mask", ODD_NAME])]
    means = rows.groupby(["identity", "session", "model"])[f"id_similarity@{JUDGE}"].mean()
    hardest = means.unstack().mean(axis=1).sort_values().index[: slices.SESSIONS]
    assert shown == [f"{identity}, {session}" for identity, session in hardest]


def test_balance_adds_up(make_run) -> None:
    bars = balance.bars(read(make_run()))
    assert list(bars) == ["session", "pose"]
    titles = ["Ada, train", "Ada, test", "Bo, train", "Bo, test"]
    for by, names in (("session", ["s1", "s2", "s0"]), ("pose", ["left", "frontal", "right"])):
        assert [bar.title for bar in bars[by]] == titles
        assert [part.name for part in bars[by][0].parts] == names
        assert all(sum(part.share for part in bar.parts) == pytest.approx(1) for bar in bars[by])


def test_many_sessions_end_in_one_piece() -> None:
    sessions = {f"s{i}": 100 - i for i in range(50)}
    kept = balance._largest(sessions)
    assert list(kept)[:2] == ["s0", "s1"]
    assert len(kept) == balance.SESSIONS
    assert kept["31 others"] == sum(100 - i for i in range(19, 50))
