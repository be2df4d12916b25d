"""Pages of real runs in a real browser: of synthetic people, of photographs, and of outputs of another tool."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fsbench.cli import app

OpenPage = Callable[..., object]
MODELS = "alpha_paste+recursive(n=2),copy_target+recursive(n=2)"


def call(*arguments: str | Path) -> None:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output


def use(opened: OpenPage, path: Path) -> None:
    """Use every control once: nothing fails, and nothing is asked for from outside."""
    shown = opened(path, 390)
    page = shown.page
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    table = page.locator("#summary table.summary")
    for head in table.locator("th[data-first]").all():
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == head.get_attribute("data-first")
    for name, start in (("CSV", "Model"), ("Markdown", "| Model"), ("LaTeX", "\\begin{tabular}")):
        page.get_by_role("button", name=name).first.click()
        assert shown.copied.startswith(start)
    page.get_by_role("searchbox").first.fill("copy_target")
    names = table.locator("tbody tr:not(.group):visible .name").all_inner_texts()
    assert names
    assert all("copy_target" in name for name in names)
    page.locator("#summary tr[data-pair] img").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("slider").press("End")
    assert dialog.locator("tbody tr").count() >= 1
    dialog.get_by_role("button", name="Close").click()
    gallery = page.locator("#galleries")
    for select in gallery.locator("select").all():
        for option in select.locator("option").all_inner_texts()[:4]:
            select.select_option(label=option)
    page.locator("figure.space canvas").first.press("ArrowLeft")
    assert shown.errors == []
    assert [url for url in shown.requests if not url.startswith("data:")] == [path.resolve().as_uri()]


def test_a_run_of_synthetic_people(opened: OpenPage, tmp_path: Path) -> None:
    data = "synthetic(people=2,sessions=9,images=1,gallery=0,frames=4,size=48)"
    metrics = "id_similarity,gt_psnr,skin_colour,flicker"
    call("run", "--dataset", data, "--models", MODELS, "--metrics", metrics, "--out", tmp_path / "out")
    use(opened, tmp_path / "out" / "report.html")


@pytest.fixture
def people(shared: Path, tmp_path: Path) -> Path:
    """Eight photographs of each of two people."""
    for name in ("Colin_Powell", "George_W_Bush"):
        (tmp_path / "people" / name).mkdir(parents=True)
        for photo in sorted((shared / "data/lfw" / name).glob("*.jpg"))[:8]:
            shutil.copy(photo, tmp_path / "people" / name)
    return tmp_path / "people"


def test_a_run_of_photographs(opened: OpenPage, people: Path, tmp_path: Path) -> None:
    call("run", "--dataset", f"folder:{people}", "--models", MODELS, "--metrics", "id_similarity,skin_colour",
         "--out", tmp_path / "out")  # fmt: skip
    use(opened, tmp_path / "out" / "report.html")


def test_outputs_of_another_tool(opened: OpenPage, people: Path, tmp_path: Path) -> None:
    tool = tmp_path / "tool" / "George_W_Bush"
    (tmp_path / "targets").mkdir()
    targets = [shutil.copy(photo, tmp_path / "targets") for photo in sorted((people / "Colin_Powell").iterdir())[:4]]
    shutil.copytree(tmp_path / "targets", tool)
    shutil.copy(sorted((people / "George_W_Bush").iterdir())[-1], tool / Path(targets[0]).name)
    (sources := tmp_path / "sources").mkdir()
    (people / "George_W_Bush").rename(sources / "George_W_Bush")
    call("score", "--target", tmp_path / "targets", "--source", sources, "--outputs", f"but_one={tool.parent}",
         "--metrics", "id_similarity,skin_colour", "--out", tmp_path / "out")  # fmt: skip
    use(opened, tmp_path / "out" / "report.html")
