"""Pages stay small enough to mail: sections share what there is, and say what they leave out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import report_runs
from clip_runs import add_clips
from jinja2 import DictLoader, Environment
from markupsafe import Markup
from PIL import Image
from report_runs import write_run

from fsbench import report
from fsbench.comparison.scores import load
from fsbench.comparison.table import compare_runs
from fsbench.report import budget, comparison, comparison_sections, page, sections
from fsbench.report.compared import Compared
from fsbench.report.page import Section
from fsbench.report.run import RunContents, read
from fsbench.report.sections import galleries, identity
from fsbench.report.tables import ordered
from fsbench.report.thumbnails import Thumbnails

MakeRun = Callable[..., Path]


def make_noise(folder: Path, size: int = 96) -> Path:
    """Fill all pictures of a run with noise, whose encoding is as large as can be."""
    random = np.random.default_rng(0)
    for path in sorted(folder.rglob("*.png")):
        Image.fromarray(random.integers(0, 256, (size, size, 3), np.uint8)).save(path, compress_level=1)
    return folder


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> RunContents:
    """Eight contestants and a ceiling."""
    models = {"exact": 1.0} | {f"m{i}": i / 8 for i in range(8)}
    return read(make_noise(write_run(tmp_path_factory.mktemp("many") / "run", models, per_session=2)))


def test_what_a_section_leaves_goes_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "SHARES", {"late": 0.5, "last": 1.0, "gone": 1.0})
    given: list[tuple[str, int]] = []

    def takes(name: str, n: int) -> Callable[[RunContents, int], dict[str, str]]:
        return lambda run, room: given.append((name, room)) or {"text": n * "é"}  # two bytes each

    listed = [
        Section("last", "", takes("last", 60), "t"),
        Section("plain", "", lambda run: {"text": 100 * "x"}, "t"),
        Section("late", "", takes("late", 50), "t"),
    ]
    environment = Environment(loader=DictLoader({"t": "{{ text }}"}))
    shown = page.render(listed, None, environment, 500)
    assert given == [("late", 200), ("last", 300)]
    assert [section.id for section in shown] == ["last", "plain", "late"]


@pytest.mark.parametrize("room", [0, 1, 1000, 50_000])
def test_a_section_that_came_out_too_large_is_built_again_for_less(room: int) -> None:
    asked = []

    def html(n: int) -> str:
        asked.append(n)
        return 3 * n * "x"

    text = budget.fit(html, room)
    assert text is not None
    assert budget.size(text) <= room
    assert asked[0] == room
    assert len(asked) <= 3
    assert budget.fit(lambda n: None, room) is None
    assert budget.fit(lambda n: "never less", 3) == "never less"


@pytest.mark.parametrize("room", [4_000_000, 1_500_000, 700_000, 300_000, 60_000, 0])
def test_galleries_fit_their_room(many: RunContents, room: int) -> None:
    content = galleries.build(many, room)
    pictures = [picture for gallery in content["galleries"] for group in gallery.groups for strip in group.strips
                for picture in strip.pictures]  # fmt: skip
    pictures += [picture for row in content["comparisons"] for picture in (*row.inputs, *(p for p, _ in row.outputs))]
    assert sum(len(picture.uri) for picture in pictures) <= room
    shown = [gallery.model.name for gallery in content["galleries"]]
    assert shown == [model.name for model in ordered(many)][: len(shown)], "the last are left out"
    assert content["n_left_out"] == 9 - len(shown)
    assert (len(shown) == 9) == (room > 1_500_000)
    assert len(shown) > 0 or room < 300_000


def test_there_are_fewer_rows_before_thumbnails_become_smaller_and_models_are_left_out(many: RunContents) -> None:
    thumbnails, models = Thumbnails(many), ordered(many)

    def form(room: float) -> tuple[int, int]:
        shown = galleries.galleries(thumbnails, models, room)
        strips = [
            strip for gallery in shown for group in gallery.groups if group.rule == "worst" for strip in group.strips
        ]
        return len(strips), len(strips[0].pictures[2].uri)

    rows, sizes = zip(*(form(room) for room in (15e6, 11e6, 8e6, 5e6, 2e6)), strict=True)
    assert rows == tuple(8 * n for n in (4, 3, 2, 1, 1))
    assert sizes[0] == pytest.approx(sizes[3], rel=0.1)
    assert sizes[4] < 0.6 * sizes[3]


@pytest.mark.parametrize(("room", "models", "pairs"), [(2_000_000, 9, 6), (500_000, 9, 2), (100_000, 2, 1), (0, 0, 0)])
def test_the_table_of_all_models_fits_its_room(many: RunContents, room: int, models: int, pairs: int) -> None:
    shown = galleries.comparisons(Thumbnails(many), room, slice(None))
    assert len(shown) == pairs
    assert {len(row.outputs) for row in shown} == ({models} if shown else set())


@pytest.mark.parametrize(
    ("n_models", "lengths", "size"), [(3, (40, 40, 40, 40), 96), (12, (60, 60), 16), (4, (300,), 48)]
)
def test_a_page_is_never_larger_than_it_may_be(
    n_models: int, lengths: tuple[int, ...], size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = {"copy_target": 0.0} | {f"m{i}": i / n_models for i in range(n_models)}
    monkeypatch.setattr(report_runs, "_differences", lambda *_: ())  # many, and slow to make
    monkeypatch.setattr(sections, "MODULES", ("galleries", "clips", "provenance"))  # those with pictures, and another
    folder = make_noise(add_clips(write_run(tmp_path / "run", models, per_session=1), lengths, size), size)
    whole = report.write(folder).stat().st_size
    assert whole <= budget.PAGE
    for limit in (whole // 2, whole // 4):
        monkeypatch.setattr(budget, "PAGE", limit)
        html = report.html(read(folder))
        told = re.findall(r"[\d,]+ of [\d,]+ (\w+)", html.partition("have room")[0][-200:])
        assert budget.size(html) <= limit
        assert told == ["clips", "frames", "models", "film"]
        assert "class Player" in html


def test_figures_have_room_for_the_best_contestants(many: RunContents, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [model.name for model in identity.drawn(many)] == [model.name for model in ordered(many)]
    monkeypatch.setattr(budget, "FIGURES", 7)
    monkeypatch.setattr(sections, "MODULES", ("identity",))
    assert [model.name for model in identity.drawn(many)] == ["m7", "m6", "m5", "m4", "m3", "m2", "exact"]
    _, _, html = report.html(many).partition('<section id="identity">')
    assert "no room on this page for 2 contestants" in html
    assert "m2: Ada into Bo" in html
    assert "m1: Ada into Bo" not in html


def test_pictures_of_48_contestants_fit_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sections, "MODULES", ("galleries",))
    monkeypatch.setattr(report_runs, "_differences", lambda *_: ())
    models = {f"m{i}": i / 48 for i in range(48)}
    folder = make_noise(write_run(tmp_path / "run", models, per_session=1), 128)
    html = report.html(read(folder))
    assert budget.size(html) <= budget.PAGE
    assert html.count('class="strip"') >= 48


def compared(folder: Path, runs: int = 3, names: Sequence[str] = ("pose_error",), shift: float = 0.0) -> Compared:
    """Some runs whose outputs differ at random in some metrics, and by a shift in the last; each model with itself."""
    scores, known, random = [], load(folder), np.random.default_rng(0)
    for i in range(runs):
        columns = dict(known.columns)
        for place, column in known.columns.items():
            if place[0] in known.contestants and place[1] in names and not isinstance(column, str):
                change = random.normal(size=len(column.rows)) + (i * shift if place[1] == names[-1] else 0)
                columns[place] = replace(column, rows=column.rows + change)
        scores.append(replace(known, label=f"run {i}", columns=columns))
    return Compared(scores, compare_runs(scores))


@pytest.fixture
def _quick_scatters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures of the size of real ones, which take long to draw."""
    monkeypatch.setattr(comparison_sections, "_scatter", lambda *_: Markup("<svg >" + 20_000 * "x" + "</svg>"))


