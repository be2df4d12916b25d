"""Pages in a real browser: no error, no request, and every control does what it says."""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from report_runs import JUDGE, ODD_NAME, write_run

from fsbench import report
from fsbench.comparison.scores import load
from fsbench.comparison.table import compare_runs
from fsbench.report import comparison, pdf

OpenPage = Callable[..., object]
FIRST = "#summary table.summary"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of drawn faces under three judges."""
    return write_run(tmp_path_factory.mktemp("browser") / "run", judges=("first", JUDGE, "second"))


@pytest.fixture(scope="module")
def page(run: Path) -> Path:
    return report.write(run)


@pytest.fixture(scope="module")
def five(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of five runs."""
    folder = tmp_path_factory.mktemp("five")
    runs = [run, *(Path(shutil.copytree(run, folder / name)) for name in "bcde")]
    scores = [load(path) for path in runs]
    return comparison.write(scores, compare_runs(scores), folder / "page.html")


def names(shown) -> list[str]:
    return shown.page.locator(f"{FIRST} tbody.contestants tr:not(.group):visible .name").all_inner_texts()


def test_a_page_asks_for_nothing_and_makes_no_error(opened: OpenPage, page: Path, five: Path) -> None:
    for path in (page, five):
        shown = opened(path)
        assert shown.errors == []
        assert shown.requests == [path.resolve().as_uri(), *(url for url in shown.requests if url.startswith("data:"))]


def test_a_header_sorts(opened: OpenPage, page: Path) -> None:
    shown = opened(page)
    head = shown.page.locator(f"{FIRST} th[data-key='pose_error']")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    first = names(shown)
    head.get_by_role("button").press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert names(shown) == first[::-1] != first


def test_a_field_filters(opened: OpenPage, page: Path) -> None:
    shown = opened(page)
    shown.page.get_by_role("searchbox", name="Filter models").first.fill("GAN_m")
    assert names(shown) == ["gan_mask"]
    assert shown.page.locator(f"{FIRST} tbody.baselines").is_hidden()
    shown.page.get_by_role("button", name="CSV").first.click()
    assert [row["Model"] for row in csv.DictReader(io.StringIO(shown.copied, newline=""))] == ["gan_mask"]
    shown.page.get_by_role("searchbox", name="Filter models").first.fill("")
    assert len(names(shown)) == 2


def test_copies_hold_what_is_shown(opened: OpenPage, page: Path) -> None:
    shown = opened(page)
    shown.page.get_by_role("button", name="CSV").first.click()
    rows = list(csv.DictReader(io.StringIO(shown.copied, newline="")))
    assert {row["Group"] for row in rows} == {"Contestants", "Ceiling", "Baselines"}
    assert ODD_NAME in {row["Model"] for row in rows}
    for row in rows:
        low, value, high = (float(row[f"pose_error{end}"]) for end in (" low", "", " high"))
        assert low < value < high
    shown.page.get_by_role("button", name="Markdown").first.click()
    lines = shown.copied.splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert "<b>" not in shown.copied
    shown.page.get_by_role("button", name="LaTeX").first.click()
    assert shown.copied.startswith("\\begin{tabular}{l")
    assert "gan\\_mask" in shown.copied
    assert "\\textbf{" in shown.copied


def test_pictures_open_with_a_slider_and_numbers(opened: OpenPage, page: Path) -> None:
    shown = opened(page)
    shown.page.locator("#galleries .strip").nth(1).locator("img").first.click()  # in the first there is no face
    dialog = shown.page.get_by_role("dialog")
    assert " into " in dialog.get_by_role("heading").inner_text()
    images = dialog.locator(".slider img")
    assert images.nth(0).get_attribute("src") != images.nth(1).get_attribute("src")
    border = dialog.get_by_role("slider")
    border.focus()
    border.press("Home")
    assert dialog.locator(".slider").evaluate("(frame) => frame.style.getPropertyValue('--at')") == "0%"
    before = images.nth(0).get_attribute("src")
    dialog.get_by_label("Left picture").select_option(label="source")
    assert images.nth(0).get_attribute("src") != before
    heads = dialog.locator("thead th").all_inner_texts()
    assert set(heads[1:]) == {"copy_target", "exact", "gan_mask", ODD_NAME}
    keys = dialog.locator("tbody th").all_inner_texts()
    assert {"pose_error", "id_similarity@first", "id_similarity@second"} <= set(keys)
    shown.page.keyboard.press("Escape")
    assert dialog.is_hidden()
    assert shown.errors == []


def test_galleries_show_one_rule_and_one_slice(opened: OpenPage, page: Path) -> None:
    shown = opened(page)
    section = shown.page.locator("#galleries")
    for rule in ("worst", "best", "at random", "judges disagree"):
        section.get_by_label("Chosen").select_option(label=rule)
        rules = section.locator("[data-rule]:visible").evaluate_all("(all) => all.map((one) => one.dataset.rule)")
        assert set(rules) == {rule}
    section.get_by_label("Targets").select_option(label="source: Ada")
    alts = section.locator(".strip:visible img[data-role=source]").evaluate_all("(all) => all.map((one) => one.alt)")
    assert set(alts) == {"source: Ada"}
    section.get_by_label("Chosen").select_option(label="by any rule")
    section.get_by_label("Targets").select_option(label="all")
    n = section.locator(".strip").count()
    assert section.get_by_role("status").inner_text() == f"{n} of {n} shown"


