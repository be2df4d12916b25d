"""The parts of a page, against values that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsbench.report import galleries, heatmaps, histograms, people, plots
from fsbench.report.people import People, View
from fsbench.report.plots import render, short
from fsbench.report.run import Column, read
from fsbench.report.tables import BETTER, UNCLEAR, WORSE, compare, duration, number
from fsbench.report.verdict import sentences
from fsbench.results import MetricRecord, Value

JUDGE = "toy_judge"


def column(direction: str) -> Column:
    return Column(
        MetricRecord(name="k", summary="", unit="", direction=direction, digits=1, no_face="", reference=""), None
    )


def value(low: float | None, high: float | None) -> Value:
    middle = 0.0 if low is None or high is None else (low + high) / 2
    return Value(model="m", metric="k", value=middle, low=low, high=high, n_scored=1, n_total=1, n_clusters=1)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((2, 3), (0, 1), BETTER),
        ((0, 1), (2, 3), WORSE),
        ((0, 2), (1, 3), UNCLEAR),
        ((0, 3), (1, 2), UNCLEAR),
        ((0, 1), (1, 2), UNCLEAR),
        ((None, None), (0, 1), ""),
        ((0, 1), (None, None), ""),
    ],
)
def test_only_intervals_that_do_not_overlap_carry_a_comparison(a, b, expected: str) -> None:
    assert compare(value(*a), value(*b), column("higher")) == expected
    turned = {BETTER: WORSE, WORSE: BETTER}
    assert compare(value(*a), value(*b), column("lower")) == turned.get(expected, expected)
    assert compare(value(*b), value(*a), column("higher")) == turned.get(expected, expected)


def test_verdict_says_what_the_intervals_carry(run_folder: Path) -> None:
    run = read(run_folder)
    lines = sentences(run)
    assert len(lines) == 3
    assert lines[0].startswith("gan_mask reaches id_similarity 0.")
    assert "exact, the ceiling" in lines[0]
    assert "better than copy_target, where nothing is swapped" in lines[0]
    assert lines[2] == "Between the contestants, gan_mask is better than <b>cycle</b>(mask=true)."


def test_verdict_without_intervals_compares_nothing(run_folder: Path) -> None:
    run = read(run_folder)
    bare = tuple(v.model_copy(update={"low": None, "high": None}) for v in run.result.values)
    object.__setattr__(run, "result", run.result.model_copy(update={"values": bare}))
    assert not any(word in line for line in sentences(run) for word in (BETTER, WORSE, UNCLEAR))


def test_numbers_and_durations() -> None:
    assert (number(0.98765, 3), number(-1.26, 1), number(-0.0004, 3)) == ("0.988", "−1.3", "0.000")
    assert [duration(s) for s in (0.0042, 75, 189, 7400)] == ["4.2 ms", "75 s", "3.1 min", "2.1 h"]


def test_heatmap_means_are_the_metric(run_folder: Path) -> None:
    """The mean over outputs and the source's images is id_similarity of that direction."""
    run = read(run_folder)
    drawn = dict(heatmaps.draw_all(people.view(run, JUDGE, run.result.models)).groups)
    rows = run.of("gan_mask")
    for panel, source in zip(drawn["gan_mask"][::2], ("Ada", "Bo"), strict=True):
        expected = rows.loc[rows["source"] == source, f"id_similarity@{JUDGE}"].mean()
        assert float(panel.mean) == pytest.approx(expected, abs=6e-4)
    assert [panel.title for panel in drawn["Real images"]] == ["Ada × Ada", "Bo × Bo", "Ada × Bo"]
    assert float(drawn["Real images"][0].mean) > float(drawn["Real images"][2].mean)


def faces(vectors: list[list[float]], identities: list[str], sessions: list[str]) -> People:
    return People(
        np.array(vectors, dtype=np.float32),
        pd.DataFrame({"identity": identities, "session": sessions, "split": "test"}),
    )


def test_means_leave_out_pairs_of_one_session_and_images_without_a_face() -> None:
    nan = float("nan")
    swapped = faces(
        [[1, 0], [1, 0], [0.6, 0.8], [nan, nan], [0, 1]], ["A", "A", "A", "A", "B"], ["s0", "s0", "s1", "s2", "s0"]
    )
    real = dict(heatmaps.draw_all(View("j", swapped, swapped.of("nobody"), ())).groups)["Real images"]
    assert [(panel.title, panel.mean) for panel in real] == [("A × A", "0.600"), ("B × B", "none"), ("A × B", "0.267")]