@pytest.mark.usefixtures("_quick_scatters")
def test_a_comparison_is_never_larger_than_it_may_be(many: RunContents, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer samples, then fewer models; tables and what is told stay."""
    whole = comparison.html(compared(many.folder))
    assert "No room" not in whole
    assert "Not drawn" not in whole
    counts = []
    for share in (0.5, 0.25, 0.1, 0.05):
        monkeypatch.setattr(budget, "PAGE", int(share * budget.size(whole)))
        html = comparison.html(compared(many.folder))
        assert budget.size(html) <= budget.PAGE
        counts.append((html.count("<img "), html.count("<svg ")))
        assert html.count('<td class="equivalent">') == whole.count('<td class="equivalent">') > 0
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) == 4
    assert "No room" in html
    assert "Not drawn" in html


@pytest.mark.usefixtures("_quick_scatters")
def test_figures_show_what_differs_first_and_name_what_is_equal(tmp_path: Path) -> None:
    models = {"exact": 1.0, "m0": 0.0, "m1": 0.5}
    folder = make_noise(write_run(tmp_path / "run", models, sessions=6, per_session=6))
    seen = compared(folder, 2, ("id_similarity", "pose_error"), 9.0)
    content = comparison_sections.scatters(seen, budget.PAGE)
    assert content is not None
    for contrast, figures, left_out, equal in content["groups"]:
        verdicts = {record.metric: record.verdict for record in contrast.compared}
        assert (verdicts["id_similarity"], verdicts["pose_error"]) == ("inconclusive", "worse")
        assert [record.metric for record, _ in figures] == ["pose_error", "id_similarity"]
        assert (left_out, equal) == ([], ["id_nearer_source@toy_judge", "id_target_verified@toy_judge"])


@pytest.mark.usefixtures("_quick_scatters")
def test_a_comparison_of_48_models_fits_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_runs, "_differences", lambda *_: ())
    folder = make_noise(write_run(tmp_path / "run", {f"m{i}": i / 48 for i in range(48)}, per_session=1), 128)
    html = comparison.html(compared(folder, 2))
    assert budget.size(html) <= budget.PAGE
    assert html.count("<img ") >= 48
