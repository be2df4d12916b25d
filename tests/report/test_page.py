"""The whole page: what stands on it, that it stands alone, and that it depends on the run's files only."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

from fsbench import report, results
from fsbench.errors import ResultError
from fsbench.numbers import number
from fsbench.report.run import read
from fsbench.report.tables import interval

OLD = Path(__file__).parents[1] / "old_results" / "schema_1.json"
ODD_NAME = "<b>cycle</b>(mask=true)"
MODELS = {"copy_target", "exact", "gan_mask", ODD_NAME}
METRICS = ["pose_error", "id_similarity", "id_nearer_source", "id_target_verified"]
VOID = {"meta", "img", "br", "wbr", "link", "input", "hr"}


@dataclass
class Element:
    """A node of the parsed page."""

    tag: str
    attributes: dict[str, str | None] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    def walk(self):
        yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child.walk()

    def all(self, tag: str, **attributes: str) -> list[Element]:
        return [
            e
            for e in self.walk()
            if e.tag == tag and all(e.attributes.get(k.rstrip("_")) == v for k, v in attributes.items())
        ]

    @property
    def text(self) -> str:
        parts = (child for child in self.children if isinstance(child, str) or child.tag != "wbr")
        words = "".join(child if isinstance(child, str) else f" {child.text} " for child in parts)
        return re.sub(r"\s+", " ", words).strip()


class Parser(HTMLParser):
    """Builds the tree and fails on a tag that closes what is not open."""

    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("document")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        assert len(element.attributes) == len(attrs), f"an attribute of <{tag}> is given twice"
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parse(html: str) -> Element:
    parser = Parser()
    parser.feed(html)
    parser.close()
    assert len(parser.open) == 1, f"<{parser.open[-1].tag}> is never closed"
    return parser.open[0]


def write(folder: Path) -> Element:
    return parse(report.write(folder).read_text(encoding="utf-8"))


def summary_rows(tree: Element) -> dict[str, list[Element]]:
    """Cells of the summary table by model."""
    return rows_of(tree.all("table", class_="summary")[0])


def rows_of(table: Element) -> dict[str, list[Element]]:
    """Cells of a table of values by model, without those of facts about models."""
    rows = {row.all("span", class_="name")[0].text: row.all("td") for row in table.all("tr") if row.all("td")}
    return {name: [cell for cell in cells if cell.attributes.get("class") != "fact"] for name, cells in rows.items()}


def test_sections_stand_in_order(page: str) -> None:
    tree = parse(page)
    sections = [e.attributes["id"] for e in tree.all("main")[0].all("section") if "id" in e.attributes]
    known = ["summary", "galleries", "identity", "attributes", "slices", "balance", "validity", "provenance", "metrics"]
    assert [section for section in sections if section in known] == known
    links = [e.attributes["href"] for e in tree.all("nav")[0].all("a")]
    assert links == [f"#{name}" for name in sections if name != "summary"]  # of the brief, above the links


def test_ids_are_unique_and_links_lead_somewhere(page: str) -> None:
    tree = parse(page)
    ids = [e.attributes["id"] for e in tree.walk() if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    targets = {
        str(e.attributes[name])[1:]
        for e in tree.walk()
        for name in ("href", "xlink:href")
        if str(e.attributes.get(name, "")).startswith("#")
    }
    targets |= set(re.findall(r"url\(#([^)]*)\)", page))
    assert targets
    assert targets <= set(ids)


def test_nothing_is_loaded_from_elsewhere(page: str) -> None:
    for element in parse(page).walk():
        assert element.tag not in {"link", "iframe", "object", "embed"}
        for name in ("src", "href", "xlink:href", "srcset", "action", "data"):
            assert str(element.attributes.get(name, "#")).startswith(("#", "data:image/"))
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_every_value_stands_in_the_table_with_its_interval(page: str, run_folder: Path) -> None:
    result, rows = results.load(run_folder), summary_rows(parse(page))
    assert set(rows) == MODELS
    order = ["id_similarity", "id_nearer_source", "id_target_verified", "pose_error"]
    digits = {metric.name: metric.digits for metric in result.metrics}
    assert len(result.values) == 16
    for value in result.values:
        cell = rows[value.model][order.index(value.metric)]
        assert number(value.value, digits[value.metric]) in cell.text
        assert interval(value, digits[value.metric]) in cell.text
        assert ("23 of 24 scored" in cell.text) == (value.metric == "id_similarity")


def test_contestants_stand_apart_from_ceiling_and_baselines(page: str) -> None:
    bodies = parse(page).all("table", class_="summary")[0].all("tbody")
    names = {body.attributes["class"]: [e.text for e in body.all("span", class_="name")] for body in bodies}
    assert names == {"contestants": ["gan_mask", ODD_NAME], "ceiling": ["exact"], "baselines": ["copy_target"]}


def test_marks(page: str) -> None:
    tree = parse(page)
    rows = summary_rows(tree)
    assert [cell.attributes.get("class") for cell in rows["gan_mask"]] == ["best", "best", "best", None]
    assert [("‡" in cell.text) for cell in rows[ODD_NAME]] == [True, True, True, False]  # its coach is of the family
    heads = [head.text for head in tree.all("table", class_="summary")[0].all("thead")[0].all("th")]
    assert [head.split(" ")[0] for head in heads if "†" in head] == ["pose_error"]  # copy_target keeps the pose best
    assert (heads[0], heads[1][:9], heads[-2:]) == ("Model", "mean rank", ["ms per image", "training"])
    assert "copy_target in pose_error." in tree.all("p", id="trivial-summary")[0].text


def test_names_are_escaped(page: str) -> None:
    assert "<b>cycle" not in page
    command = parse(page).all("pre", class_="command")[0]
    assert command.text == f"fsbench run --models 'gan_mask,{ODD_NAME}' --dataset toy"


def test_provenance(page: str) -> None:
    text = parse(page).all("section", id="provenance")[0].text
    for fact in (
        "Seed 7",
        "toy-1",
        "bb" * 32,
        "cc" * 32,
        "dd" * 32,
        "CC0-1.0",
        "cluster bootstrap over sessions",
        "4,000 steps in 3.0 min",
        "tiny",
        "10 strangers",
        "Perceptual loss is off.",
        "MIT",
        "for non-commercial research only",
        "0123456789abcdef (modified)",
    ):
        assert fact in text


def test_warnings_stand_before_the_table(page: str) -> None:
    header = parse(page).all("header")[0]
    assert [e.text for e in header.all("section", class_="warnings")[0].all("li")] == [
        "One session holds 60 % of Ada's images."
    ]


def test_each_metric_has_a_card(page: str) -> None:
    for card, name in zip(parse(page).all("article"), METRICS, strict=True):
        for fact in (f"Summary of {name}.", f"no face, {name}", f"reference of {name}"):
            assert fact in card.text


def test_pictures_have_descriptions_and_roles(page: str) -> None:
    gallery = parse(page).all("details", class_="gallery")[0]
    assert gallery.all("h3")[0].text == "gan_mask"
    assert [h.text for h in gallery.all("h4")] == [
        "Ada into other people, evenly over sessions",
        "Bo into other people, evenly over sessions",
        "Worst 4 by id_similarity",
        "Best 4 by id_similarity",
        "4 at random",
    ]
    strip = gallery.all("div", class_="pictures")[0]
    assert [e.text for e in strip.all("span", class_="role")] == ["source", "target", "s0", "output", "exact"]
    assert all(image.attributes["alt"] for image in parse(page).all("img"))


def test_a_page_depends_on_the_files_only_and_needs_no_torch(make_run, tmp_path: Path) -> None:
    folder = make_run()
    once = report.write(folder).read_bytes()
    code = (
        "import sys, pathlib, fsbench.report\n"
        "fsbench.report.write(pathlib.Path(sys.argv[1]))\n"
        "assert 'torch' not in sys.modules"
    )
    moved = folder.rename(tmp_path / "elsewhere")
    subprocess.run(
        [sys.executable, "-c", code, str(moved)],
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "3", "MPLCONFIGDIR": str(tmp_path / "mpl")},  # its settings of BLAS, too
    )
    assert (moved / "report.html").read_bytes() == once


def test_what_was_not_scored_says_why(make_run) -> None:
    tree = write(make_run(unscored="gan_mask"))
    for cell in summary_rows(tree)["gan_mask"]:
        assert cell.text == "not scored no face was found in any output 0 of 24 scored"
    assert (
        "gan_mask has no id_similarity: no face was found in any output."
        in tree.all("section", class_="verdict")[0].text
    )
    assert not re.search(r"\bnan\b", tree.all("main")[0].text, re.IGNORECASE)


@pytest.mark.parametrize(
    ("reasons", "told"),
    [
        ({}, "the data set has no poses"),
        ({"gan_mask": "no output has a face"}, "the data set has no poses; no output has a face"),
        ({"copy_target": None}, "the data set has no poses"),  # it has no record of the metric
    ],
)
def test_a_column_that_nobody_has_is_a_footnote(make_run, reasons: Mapping[str, str | None], told: str) -> None:
    folder = make_run()
    result = results.load(folder)
    values = []
    for v in result.values:
        reason = reasons.get(v.model, "the data set has no poses")
        if v.metric != "pose_error":
            values.append(v)
        elif reason is not None:
            nothing = {"value": None, "low": None, "high": None, "n_scored": 0, "reason": reason}
            values.append(v.model_copy(update=nothing))
    results.save(result.model_copy(update={"values": tuple(values)}), folder)
    summary = write(folder).all("section", id="summary")[0]
    assert "pose_error" not in summary.all("table")[0].text
    found = re.search(r"Not scored: pose_error: (.*?)\.", summary.text)
    assert found is not None
    assert set(found.group(1).split("; ")) == set(told.split("; "))


REMOVED = {  # and what the page then says of identity
    "features/toy_judge.safetensors": "No heatmaps",
    "references.parquet": "No heatmaps",
    "samples.parquet": "toy_judge",
    "lookalikes.parquet": "No look-alikes",
    "umap.parquet": "Cosines of real images and outputs",
}


@pytest.mark.parametrize("name", REMOVED)
def test_a_missing_file_is_a_sentence(make_run, name: str) -> None:
    folder = make_run()
    (folder / name).unlink()
    tree = write(folder)
    assert f"{name} is not there." in tree.all("section", class_="warnings")[0].text
    assert len(summary_rows(tree)) == len(MODELS)
    assert REMOVED[name] in tree.all("section", id="identity")[0].text


@pytest.mark.parametrize("name", REMOVED)
def test_a_damaged_file_is_a_sentence(make_run, name: str) -> None:
    folder = make_run()
    (folder / name).write_bytes((folder / name).read_bytes()[:50])
    assert any(gap.startswith(f"{name} cannot be read") for gap in read(folder).gaps)


@pytest.mark.parametrize("name", ["lookalikes.parquet", "umap.parquet"])
def test_a_table_without_a_row_is_no_gap(make_run, name: str) -> None:
    folder = make_run()
    pd.read_parquet(folder / name).iloc[:0].to_parquet(folder / name, index=False)  # no face was found anywhere
    assert read(folder).gaps == ()
    assert REMOVED[name] in write(folder).all("section", id="identity")[0].text


def test_a_model_without_a_face_has_a_page(make_run) -> None:
    folder = make_run()
    path = folder / "features" / "toy_judge.safetensors"
    arrays = load_file(path)
    save_file(arrays | {"gan_mask": np.full_like(arrays["gan_mask"], np.nan)}, path)
    for name in ("lookalikes.parquet", "umap.parquet"):
        table = pd.read_parquet(folder / name)
        table[table["model"] != "gan_mask"].to_parquet(folder / name, index=False)
    samples = pd.read_parquet(folder / "samples.parquet")
    samples.loc[samples["model"] == "gan_mask", [column for column in samples if "@" in column]] = np.nan
    samples.to_parquet(folder / "samples.parquet", index=False)
    assert set(summary_rows(write(folder))) == MODELS


def test_a_model_called_like_the_real_images_has_a_page(make_run) -> None:
    folder = make_run()
    result = results.load(folder)
    first, *others = result.models
    models = (first.model_copy(update={"name": "references"}), *others)
    values = tuple(
        value.model_copy(update={"model": "references"}) if value.model == first.name else value
        for value in result.values
    )
    results.save(result.model_copy(update={"models": models, "values": values, "differences": ()}), folder)
    samples = pd.read_parquet(folder / "samples.parquet")
    samples["model"] = samples["model"].replace(first.name, "references")
    samples.to_parquet(folder / "samples.parquet", index=False)
    tree = write(folder)
    assert "No heatmaps" not in tree.all("section", id="identity")[0].text


def test_features_of_another_run_are_not_drawn(make_run, tmp_path: Path) -> None:
    folder = make_run(per_session=2)
    features = (folder / "features" / "toy_judge.safetensors").read_bytes()
    folder.rename(tmp_path / "small")
    folder = make_run()
    (folder / "features" / "toy_judge.safetensors").write_bytes(features)
    tree = write(folder)
    assert "has 22 vectors for references, but the table has 34 rows" in tree.all("section", class_="warnings")[0].text
    assert "No heatmaps" in tree.all("section", id="identity")[0].text


def test_a_missing_picture_is_a_placeholder(make_run) -> None:
    folder = make_run()
    for path in (folder / "outputs" / "gan_mask").rglob("*.png"):
        path.unlink()
    tree = write(folder)
    missing = tree.all("span", class_="missing")
    assert {str(e.attributes["aria-label"]) for e in missing} == {
        f"output of gan_mask: {a} into {b}" for a, b in (("Ada", "Bo"), ("Bo", "Ada"))
    }


def test_without_result_there_is_no_page(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="no finished run"):
        report.write(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "changes",
    [
        {"models": {"gan_mask": 0.8}},
        {"models": {"copy_target": 0.0}},
        {"one_direction": True},
        {"identities": ("Ünal", "王", "Zoë $1$"), "sessions": 2, "per_session": 2},
        {"models": {f"gan_mask(size={i})": i / 12 for i in range(12)}, "sessions": 1, "per_session": 2},
        {"sessions": 1, "per_session": 1},
    ],
    ids=["one model", "baselines only", "one direction", "three people", "twelve models", "one image"],
)
def test_other_shapes_of_a_run(make_run, changes: dict[str, object]) -> None:
    folder = make_run(**changes)
    tree = write(folder)
    assert set(summary_rows(tree)) == set(changes.get("models", MODELS))
    for name in changes.get("identities", ("Ada",)):
        assert name in tree.all("section", id="identity")[0].text


def test_a_page_of_three_judges(make_run) -> None:
    judges = ("first", "toy_judge", "second")
    tree = write(make_run(judges=judges))
    header = tree.all("header")[0]
    (standing, *_), *_ = (row.all("td") for row in header.all("tbody", class_="contestants")[0].all("tr")[1:])
    assert [line.text.split(":")[0] for line in standing.all("span", class_="detail")] == ["first", "second"]
    assert standing.all("span", class_="detail out")[0].text.startswith("toy_judge: ")
    assert f"toy_judge is left out of the ranking: {ODD_NAME} trained against it." in header.text
    for judge in judges:
        assert f"{judge}.dat: for non-commercial research only." in header.all("section", class_="terms")[0].text
    sections = tree.all("details", class_="judge")
    assert [section.all("h3")[0].text for section in sections] == ["first", "second", "toy_judge"]
    assert ["open" in section.attributes for section in sections] == [True, False, False]
    for section in sections:
        tables = [e for e in section.all("table") if (e.attributes["class"] or "").startswith("summary")]
        assert [set(rows_of(table)) for table in tables] == [MODELS, MODELS]
        assert section.all("table", class_="bars")
        assert section.all("figure", class_="space")


def test_calibration_is_told(page: str) -> None:
    facts = parse(page).all("dl", class_="facts calibration")[0]
    assert dict(zip((e.text for e in facts.all("dt")), (e.text for e in facts.all("dd")), strict=True)) == {
        "d′": "3.21",
        "equal error rate": "6.25 % at cosine 0.876",
        "at FAR 1 %": "cosine 0.913 accepts 87.0 % of genuine pairs",
        "at FAR 0.1 %": "no threshold: 4321 impostor pairs are too few",
        "measured on": "96 genuine pairs and 4,321 impostor pairs of 34 images of 12 people",
    }


def test_the_map_in_space_is_a_picture_and_points(page: str) -> None:
    (figure,) = parse(page).all("figure", class_="space")
    assert figure.all("svg")  # without a script
    (data,) = figure.all("script")
    points = json.loads("".join(map(str, data.children)))
    assert {cloud["model"] for cloud in points["clouds"]} == {"", "gan_mask", ODD_NAME}
    assert all(len(cloud["points"]) % 3 == 0 for cloud in points["clouds"])
    assert "figure.space" in parse(page).all("script")[-1].text


def test_balance_is_drawn_by_session_and_pose(page: str) -> None:
    section = parse(page).all("section", id="balance")[0]
    assert section.all("dl", class_="stacks session")[0].all("dd")[0].text == "s1 58 % s2 25 % s0 17 %"
    assert len(section.all("dl", class_="stacks pose")[0].all("dt")) == 4


def test_a_run_of_schema_1_has_a_page(tmp_path: Path) -> None:
    shutil.copy(OLD, tmp_path / results.FILE_NAME)
    tree = write(tmp_path)
    assert summary_rows(tree)
    assert "mean rank" not in tree.all("table", class_="summary")[0].text
    assert not tree.all("section", id="balance")
    warnings = tree.all("section", class_="warnings")[0].text
    assert "lookalikes.parquet" not in warnings  # nobody could be named then


def test_every_table_scrolls_in_its_own_box(page: str) -> None:
    tables = [part.split(">", 1)[0] for part in page.split("<table")[1:]]
    boxed = re.findall(r'<div class="scroll">\s*<table', page)
    assert len(boxed) == len(tables) > 3


def test_names_without_spaces_wrap_everywhere(page: str) -> None:
    assert re.search(r"\nbody \{[^}]*overflow-wrap: anywhere", page)
    assert re.search(r"\ntable \{[^}]*overflow-wrap: break-word", page)  # else columns shrink to single letters
