"""The documentation site builds strictly, has a place for everything that is registered, and what it shows works."""

from __future__ import annotations

import doctest
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from typer.main import get_command

from fsbench import registry, validity, weights
from fsbench.cli import app
from fsbench.faults import FAULTS
from fsbench.metric_groups import GROUPS

ROOT = Path(__file__).parents[1]
GUIDE = sorted((ROOT / "docs").glob("*.md"))
README = ROOT / "README.md"
ELSEWHERE = {"python.md", "README.md", "scale.md"}
"""Pages whose examples are one long session: tests/api/test_docs.py runs them."""

LOADED = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src", "object": "data"}
"""Attributes by which a page requests a file as it is opened; a link (`a`) waits for a click."""


@dataclass
class Page(HTMLParser):
    """What a built page links to, loads and holds."""

    path: Path
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    text: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        if values.get("id"):
            self.anchors.add(str(values["id"]))
        if tag == "a" and values.get("href"):
            self.links.append(str(values["href"]))
        if tag in LOADED and values.get(LOADED[tag]) and values.get("rel") not in ("next", "prev", "canonical"):
            self.loads.append(str(values[LOADED[tag]]))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@dataclass(frozen=True)
class Site:
    """A built site."""

    folder: Path
    pages: dict[str, Page]

    def anchors(self, page: str) -> set[str]:
        """Anchors on a page, by its path without suffix."""
        return self.pages[f"{page}.html"].anchors


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages that the site is made of."""
    return tmp_path_factory.mktemp("docs") / "pages"


@pytest.fixture(scope="module")
def site(pages: Path, session_folder: Path) -> Site:
    if importlib.util.find_spec("zensical") is None:
        pytest.skip("needs zensical: uv run --group docs pytest")
    folder = pages.with_name("site")
    command = [sys.executable, "-m", "docs.generate", str(folder), "--pages", str(pages)]
    environment = {**os.environ, "FSBENCH_CACHE": str(session_folder / "cache"), "PYTHONHASHSEED": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return Site(folder, {path.relative_to(folder).as_posix(): Page(path) for path in sorted(folder.rglob("*.html"))})


def test_nothing_is_requested_from_elsewhere(site: Site) -> None:
    for name, page in site.pages.items():
        away = [address for address in page.loads if urlsplit(address).scheme or address.startswith("//")]
        assert [address for address in away if not address.startswith("data:")] == [], name
    for style in site.folder.rglob("*.css"):
        addresses = re.findall(r"(?:url\(|@import\s+)[\"']?([^\"')\s]+)", style.read_text(encoding="utf-8"))
        assert [address for address in addresses if re.match(r"https?:|//", address)] == [], style.name


def test_links_and_pictures_lead_somewhere(site: Site) -> None:
    for name, page in site.pages.items():
        for address in [*page.links, *page.loads]:
            parts = urlsplit(address)
            if name == "404.html" or parts.scheme or address.startswith("//"):
                continue
            target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
            assert target.is_file(), f"{name}: {address}"
            if parts.fragment and target.suffix == ".html":
                there = site.pages[target.relative_to(site.folder.resolve()).as_posix()]
                assert unquote(parts.fragment) in there.anchors | {"__skip"}, f"{name}: {address}"


@pytest.mark.parametrize("name", registry.metrics.names())
def test_every_metric_has_a_card(name: str, site: Site) -> None:
    pages = [page for path, page in site.pages.items() if path.startswith("metrics/") and name in page.anchors]
    assert len(pages) == 1
    text = " ".join("".join(pages[0].text).split())
    assert " ".join(registry.metrics.get(name).summary.split(".")[0].replace("`", "").split()) in text


PLACES = {
    "swappers": ("models", "swapper"),
    "refiners": ("models", "refiner"),
    "wrappers": ("models", "wrapper"),
    "datasets": ("datasets", "dataset"),
    "embedders": ("networks", "embedder"),
    "observers": ("networks", "observer"),
    "evidence": ("networks", "evidence"),
}


def test_every_plugin_has_its_place(site: Site) -> None:
    assert {*PLACES, "metrics"} == set(registry.REGISTRIES)
    for kind, (page, word) in PLACES.items():
        for name in registry.REGISTRIES[kind].names():
            assert f"{word}-{name}" in site.anchors(page), f"{name} is not on the page {page}"
    assert set(weights.CATALOGUE) <= site.anchors("weights")
    assert set(FAULTS) <= site.anchors("faults")


def test_every_command_and_option_has_its_place(site: Site) -> None:
    text = "".join(site.pages["commands.html"].text)

    def walk(command: object, path: str) -> Iterator[str]:
        assert path.replace(" ", "-") in site.anchors("commands"), path
        yield from (option for one in getattr(command, "params", []) for option in getattr(one, "opts", []))
        for name, below in getattr(command, "commands", {}).items():
            yield from walk(below, f"{path} {name}")

    options = {option for option in walk(get_command(app), "fsbench") if option.startswith("--")}
    hidden = {"--version", "--install-completion", "--show-completion"}
    assert len(options) > 50
    assert [option for option in sorted(options - hidden) if option not in text] == []


def test_what_was_found_of_a_metric_is_drawn(site: Site) -> None:
    shipped = validity.shipped()
    assert shipped is not None
    for group in GROUPS:
        html = (site.folder / f"metrics/{group}.html").read_text(encoding="utf-8")
        examined = [entry for entry in shipped.metrics if entry.metric.group == group]
        responses = [one for entry in examined for one in shipped.of(entry.metric.name, entry.judge).values()]
        drawn = [one for one in responses if one.steps]
        assert html.count('<details class="validity">') == len(examined)
        assert html.count('class="line"') == len(drawn)
        dots = html.count('class="full"') + html.count('class="open"')
        assert dots == sum(step.enough_scored for one in drawn for step in one.steps)
    assert len(shipped.metrics) > 40


def test_models_that_need_no_training_are_drawn(site: Site) -> None:
    loads = site.pages["models.html"].loads
    for name in ("copy_target", "copy_source", "alpha_paste", "exact", "gan_mask"):
        assert f"pictures/swappers-{name}.jpg" in loads
    for name in ("refiners-prnet", "wrappers-recursive"):
        assert f"pictures/{name}.jpg" in loads


def test_public_names_stand_in_the_api(site: Site) -> None:
    assert {"ImageSet", "ImageSet.select", "list_images"} <= site.anchors("api/fsbench.images")
    assert {"MetricInfo", "Targets", "Swapper.swap"} <= site.anchors("api/fsbench.interfaces")
    assert {"check_metric", "check_swapper"} <= site.anchors("api/fsbench.contracts")
    assert {"run", "score", "load", "Evaluation", "Evaluation.call", "Run.compare"} <= site.anchors("api/fsbench")
    assert {*registry.metrics.names(), "frechet_distance", "IdSimilarity"} <= site.anchors("api/fsbench.functional")


def blocks(language: str) -> list[tuple[str, str]]:
    """Blocks of code in the pages that people write, and in the README, with the page's name."""
    found = []
    for path in [*GUIDE, README]:
        text = path.read_text(encoding="utf-8")
        found += [
            (path.name, code) for code in re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        ]
    return found


