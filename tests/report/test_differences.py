"""What page, tables and sentences say of paired differences, of which every one is known."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from fsbench import report
from fsbench.compare import ALPHA, UNKNOWN
from fsbench.report.run import RunContents, read
from fsbench.report.sections import differences
from fsbench.report.tables import ScoreTable, summary
from fsbench.report.verdict import sentences
from fsbench.results import DifferenceRecord

MODELS = {"copy_target": 0.0, "x": 0.5, "y": 0.52, "z": 0.9}
Known = tuple[float, float]
"""Effect and p-value."""


@pytest.fixture
def run(make_run: Callable[..., Path]) -> RunContents:
    return read(make_run(models=MODELS))


def edited(run: RunContents, change: Callable[[DifferenceRecord], DifferenceRecord | None]) -> RunContents:
    records = tuple(filter(None, map(change, run.result.differences)))
    return replace(run, result=run.result.model_copy(update={"differences": records}))


def known(run: RunContents, by_pair: Mapping[tuple[str, str], Known], metric: str = "id_similarity") -> RunContents:
    """The same run in which the differences of some models by one metric are these."""

    def change(record: DifferenceRecord) -> DifferenceRecord:
        if record.metric != metric or (record.model, record.other) not in by_pair:
            return record
        effect, p = by_pair[record.model, record.other]
        facts = {"effect": effect, "low": effect - 0.1, "high": effect + 0.1, "p": p, "detectable": 0.0371}
        return record.model_copy(update=facts)

    return edited(run, change)


def intervals(run: RunContents, by_model: Mapping[str, tuple[float, float]]) -> RunContents:
    """The same run in which single values of id_similarity have these intervals."""
    values = tuple(
        value.model_copy(update=dict(zip(("low", "high"), by_model[value.model], strict=True)))
        if value.metric == "id_similarity" and value.model in by_model
        else value
        for value in run.result.values
    )
    return replace(run, result=run.result.model_copy(update={"values": values}))


def marked(table: ScoreTable) -> dict[str, str]:
    """The marked model of each column, by metric."""
    return {
        table.heads[i].column.metric.name: row.model.name
        for _, rows in table.groups
        for row in rows
        for i, cell in enumerate(row.cells)
        if cell.best
    }


def text(run: RunContents) -> str:
    return " ".join(sentences(run)).replace("\N{NO-BREAK SPACE}", " ")


def test_a_difference_is_told_where_intervals_overlap(run: RunContents) -> None:
    seen = known(run, {("x", "z"): (-0.2, 1e-6), ("y", "z"): (-0.21, 1e-6)})
    seen = intervals(seen, dict.fromkeys("xyz", (0.1, 0.95)))
    assert "z is better than y by 0.210 [0.110, 0.310] and better than x by 0.200" in text(seen)
    assert marked(summary(seen))["id_similarity"] == "z"


def test_no_difference_is_told_where_intervals_lie_apart(run: RunContents) -> None:
    unseen = known(run, {("x", "z"): (-0.2, 0.3), ("y", "z"): (-0.2, 0.06)})
    unseen = intervals(unseen, {"x": (0.1, 0.11), "y": (0.2, 0.21), "z": (0.9, 0.91)})
    assert "no difference of z to y, x is detectable at this size, one of 0.037 would be" in text(unseen)
    assert "z is better" not in text(unseen)
    assert "id_similarity" not in marked(summary(unseen))


def test_a_winner_is_better_than_every_other_one(run: RunContents) -> None:
    half = known(run, {("x", "z"): (-0.2, 1e-6), ("y", "z"): (-0.01, 0.5)})
    assert "id_similarity" not in marked(summary(half))
    assert "z is better than x by 0.200 [0.100, 0.300]; no difference to y is detectable at this size" in text(half)


def test_all_comparisons_of_a_table_are_corrected_together(run: RunContents) -> None:
    """Two of eight comparisons in a table of four columns, and two of two in the sentence."""
    p = ALPHA / 3
    seen = known(run, {("x", "z"): (-0.2, p), ("y", "z"): (-0.2, p)})
    assert "better than y by" in text(seen)
    others = edited(seen, lambda one: one if one.metric == "id_similarity" else one.model_copy(update={"p": 0.9}))
    assert marked(summary(others)) == {}
    sure = known(seen, {("x", "z"): (-0.2, ALPHA / 9), ("y", "z"): (-0.2, ALPHA / 9)})
    assert marked(summary(sure))["id_similarity"] == "z"


def test_lower_is_better_where_the_metric_says_so(run: RunContents) -> None:
    pairs = [(a, b) for a, b in (("x", "y"), ("x", "z"), ("y", "z"))]
    seen = known(run, dict.fromkeys(pairs, (-1.0, 1e-09)), "pose_error")
    column = next(column for column in seen.columns if column.metric.name == "pose_error")
    assert [one.relation for one in seen.compare([("x", "y", column), ("y", "x", column)])] == ["better", "worse"]
    assert marked(summary(seen))["pose_error"] == "x"


def test_results_without_differences_say_so_and_compare_nothing(run: RunContents) -> None:
    old = intervals(edited(run, lambda one: None), {"x": (0.1, 0.11), "y": (0.2, 0.21), "z": (0.9, 0.91)})
    assert UNKNOWN[1:] in text(old)
    assert not re.search(r"\b(better|worse) (by|than)|detectable", text(old))
    assert marked(summary(old)) == {}
    assert differences.build(old) is None
    page = report.html(old)
    assert "without them: nothing is marked" in page
    assert "without them: nothing is marked" not in report.html(run)


def test_what_could_not_be_compared_has_its_reason(run: RunContents) -> None:
    few = {"effect": None, "low": None, "high": None, "p": None, "detectable": None, "reason": "two <b>few</b>"}
    poor = edited(run, lambda one: one.model_copy(update=few))
    assert "Between the contestants, nothing is said of differences: two <b>few</b> (by id_similarity" in text(poor)
    page = report.html(poor)
    assert "two &lt;b&gt;few&lt;/b&gt;" in page
    assert "<b>few" not in page
    assert marked(summary(poor)) == {}


def test_the_section_shows_every_pair_of_contestants(run: RunContents) -> None:
    seen = known(run, {("x", "y"): (-0.00004, 0.7), ("x", "z"): (-0.2, 1e-6), ("y", "z"): (-0.2, 1e-6)})
    built = differences.build(seen)
    assert built is not None
    rows = {(model, other): cells for model, other, cells in built["rows"]}
    assert set(rows) == {("z", "y"), ("z", "x"), ("y", "x")}
    place = [column.metric.name for column in built["columns"]].index("id_similarity")
    cell = rows["y", "x"][place]
    assert (cell.relation, cell.text) == ("unclear", "0.000")
    assert cell.certainty.endswith("sees 0.037")
    assert rows["z", "x"][place].relation == "better"
    assert 'id="differences"' in report.html(seen)


def test_one_contestant_has_no_section(make_run: Callable[..., Path]) -> None:
    assert differences.build(read(make_run(models={"copy_target": 0.0, "x": 0.5}))) is None


def test_of_many_contestants_the_first_are_shown(make_run: Callable[..., Path]) -> None:
    many = read(make_run(models={f"m{i}": i / 10 for i in range(8)}))
    built = differences.build(many)
    assert built is not None
    assert (len(built["rows"]), built["n_left_out"]) == (15, 2)
    assert "2 more contestants" in report.html(many)


def test_nothing_of_the_page_speaks_of_overlap(page: str) -> None:
    verdict = page[page.index('class="verdict"') : page.index("</header>")]
    assert not re.search("overlap|distinguish", verdict)
    assert "Better and worse are said of paired differences" in verdict
