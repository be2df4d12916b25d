"""The brief of a run, and pages printed to PDF."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fsbench import report
from fsbench.errors import OutputError
from fsbench.report import pdf

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """The command line: exit code, standard output, standard error."""
    from fsbench.cli import main

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["fsbench", "report", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return run


def part(page: str, start: str, end: str) -> str:
    return page[page.index(start) : page.index(end)]


def test_a_brief_is_what_the_page_begins_with(make_run: Callable[..., Path]) -> None:
    folder = make_run()
    page, brief = (report.write(folder, brief=kind).read_text() for kind in (False, True))
    assert {path.name for path in folder.glob("*.html")} == {"report.html", "brief.html"}
    ends = '<section class="verdict"', '<section class="warnings"'
    assert part(brief, *ends) == part(page, *ends)
    assert brief.count("<table") == 2  # values, pictures
    assert "<nav" not in brief
    pictures = '<table class="comparison">', "</main>"
    assert re.findall("<img [^>]*>", part(brief, *pictures)) == re.findall(
        "<img [^>]*>", part(page, pictures[0], "</header>")
    )


def test_the_command_writes_a_brief(make_run: Callable[..., Path], call: Call) -> None:
    folder = make_run()
    assert call(folder, "--brief") == (0, f"report: {folder / 'brief.html'}\n", "")
    assert not (folder / "report.html").exists()
    code, _, err = call(folder, folder, "--out", folder / "both.html", "--brief")
    assert code == 2
    assert "a brief is of one run" in err


@pytest.mark.parametrize(
    ("named", "sentence"), [("", "there is no Chromium to print with"), ("no_such_program", "'no_such_program'")]
)
def test_without_a_browser_a_sentence_says_what_to_do(
    named: str, sentence: str, make_run: Callable[..., Path], call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(pdf.VARIABLE, named)
    monkeypatch.setattr(pdf, "PROGRAMS", ("no_such_browser",))
    folder = make_run()
    code, _, err = call(folder, "--brief", "--pdf", folder / "x.pdf")
    assert code == 2
    assert sentence in err
    assert "install chromium" in " ".join(err.split())
    assert not (folder / "x.pdf").exists()


def test_a_browser_that_prints_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "browser"
    program.write_text("#!/bin/sh\necho 'no display' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv(pdf.VARIABLE, str(program))
    with pytest.raises(OutputError, match="printed nothing: no display"):
        pdf.write(tmp_path / "page.html", tmp_path / "page.pdf")
    assert not list(tmp_path.glob("*.pdf"))
    assert not list(tmp_path.glob("*.partial"))
