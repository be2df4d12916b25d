"""The parts of a page, against values that are known."""

from __future__ import annotations

import base64
import io
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import Normalize
from PIL import Image

from fsbench.numbers import duration, number
from fsbench.report import heatmaps, histograms, people, plots
from fsbench.report.people import FaceVectors, View
from fsbench.report.plots import render, short
from fsbench.report.run import read
from fsbench.report.sections import galleries, slices
from fsbench.report.tables import ordered
from fsbench.report.thumbnails import Thumbnails
from fsbench.report.verdict import sentences

JUDGE = "toy_judge"
ROOM = 8_000_000  # bytes


def test_verdict_says_what_the_differences_carry(run_folder: Path) -> None:
    run = read(run_folder)
    lines = sentences(run)
    assert len(lines) == 3
    assert lines[1].startswith("gan_mask reaches id_similarity 0.")
    assert "exact, the ceiling" in lines[1]
    assert re.search(r"better by 0\.\d{3} \[.*\] than copy_target, where nothing is swapped", lines[1])
    assert re.fullmatch(
        r"Between the contestants, gan_mask is better than <b>cycle</b>\(mask=true\) by 0\.\d{3} \[.*\] "
        r"\(by id_similarity under toy_judge\)\.",
        lines[0],
    )


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


def faces(vectors: list[list[float]], identities: list[str], sessions: list[str]) -> FaceVectors:
    return FaceVectors(
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


def some_people(n: int, sources: bool, seed: int, dim: int = 8) -> FaceVectors:
    """Unit vectors at random, every ninth without a face."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(n, dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[::9] = np.nan
    rows = pd.DataFrame({"identity": random.choice(["A", "B", "C"], n), "session": random.choice(["s0", "s1"], n)})
    return FaceVectors(vectors, rows.assign(source=random.choice(["A", "B", "C"], n)) if sources else rows)


def test_blocks_are_means_of_neighbouring_cosines() -> None:
    made, real = some_people(60, True, 0), some_people(35, False, 1)
    cells = people.block_means(made, real, 20)
    cosines = people.cosine(made, real)
    assert cells.shape == (20, 20)
    rows, columns = np.arange(60) * 20 // 60, np.arange(35) * 20 // 35
    for i, j in ((0, 0), (3, 0), (7, 19), (19, 4)):
        assert cells[i, j] == pytest.approx(np.nanmean(cosines[np.ix_(rows == i, columns == j)]), abs=1e-6)
    np.testing.assert_allclose(people.block_means(made, real, 100), cosines, atol=1e-6)


def test_means_by_group_leave_out_pairs_of_one_session() -> None:
    made, real = some_people(60, True, 2), some_people(35, False, 3)
    groups = [
        np.array(["ABC".index(name) for name in column]) for column in (made.column("source"), real.column("identity"))
    ]
    means = people.scene_means(made, groups[0], real, groups[1], 3)
    cosines = np.where(people.other_scene(made, real), people.cosine(made, real), np.nan)
    for i in range(3):
        for j in range(3):
            block = cosines[np.ix_(groups[0] == i, groups[1] == j)]
            assert means[i, j] == pytest.approx(np.nanmean(block))


def test_ten_thousand_by_ten_thousand_images_need_little_memory() -> None:
    random = np.random.default_rng(0)
    n = 10_000
    vectors = random.normal(size=(2 * n, 512)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    sessions = np.sort(random.integers(0, 40, 2 * n).reshape(2, n)).ravel()
    rows = pd.DataFrame({"identity": np.repeat(["A", "B"], n), "session": [f"s{i:02}" for i in sessions]})
    swapped = FaceVectors(vectors, rows)
    tracemalloc.start()
    try:
        drawn = dict(heatmaps.draw_all(View("j", swapped, swapped.of("nobody"), ())).groups)["Real images"]
        assert tracemalloc.get_traced_memory()[1] < 500e6  # one matrix of all pairs is 400 MB in single precision
    finally:
        tracemalloc.stop()
    assert [panel.title for panel in drawn] == ["A × A", "B × B", "A × B"]
    one, other = vectors[:n].astype(np.float64).sum(0), vectors[n:].astype(np.float64).sum(0)
    assert float(drawn[2].mean) == pytest.approx(one @ other / n**2, abs=6e-4)


def test_heatmaps_of_many_models_fit_their_room() -> None:
    made, real = some_people(300, True, 2, dim=64), some_people(200, False, 3, dim=64)
    many = View("j", real, real.of("nobody"), tuple((f"m{i}", made) for i in range(40)))
    two = [person.take(np.isin(person.column("identity"), ["A", "B"])) for person in (made, real)]
    made_of_two = two[0].take(two[0].column("source") != "C")
    pairs = View("j", two[1], real.of("nobody"), tuple((f"m{i}", made_of_two) for i in range(40)))
    for view, n_each in ((many, 1), (pairs, 8)):
        for room in (2_000_000, 600_000):
            groups = heatmaps.draw_all(view, room).groups
            images = [panel.image for _, panels in groups for panel in panels]
            assert len(images) > 40 * n_each
            assert sum(map(len, images)) <= room + 1200 * len(images)  # a palette each
    whole = heatmaps.draw_all(pairs, 2_000_000).groups[1][1][0]
    assert whole.mean == heatmaps.draw_all(pairs, 600_000).groups[1][1][0].mean


@pytest.mark.parametrize(("shape", "limit"), [((7, 30), 8), ((100, 3), 16), ((33, 33), 16), ((5, 5), 5)])
def test_averaged_cells_are_means_of_what_is_known(shape: tuple[int, int], limit: int) -> None:
    cells = np.random.default_rng(0).normal(size=shape)
    cells[::3, 0] = np.nan
    small = heatmaps.averaged(cells, limit)
    assert max(small.shape) <= limit
    blocks = [-(-n // limit) for n in shape]
    for i, j in ((0, 0), (small.shape[0] - 1, small.shape[1] - 1)):
        part = cells[i * blocks[0] : (i + 1) * blocks[0], j * blocks[1] : (j + 1) * blocks[1]]
        assert small[i, j] == pytest.approx(np.nanmean(part)) if np.isfinite(part).any() else np.isnan(small[i, j])


def test_one_session_is_compared_without_an_image_and_itself() -> None:
    person = faces([[1, 0], [0.6, 0.8], [0, 1]], ["A"] * 3, ["s0"] * 3)
    (panel,) = dict(heatmaps.draw_all(View("j", person, person.of("nobody"), ())).groups)["Real images"]
    assert panel.mean == "0.467"  # of 0.6, 0 and 0.8


def test_cells_keep_their_colours() -> None:
    norm = Normalize(0.2, 0.8)
    uri = heatmaps._image(np.array([[0.2, 0.5, 0.8], [np.nan, -1.0, 2.0]]), norm)
    image = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB")
    ends = [tuple(np.round(255 * np.array(heatmaps.COLOURS(at)[:3])).astype(int)) for at in (0.0, 0.5, 1.0)]
    grey = tuple(int(plots.GREY[i : i + 2], 16) for i in (1, 3, 5))
    assert np.abs(np.array(image).reshape(-1, 3) - np.array([*ends, grey, ends[0], ends[2]])).max() <= 1


def test_thresholds_are_drawn_where_there_are_some(run_folder: Path) -> None:
    run = read(run_folder)
    seen, (judge,) = people.view(run, JUDGE, run.result.models), run.result.judges
    figure = histograms.draw(seen, plots.colours(run), judge.calibration)
    assert "FAR 1 %" in figure
    assert "FAR 0.1 %" not in figure  # too few pairs to say
    assert "FAR" not in histograms.draw(seen, plots.colours(run), None)


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
    (gallery,) = galleries.galleries(Thumbnails(run), models, ROOM)
    scores_of = {group.rule: [float(strip.score) for strip in group.strips] for group in gallery.groups[2:]}
    worst, best = (np.array(scores_of[rule]) for rule in ("worst", "best"))
    scores = np.sort(run.of("gan_mask")[f"id_similarity@{JUDGE}"].dropna())
    np.testing.assert_allclose(worst, scores[:4], atol=6e-4)
    np.testing.assert_allclose(best, scores[::-1][:4], atol=6e-4)


def test_comparison_shows_one_pair_in_a_row(run_folder: Path) -> None:
    run = read(run_folder)
    rows = galleries.comparisons(Thumbnails(run), ROOM, slice(None))
    assert len(rows) == 2 * galleries.COMPARED
    for row in rows:
        target = row.inputs[1].alt.removeprefix("target: ").split(",")[0]
        assert [shown.role for shown, _ in row.outputs] == [model.name for model in ordered(run)]
        assert all(shown.alt.endswith(f"into {target}") for shown, _ in row.outputs)


def test_figures_take_the_colour_of_the_page_and_escape_text() -> None:
    figure = render(lambda axes: axes.set_xlabel("<script>$a$ & 王"), (2, 1), 'a "quoted" <name>')
    assert "&lt;script&gt;$a$ &amp; 王" in figure
    assert 'aria-label="a &#34;quoted&#34; &lt;name&gt;"' in figure
    assert "currentColor" in figure
    assert "<script>" not in figure


def test_bins_hold_equally_many_or_one_value_each() -> None:
    values = np.arange(60.0)
    counts = np.bincount(np.searchsorted(slices._bin_edges(values), values, side="right"))
    assert counts.tolist() == [10] * 6
    assert slices._bin_edges(np.array([0.0, 1.0, 0.0])).tolist() == [0, 1]


def test_long_names_keep_both_ends() -> None:
    assert short("gan_mask") == "gan_mask"
    name = short("gan_mask(size=lite,norm=group,seed=3)")
    assert len(name) == 26
    assert name.startswith("gan_mask(size")
    assert name.endswith("seed=3)")