def test_more_than_two_people_are_averaged_by_identity() -> None:
    swapped = faces(
        [[1, 0], [0.6, 0.8], [0, 1], [0, 1], [-1, 0]], ["A", "A", "B", "B", "C"], ["s0", "s1", "s0", "s1", "s0"]
    )
    (panel,) = dict(heatmaps.draw_all(View("j", swapped, swapped.of("nobody"), ())).groups)["Real images"]
    assert panel.mean == "0.800"  # of A 0.6 and of B 1; C has one session


def test_genuine_pairs_are_of_one_person_in_two_sessions() -> None:
    swapped = faces([[1, 0], [1, 0], [0.6, 0.8], [0, 1]], ["A", "A", "A", "B"], ["s0", "s0", "s1", "s0"])
    strangers = faces([[-1, 0]], ["C"], ["s0"])
    curves = histograms._real(View("j", swapped, strangers, ()))
    assert sorted(curves["genuine"]) == pytest.approx([0.6, 0.6])
    assert sorted(curves["impostor"]) == pytest.approx([-1, -1, -0.6, 0, 0, 0, 0.8])


def test_large_matrices_are_averaged_in_blocks() -> None:
    limit = heatmaps.CELLS_LIMIT
    matrix = np.arange(6.0 * limit).reshape(2 * limit, 3)
    small = heatmaps._block_mean(matrix)
    np.testing.assert_allclose(small, (matrix[::2] + matrix[1::2]) / 2)
    matrix[0, 0] = matrix[2:4, 1] = np.nan
    small = heatmaps._block_mean(matrix)
    assert small[0, 0] == matrix[1, 0]
    assert np.isnan(small[1, 1])
    assert np.isfinite(small).sum() == small.size - 1


@given(st.lists(st.sampled_from("abcde"), max_size=40), st.integers(0, 12))
def test_pictures_are_spread_over_sessions(sessions: list[str], count: int) -> None:
    chosen = galleries.spread(np.array(sessions, dtype=object), count)
    assert chosen == sorted(set(chosen))
    assert len(chosen) <= count
    shown = {sessions[i] for i in chosen}
    assert len(shown) == min(count, len(set(sessions)))


def test_worst_and_best_are_ordered(run_folder: Path) -> None:
    run = read(run_folder)
    models = [model for model in run.result.models if model.name == "gan_mask"]
    (gallery,) = galleries.galleries(run, galleries.Album(run), models)
    worst, best = (np.array([float(strip.score) for strip in strips]) for _, strips in gallery.groups[-2:])
    scores = np.sort(run.of("gan_mask")[f"id_similarity@{JUDGE}"].dropna())
    np.testing.assert_allclose(worst, scores[:4], atol=6e-4)
    np.testing.assert_allclose(best, scores[::-1][:4], atol=6e-4)


def test_comparison_shows_one_pair_in_a_row(run_folder: Path) -> None:
    run = read(run_folder)
    rows = galleries.comparisons(run, galleries.Album(run), run.result.models)
    assert len(rows) == 2 * galleries.COMPARED
    for row in rows:
        target = row.inputs[1].alt.removeprefix("target: ").split(",")[0]
        assert [shown.role for shown, _ in row.outputs] == [model.name for model in run.result.models]
        assert all(shown.alt.endswith(f"into {target}") for shown, _ in row.outputs)


def test_figures_take_the_colour_of_the_page_and_escape_text() -> None:
    figure = render(lambda axes: axes.set_xlabel("<script>$a$ & 王"), (2, 1), 'a "quoted" <name>')
    assert "&lt;script&gt;$a$ &amp; 王" in figure
    assert 'aria-label="a &#34;quoted&#34; &lt;name&gt;"' in figure
    assert "currentColor" in figure
    assert "<script>" not in figure


def test_bins_hold_equally_many_or_one_value_each() -> None:
    values = np.arange(60.0)
    counts = np.bincount(np.searchsorted(plots._bin_edges(values), values, side="right"))
    assert counts.tolist() == [10] * 6
    assert plots._bin_edges(np.array([0.0, 1.0, 0.0])).tolist() == [0, 1]


def test_long_names_keep_both_ends() -> None:
    assert short("gan_mask") == "gan_mask"
    name = short("gan_mask(size=lite,norm=group,seed=3)")
    assert len(name) == 26
    assert name.startswith("gan_mask(size")
    assert name.endswith("seed=3)")
