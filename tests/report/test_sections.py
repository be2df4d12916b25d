"""The list of sections makes the page and its navigation."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from jinja2 import ChoiceLoader, DictLoader, Environment, StrictUndefined

from fsbench import report
from fsbench.report import calibration, page, sections, validity
from fsbench.report.page import Section
from fsbench.report.run import RunContents, read

TEMPLATES = Path(page.__file__).parent / "templates"


@pytest.fixture(scope="module")
def run(run_folder: Path) -> RunContents:
    return read(run_folder)


def test_a_section_is_a_module_and_its_name_in_the_list(run: RunContents, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType(f"{sections.__name__}.toy")
    module.SECTIONS = (Section("toy", "A <toy>", lambda run: {"table": run.result.command}, "run/toy.html.j2"),)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(sections, "MODULES", ("toy", "balance"))
    environment = page.environment()
    assert environment.loader is not None
    template = DictLoader({"run/toy.html.j2": "<h2>{{ section.title }}</h2>{{ table }} {{ result.seed }}"})
    environment.loader = ChoiceLoader([template, environment.loader])
    monkeypatch.setattr(page, "environment", lambda: environment)
    html = report.html(run)
    assert '<a href="#toy">A &lt;toy&gt;</a><a href="#balance">Balance</a></nav>' in html
    assert '<section id="toy">\n<h2>A &lt;toy&gt;</h2>fsbench run' in html
    assert html.index('<section id="toy">') < html.index('<section id="balance">')
    assert 'id="galleries"' not in html


def test_what_has_nothing_to_show_is_left_out(run: RunContents) -> None:
    environment = Environment(loader=DictLoader({"t": "{{ section.id }}: {{ x }} {{ y }}"}), undefined=StrictUndefined)
    listed = [
        Section[RunContents]("a", "A", lambda run: {"x": 1}, "t"),
        Section[RunContents]("b", "B", lambda run: None, "t"),
        Section[RunContents]("c", "C", lambda run: {"x": 2}, "t"),
    ]
    shown = page.render(listed, run, environment, y=3)
    assert [(part.id, part.title, part.html) for part in shown] == [("a", "A", "a: 1 3"), ("c", "C", "c: 2 3")]


def test_every_section_has_an_id_of_its_own_and_a_template() -> None:
    for listed in (sections.all_sections(), validity.SECTIONS, calibration.SECTIONS):
        ids = [section.id for section in listed]
        assert len(set(ids)) == len(ids) > 2
        for section in listed:
            assert re.fullmatch("[a-z_]+", section.id)
            assert section.title
            assert (TEMPLATES / section.template).is_file()


def test_every_module_is_listed() -> None:
    folder = Path(sections.__file__).parent
    assert sorted(sections.MODULES) == sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