@pytest.mark.parametrize(("page", "code"), [one for one in blocks("python") if one[0] not in ELSEWHERE])
def test_python_runs(page: str, code: str) -> None:
    exec(compile(code, page, "exec"), {"__name__": "docs"})


def typed(code: str) -> list[list[str]]:
    """Words of each command of fsbench in a block of shell."""
    lines = [line.partition("  #")[0] for line in code.replace("\\\n", " ").splitlines()]
    commands = [part.strip() for line in lines for part in re.split(r"&&", line)]
    return [
        shlex.split(part.removeprefix("uv run ").strip())
        for part in commands
        if part.removeprefix("uv run ").strip().startswith("fsbench")
    ]


COMMANDS = [(page, words) for page, code in blocks("sh") for words in typed(code)]


@pytest.mark.parametrize(("page", "words"), COMMANDS, ids=[" ".join(words)[:70] for _, words in COMMANDS])
def test_commands_can_be_typed(page: str, words: list[str]) -> None:
    """Names of commands and options are those that there are, and values have the right type."""
    command = get_command(app)
    context = command.make_context("fsbench", [], resilient_parsing=True)
    words = words[1:]
    while hasattr(command, "commands"):
        assert words[0] in command.commands, f"{page}: {words[0]}"
        command, words = command.commands[words[0]], words[1:]
        if not hasattr(command, "commands"):
            command.make_context(command.name, words, parent=context)


def test_commands_are_looked_at() -> None:
    assert len(COMMANDS) > 25
    assert {page for page, _ in COMMANDS} >= {"README.md", "start.md", "gates.md"}
    with pytest.raises(BaseException, match="--wrong"):
        test_commands_can_be_typed("none", ["fsbench", "run", "--wrong", "1"])


def test_the_same_pages_again(site: Site, pages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a page says depends on the repository alone: another process, with other hashes, writes the same."""
    monkeypatch.syspath_prepend(ROOT)
    from docs.generate.site import lay_out

    again = tmp_path / "again"
    again.mkdir()
    lay_out(again, validity.shipped())
    files = {path.relative_to(again): path.read_bytes() for path in again.rglob("*") if path.is_file()}
    assert len(files) > 40
    assert [path for path, content in files.items() if (pages / path).read_bytes() != content] == []


@pytest.mark.parametrize("name", ["markdown", "commands", "facts"])
def test_examples_in_the_code_of_the_site_are_true(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    results = doctest.testmod(importlib.import_module(f"docs.generate.{name}"))
    assert results.attempted > results.failed == 0


def test_a_fact_that_is_not_there_is_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    from docs.generate.facts import filled

    for wrong in ("fsbench.compare.NOTHING", "fsbench.nowhere.ALPHA", "docs/nothing.md"):
        with pytest.raises((AttributeError, ImportError)):
            filled(f"as {{{{ {wrong} }}}} has it")


def test_another_folder_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    from docs.generate.site import build

    (tmp_path / "thesis.txt").write_text("the only copy")
    with pytest.raises(FileExistsError, match="something else"):
        build(tmp_path, None)
    assert (tmp_path / "thesis.txt").read_text() == "the only copy"