def test_a_comparison_has_the_same_tools(opened: OpenPage, five: Path) -> None:
    shown = opened(five)
    assert shown.page.locator("#differences table").count() == 8
    shown.page.get_by_role("searchbox", name="Filter metrics").first.fill("pose")
    assert shown.page.locator("#differences table").first.locator("tbody tr:visible").count() == 1
    shown.page.get_by_role("button", name="CSV").first.click()
    (row,) = csv.DictReader(io.StringIO(shown.copied, newline=""))
    assert float(row["difference low"]) <= float(row["difference"]) <= float(row["difference high"])
    shown.page.locator("#pictures tr[data-pair] img").first.click()
    dialog = shown.page.get_by_role("dialog")
    assert [head[:2] for head in dialog.locator("thead th").all_inner_texts()[1:]] == ["A:", "A:"] + [
        f"{letter}:" for letter in "BBCCDDEE"
    ]
    assert shown.errors == []


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_page(opened: OpenPage, page: Path, five: Path, width: int) -> None:
    for path in (page, five):
        wide = opened(path, width).page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width


def test_tables_are_not_cut_on_paper(opened: OpenPage, page: Path, five: Path) -> None:
    for path in (page, report.write(page.parent, brief=True), five):
        shown = opened(path, 702)  # an A4 sheet less its margins, in CSS pixels
        shown.page.emulate_media(media="print")
        shown.page.evaluate("document.querySelectorAll('details').forEach((part) => (part.open = true))")
        cut = shown.page.locator("table:not(.matrix)").evaluate_all(
            "(all) => all.filter((table) => table.getBoundingClientRect().right > 703).map((table) => table.className)"
        )
        assert cut == []


def test_a_brief_is_two_sheets_of_paper(browser: object, page: Path, tmp_path: Path) -> None:
    printed = pdf.write(report.write(page.parent, brief=True), tmp_path / 'brief, of "a".pdf').read_bytes()
    assert printed.startswith(b"%PDF")
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 2
    (width, height), *_ = re.findall(rb"/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)\]", printed)
    assert (float(width), float(height)) == pytest.approx((595, 842), abs=1)  # A4, in points
    assert {path.name for path in tmp_path.iterdir()} == {'brief, of "a".pdf'}


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_serious(opened: OpenPage, page: Path, five: Path, dark: bool) -> None:
    from axe_playwright_python.sync_playwright import Axe

    for path in [page] if dark else [page, five]:
        shown = opened(path, dark=dark)
        shown.page.evaluate("document.querySelectorAll('details').forEach((part) => (part.open = true))")
        found = Axe().run(shown.page).response["violations"]
        serious = {rule["id"]: [node["target"] for node in rule["nodes"]][:5] for rule in found
                   if rule["impact"] in ("serious", "critical")}  # fmt: skip
        assert serious == {}


HOSTILE = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(2)>",
    '=HYPERLINK("x","y")',
    "@everyone | [a](b) `c` **d**",
    "\\end{tabular}% $x$ & #_^~{}",
    "one\ntwo\r\n, three",
    "a\u202ed\u200fc 王 \U0001f600",
    "</script><!--",
    "n" * 4000,
    "-m " * 1300,
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run whose names mean no good."""
    models = {name: i / len(HOSTILE) for i, name in enumerate(HOSTILE)}
    people = ("<img src=x onerror=alert(3)>", "B\"\n'&amp;")
    return report.write(write_run(tmp_path_factory.mktemp("hostile") / "run", models, people, per_session=1))


def test_hostile_names_stay_text(opened: OpenPage, hostile: Path) -> None:
    scores = [load(hostile.parent), load(hostile.parent)]
    both = comparison.write(scores, compare_runs(scores), hostile.parent / "both.html")
    for path, pictures in ((hostile, "#galleries .strip img"), (both, "#pictures tr[data-pair] img")):
        shown = opened(path)
        shown.page.locator(pictures).first.click()
        assert shown.page.get_by_role("dialog").bounding_box()["width"] <= 1280
        shown.page.keyboard.press("Escape")
        assert shown.errors == []
        assert [url for url in shown.requests if not url.startswith("data:")] == [path.resolve().as_uri()]
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= 1280
        assert shown.page.locator("h1").bounding_box()["height"] < 400
        assert shown.page.locator("table.summary").first.bounding_box()["height"] < 3000


def test_hostile_names_do_no_harm_in_copies(opened: OpenPage, hostile: Path) -> None:
    shown = opened(hostile)
    shown.page.get_by_role("button", name="CSV").first.click()
    rows = list(csv.reader(io.StringIO(shown.copied, newline="")))
    assert {len(row) for row in rows} == {len(rows[0])}
    copied = {row[0] for row in rows[1:]}
    assert len(copied) == len(HOSTILE)
    assert not any(name.startswith(("=", "+", "-", "@")) for name in copied)
    assert {'\'=HYPERLINK("x","y")', "one two , three", "adc 王 \U0001f600", "n" * 4000} <= copied
    shown.page.get_by_role("button", name="Markdown").first.click()
    lines = shown.copied.splitlines()
    assert len(lines) == len(HOSTILE) + 2
    assert len({line.count("|") for line in lines}) == 1
    assert not re.search(r"<(?!/?code>)|\]\(|`|(?<!<code>)@", shown.copied)
    shown.page.get_by_role("button", name="LaTeX").first.click()
    body = shown.copied.split("\\hline\n")[2].splitlines()
    assert len(body) == len(HOSTILE)
    for line in body:
        assert len(re.findall(r"(?<!\\)&", line)) == len(rows[0]) - 1 - 1 - 2 * sum(h.endswith(" low") for h in rows[0])
        assert not re.search(r"(?<!\\)[%#_]|\\end", line.removesuffix("\\\\"))


def test_a_page_without_a_script_shows_the_same(opened: OpenPage, page: Path) -> None:
    shown = opened(page, script=False)
    assert len(names(shown)) == 2
    assert shown.page.locator("#galleries .strip:visible").count() > 10
